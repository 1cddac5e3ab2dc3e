"""The environment variables that pass factors and keys of the config to the jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmon.config.shape import EnvKeys, shown
from fmon.config.source import Source
from fmon.model import Level, level_text
from fmon.text import nearest


@dataclass(frozen=True, kw_only=True)
class Variables:
    """The variables of ``envs``.

    Attributes
    ----------
    of_factor
        The variable of each factor that ``envs`` names.
    fixed
        Variables of every job, from keys of the config.
    defaults
        Those of ``fixed`` whose key the config lacks, by key.
    """

    of_factor: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)


def read_variables(
    source: Source,
    envs: Mapping[str, EnvKeys | None],
    factors: Mapping[str, Sequence[Level]],
    inner_factors: Mapping[str, Sequence[Level]],
) -> Variables:
    """Resolve ``envs``: a factor, an inner factor (its levels joined by commas), or a key of the config.

    Several keys may name the same variable; the first one that the config has is used.

    Parameters
    ----------
    source
        The config.
    envs
        The variable of each factor or key; None = no variable.
    factors, inner_factors
        The levels of the factors.
    """
    found = Variables()
    missing: dict[str, tuple[str, EnvKeys]] = {}
    for key, variable in envs.items():
        if key in factors:
            if variable is None:
                message = f"factor {key} has no variable, so all its levels would run the same job; name one"
                raise source.fault(message, "envs", key)
            found.of_factor[key] = variable.name
            continue
        if variable is None:
            continue
        value = list(inner_factors[key]) if key in inner_factors else source.written(key)
        if value is not None:
            found.fixed.setdefault(variable.name, _text(source, value, key))
            missing.pop(variable.name, None)
        elif variable.name not in found.fixed and variable.name not in missing:
            missing[variable.name] = key, variable
        if variable.default is not None and variable.name in missing:
            missing[variable.name] = key, variable
    for key, variable in missing.values():
        if variable.default is None:
            keys = (each for each in source.dotted_keys() if not each.startswith("envs."))
            names = [*factors, *inner_factors, *keys]
            message = (
                f"envs has {key}, which is neither a factor nor a key of the config; {nearest(key, names)}"
            )
            raise source.fault(message, "envs", key)
        found.fixed[variable.name] = found.defaults[key] = _text(source, variable.default, key)
    return found


def _text(source: Source, value: Any, key: str) -> str:
    """Return a value as the text of a variable; lists are joined by commas."""
    levels = value if isinstance(value, list) else [value]
    if not all(isinstance(each, bool | int | float | str) for each in levels):
        message = (
            f"{key} is {shown(value)}; only text, a number, true/false or a list of these can be a variable"
        )
        raise source.fault(message, "envs", key)
    return ",".join(map(level_text, levels))
