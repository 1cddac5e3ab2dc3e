# ruff: noqa: E501
"""Lines that look like a cause and are none: what they stand beside decides."""

import pytest

from fmon.causes import analyze_logs


def raised(error: str) -> str:
    """Print an exception as python does."""
    return f'Traceback (most recent call last):\n  File "/workspace/study/train.py", line 10, in step\n    f(x)\n{error}\n'


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 21.96 GiB"
MISSING = "FileNotFoundError: [Errno 2] No such file or directory: 'vol.nii.gz'"
DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"
STEPS = "epoch 1 loss 0.31\nepoch 2 loss 0.22\nepoch 3 loss 0.19\n"
RESET = "Exception in thread Thread-7 (_pin_memory_loop):\n" + raised(
    "ConnectionResetError: [Errno 104] Connection reset by peer"
)
SETUP_ENDS = (
    "srun: error: node1: task 0: Exited with exit code 1\n"
    "ERROR: Job 1's setup failed with return code 1 (pid=31108). See error logs above for more details.\n"
    "slurmstepd-node1: error: *** STEP 15.13 ON node1 CANCELLED AT 2026-11-23T23:03:21 ***\n"
    "srun: error: node1: task 0: Killed\n"
)
MULTI_NODE = (
    "ERROR: Job 1 failed with return code list: [1, 137] (A Worker failed with return code 1, SkyPilot cleaned up the "
    "processes on other nodes with return code 137)\n"
)
TIMEOUT = "[rank0]:[E626 ProcessGroupNCCL.cpp:616] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)\n"
SHUTDOWN = (
    "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 3 "
    "leaked semaphore objects to clean up at shutdown\n  warnings.warn('resource_tracker: There appear to be %d '\n"
)

FAILED = {
    "a warning about the driver, then an error": ("code_bug", "UserWarning: CUDA initialization: The NVIDIA driver on your system is too old\n" + STEPS + raised("TypeError: 'int' object is not callable")),
    "an out of memory that a smaller batch cured": ("code_bug", "CUDA out of memory. Retrying with batch_size=2\n" + STEPS + raised("IndexError: list index out of range")),
    "an out of memory that a smaller batch did not cure": ("cuda_oom", "CUDA out of memory. Retrying with batch_size=2\n" + raised(OOM)),
    "a caught import, steps, another error": ("data_missing", raised("ModuleNotFoundError: No module named 'apex'") + "falling back to native amp\n" + STEPS + raised(MISSING)),
    "other nodes killed by SkyPilot": ("code_bug", raised("KeyError: 'x'") + MULTI_NODE),
    "a killed process": ("host_oom", STEPS + "ERROR: Job 1 failed with return code list: [137] \n"),
    "a pin-memory thread that died of it": ("code_bug", raised("TypeError: 'int' object is not callable") + RESET),
    "a pin-memory thread that died of it first": ("code_bug", RESET + raised("TypeError: 'int' object is not callable")),
    "a destructor that complains": ("code_bug", raised("TypeError: 'int' object is not callable") + "Exception ignored in: <function _It.__del__ at 0x7f>\n" + raised("AssertionError: can only test a child process")),
    "an error while the error is reported": ("cuda_oom", raised(OOM) + DURING + raised("FileNotFoundError: [Errno 2] No such file or directory: 'crash/1.json'")),
    "a miss in a cache, then the missing file": ("data_missing", raised("KeyError: 'cache'") + DURING + raised(MISSING)),
    "warnings of a shutting down interpreter": ("import_error", raised("ModuleNotFoundError: No module named 'monai'") + SHUTDOWN),
    "a time limit that interrupts": ("walltime", STEPS + "slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n" + raised("KeyboardInterrupt")),
    "other ranks that time out": ("code_bug", "".join(f"[rank1]: {line}\n" for line in raised("KeyError: 'x'").splitlines()) + TIMEOUT),
    "a timeout that aborts the process": ("nccl_distributed", TIMEOUT + "terminate called after throwing an instance of 'c10::DistBackendError'\n  what():  [Rank 0]\nFatal Python error: Aborted\n"),
    "counts of errors": ("code_bug", "errors: 0\n0 failed, 12 passed\nno error found\n" + raised("NameError: name 'foo' is not defined")),
    "a level in front of an error": ("code_bug", "ERROR    train:log.py:3 step failed\n" + raised("RuntimeError: shape '[2, 3]' is invalid for input of size 7")),
    "a retry of NCCL that worked": ("code_bug", "node1:3:4 [0] NCCL WARN Connect to 10.0.0.2<3> failed : Connection refused\n" + STEPS + raised("AttributeError: 'Net' object has no attribute 'heads'")),
    "retries that ended badly": ("auth", "HTTP 401, retrying 1/3\nHTTP 401, retrying 2/3\n" + raised("requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://hub.example.com/x")),
}  # fmt: skip


@pytest.mark.parametrize(("category", "text"), FAILED.values(), ids=FAILED.keys())
def test_the_cause_is_found_beside(category, text):
    info = analyze_logs(text, "FAILED")
    assert info.category == category, (info.rule, info.evidence)


def test_what_skypilot_kills_after_a_failed_setup_is_no_cause():
    text = "ERROR: No matching distribution found for foo==9\n" + SETUP_ENDS
    info = analyze_logs(text, "FAILED_SETUP")
    assert (info.category, info.evidence_line) == ("import_error", 1), (info.rule, info.evidence)


@pytest.mark.parametrize("status", ["FAILED", "FAILED_CONTROLLER"])
def test_a_log_that_says_nothing_is_unknown_and_not_guessed(status):
    reason = "Job exited with exit code 1 (user program failure). To see the details, run: sky jobs logs --controller 3"
    info = analyze_logs(
        STEPS + "ERROR: Job 1 failed with return code list: [1] \n", status, failure_reason=reason
    )
    assert (info.category, info.confidence < 0.5) == ("unknown", True)


@pytest.mark.parametrize("status", ["FAILED_NO_RESOURCE", "FAILED_PRECHECKS"])
def test_the_reason_decides_where_there_is_no_log(status):
    reason = "[sky.exceptions.ResourcesUnavailableError] Catalog does not contain any instances satisfying the request:\n1x GCP"
    info = analyze_logs("", status, failure_reason=reason)
    assert (info.category, info.source) == ("no_resource", "failure_reason")


def test_an_error_that_a_job_survived_is_no_failure():
    info = analyze_logs(raised(OOM) + STEPS, "SUCCEEDED")
    assert (info.category, info.remedy) == ("none", "none")


PRINTED = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB. "
OWN = "Including non-PyTorch memory, this process has 11.00 GiB memory in use. "


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("torch", "Process 7 has 23.00 GiB memory in use."),
        ("torch", "Process 9 has 412.00 MiB memory in use. " + OWN),
        ("torch_other_process", "Process 9 has 12.00 GiB memory in use. " + OWN),
        (
            "torch",
            OWN
            + "and 78.23 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try",
        ),
        ("torch_fragmentation", OWN + "and 5.10 GiB is reserved by PyTorch but unallocated."),
        ("torch_fragmentation", "(4.36 GiB already allocated; 22.27 GiB reserved in total by PyTorch)"),
        ("torch", "(22.10 GiB already allocated; 22.27 GiB reserved in total by PyTorch)"),
    ],
)
def test_numbers_and_not_hints_say_what_filled_the_gpu(kind, says):
    info = analyze_logs(raised(PRINTED + says), "FAILED")
    assert (info.category, info.subcategory) == ("cuda_oom", kind)


def test_a_log_words_what_the_bare_status_says():
    text = "botocore.exceptions.ClientError: An error occurred (VcpuLimitExceeded) when calling the RunInstances operation"
    info = analyze_logs(text, "FAILED_NO_RESOURCE")
    assert (info.category, info.subcategory, info.source) == ("no_resource", "quota", "log")


def test_of_what_nccl_says_the_first_counts():
    info = analyze_logs(TIMEOUT + "what():  NCCL error: unhandled system error\n", "FAILED")
    assert (info.subcategory, info.evidence_line) == ("watchdog_timeout", 1)
