"""Jobs on a real SkyPilot that die of known causes, diagnosed from the logs it returns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.real_sky import RealSky

pytestmark = pytest.mark.real

FMON = str(Path(sys.executable).with_name("fmon"))
CONFIG = """\
experiment_name: dying
skypilot_yaml: train.yaml
factors: {cause: [oom, setup, file, killed]}
job_name: "dying-{cause}"
"""
TRACEBACK = """cat >&2 <<'LOG'
Traceback (most recent call last):
  File "/app/train.py", line 8, in <module>
    loss = model(batch)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB. GPU 0 has 21.96 GiB in total.
LOG
exit 1
"""
MISSING = "python3 -c \"open('data/splits.json')\""
TASKS = {
    "dying-oom": {"run": TRACEBACK},
    "dying-setup": {
        "setup": "echo 'ERROR: No matching distribution found for mamba-ssm==9' >&2; exit 1",
        "run": "true",
    },
    "dying-file": {"run": MISSING},
    "dying-killed": {"run": "bash -c 'kill -9 $$'"},
}
CATEGORIES = {
    "oom": "cuda_oom", "setup": "import_error", "file": "data_missing", "killed": "host_oom"
}  # fmt: skip
LIMIT_S = 600


@pytest.fixture(scope="module")
def failures(realsky: RealSky, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("dying")
    (folder / "experiment.yaml").write_text(CONFIG)
    (folder / "train.yaml").write_text(
        "resources: {infra: slurm/demo, cpus: 1+, accelerators: 'H100:1'}\nrun: 'true'\n"
    )
    ids = realsky.launch([{"name": name, **task} for name, task in TASKS.items()])
    realsky.wait(ids, timeout=LIMIT_S)

    def fmon(*arguments: str) -> str:
        done = subprocess.run(
            [FMON, *arguments], cwd=folder, env=realsky.env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    fmon("adopt", "experiment.yaml")
    fmon("poll")
    found = json.loads(fmon("sql", "select * from failure", "-o", "json"))
    return {row["condition_id"]: row | {"log": fmon("logs", row["condition_id"])} for row in found}


@pytest.mark.parametrize("cause", CATEGORIES)
def test_the_root_cause_is_found_in_the_log_that_skypilot_returns(failures, cause):
    assert failures[cause]["category"] == CATEGORIES[cause]
    assert failures[cause]["log_state"] == "stored"


def test_the_evidence_is_a_line_of_the_stored_log(failures):
    row = failures["oom"]
    lines = row["log"].split("\n")
    assert row["evidence"].startswith("torch.OutOfMemoryError")
    assert row["evidence"] in lines[row["evidence_line"] - 1]
