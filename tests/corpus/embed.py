"""Put an item of the corpus into a long log, the way it would reach fmon; deterministic per item and variant.

What stands before the item: SkyPilot's first lines, setup output, model downloads, warnings, refusals that
were retried and then worked, epochs and progress bars. After it: W&B's summary, Hydra's hint, torchrun's and
srun's report, SkyPilot's last lines. None of it is a cause: whatever fails in it is seen to recover.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.corpus.noise import (
    CONTROLLER_START,
    HYDRA,
    SKY_START,
    Item,
    bar,
    epochs,
    exit_code,
    leftovers,
    recovered,
    setup,
    sky_end,
    start,
    torchrun,
    wandb_summary,
)


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A long log and the lines (1-based, inclusive) on which the item itself stands."""

    text: str
    first_line: int
    last_line: int


def embed(item: Item, variant: str) -> Embedded:
    """Wrap an item.

    Parameters
    ----------
    item : a line of failures.jsonl
    variant : a key of VARIANTS

    Returns
    -------
    Embedded
        The log, whose every line is terminated.
    """
    rng = random.Random(f"{item['id']}/{variant}")
    wrap = controller if item["status"] in NEVER_RAN else VARIANTS[variant]
    before, after, prefix = wrap(item, rng)
    body = item["text"].split("\n")
    head, tail = ([line for part in parts for line in part.split("\n")] for parts in (before, after))
    glued = variant == "glued" and item["status"] == "FAILED"
    if glued:  # tqdm leaves the cursor on its line, the next text goes on there
        body[0] = bar(rng, 400, width=30) + body[0]
    lines = [*head, *(prefix(line) for line in body), *tail]
    return Embedded(text="\n".join(lines) + "\n", first_line=len(head) + 1, last_line=len(head) + len(body))


NEVER_RAN = {"FAILED_NO_RESOURCE", "FAILED_PRECHECKS"}
Wrapped = tuple[list[str], list[str], Callable[[str], str]]


def _none(line: str) -> str:
    return line


def _run_end(item: Item, rng: random.Random) -> list[str]:
    """Last words of the run itself."""
    if item["status"] == "SUCCEEDED":
        return [*wandb_summary(rng), "Training complete. Best val_dice 0.8812 at epoch 17."]
    return [*leftovers(rng), *wandb_summary(rng)] if item["status"] == "FAILED" else []


def _run_start(item: Item, rng: random.Random, *, count: int) -> list[str]:
    """What comes before the item in the same process: none of it where the run never began."""
    if item["status"] not in {"FAILED", "SUCCEEDED"}:
        return []
    return [*start(rng), *recovered(rng), *epochs(rng, count)]


def controller(item: Item, rng: random.Random) -> Wrapped:
    """The jobs controller's log, all there is of a job that never ran."""
    return [*CONTROLLER_START], ["Task 0 failed, stopping execution", "Cluster(s) not found: seg-1-1."], _none


def sky(item: Item, rng: random.Random) -> Wrapped:
    """A SkyPilot job log: colours, and a prefix with name and pid on every line of the job."""
    pid = rng.randrange(1000, 40_000)
    setups = f"\x1b[36m(setup pid={pid})\x1b[0m "
    runs = f"\x1b[36m(dynunet-dice_ce-f{rng.randrange(3)}, pid={pid + 126})\x1b[0m "
    prefix = setups if item["status"] == "FAILED_SETUP" else runs
    lines = [setups + line for part in setup(rng) for line in part.split("\n")]
    lines += [runs + line for part in _run_start(item, rng, count=25) for line in part.split("\n")]
    after = [runs + line for part in _run_end(item, rng) for line in part.split("\n")]
    return [*SKY_START, *lines], [*after, *sky_end(item, on_slurm=True)], lambda line: prefix + line


def plain(item: Item, rng: random.Random) -> Wrapped:
    """No prefix; Hydra's hint and W&B's summary behind the error."""
    before = [*setup(rng), *_run_start(item, rng, count=40)]
    after = _run_end(item, rng)
    if item["status"] == "FAILED" and exit_code(item) == 1:
        after.insert(1, HYDRA)
    return before, [*after, *sky_end(item, on_slurm=False)], _none


def ranks(item: Item, rng: random.Random) -> Wrapped:
    """torchrun with a prefix per rank, and its report at the end."""
    before = [f"[default{rng.randrange(4)}]:{line}" for line in _run_start(item, rng, count=25)]
    is_alone = item["category"] in {"node_lost", "walltime", "user_cancelled"}  # nobody is left to report
    after = [*torchrun(item, rng)] if item["status"] == "FAILED" and not is_alone else _run_end(item, rng)
    return [*setup(rng), *before], [*after, *sky_end(item, on_slurm=True)], lambda line: f"[default0]:{line}"


def stamped(item: Item, rng: random.Random) -> Wrapped:
    """A time in front of every line, as container logs have it."""

    def stamp(line: str) -> str:
        return f"2026-03-22T05:08:{rng.randrange(60):02d}.{rng.randrange(10**9):09d}Z {line}"

    before = [
        stamp(line) for part in (*setup(rng), *_run_start(item, rng, count=20)) for line in part.split("\n")
    ]
    after = [stamp(line) for part in _run_end(item, rng) for line in part.split("\n")]
    return before, [*after, *sky_end(item, on_slurm=False)], stamp


def glued(item: Item, rng: random.Random) -> Wrapped:
    """The first line of the item stands behind a progress bar that did not end its line."""
    return plain(item, rng)


def long(item: Item, rng: random.Random) -> Wrapped:
    """Megabytes before and more than one after: a cause the last megabyte does not hold."""
    before, after, prefix = sky(item, rng)
    if item["status"] not in {"FAILED", "SUCCEEDED"}:
        return before, after, prefix
    upload = [f"wandb: | {step / 100:.3f} MB of 260.000 MB uploaded\r" for step in range(25_000)]
    runs = prefix("")
    return [*before, *(runs + line for line in epochs(rng, 1200))], [*upload, *after], prefix


VARIANTS: dict[str, Callable[[Item, random.Random], Wrapped]] = {
    "sky": sky,
    "plain": plain,
    "ranks": ranks,
    "stamped": stamped,
    "glued": glued,
    "long": long,
}
