# ruff: noqa: E501 -- the page has lines of its own length
"""The taxonomy as Markdown, for docs/causes.md."""

from fmon.causes.taxonomy import ALIAS_NOTES, ALIASES, CAUSES, Cause, cause_of, differing

_RETRY = {"T": "transient", "D": "deterministic", "M": "mixed", "-": "-"}


def markdown() -> str:
    """Write docs/causes.md: its fixed words and the tables made of the data."""
    rows = [_row(name, cause) for name, cause in CAUSES.items()]
    finer = [_row(f"{name}/{sub}", cause_of(name, sub)) for name, sub in differing()]
    head = "| category | definition | class | remedy | same job again | strategy |\n|---|---|---|---|---|---|"
    aliases = [f"| {name} | `{cause}` | {ALIAS_NOTES[name]} |" for name, cause in ALIASES.items()]
    return _WORDS.format(
        categories="\n".join([head, *rows]),
        subcategories="\n".join([head, *finer]),
        aliases="\n".join(["| upstream | here | |", "|---|---|---|", *aliases]),
    )


def _row(name: str, cause: Cause) -> str:
    cells = (f"`{name}`", cause.definition, cause.group, cause.remedy, _RETRY[cause.retry], cause.strategy)
    return f"| {' | '.join(cells)} |"


_WORDS = """# Root causes

`fmon.analyze_logs(text, status, failure_reason=None)` says why one job failed: category, subcategory, the line
that decided with its number, the rule, the confidence, the runner-up. This page is generated (`make docs`).

## Categories
{categories}

"Same job again" is data of the taxonomy. fmon calls a failure transient only on evidence of other runs, never
because of its category.

## Subcategories that differ
{subcategories}

## Upstream's names
{aliases}

## How a decision is made
1. Lines are read as a person reads them: without colours, timestamps, rank and pid prefixes; what stands between
   two carriage returns is a line of its own. The last megabyte first; where it decides nothing, further back.
2. In order of trust: statements of the scheduler and of SkyPilot (out-of-memory kill, time limit, preemption,
   status) > deaths by signal (exit code 137, torchelastic's first observed failure) > exceptions > fatal lines of
   the shell, Docker, Kubernetes > what mostly follows from another error (NCCL timeouts, aborts, interrupts).
3. Of a chain of exceptions the origin counts: what a data loader, `mp.spawn`, ray or a launcher wraps, what was
   raised first and not merely tried. A missing module that was tried before something else is no cause. Of several
   ranks the one that raised first counts.
4. What was retried, what calls itself a warning, and an error after which three or more different steps were
   printed count only where nothing else does, or not at all. Closing lines of W&B, Hydra, srun and SkyPilot never.
5. A general class (ValueError, KeyError, AssertionError, ...) says little. First its words are asked, then who raised
   it: a config library, a library's constructor, a reader of images, a library while it is imported. Only where
   neither says anything is it `code_bug`, with a confidence of 0.5 or less; the runner-up is the second best reading.
6. What only says that something failed ("could not install", "failed to pull") gives way to a refused login, a dead
   network, a full disk, exhausted memory or a missing CUDA toolkit of the 40 lines before it. What stands behind
   "if you see" or "to avoid" is advice and never a cause.
7. A job that succeeded has category `none`, at most a note that an upload failed. Where nothing decides, the
   category is `unknown`; it keeps a signature and is grouped like any other.

Two errors are identical where their signature is: rule-set version, category, subcategory, exception class, the
message without numbers, hosts, folders and ids, and the deepest functions of the project. File names, keys, modules
and classes are never masked.

## A pattern of your own
For one experiment: `patterns` in its config (`docs/config.md`). For everybody: a line in `fmon/causes/patterns.toml`,
which says at its top what each key means, and a log in the tests that shows it.
"""
