"""The taxonomy of root causes as data: definition, remedy and fix strategy of each.

A subcategory may have a row of its own, which then replaces that of its category.
"""

from typing import Literal, NamedTuple

from fmon.causes.info import Remedy

Group = Literal["infrastructure", "environment", "data", "config", "code", "resources", "external", "none"]
Retry = Literal["T", "D", "M", "-"]
"""Whether the same job would fail again: T transient, D deterministic, M mixed. Only data: fmon calls a
failure transient on evidence of other runs, never because of a log."""


class Cause(NamedTuple):
    """One row of the taxonomy."""

    definition: str
    group: Group
    remedy: Remedy
    retry: Retry
    strategy: str


SHARED_CLASSES: frozenset[Group] = frozenset({"resources", "infrastructure", "external"})
"""Groups in which category and subcategory identify the root cause; in others the error does too."""

CAUSES: dict[str, Cause] = {
    "cuda_oom": Cause(
        "The accelerator's memory is exhausted (torch, TensorFlow, JAX/XLA, cuBLAS or cuDNN allocation)",
        "resources",
        "config",
        "D",
        "Lower the batch or patch size, turn gradient checkpointing on, or ask for a GPU with more memory.",
    ),
    "host_oom": Cause(
        "The machine's memory, the cgroup or /dev/shm is exhausted: oom-kill, exit code 137 or -9",
        "resources",
        "config",
        "D",
        "Ask for more memory, or use fewer data-loader workers and smaller caches.",
    ),
    "disk_full": Cause(
        "No space, no inodes or no quota left on a disk",
        "resources",
        "auto",
        "D",
        "Ask for a larger disk (disk_size), or remove old checkpoints and caches first.",
    ),
    "nccl_distributed": Cause(
        "A collective timed out, NCCL failed or the ranks did not meet, and no rank shows an earlier error",
        "infrastructure",
        "auto",
        "M",
        "Relaunch; if it fails again, check the network interface, the ports and the slowest rank.",
    ),
    "cuda_runtime": Cause(
        "Driver, runtime or GPU fault: mismatch, ECC, Xid, illegal access, device assert, cuDNN",
        "environment",
        "config",
        "D",
        "Use an image whose CUDA build matches the driver of the machine and the architecture of the GPU.",
    ),
    "node_lost": Cause(
        "The machine was lost: spot preemption, node failure, head node lost",
        "infrastructure",
        "auto",
        "T",
        "Relaunch; SkyPilot recovers managed jobs itself while its limit of restarts allows it.",
    ),
    "no_resource": Cause(
        "No machine was available: no capacity, no quota, or a request that no cloud offers",
        "resources",
        "auto",
        "T",
        "Allow more zones, regions or accelerators, or wait for capacity.",
    ),
    "image_pull": Cause(
        "The container image can't be pulled or started",
        "environment",
        "config",
        "D",
        "Check the name and tag of the image, push it, and check that the machine can run it.",
    ),
    "auth": Cause(
        "Credentials are missing, wrong or insufficient: 401, 403, gated repositories, AccessDenied",
        "external",
        "unrecoverable",
        "D",
        "A person must supply valid credentials with access to the resource that the error names.",
    ),
    "network": Cause(
        "A data or model host can't be reached or answers with an error: DNS, timeout, reset, TLS, 5xx, 429",
        "external",
        "auto",
        "T",
        "Relaunch after a while; retry with back-off in the job, or bring the files into the image.",
    ),
    "tracking": Cause(
        "The tracking client or server (MLflow, W&B) ended the run",
        "external",
        "config",
        "M",
        "Check that the tracking server is up and accepts uploads of this size, or run without it.",
    ),
    "import_error": Cause(
        "A module, symbol, shared library or API of a dependency is missing",
        "environment",
        "config",
        "D",
        "Add the missing dependency, or a compatible version, to the image and rebuild it.",
    ),
    "data_missing": Cause(
        "An input file, dataset, artifact or the output of an earlier stage does not exist",
        "data",
        "unrecoverable",
        "D",
        "Make the input available where the job expects it (push it, mount it, run the earlier stage).",
    ),
    "data_corrupt": Cause(
        "An input exists and can't be decoded",
        "data",
        "unrecoverable",
        "D",
        "Replace the damaged file from its source and check its checksum.",
    ),
    "checkpoint": Cause(
        "A checkpoint does not match the model, or is truncated",
        "data",
        "config",
        "D",
        "Load a complete checkpoint that was written with this model and configuration.",
    ),
    "config_error": Cause(
        "An argument, a config key, a value or an environment variable is wrong",
        "config",
        "config",
        "D",
        "Correct the value in the config, the task YAML or the environment variable that the error names.",
    ),
    "shell_error": Cause(
        "The setup or run script itself fails: unknown command, syntax, permission",
        "config",
        "config",
        "D",
        "Correct the script, or install the command it calls.",
    ),
    "code_bug": Cause(
        "The program has a bug: type, key, attribute, shape, dtype",
        "code",
        "code",
        "D",
        "Fix the code at the deepest project frame and add a test for it.",
    ),
    "user_assert": Cause(
        "An assertion of the program failed",
        "code",
        "code",
        "D",
        "Read the assertion: fix what it checks, or the assertion itself.",
    ),
    "nan_divergence": Cause(
        "The loss became NaN or infinite, or a matrix was singular",
        "code",
        "config",
        "M",
        "Lower the learning rate, clip gradients or change the precision; check the data for NaN.",
    ),
    "native_crash": Cause(
        "A segmentation fault, illegal instruction or abort in native code",
        "environment",
        "config",
        "M",
        "Pin the versions of the native libraries in the image; run with faulthandler to find the call.",
    ),
    "walltime": Cause(
        "The scheduler's or the job's time limit was reached",
        "resources",
        "config",
        "D",
        "Raise the time limit of the job, or make it resume from its checkpoints.",
    ),
    "user_cancelled": Cause(
        "A person cancelled or interrupted the job",
        "none",
        "none",
        "-",
        "Nothing to fix; relaunch it if it is still wanted.",
    ),
    "unknown": Cause(
        "Neither the log nor the status nor the failure reason shows the cause",
        "none",
        "unrecoverable",
        "-",
        "A person must read the log.",
    ),
    "none": Cause("The job succeeded", "none", "none", "-", "Nothing to do."),
}

_SUB: dict[str, dict[str, object]] = {
    "cuda_oom/torch_other_process": {
        "retry": "T",
        "strategy": "Another process uses memory of this GPU: use an exclusive GPU or relaunch elsewhere.",
    },
    "cuda_oom/torch_fragmentation": {
        "strategy": "GPU memory is fragmented: set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, "
        "or lower the batch or patch size.",
    },
    "host_oom/shm": {
        "strategy": "Enlarge /dev/shm (docker --shm-size, --ipc=host), or use fewer data-loader workers.",
    },
    "disk_full/quota": {
        "strategy": "Delete files, have the quota raised, or write to another file system.",
    },
    "cuda_runtime/ecc": {
        "group": "infrastructure",
        "remedy": "auto",
        "retry": "T",
        "strategy": "The GPU is faulty: relaunch on another machine and report this one.",
    },
    "cuda_runtime/xid": {
        "group": "infrastructure",
        "remedy": "auto",
        "retry": "T",
        "strategy": "The GPU is faulty: relaunch on another machine and report this one.",
    },
    "cuda_runtime/unknown_error": {
        "group": "infrastructure",
        "remedy": "auto",
        "retry": "T",
        "strategy": "The driver gave no reason: relaunch on another machine.",
    },
    "cuda_runtime/device_assert": {
        "group": "code",
        "remedy": "code",
        "strategy": "Usually an index or label is out of range: run with CUDA_LAUNCH_BLOCKING=1 to find it.",
    },
    "cuda_runtime/illegal_access": {
        "group": "code",
        "remedy": "code",
        "strategy": "A kernel accessed invalid memory: use CUDA_LAUNCH_BLOCKING=1 and compute-sanitizer.",
    },
    "no_resource/quota": {
        "remedy": "unrecoverable",
        "retry": "D",
        "strategy": "Ask the cloud for more quota (needs a person), or request another machine or region.",
    },
    "no_resource/infeasible": {
        "remedy": "config",
        "retry": "D",
        "strategy": "No cloud offers this machine: change accelerator, region or size in the task YAML.",
    },
    "image_pull/rate_limit": {
        "remedy": "auto",
        "retry": "T",
        "strategy": "Relaunch later; log in to the registry or pull from a mirror.",
    },
    "image_pull/registry_outage": {
        "remedy": "auto",
        "retry": "T",
        "strategy": "Relaunch when the registry is available again, or pull from a mirror.",
    },
    "data_missing/dvc_pull": {
        "remedy": "config",
        "strategy": "Push the data (dvc push) or pull it from the remote that has it, then relaunch.",
    },
    "data_missing/dvc_cache": {
        "remedy": "config",
        "strategy": "Push the data (dvc push) or pull it from the remote that has it, then relaunch.",
    },
    "checkpoint/state_dict_mismatch": {
        "strategy": "Build the model that wrote the checkpoint, or load a checkpoint of this model.",
    },
    "config_error/file_permission": {
        "strategy": "Let the job write to a folder that it owns, or correct the owner and mode of the path.",
    },
    "config_error/scheduler_request": {
        "definition": "SkyPilot or the scheduler refuses the request",
        "strategy": "Change what the reason names in the task YAML or in SkyPilot's config.",
    },
    "data_missing/volume": {
        "definition": "A volume that the task mounts does not exist or is not ready",
        "remedy": "config",
        "strategy": "Create or repair the volume (sky volumes ls), or correct its name in the task YAML.",
    },
    "tracking/mlflow_413": {
        "retry": "D",
        "strategy": "Raise the server's or proxy's limit of request size, or upload to the store directly.",
    },
    "tracking/upload_too_large": {
        "retry": "D",
        "strategy": "Raise the server's or proxy's limit of request size, or upload to the store directly.",
    },
    "unknown/controller": {
        "definition": "SkyPilot's jobs controller failed, or could not clean up",
        "remedy": "auto",
        "strategy": "SkyPilot's jobs controller failed: check its log, then relaunch.",
    },
    "unknown/driver": {
        "definition": "SkyPilot's driver of the job died on its machine, usually because memory ran out",
        "remedy": "config",
        "strategy": "Ask for more memory or use less, and relaunch; the log of the machine shows what died.",
    },
    "unknown/reason": {
        "definition": "SkyPilot gives a reason that matches no rule",
        "strategy": "A person must read the reason; a failure pattern can then classify it.",
    },
}


def cause_of(category: str, subcategory: str | None = None) -> Cause:
    """Return the row of the taxonomy for a category and subcategory.

    Parameters
    ----------
    category
        One of ``CAUSES``; anything else is treated as unknown.
    subcategory
        If it has a row of its own, that row is returned.
    """
    cause = CAUSES.get(category, CAUSES["unknown"])
    return cause._replace(**_SUB.get(f"{category}/{subcategory}", {}))  # type: ignore[arg-type]


def strategy(category: str, subcategory: str | None = None) -> str:
    """Return the fix strategy in one or two sentences."""
    return cause_of(category, subcategory).strategy


def differing() -> list[tuple[str, str]]:
    """List the (category, subcategory) pairs that have a row of their own."""
    return [(key.partition("/")[0], key.partition("/")[2]) for key in _SUB]


ALIASES: dict[str, str] = {
    "DVC_NO_GIT": "config_error/dvc_no_git",
    "ENV_VAR_LITERAL": "config_error/env_var_literal",
    "TORCH_SAVE_IO": "disk_full/torch_save",
    "MLFLOW_AUTH": "auth/mlflow",
    "UV_NOT_FOUND": "shell_error/command_not_found",
    "RESOURCES_UNAVAILABLE": "no_resource/capacity",
    "REGISTRY_AUTH": "auth/registry",
    "DVC_PULL_FAIL": "data_missing/dvc_pull",
    "SPOT_PREEMPTION": "node_lost/preempted",
    "DISK_FULL": "disk_full/enospc",
    "OOM": "cuda_oom/torch",
}
"""Names that upstream uses for causes, and the causes here."""

ALIAS_NOTES: dict[str, str] = {
    "TORCH_SAVE_IO": "Torch reports a full disk this way. A damaged file that is read is checkpoint/corrupt.",
    "UV_NOT_FOUND": "Only if the missing command is uv; upstream also uses this name for a missing sky.",
    "RESOURCES_UNAVAILABLE": "Three here: no_resource/capacity, /quota and /infeasible (not in the catalog).",
    "REGISTRY_AUTH": "Denied or unauthorized only; a missing image is image_pull/not_found.",
    "DVC_PULL_FAIL": "Only missing data; a pull that fails by credentials or network is auth or network.",
    "OOM": "GPU memory only; memory of the machine is host_oom.",
    "ENV_VAR_LITERAL": "One to one.",
    "DVC_NO_GIT": "One to one.",
    "MLFLOW_AUTH": "One to one.",
    "SPOT_PREEMPTION": "One to one; other node failures are node_lost/node_failure.",
    "DISK_FULL": "One to one; a quota is disk_full/quota.",
}
"""How the meaning of an alias differs from that of the cause."""
