# ruff: noqa: E501
"""Lines that stand around a cause and are none: one generator per program, all from a given random state.

Lines of program output are as long as the programs write them. The words after a failure follow real logs of
SkyPilot 0.14.1 on Slurm (``data/demo/logs``), where a failed setup also prints ``CANCELLED AT`` and ``Killed``
for the steps that SkyPilot itself cleans up.
"""

import random
import signal
from collections.abc import Iterator
from typing import Any

Item = dict[str, Any]

SIGNALS = {
    "killed": 137,
    "sigkill": 137,
    "cgroup": 137,
    "segfault": 139,
    "sigint": 130,
    "scancel": 143,
    "slurm": 143,
}
"""Exit code of the run script by subcategory; 1 where none is said."""
BAR = "▏▎▍▌▋▊▉█"

# ---------------------------------------------------------------------------------------------- before


def bar(rng: random.Random, total: int, *, width: int) -> str:
    """Progress as tqdm writes it: the line is drawn again and again behind carriage returns."""
    start = rng.randrange(total // 2)
    rate = rng.uniform(1.2, 9.9)
    epoch = rng.randrange(30)
    drawn = []
    for step in range(start, min(total, start + width)):
        full, part = divmod(80 * step // total, 8)
        blocks = ("█" * full + (BAR[part] if part else "")).ljust(10)
        loss = 1.7 / (1 + step / 50) + rng.random() / 20
        drawn.append(
            f"\rEpoch {epoch}: {100 * step // total:3d}%|{blocks}| {step}/{total} "
            f"[{step // 240:02d}:{step // 4 % 60:02d}<{(total - step) // 240:02d}:{(total - step) // 4 % 60:02d}, "
            f"{rate:5.2f}it/s, loss={loss:.4f}]"
        )
    return "".join(drawn)


def setup(rng: random.Random) -> Iterator[str]:
    """Setup output: packages, a mirror that answers at the second attempt, a harmless complaint of pip."""
    yield "Reading package lists..."
    yield "debconf: delaying package configuration, since apt-utils is not installed"
    for name in rng.sample(PACKAGES, 8):
        yield f"Collecting {name}"
        yield f"  Downloading {name.replace('==', '-')}-py3-none-any.whl ({rng.randrange(10, 900)} kB)"
        yield f"     {'━' * 40} {rng.uniform(0.1, 9):.1f}/{rng.uniform(9, 20):.1f} MB {rng.uniform(5, 90):.1f} MB/s eta 0:00:00"
    yield (
        "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after connection "
        "broken by 'ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.org', port=443): Read timed out. "
        "(read timeout=15)\")': /simple/einops/"
    )
    yield "Successfully installed " + " ".join(name.replace("==", "-") for name in PACKAGES)
    yield (
        "WARNING: Running pip as the 'root' user can result in broken permissions and conflicting behaviour with "
        "the system package manager."
    )
    yield "[notice] A new release of pip is available: 24.0 -> 25.3"


def start(rng: random.Random) -> Iterator[str]:
    """Start of a training script: versions, warnings, W&B, NCCL's choice of interface."""
    host = f"node{rng.randrange(1, 60)}"
    yield "wandb: Currently logged in as: researcher (lab) to https://api.wandb.ai"
    yield f"wandb: Tracking run with wandb version 0.2{rng.randrange(5)}.1"
    yield (
        "/opt/venv/lib/python3.11/site-packages/torch/utils/data/dataloader.py:557: UserWarning: This DataLoader "
        "will create 16 worker processes in total. Our suggested max number of worker in current system is 8."
    )
    yield "  warnings.warn(_create_warning_msg("
    yield (
        "/opt/venv/lib/python3.11/site-packages/monai/losses/dice.py:162: FutureWarning: `torch.cuda.amp.autocast"
        "(args...)` is deprecated. Please use `torch.amp.autocast('cuda', args...)` instead."
    )
    yield "2026-03-22 05:08:00.101 WARNING | pipeline.metrics - Failed to compute calibration metrics"
    yield (
        "huggingface/tokenizers: The current process just got forked, after parallelism has already been used. "
        "Disabling parallelism to avoid deadlocks..."
    )
    yield f"{host}:{rng.randrange(100, 9999)}:{rng.randrange(100, 9999)} [0] NCCL INFO NET/Plugin: No plugin found (libnccl-net.so), using internal implementation"
    yield f"{host}:{rng.randrange(100, 9999)}:{rng.randrange(100, 9999)} [0] NCCL INFO Bootstrap : Using eth0:10.0.{rng.randrange(255)}.{rng.randrange(255)}<0>"
    yield "GPU available: True (cuda), used: True"
    yield f"Seed set to {rng.randrange(10_000)}"


def recovered(rng: random.Random) -> Iterator[str]:
    """Refusals that were tried again and then worked."""
    size = rng.randrange(100, 999)
    stories = [
        [
            "WARNING:huggingface_hub.utils._http:HTTP Error 401 thrown while requesting HEAD "
            "https://huggingface.co/acme/encoder/resolve/main/config.json",
            "WARNING:huggingface_hub.utils._http:Retrying in 1s [Retry 1/5].",
            f"config.json: 100%|██████████| {size}/{size} [00:00<00:00, 2.1MB/s]",
            f"model.safetensors: 100%|██████████| {size}M/{size}M [00:04<00:00, 98.2MB/s]",
        ],
        [
            "WARNING  urllib3.connectionpool:connectionpool.py:870 Retrying (Retry(total=2, connect=None, read=None)) "
            "after connection broken by 'ConnectionResetError(104, 'Connection reset by peer')': /acme/volumes.tar",
            "INFO download: volumes.tar complete, checksum ok",
        ],
        [
            "mlflow.utils.rest_utils WARNING: request failed with 503 Service Unavailable, attempt 1 of 5; retrying in 2 s",
            f"INFO mlflow: logged {size} params to run 5c1e0f",
        ],
        [
            "wandb: Network error (ReadTimeout), entering retry loop.",
            "wandb: Network error resolved after 0:00:04.113873, resuming normal operation.",
        ],
    ]
    for story in rng.sample(stories, 2):
        yield from story


def epochs(rng: random.Random, count: int) -> Iterator[str]:
    """Epochs with progress bars, validation lines and saved checkpoints."""
    for epoch in range(count):
        yield bar(rng, rng.choice([250, 400, 1000]), width=14)
        yield (
            f"[2026-03-22 05:{epoch % 60:02d}:{rng.randrange(60):02d},{rng.randrange(1000):03d}][trainer][INFO] - epoch "
            f"{epoch} train_loss {1.5 / (epoch + 1) + rng.random() / 10:.4f} val_loss {1.6 / (epoch + 1):.4f} "
            f"val_dice {1 - 1 / (epoch + 2):.4f} lr 0.000{rng.randrange(10)} skipped 0 errors 0"
        )
        if epoch % 5 == 4:
            yield f"Saved checkpoint /workspace/checkpoints/epoch_{epoch}.ckpt"


# ---------------------------------------------------------------------------------------------- after


def wandb_summary(rng: random.Random) -> Iterator[str]:
    """What W&B prints at the end of a run, good or bad."""
    size = rng.uniform(0.1, 9)
    yield "wandb: " + "\rwandb: ".join(
        f"{mark} {size / 4 * k:.3f} MB of {size:.3f} MB uploaded" for k, mark in enumerate("-\\|/")
    )
    yield "wandb: Run history:\nwandb:       epoch ▁▂▃▄▅▆▇█\nwandb:  train_loss █▆▅▃▃▂▁▁\nwandb: \nwandb: Run summary:"
    yield f"wandb:       epoch {rng.randrange(3, 40)}\nwandb:  train_loss {rng.random():.5f}\nwandb: "
    yield "wandb: 🚀 View run sweet-dew-31 at: https://wandb.ai/lab/study/runs/x3bw6y5l"
    yield "wandb: Synced 5 W&B file(s), 0 media file(s), 2 artifact file(s) and 1 other file(s)"
    yield "wandb: Find logs at: ./wandb/run-20260322_050800-x3bw6y5l/logs"


def leftovers(rng: random.Random) -> Iterator[str]:
    """Complaints of an interpreter that shuts down, and output that was still in a buffer."""
    yield f"fold {rng.randrange(3)}: {{'train': 40, 'val': 10}}"
    yield (
        "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be "
        f"{rng.randrange(2, 40)} leaked semaphore objects to clean up at shutdown"
    )
    yield "  warnings.warn('resource_tracker: There appear to be %d '"
    yield (
        "[rank0]:[W322 05:09:11.113 ProcessGroupNCCL.cpp:1496] Warning: WARNING: destroy_process_group() was not called "
        "before program exit, which can leak resources. For more info, please see https://pytorch.org/docs/stable/"
        "distributed.html#shutdown (function operator())"
    )


HYDRA = "\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace."


def torchrun(item: Item, rng: random.Random) -> Iterator[str]:
    """torchelastic's report: it knows the exit code and nothing else."""
    code = exit_code(item)
    code = -(code - 128) if code > 128 else code
    pids = [rng.randrange(1000, 60000) for _ in range(4)]
    stamp = "0322 05:09:12.034000"
    for pid in pids[1:]:
        yield f"W{stamp} {pids[0] - 9} torch/distributed/elastic/multiprocessing/api.py:900] Sending process {pid} closing signal SIGTERM"
    yield (
        f"E{stamp} {pids[0] - 9} torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: {code}) "
        f"local_rank: 0 (pid: {pids[0]}) of binary: /opt/venv/bin/python3.11"
    )
    yield "Traceback (most recent call last):"
    yield '  File "/opt/venv/bin/torchrun", line 8, in <module>'
    yield "    sys.exit(main())"
    yield '  File "/opt/venv/lib/python3.11/site-packages/torch/distributed/launcher/api.py", line 269, in launch_agent'
    yield "    raise ChildFailedError("
    yield "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: "
    yield "=" * 60 + "\ntrain.py FAILED\n" + "-" * 60 + "\nFailures:\n  <NO_OTHER_FAILURES>\n" + "-" * 60
    yield "Root Cause (first observed failure):\n[0]:\n  time      : 2026-03-22_05:09:12\n  host      : node1"
    yield f"  rank      : 0 (local_rank: 0)\n  exitcode  : {code} (pid: {pids[0]})\n  error_file: <N/A>"
    if code < 0:
        yield f"  traceback : Signal {-code} ({signal.Signals(-code).name}) received by PID {pids[0]}"
    else:
        yield "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html"
    yield "=" * 60


def exit_code(item: Item) -> int:
    """Exit code of the run script."""
    return SIGNALS.get(item["subcategory"] or "", 1)


def sky_end(item: Item, *, on_slurm: bool) -> Iterator[str]:
    """SkyPilot's last lines for the item's status."""
    status, code = item["status"], exit_code(item)
    if status == "FAILED_SETUP":
        if on_slurm:
            yield "srun: error: node1: task 0: Exited with exit code 1"
        yield "ERROR: \x1b[31mJob 1's setup failed with return code 1 (pid=31108). See error logs above for more details.\x1b[0m"
        if on_slurm:
            yield "slurmstepd-node1: error: *** STEP 15.13 ON node1 CANCELLED AT 2026-11-23T23:03:21 ***"
            yield "srun: error: node1: task 0: Killed"
    elif status == "FAILED":
        if on_slurm and code == 1:
            yield "srun: error: node1: task 0: Exited with exit code 1"
        yield f"ERROR: \x1b[31mJob 1 failed with return code list:\x1b[0m [{code}] "
    yield f"\x1b[0m\x1b[32m✓ Job finished (status: {status}).\x1b[0m\x1b[0m"


SKY_START = (
    "\x1b[2m├── \x1b[0m\x1b[2mWaiting for task resources on 1 node.\x1b[0m",
    "\x1b[2m└── \x1b[0mJob started. Streaming logs... \x1b[2m(Ctrl-C to exit log streaming; job will not be killed)\x1b[0m",
)
CONTROLLER_START = (
    "Starting job loop for 1",
    "Initializing JobsController for job_id=1",
    "Starting JobsController run for job 1",
    "Processing task 0/0: dynunet-dice_ce-f0",
    "Launching the spot cluster...",
    "Considered resources (1 node):",
    "-" * 74,
    " INFRA          INSTANCE        vCPUs   Mem(GB)   GPUS     COST ($)   CHOSEN",
    " GCP            g2-standard-4   4       16        L4:1     0.22          ✔",
    "-" * 74,
)
PACKAGES = ["monai==1.5.1", "einops==0.8.1", "hydra-core==1.3.2", "nibabel==5.3.2", "mlflow==3.6.0", "tqdm==4.67.1",
            "scikit-image==0.25.2", "polars==1.35.0", "wandb==0.23.0", "torchmetrics==1.8.2"]  # fmt: skip
