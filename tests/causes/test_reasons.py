# ruff: noqa: E501
"""What tells two failures of one exception class apart: who raised it, what it names, what was said before it."""

import pytest

from fmon.causes import analyze_logs

SITE = "/opt/venv/lib/python3.11/site-packages"
OWN = "/workspace/study"


def raised(error: str, *frames: str) -> str:
    """Print an exception as python does; a frame is ``path:function``."""
    lines = "".join(
        f'  File "{path}", line 10, in {function}\n    call()\n'
        for path, _, function in (frame.rpartition(":") for frame in frames)
    )
    return f"Traceback (most recent call last):\n{lines}{error}\n"


BY_LIBRARY = {
    "a config library": ("config_error/value_type", raised("ValueError: HydraConfig was not set", f"{OWN}/train.py:main", f"{SITE}/hydra/core/hydra_config.py:get")),
    "the environment": ("config_error/env_missing", raised("KeyError: 'scratch'", f"{OWN}/train.py:main", "/usr/lib/python3.11/os.py:__getitem__")),
    "a config that is Python": ("config_error/yaml", raised("SyntaxError: invalid syntax", f"{OWN}/train.py:main", f"{SITE}/mmengine/config/config.py:_file2dict", "/usr/lib/python3.11/ast.py:parse")),
    "a config object": ("config_error/missing_key", raised("AttributeError: 'CfgNode' object has no attribute 'DEPTH'", f"{OWN}/train.py:main")),
    "a function that reads the config": ("config_error/missing_key", raised("KeyError: 'fold'", f"{OWN}/train.py:main", f"{OWN}/train.py:load_config")),
    "a library's constructor": ("config_error/hyperparameter", raised("AssertionError: embed_dim must be divisible by num_heads", f"{OWN}/net.py:__init__", f"{SITE}/torch/nn/modules/activation.py:__init__")),
    "a library that checks for a constructor": ("config_error/hyperparameter", raised("ValueError: width can only be even", f"{OWN}/net.py:build", f"{SITE}/nets/unet.py:__init__", f"{SITE}/nets/util.py:halve")),
    "the project's own constructor": ("code_bug/value", raised("ValueError: width can only be even", f"{OWN}/net.py:build", f"{OWN}/unet.py:__init__")),
    "an assertion of a library on shapes": ("code_bug/shape", raised("AssertionError: ground truth has different shape", f"{OWN}/train.py:step", f"{SITE}/monai/losses/dice.py:forward")),
    "an assertion of a library": ("code_bug/assert", raised("AssertionError: call reset first", f"{OWN}/train.py:step", f"{SITE}/gym/core.py:step")),
    "an assertion of the project": ("user_assert/assert", raised("AssertionError: call reset first", f"{OWN}/train.py:step")),
    "a library while it is imported": ("import_error/api_version", raised("TypeError: Descriptors are no class", f"{OWN}/train.py:<module>", f"{SITE}/tensorboard/__init__.py:<module>", f"{SITE}/google/protobuf/descriptor.py:__new__")),
    "a library that runs the program": ("code_bug/type", raised("TypeError: 'int' object is not callable", "/usr/lib/python3.11/runpy.py:_run_module_as_main", f"{SITE}/accelerate/commands/launch.py:<module>", f"{OWN}/train.py:step")),
    "a reader of images": ("data_corrupt/unreadable_image", raised("ValueError: Could not find a format to read the specified file in mode 'i'", f"{OWN}/data.py:__getitem__", f"{SITE}/imageio/core/functions.py:get_reader")),
    "a reader that names the missing file": ("data_missing/file", raised('RuntimeError: Exception thrown in ReadImage:\nsitk::ERROR: The file "/data/v.mha" does not exist.', f"{OWN}/data.py:load", f"{SITE}/SimpleITK/SimpleITK.py:Execute")),
    "a pickle of a class that is gone": ("checkpoint/incompatible", raised("AttributeError: Can't get attribute 'Net' on <module '__main__'>", f"{OWN}/train.py:resume", f"{SITE}/torch/serialization.py:find_class")),
    "a function that loads a checkpoint": ("checkpoint/incompatible", raised("ValueError: 3 blocks, 4 given", f"{OWN}/train.py:main", f"{OWN}/ckpt.py:load_checkpoint")),
    "gloo": ("nccl_distributed/remote_error", raised("RuntimeError: Gloo connectFullMesh failed with no error", f"{OWN}/train.py:setup", f"{SITE}/torch/distributed/distributed_c10d.py:_new_process_group_helper")),
    "torch's process groups": ("nccl_distributed/connection", raised("RuntimeError: store was shut down", f"{OWN}/train.py:setup", f"{SITE}/torch/distributed/distributed_c10d.py:barrier")),
    "a client of HTTP": ("network/connection", raised("OSError: nothing came", f"{OWN}/get.py:fetch", f"{SITE}/requests/models.py:generate")),
    "a build without CUDA": ("cuda_runtime/cpu_only_build", raised("AttributeError: module 'torch._C' has no attribute '_cuda_setDevice'", f"{OWN}/train.py:main", f"{SITE}/torch/cuda/__init__.py:set_device")),
}  # fmt: skip

BY_WORDS = {
    "no runs of an earlier stage": ("data_missing/dataset", raised("ValueError: No runs present in the directory: 'logs/ppo'", f"{OWN}/train.py:latest")),
    "a table whose rows differ": ("data_corrupt/text", "pandas.errors.ParserError: Error tokenizing data. C error: Expected 2 fields in line 3, saw 4\n"),
    "a chunk that does not decode": ("data_corrupt/zarr", "RuntimeError: Zstd decompression error: invalid input data\n"),
    "an Arrow error": ("data_corrupt/parquet", raised("pyarrow.lib.ArrowInvalid: offsets overflow", f"{OWN}/data.py:get")),
    "an image that was not read": ("data_corrupt/unreadable_image", raised("ValueError: fail to read /data/coco/0001.jpg", f"{OWN}/data.py:get")),
    "a dataset that was not generated": ("data_corrupt/unreadable", "datasets.exceptions.DatasetGenerationError: An error occurred while generating the dataset\n"),
    "no batch that fits": ("cuda_oom/torch", "RuntimeError: No executable batch size found, reached zero.\n"),
    "a peer that is gone": ("nccl_distributed/remote_error", "n1:7:9 [0] NCCL WARN NET/IB : Got completion from peer 10.0.0.7 with status=12\n"),
    "a socket of NCCL": ("nccl_distributed/system_error", "n1:7:9 [0] NCCL WARN socketStartConnect: Connect to 10.0.0.7 failed : Software caused connection abort\n"),
    "LSF's limit": ("walltime/lsf", "TERM_RUNLIMIT: job killed after reaching LSF run time limit.\n"),
    "S3": ("auth/s3", "botocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation: Forbidden\n"),
    "an index": ("code_bug/index", raised("IndexError: list index out of range", f"{OWN}/train.py:pick")),
    "two devices": ("code_bug/dtype", raised("RuntimeError: Expected all tensors to be on the same device, but found at least two devices", f"{OWN}/train.py:step")),
    "a pickle": ("code_bug/pickle", raised("AttributeError: Can't pickle local object 'D.__init__.<locals>.<lambda>'", f"{OWN}/train.py:main")),
    "a value outside a list": ("config_error/hyperparameter", raised("ValueError: optimizer 'adamW' is not supported, choose from ['adamw', 'sgd']", f"{OWN}/train.py:main")),
    "a task YAML": ("config_error/skypilot", "ValueError: Found unsupported field ['accelerator']\n"),
    "what hydra cannot make": ("config_error/hydra", "Error locating target 'seg.models.DynUNet', set env var HYDRA_FULL_ERROR=1 to see chained exception.\n"),
    "a scale that is used up": ("nan_divergence/loss_scale", "Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.\n"),
    "a backward step": ("nan_divergence/anomaly", "RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.\n"),
    "a failing tracking server": ("tracking/mlflow_5xx", "mlflow.exceptions.MlflowException: API request to http://t/api/2.0/mlflow/runs/get failed with too many 503 error responses\n"),
    "a class that says what is missing": ("data_missing/dataset", raised("datasets.exceptions.DataFilesNotFoundError: none under /data", f"{OWN}/train.py:main")),
    "a class that says what is damaged": ("data_corrupt/unreadable", raised("seg.errors.MalformedCaseError: case 7", f"{OWN}/data.py:get")),
    "a class that says it is the config": ("config_error/hyperparameter", raised("seg.errors.TrainerConfigError: lr", f"{OWN}/train.py:main")),
    "a message that says it is the config": ("config_error/hyperparameter", raised("ValueError: can't find 'lr' in config file base.yaml", f"{OWN}/train.py:main")),
    "a class that says it is the checkpoint": ("checkpoint/incompatible", raised("seg.errors.CheckpointError: epoch 7", f"{OWN}/train.py:main")),
    "an extension that was not built": ("import_error/abi", raised("RuntimeError: CUDA extension for attention was not compiled", f"{OWN}/ops.py:forward")),
    "a spot machine": ("node_lost/preempted", "instance seg-1: Server.SpotInstanceTermination\n"),
    "a tensor that does not fit": ("checkpoint/state_dict_mismatch", raised('ValueError: Trying to set a tensor of shape torch.Size([3]) in "weight" (which has shape torch.Size([4])), this looks incorrect.', f"{OWN}/train.py:main")),
    "a slow tracking server": ("tracking/mlflow_timeout", "mlflow.exceptions.MlflowException: API request to http://t/api/2.0/mlflow/runs/get failed: Read timed out.\n"),
    "a package that cannot be imported": ("import_error/undefined_symbol", "RuntimeError: Failed to import transformers.models.bloom because of the following error (look up to see its traceback):\nflash_attn.so: undefined symbol: _ZN3\n"),
    "an import that says no more": ("import_error/api_version", "RuntimeError: Failed to import transformers.models.bloom because of the following error (look up to see its traceback):\nnone\n"),
}  # fmt: skip

BY_WHAT_STANDS_AROUND = {
    "advice": ("nccl_distributed", "If you see CUDA out of memory, lower the batch.\n[rank0]:[E ProcessGroupNCCL.cpp:6] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)\n"),
    "a line that calls itself harmless": ("nccl_distributed", "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.2GiB. The caller indicates that this is not a failure.\nncclSystemError: System call failed\n"),
    "a name that could not be resolved before a package": ("network", "Err:1 http://archive.ubuntu.com/ubuntu jammy InRelease\n  Temporary failure resolving 'archive.ubuntu.com'\nW: Some index files failed to download. They have been ignored, or old ones used instead.\nE: Unable to locate package libgl1\n"),
    "a refusal before a pull that failed": ("auth", "ERROR: unexpected error - Forbidden: An error occurred (403) when calling the HeadObject operation: Forbidden\nERROR: failed to pull data from the cloud - 12 files failed to download\n"),
    "a pull that failed": ("data_missing", "ERROR: failed to pull data from the cloud - 12 files failed to download\n"),
    "an installer's box": ("cuda_runtime", "  error: subprocess-exited-with-error\n      Traceback (most recent call last):\n        File \"/x/setup.py\", line 190, in <module>\n          check()\n      OSError: CUDA_HOME environment variable is not set.\n      [end of output]\nerror: metadata-generation-failed\n"),
    "a module missing below a target": ("import_error", raised("ModuleNotFoundError: No module named 'skimage'", f"{OWN}/losses.py:<module>") + "\nThe above exception was the direct cause of the following exception:\n\n" + raised("hydra.errors.InstantiationException: Error locating target 'losses.Dice'", f"{OWN}/train.py:main", f"{SITE}/hydra/_internal/instantiate/_instantiate2.py:_resolve_target")),
    "an earlier rank": ("code_bug", "".join(f"[rank1]: {line}\n" for line in raised("KeyError: 'mask'", f"{OWN}/train.py:step").splitlines()) + "".join(f"[rank0]: {line}\n" for line in raised("requests.exceptions.ReadTimeout: Read timed out", f"{OWN}/train.py:log").splitlines())),
    "a class of a module named retry": ("auth", raised("gcsfs.retry.HttpError: a@b.iam does not have storage.objects.get access to the Google Cloud Storage object.", f"{OWN}/data.py:get", f"{SITE}/gcsfs/retry.py:validate_response")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"), [*BY_LIBRARY.values(), *BY_WORDS.values()], ids=[*BY_LIBRARY, *BY_WORDS]
)
def test_who_raised_an_exception_and_what_it_names_decide(kind, text):
    info = analyze_logs(text, "FAILED")
    assert f"{info.category}/{info.subcategory}" == kind, (info.rule, info.evidence)


@pytest.mark.parametrize(
    ("category", "text"), BY_WHAT_STANDS_AROUND.values(), ids=BY_WHAT_STANDS_AROUND.keys()
)
def test_what_was_said_around_it_decides(category, text):
    info = analyze_logs(text, "FAILED")
    assert info.category == category, (info.rule, info.evidence)


def test_where_only_the_class_speaks_the_confidence_is_low_and_there_is_a_second_answer():
    by_class = analyze_logs(raised("KeyError: 'mask'", f"{OWN}/train.py:step"), "FAILED")
    by_words = analyze_logs(
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB.\n", "FAILED"
    )
    assert (by_class.category, by_class.confidence, by_class.runner_up) == (
        "code_bug",
        0.45,
        "code_bug/runtime",
    )
    assert by_words.confidence > 0.9


def test_a_runner_up_is_what_the_same_exception_could_be_as_well():
    text = raised("ValueError: fail to read /data/coco/0001.jpg", f"{OWN}/data.py:get")
    assert analyze_logs(text, "FAILED").runner_up == "code_bug/value"


FAILURE = raised(
    "ModuleNotFoundError: No module named 'monai'", f"{OWN}/train.py:<module>", f"{OWN}/nets.py:<module>"
)
RICH = """╭───────── Traceback (most recent call last) ──────────╮
│ /workspace/study/train.py:10 in <module>             │
│                                                      │
│ ❱ 10 import nets                                     │
│ /workspace/study/nets.py:10 in <module>              │
│                                                      │
│ ❱ 10 import monai                                    │
╰──────────────────────────────────────────────────────╯
ModuleNotFoundError: No module named 'monai'
"""


@pytest.mark.parametrize(
    "margin", ["      ", "ERROR 11-24 09:12:01 [core.py:708] ", "gpu-worker-1: ", "  | "]
)
def test_a_traceback_that_another_program_prints_is_read_as_it_was(margin):
    text = "".join(margin + line + "\n" for line in FAILURE.splitlines())
    one, other = analyze_logs(text, "FAILED"), analyze_logs(FAILURE, "FAILED")
    assert (one.signature, one.files) == (other.signature, other.files)


def test_a_traceback_drawn_by_rich_has_the_same_signature():
    one, other = analyze_logs(RICH, "FAILED"), analyze_logs(FAILURE, "FAILED")
    assert (one.signature, set(one.files)) == (other.signature, set(other.files))
