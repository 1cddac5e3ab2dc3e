"""Variables that the system of a job sets or reads itself, which a factor must not replace by accident."""

from __future__ import annotations

SYSTEM = frozenset(
    # The program is not found, or works in another folder, with other libraries or on other GPUs.
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "HOSTNAME", "TERM", "TMPDIR", "TMP", "TEMP"}
    | {"LANG", "LANGUAGE", "IFS", "ENV", "CDPATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME"}
    | {
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
    }
    # bash, which runs the commands of a job, does not pass on what is assigned to these.
    | {
        "UID",
        "EUID",
        "PPID",
        "GROUPS",
        "RANDOM",
        "SRANDOM",
        "SECONDS",
        "LINENO",
        "HISTCMD",
        "DIRSTACK",
        "SHLVL",
        "_",
    }
    | {"FUNCNAME", "PIPESTATUS", "EPOCHSECONDS", "EPOCHREALTIME", "SHELLOPTS", "OPTIND", "OPTARG", "REPLY"}
)
PREFIXES = ("BASH", "LC_", "SKYPILOT_")
"""The variables of bash, of the locale, and those that SkyPilot sets in each job."""
FOR_USERS = frozenset(
    {
        "SKYPILOT_DOCKER_USERNAME",
        "SKYPILOT_DOCKER_PASSWORD",
        "SKYPILOT_DOCKER_SERVER",
        "SKYPILOT_RUNPOD_DOCKER_USERNAME",
    }
)
"""The variables of SkyPilot that a task may set: the login of a registry."""


def is_of_system(name: str) -> bool:
    """Return whether a variable belongs to the system of the job.

    Examples
    --------
    >>> is_of_system("PATH"), is_of_system("LC_ALL"), is_of_system("DATA_PATH")
    (True, True, False)
    """
    return name in SYSTEM or (name.startswith(PREFIXES) and name not in FOR_USERS)
