# ruff: noqa: E501 -- the page is wrapped at its own width
"""Render docs/causes.md from the taxonomy."""

from fmon.causes.taxonomy import ALIAS_NOTES, ALIASES, CAUSES, Cause, cause_of, differing

_RETRY = {"T": "transient", "D": "deterministic", "M": "mixed", "-": "-"}


def markdown() -> str:
    """Return the text of docs/causes.md, with the tables of the taxonomy."""
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

`fmon.analyze_logs(text, status, failure_reason=None)` finds out why one job failed. It returns category and
subcategory, the decisive line and its number, the rule, the confidence, and the second-best cause. This page is
generated (`make docs`).

## Categories
{categories}

"Same job again" is data of the taxonomy. fmon calls a failure transient only on evidence of other runs, never
because of its category.

## Subcategories that differ from their category
{subcategories}

## Names used upstream
{aliases}

## How the cause is chosen
1. Lines are cleaned first: colors, control and invisible characters, timestamps, rank and pid prefixes are removed, and
   each part between two carriage returns is a line. UTF-16 is decoded. JSON log records and the repr of bytes or of a
   traceback are read as the messages and tracebacks that they contain. The last megabyte is read first, earlier parts
   only if it does not decide.
2. Evidence is trusted in this order:
   - statements of the scheduler and of SkyPilot (out-of-memory kill, time limit, preemption, status)
   - deaths by signal (exit code 137, the first failure that torchelastic observed)
   - exceptions
   - fatal lines of the shell, Docker and Kubernetes
   - consequences of other errors (NCCL timeouts, aborts, interrupts)
3. In a chain of exceptions the origin wins. It is the exception that a data loader, `mp.spawn`, ray or a launcher wraps,
   or the first one that was not merely a failed attempt. A missing module that was tried before an alternative is not a
   cause. Of several ranks, the first that raised an exception wins.
4. Errors that were retried, lines that call themselves a warning, and errors after which three or more different steps
   were printed count less or not at all. Closing lines of W&B, Hydra, srun and SkyPilot never count.
5. A general class (ValueError, KeyError, AssertionError, ...) is weak evidence. Its message is matched first, then the
   frame that raised it: a config library, the constructor of a library, an image reader, a library during its import.
   If neither matches, the cause is `code_bug` with a confidence of at most 0.5, and the runner-up is the second best.
6. A summary ("could not install", "failed to pull") gives way to a more specific error in the 40 lines before it: a
   refused login, a network error, a full disk, exhausted memory or a missing CUDA toolkit. Text that follows "if you see" or "to avoid"
   is advice and never a cause.
7. SkyPilot's `failure_reason` (or its `details`) has rules of its own. A reason that matches no rule is the evidence of an
   unknown cause: an exception in the log takes precedence over it, the log's last line does not. An exit code counts only
   if the log shows nothing more specific: 137 is `host_oom`, 139 `native_crash`, 124 `walltime`.
8. A job that succeeded has category `none`, with a note if an upload failed. If no rule decides, the category is
   `unknown`; the failure still has a signature and is grouped like any other: by SkyPilot's reason, otherwise by the program's
   last line and its exit code.

Two errors are identical if they have the same signature. It consists of the version of the rules, category, subcategory,
exception class, message without numbers, hosts, folders and ids, and the deepest functions of the project. File names, keys, modules,
classes and exit codes are never masked.

## Adding a failure pattern
1. For one experiment: write `patterns` in its config (`docs/config.md`).
2. For all users: find the rule with the cause in `fmon/causes/patterns.toml`. Its comment at the top describes the keys.
3. Add a line to `any` of that rule: an RE2 expression and an example of a log line that it matches. For example
   `['no licence left', 'ERROR: no licence left for the solver'],`
4. If it is a reason from SkyPilot, add it to `[[reasons]]` at the end of the file.
5. If no rule has the cause, write a new `[[rules]]` with `id`, `cause` and `any`. The first rule that matches a line
   wins, so put it before more general rules.
6. Exclude lines that only look similar with `veto`. Quote an expression that contains `'` as `'''...'''`.
7. Run `.venv/bin/pytest tests/causes`. It fails for an example that its expression does not match, for one that another
   rule matches first, and if the classification of the corpus becomes worse. CONTRIBUTING.md has the steps with their output.
"""
