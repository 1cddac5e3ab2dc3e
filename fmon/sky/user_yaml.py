"""Read a job's environment variables from what SkyPilot recorded at its submission.

SkyPilot records the task YAML as it was written, before ``--env`` and ``--env-file`` of ``sky jobs launch``,
or ``Task.update_envs`` in a script, change its variables. It also records the command line. So the variables
of a job are known exactly if ``sky jobs launch`` was run without ``--env-file``, or if fmon submitted the
job: it writes all variables into the YAML. Values may be secrets: nothing here prints, stores or raises one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fmon.yaml_values import YamlValueError, is_too_deep, scalar_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from yaml import MappingNode, Node

IDENTITY = ("FMON_EXPERIMENT", "FMON_CONDITION", "FMON_CYCLE")
"""The variables that fmon adds to each job that it submits."""

NOT_COMPARED = (*IDENTITY, "MLFLOW_RUN_CONTEXT")
"""Variables that say which attempt a job is, and so differ in every cycle."""

MAX_CHARS = 1 << 18
LAUNCH = ["jobs", "launch"]


class _Recorded(NamedTuple):
    """The recorded variables of a job.

    Attributes
    ----------
    declared
        The values in the YAML, by name: one for each task that declares it; None = not known.
    given
        The values on the command line, which override those in the YAML; None = not known.
    is_exact
        Whether these are all variables and values.
    """

    declared: dict[str, set[str | None]]
    given: dict[str, str | None]
    is_exact: bool


def variables_of(user_yaml: str | None, entrypoint: str | None = None) -> dict[str, str] | None:
    """Return a job's environment variables, as far as SkyPilot recorded them.

    Parameters
    ----------
    user_yaml
        Its task YAML as recorded: one or several documents.
    entrypoint
        The command line that submitted it; None = unknown. Its ``--env`` override the YAML.

    Returns
    -------
    dict or None
        None if the YAML can't be read. Variables whose value is not known, or differs between the tasks of a
        pipeline, are left out. An ``--env-file`` or a script may have set others: see ``differing``.

    Examples
    --------
    >>> variables_of("envs: {FOLD_ID: 0, LOSS: dice}", "sky jobs launch --env FOLD_ID=2 train.yaml")
    {'FOLD_ID': '2', 'LOSS': 'dice'}
    """
    recorded = _recorded(user_yaml, entrypoint)
    if recorded is None:
        return None
    values = recorded.declared | {name: {value} for name, value in recorded.given.items()}
    single = {name: next(iter(each)) for name, each in values.items() if len(each) == 1}
    return {name: value for name, value in single.items() if value is not None}


def differing(
    expected: Mapping[str, str], user_yaml: str | None, entrypoint: str | None = None
) -> list[str] | None:
    """Return the variables that certainly have a different value in a job, or are missing.

    Parameters
    ----------
    expected
        The variables that it should have; other variables of the job are not compared.
    user_yaml, entrypoint
        As for ``variables_of``.

    Returns
    -------
    list or None
        Names, in the order of ``expected``. None if nothing can be compared: nothing certain is recorded, or
        the job has none of these variables, so that its task must have other names for them.

    Examples
    --------
    >>> differing({"FOLD_ID": "1", "LOSS": "dice"}, "envs: {FOLD_ID: 0}", "sky jobs launch train.yaml")
    ['FOLD_ID', 'LOSS']
    >>> differing({"FOLD_ID": "1"}, "envs: {FOLD_ID: 0}", "sweep.py") is None
    True
    """
    compared = {name: value for name, value in expected.items() if name not in NOT_COMPARED}
    recorded = _recorded(user_yaml, entrypoint)
    if recorded is None:
        return None
    values: dict[str, set[str | None]] = {name: {value} for name, value in recorded.given.items()}
    if recorded.is_exact:
        values = recorded.declared | values
    if compared and not compared.keys() & values.keys():
        return None
    return [
        name
        for name, value in compared.items()
        if (values[name] - {None, value} if name in values else recorded.is_exact)
    ]


def _recorded(user_yaml: str | None, entrypoint: str | None) -> _Recorded | None:
    """Read what is recorded; None if the YAML can't be read."""
    declared = _declared(user_yaml)
    if declared is None:
        return None
    words = _launch_words(entrypoint)
    if words is None:
        return _Recorded(declared, {}, is_exact=declared.keys() >= {*IDENTITY})
    options = list(_options(words))
    pairs = [value.partition("=") for name, value in options if name == "--env"]
    given = {name: value if equals else None for name, equals, value in pairs}
    return _Recorded(declared, given, is_exact=all(name != "--env-file" for name, _ in options))


def _launch_words(entrypoint: str | None) -> list[str] | None:
    """Return the arguments of ``sky jobs launch``; None if something else submitted the job."""
    if type(entrypoint) is not str or len(entrypoint) > MAX_CHARS:
        return None
    import shlex  # few polls read a command line

    try:
        program, *words = shlex.split(entrypoint)
    except ValueError:
        return None
    return words[2:] if program.rpartition("/")[2] == "sky" and words[:2] == LAUNCH else None


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the ``--env`` and ``--env-file`` options with their values; after ``--`` there are none."""
    rest = iter(words)
    for word in rest:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if name in ("--env", "--env-file"):
            yield name, value if equals else next(rest, "")


def _declared(user_yaml: str | None) -> dict[str, set[str | None]] | None:
    """Return the values of ``envs`` in all tasks of a YAML; None if it can't be read."""
    if type(user_yaml) is not str or len(user_yaml) > MAX_CHARS:
        return None
    import yaml  # few polls read a YAML

    declared: dict[str, set[str | None]] = {}
    try:
        if is_too_deep(user_yaml):
            return None
        # Nodes, not values: of aliases and merges, which can grow without bound, nothing is expanded.
        for root in yaml.compose_all(user_yaml, Loader=yaml.CSafeLoader):
            if not isinstance(root, yaml.MappingNode):
                return None
            for name, value in _envs(root):
                declared.setdefault(name, set()).add(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return declared


def _envs(task: MappingNode) -> Iterator[tuple[str, str | None]]:
    """Yield the variables of one task; of two equal names YAML uses the last one."""
    import yaml

    found: dict[str, str | None] = {}
    for key, value in _pairs(task):
        if key != "envs":
            continue
        if isinstance(value, yaml.MappingNode):
            found = {name: _text(each) for name, each in _pairs(value)}
        elif not isinstance(value, yaml.ScalarNode) or scalar_value(value) is not None:
            raise ValueError("envs is not a mapping")
    return iter(found.items())


def _pairs(node: MappingNode) -> Iterator[tuple[str, Node]]:
    """Yield keys and values; refuse ``<<``, which no YAML that SkyPilot wrote has."""
    import yaml

    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            raise ValueError("a key is not plain")
        yield str(scalar_value(key)), value


def _text(node: Node) -> str | None:
    """Return a value as SkyPilot passes it to the job, the text of a Python value; None = not known."""
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        value = scalar_value(node)
        return None if value is None else str(value)
    except YamlValueError:
        return None
