"""Read a config and, if it has one, its base, as one config in fmon's form."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmon.config.shape import shown
from fmon.config.source import Source, is_file, is_folder, read_source, without_dots
from fmon.config.study_form import Additions, StudyForm, additions, is_study_form, rewrite


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A config and its base.

    Attributes
    ----------
    source
        Both as one config in fmon's form; keys of the config take precedence over those of the base.
    study
        Whichever of the two is in the study's form; None = neither is.
    """

    source: Source
    study: StudyForm | None


def read_layers(path: Path, text: str | None, *, max_conditions: int) -> Layers:
    """Read a config and, if it has one, its base.

    Parameters
    ----------
    path, text
        The config, and its content if it has been read already.
    max_conditions
        Maximum number of conditions of the config.

    Raises
    ------
    ConfigError
        A file can't be read, or the base can't be used as one.
    """
    own = read_source(path, text)
    if "base" not in own.value:
        study = _study_form(own, Additions(), max_conditions=max_conditions)
        return Layers(source=study.source if study else own, study=study)
    if is_study_form(own.value, own.text):
        message = (
            "a config in the study's form can't have a base; put the additional keys into another config"
        )
        raise own.fault(message, "base")
    base = read_source(_base_path(own))
    if "base" in base.value:
        message = "this file is a base and can't have a base itself; name that file in the config instead"
        raise base.fault(message, "base")
    study = _study_form(base, additions(own), max_conditions=max_conditions)
    base = study.source if study else base
    raw = _present({key: each for key, each in own.value.items() if key != "base"}, base.value)
    added = study.without_parameters(raw) if study else raw
    return Layers(source=replace(own, raw=raw, value=_merged(base.value, added), base=base), study=study)


def _study_form(source: Source, added: Additions, *, max_conditions: int) -> StudyForm | None:
    if not is_study_form(source.value, source.text):
        return None
    return rewrite(source, added, max_conditions=max_conditions)


def _base_path(own: Source) -> Path:
    written = own.value["base"]
    if not isinstance(written, str) or not written:
        message = f"base is {shown(written)}; write the path of a config, relative to this file"
        raise own.fault(message, "base")
    path = without_dots(own.path.parent / written)
    if is_file(path):
        return path
    if is_folder(path):
        message = f"the base {shown(written)} is a directory; write the path of a config in it"
    else:
        message = (
            f"the base {shown(written)} is not in {own.path.parent}; write its path relative to this file"
        )
    raise own.fault(message, "base")


def _present(own: dict[Any, Any], base: dict[Any, Any], *at: Any) -> dict[Any, Any]:
    """Leave out the empty values of keys that the base has: `limits:` means the same as no key."""
    present: dict[Any, Any] = {}
    for key, value in own.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            present[key] = _present(value, old, *at, key)
        elif value is not None or key not in base or _is_unset(*at, key):
            present[key] = value
    return present


def _is_unset(*loc: Any) -> bool:
    """Return whether an empty value at this location has a meaning of its own."""
    match loc:
        case ("region_config",) | ("envs", _) | ("overrides", _, _, "resources", _):
            return True
    return False


def _merged(base: dict[Any, Any], own: dict[Any, Any]) -> dict[Any, Any]:
    """Merge two configs: mappings key by key, otherwise ``own`` takes precedence."""
    merged = dict(base)
    for key, value in own.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
