# ruff: noqa: E501 -- lines as long as programs print them
"""The error lines of the study's own post-mortems, each as the last words of a log."""

import pytest

from fmon import analyze_logs

LINES = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB. GPU 0 has a total capacity of 21.96 GiB": "cuda_oom/torch",
    "torch.OutOfMemoryError: Tried to allocate 376 MiB. GPU 0: 21.96 GiB total, 295 MiB free.": "cuda_oom/torch",
    "[Errno 101] Network is unreachable": "network/unreachable",
    "ERROR: you are not inside of a DVC repository (checked up to mount point '/')": "config_error/dvc_no_git",
    "bash: git: command not found": "shell_error/command_not_found",
    "ERROR: /app is not a git repository": "config_error/dvc_no_git",
    "ERROR: failed to pull data from the cloud - Checkout failed for following targets: data/processed/minivess": "data_missing/dvc_pull",
    "cp: 'configs/splits/3fold_seed42.json' and 'configs/splits/splits.json' are the same file": "shell_error/copy",
    "train_flow.py: error: unrecognized arguments: --fold 0 --with-aux-calib false": "config_error/argparse",
    "sky.exceptions.ResourcesUnavailableError: Catalog does not contain any instances satisfying the request": "no_resource/infeasible",
    "./scripts/run_factorial.sh: line 171: sky: command not found": "shell_error/command_not_found",
    "ModuleNotFoundError: No module named 'googleapiclient'": "import_error/module_missing",
    "AttributeError: module 'pyparsing' has no attribute 'DelimitedList'": "import_error/api_version",
    "requests.exceptions.HTTPError: 413 Client Error: Request Entity Too Large for url: https://host/api/2.0/mlflow-artifacts/": "tracking/mlflow_413",
    "TypeError: LoRALinear only supports nn.Linear, got Conv2d.": "code_bug/type",
    "RuntimeError: mamba-ssm not installed.": "import_error/module_missing",
    "pydantic_core._pydantic_core.ValidationError: 1 validation error for TrainingConfig max_epochs": "config_error/pydantic",
    "ImportError: cannot import name 'skeletonize_3d' from 'skimage.morphology'": "import_error/api_version",
    "sky.exceptions.ApiServerConnectionError: Could not connect to SkyPilot API server at http://127.0.0.1:46580.": "network/refused",
    "FATAL: DVC pull from GCS failed after 3 attempts.": "data_missing/dvc_pull",
    "FATAL: SAM3 weight download failed after 3 attempts.": "network/hub_unreachable",
    "FATAL: MLflow server is not reachable. Training would lose all metrics.": "tracking/mlflow_unreachable",
    "ERROR: failed to connect to s3 - Invalid endpoint: ${DVC_S3_ENDPOINT_URL}": "config_error/env_var_literal",
    "RuntimeError: [enforce fail at inline_container.cc:668] . unexpected pos": "disk_full/torch_save",
    "OSError: [Errno 28] No space left on device": "disk_full/enospc",
}  # fmt: skip
DECOYS = (
    "WARNING | pipeline.metrics - Failed to compute calibration metrics",
    "WARNING | diagnostics.weight_diagnostics - WeightWatcher crashed on model layers",
)


@pytest.mark.parametrize(("line", "cause"), LINES.items())
def test_each_line_is_known_beside_both_decoys(line, cause):
    log = f"Setup done\n{DECOYS[0]}\n{line}\n{DECOYS[1]}\n"
    info = analyze_logs(log, "FAILED")
    assert f"{info.category}/{info.subcategory}" == cause
    assert info.evidence_line == 3


def test_a_copy_onto_itself_is_found_without_other_lines():
    assert analyze_logs("cp: 'a/x.json' and 'b/x.json' are the same file", "FAILED").category == "shell_error"


@pytest.mark.parametrize("decoy", DECOYS)
def test_a_decoy_alone_decides_nothing(decoy):
    assert analyze_logs(decoy, "FAILED").category == "unknown"


def test_a_missing_sky_and_a_missing_uv_are_two_errors_of_one_kind():
    sky = analyze_logs("./scripts/run_factorial.sh: line 171: sky: command not found", "FAILED")
    uv = analyze_logs("./scripts/run_factorial.sh: line 171: uv: command not found", "FAILED")
    assert sky.category == uv.category == "shell_error"
    assert sky.signature != uv.signature
    assert sky.root_cause_id != uv.root_cause_id


def test_what_skypilot_says_of_the_catalogue_needs_no_log():
    reason = (
        "[sky.exceptions.ResourcesUnavailableError] Catalog does not contain any instances satisfying 1x GCP"
    )
    info = analyze_logs("", "FAILED_PRECHECKS", failure_reason=reason)
    assert (info.category, info.subcategory, info.source) == ("no_resource", "infeasible", "failure_reason")


def test_a_scheduler_statement_beats_the_exception_it_provoked():
    log = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0.\nTraceback (most recent call last):\n" \
          '  File "/w/train.py", line 3, in main\nRuntimeError: DataLoader worker (pid 7) exited unexpectedly\n'  # fmt: skip
    assert analyze_logs(log, "FAILED").category == "host_oom"


def test_a_failed_upload_of_a_job_that_succeeded_is_a_note():
    log = "epoch 9\nrequests.exceptions.HTTPError: 413 Client Error: Request Entity Too Large for url: https://h/\n"
    info = analyze_logs(log, "SUCCEEDED")
    assert (info.category, info.remedy) == ("none", "none")
    assert "413" in info.health
