"""Read a YAML file strictly: what YAML would silently change is an error.

PyYAML keeps the last of two equal keys, reads ``on`` as true, ``1e-4`` as text and ``12:30`` as 750, and its
C parser crashes on deep nesting. A config decides what money is spent on, so each of these is an error here.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fmon.errors import ConfigError
from fmon.written import FLOAT, BooleanKey, as_written
from fmon.yaml_values import MAX_DEPTH, YamlValueError, is_too_deep, scalar_value

MAX_BYTES = 10_000_000
MAX_NODES = 500_000
"""Maximum number of values after aliases are expanded: nested aliases grow without bound."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_MAX_NUMBER = 24
"""Longest number that a message shows."""
_PLAIN_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_TAGGED = re.compile(r"(&\S+\s+)?!")


Loc = tuple[Any, ...]
"""The location of a value: keys and positions from the top."""


def _as_written(*loc: Any) -> Loc:
    return loc


@dataclass(frozen=True, kw_only=True)
class Source:
    """A config's values together with their lines in the file.

    Attributes
    ----------
    value
        The config in fmon's form.
    raw
        The file as written.
    text
        The text of the file.
    lines
        The line of each key and each list item, by location in the file.
    origin
        Maps a location in ``value`` to that in the file (the study's form is rewritten).
    base
        The base; ``value`` then has the keys of both files.
    """

    path: Path
    value: dict[Any, Any]
    raw: dict[Any, Any]
    text: str
    lines: dict[Loc, int]
    origin: Callable[..., Loc] = field(default=_as_written)
    base: "Source | None" = None

    def fault(self, sentence: str, *loc: Any) -> ConfigError:
        """Return an error for the value at ``loc``, or for its nearest parent that is in the file."""
        file = self._file(loc)
        place = _place(file.origin(*loc))
        while place not in file.lines:
            place = place[:-1]
        return ConfigError(f"{file.path}, line {file.lines[place]}: {sentence}")

    def name(self, *loc: Any) -> str:
        """Return the name of the value at ``loc`` as the file has it."""
        return ".".join(map(str, self._file(loc).origin(*loc)))

    def written(self, key: str) -> Any:
        """Return the value of a dotted key (``fixed.max_epochs``) as written; None if there is none."""
        value: Any = self.raw
        for step in key.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return self.base.written(key) if value is None and self.base else value

    def dotted_keys(self) -> list[str]:
        """List the dotted keys of all values that are not mappings, as written."""
        return [*_dotted(self.raw), *(self.base.dotted_keys() if self.base else [])]

    def _file(self, loc: Loc) -> "Source":
        """Return the file that has the value at ``loc``, or more of its parents; this one if both have."""
        if self.base is None or _depth(self.raw, loc) >= _depth(self.base.value, loc):
            return self
        return self.base


def _depth(value: Any, loc: Loc) -> int:
    """Count the steps of a location that exist."""
    for count, step in enumerate(loc):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return count
    return len(loc)


def _dotted(value: dict[Any, Any], *at: str) -> Iterator[str]:
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _dotted(each, *at, str(key))
        else:
            yield ".".join((*at, str(key)))


def _read_as(node: yaml.ScalarNode) -> str:
    """Return which number YAML 1.1 reads."""
    try:
        number = f"{scalar_value(node)}"
    except YamlValueError:
        number = node.value
    if number == node.value or len(number) > _MAX_NUMBER:
        return "a different number from what it looks like"
    return number


def read_source(path: Path, text: str | None = None) -> Source:
    """Read a YAML file that contains one mapping.

    Parameters
    ----------
    path
        The file.
    text
        Its content, if it has been read already.

    Raises
    ------
    ConfigError
        The file can't be read, is not text, not valid YAML or not a mapping, or YAML 1.1 would
        read a value differently from what it looks like.
    """
    if text is None:
        text = read_text(path)
    try:
        check_depth(text, path)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as fault:
        raise _syntax_fault(path, fault) from fault
    if root is None:
        message = f"{path} is empty; start from the example in docs/config.md"
        raise ConfigError(message)
    if not isinstance(root, yaml.MappingNode):
        message = "this is not a mapping; write a config as lines of `key: value`"
        raise _fault(path, message, root)
    reader = _Reader(path, text)
    value = reader.value(root)
    return Source(path=path, value=value, raw=value, text=text, lines=reader.lines)


def is_file(path: Path) -> bool:
    """Return whether a path is a file; one that is too long for the system is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder, as ``is_file`` does."""
    try:
        return path.is_dir()
    except OSError:
        return False


def without_dots(path: Path) -> Path:
    """Return a path without ``..``, unless a symbolic link makes that another file."""
    plain = Path(os.path.normpath(path))
    try:
        return plain if plain.samefile(path) else path
    except (OSError, ValueError):
        return path if is_file(path) else plain


def read_text(path: Path, *, what: str = "the experiment's config", max_bytes: int = MAX_BYTES) -> str:
    """Read a file as UTF-8; its name must be UTF-8 too, since manifests contain it.

    Parameters
    ----------
    path
        The file.
    what
        What it should be, for messages.
    max_bytes
        Maximum size.

    Raises
    ------
    ConfigError
        The file can't be read, is too large or is not text.
    """
    try:
        str(path).encode()
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except UnicodeEncodeError as fault:
        message = f"the name of {path} is not UTF-8; rename the file"
        raise ConfigError(message) from fault
    except FileNotFoundError as fault:
        message = f"{path} does not exist; give the path of {what}"
        raise ConfigError(message) from fault
    except OSError as fault:
        message = f"{path} can't be read ({fault.strerror}); give the path of {what}"
        raise ConfigError(message) from fault
    if len(raw) > max_bytes:
        message = f"{path} is larger than {max_bytes // 1_000_000} MB; is it {what}?"
        raise ConfigError(message)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        message = f"{path} is not UTF-8 text (byte {fault.start}); give the path of {what}"
        raise ConfigError(message) from fault


def check_depth(text: str, path: Path) -> None:
    """Refuse deep nesting."""
    if is_too_deep(text):
        message = f"{path} is nested deeper than {MAX_DEPTH} levels; is it the experiment's config?"
        raise ConfigError(message)


def _syntax_fault(path: Path, fault: yaml.YAMLError) -> ConfigError:
    """Return the error for invalid YAML, with its line, its column and the parser's reason."""
    if isinstance(fault, yaml.MarkedYAMLError) and fault.problem_mark is not None:
        mark = fault.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}"
        if fault.context == "expected a single document in the stream":
            return ConfigError(f"{where}: a second document begins here; a config must be one YAML document")
        return ConfigError(
            f"{where}: this is not valid YAML ({fault.problem}); "
            "check colons, quotes and indentation (spaces, not tabs)"
        )
    reason = getattr(fault, "reason", None) or str(fault).splitlines()[0]
    return ConfigError(f"{path} is not valid YAML ({reason}); give the YAML file of the experiment")


def _fault(path: Path, sentence: str, node: yaml.Node) -> ConfigError:
    return ConfigError(f"{path}, line {node.start_mark.line + 1}: {sentence}")


def _place(loc: Loc) -> Loc:
    """Write the steps as pydantic does in its errors: floats and booleans as text, all others unchanged."""
    return tuple(str(step) if isinstance(step, float | BooleanKey) else step for step in loc)


class _Reader:
    """Converts nodes to values and records their lines; counts them, since aliases may multiply."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.count = 0
        self.lines: dict[Loc, int] = {(): 1}

    def value(self, node: yaml.Node, *loc: Any) -> Any:
        self.count += 1
        if len(loc) > MAX_DEPTH or self.count > MAX_NODES:
            message = (
                f"with aliases expanded, this has more than {MAX_NODES:,} values or {MAX_DEPTH} levels; "
                "use fewer aliases"
            )
            raise _fault(self.path, message, node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, *loc)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._at(item, item, *loc, number) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _at(self, first: yaml.Node, node: yaml.Node, *loc: Any) -> Any:
        """Read the value at ``loc`` and record the line of ``first``: the key, for the value of a mapping."""
        self.lines[_place(loc)] = first.start_mark.line + 1
        return self.value(node, *loc)

    def _mapping(self, node: yaml.MappingNode, *loc: Any) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = self._merge(value_node, *loc, "<<") | merged
                continue
            key = self.value(key_node, *loc) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                message = "a key must be text, a number or true/false"
                raise _fault(self.path, message, key_node)
            if isinstance(key, bool):
                key = BooleanKey(key)
            if key in own:
                raise self._twice(key_node, own, key, *loc)
            own[key] = self._at(key_node, value_node, *loc, key)
        return merged | own

    def _twice(self, node: yaml.Node, own: dict[Any, Any], key: Any, *loc: Any) -> ConfigError:
        """Return the error for a key that a mapping has already, maybe as another text of one number."""
        first = next(getattr(each, "written", str(each)) for each in own if each == key)
        line = self.lines[_place((*loc, key))]
        message = (
            f"key {node.value!r} is here and in line {line}; "
            if node.value == first or isinstance(key, BooleanKey)
            else f"keys {first} (line {line}) and {node.value} are the same number; "
        )
        return _fault(self.path, f"{message}YAML would keep only the last one; remove one of them", node)

    def _merge(self, node: yaml.Node, *loc: Any) -> dict[Any, Any]:
        """Read the mappings that ``<<`` merges; the first one takes precedence, as in YAML."""
        value = self.value(node, *loc)
        merged: dict[Any, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                message = "the value of `<<` must be a mapping or a list of mappings"
                raise _fault(self.path, message, node)
            merged = part | merged
        return merged

    def _is_plain(self, node: yaml.Node) -> bool:
        """Return whether a text has neither quotes nor a tag: ``"1e-4"`` and ``!!str 1e-4`` stay text."""
        return not getattr(node, "style", None) and not _TAGGED.match(self.text, node.start_mark.index)

    def _scalar(self, node: yaml.Node) -> bool | int | float | str | None:
        raw: str = node.value
        match node.tag.removeprefix(_TAG) if isinstance(node, yaml.ScalarNode) else node.tag:
            case "str" if FLOAT.fullmatch(raw) and self._is_plain(node):
                return as_written(float(raw), raw)
            case "str" | "value":
                return raw
            case "null":
                return None
            case "bool" if raw.lower() in ("true", "false"):
                return raw.lower() == "true"
            case "bool":
                read_as = "true" if raw.lower() in ("on", "yes") else "false"
                message = f'YAML reads {raw} as {read_as}; write true or false, or quote it: "{raw}"'
            case "int" if _PLAIN_INT.fullmatch(raw) and len(raw) <= 20:
                return as_written(int(raw, 0), raw)
            case "float" if _PLAIN_FLOAT.fullmatch(raw):
                return as_written(float(raw), raw)
            case "float" if raw.lower().lstrip("+-") in (".inf", ".nan"):
                return float(raw.lower().replace(".", ""))
            case "int" | "float" if isinstance(node, yaml.ScalarNode):
                message = (
                    f"YAML 1.1 reads {raw} as {_read_as(node)}; write the number in plain decimal, or quote "
                    f'it: "{raw}"'
                )
            case "timestamp":
                message = f'YAML reads {raw} as a date; quote it: "{raw}"'
            case tag:
                tag = tag.removeprefix(_TAG)
                message = f"tag {tag} is not supported; write plain text, a number or true/false"
        raise _fault(self.path, message, node)
