"""A YAML file as plain values, read strictly: what YAML would change in silence is refused.

PyYAML keeps the last of two equal keys, reads ``on`` as true and ``12:30`` as 750, and its C parser
crashes on deep nesting; a config decides what money is spent on, so each of these is an error here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fmon.errors import ConfigError

MAX_BYTES = 10_000_000
MAX_DEPTH = 50
MAX_NODES = 500_000
"""Values in the file once aliases are followed: nested aliases grow without bound."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_PLAIN_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")


Loc = tuple[Any, ...]
"""Where a value stands: keys and positions from the top."""


def _as_written(*loc: Any) -> Loc:
    return loc


@dataclass(frozen=True, kw_only=True)
class Source:
    """A config's values together with where each one stands in its file.

    Attributes
    ----------
    origin : where in the file a part of ``value`` comes from (the layered form is rewritten)
    """

    path: Path
    root: yaml.Node
    value: dict[Any, Any]
    origin: Callable[..., Loc] = field(default=_as_written)

    def fault(self, sentence: str, *loc: Any) -> ConfigError:
        """Make the error for the value at ``loc``."""
        return _fault(self.path, sentence, _node_at(self.root, self.origin(*loc)))

    def name(self, *loc: Any) -> str:
        """Name the value at ``loc`` the way the file does."""
        return ".".join(
            str(step).lower() if isinstance(step, bool) else str(step) for step in self.origin(*loc)
        )


def read_source(path: Path, text: str | None = None) -> Source:
    """Read a YAML file that holds one mapping.

    Parameters
    ----------
    path
        The file.
    text
        What it says, where it has been read already.

    Raises
    ------
    ConfigError
        The file can't be read, is no text, no valid YAML, no mapping, or YAML 1.1 would
        read a value as something else than it looks like.
    """
    if text is None:
        text = read_text(path)
    try:
        check_depth(text, path)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as fault:
        raise _syntax_fault(path, fault) from fault
    if root is None:
        message = f"{path} is empty; docs/config.md has an example to start from"
        raise ConfigError(message)
    if not isinstance(root, yaml.MappingNode):
        message = "this is no mapping; a config is a list of `key: value`"
        raise _fault(path, message, root)
    value = _Reader(path).value(root, depth=0)
    return Source(path=path, root=root, value=value)


def read_text(path: Path) -> str:
    """Read the file as UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as fault:
        message = f"{path} does not exist; give the path of the experiment's config"
        raise ConfigError(message) from fault
    except OSError as fault:
        message = f"{path} can't be read ({fault.strerror}); give the path of the experiment's config"
        raise ConfigError(message) from fault
    if len(raw) > MAX_BYTES:
        message = f"{path} is larger than {MAX_BYTES // 1_000_000} MB; is it the experiment's config?"
        raise ConfigError(message)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        message = f"{path} is no UTF-8 text (byte {fault.start}); give the YAML file of the experiment"
        raise ConfigError(message) from fault


def check_depth(text: str, path: Path) -> None:
    """Refuse deep nesting before ``compose``, whose recursion in C ends the process."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                message = f"{path} is nested deeper than {MAX_DEPTH} levels; is it the experiment's config?"
                raise ConfigError(message)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax_fault(path: Path, fault: yaml.YAMLError) -> ConfigError:
    """Say where the YAML breaks and what the parser met there."""
    if isinstance(fault, yaml.MarkedYAMLError) and fault.problem_mark is not None:
        mark = fault.problem_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}"
        if fault.context == "expected a single document in the stream":
            return ConfigError(f"{where}: a second document begins here; a config is one YAML document")
        return ConfigError(
            f"{where}: this is no valid YAML ({fault.problem}); "
            "check colons, quotes and indentation (spaces, no tabs) there"
        )
    reason = getattr(fault, "reason", None) or str(fault).splitlines()[0]
    return ConfigError(f"{path} is no valid YAML ({reason}); give the text file of the experiment")


def _fault(path: Path, sentence: str, node: yaml.Node | None) -> ConfigError:
    where = f"{path}, line {node.start_mark.line + 1}" if node else f"{path}"
    return ConfigError(f"{where}: {sentence}")


def _node_at(root: yaml.Node, loc: Loc) -> yaml.Node:
    """Find the node at ``loc``, or the deepest one above it: of a mapping's value, its key."""
    found = node = root
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if _names(pair[0], step)), None)
            if pair is None:
                break
            found, node = pair
        else:
            break
    return found


def _names(key: yaml.Node, step: object) -> bool:
    text = str(step).lower() if isinstance(step, bool) else str(step)
    return isinstance(key, yaml.ScalarNode) and (key.value == text or key.value.lower() == text)


class _Reader:
    """Turns nodes into values; counts them, since aliases may multiply."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def value(self, node: yaml.Node, *, depth: int) -> Any:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_NODES:
            message = f"aliases or nesting make this larger than {MAX_NODES:,} values or {MAX_DEPTH} levels"
            raise _fault(self.path, message, node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, depth=depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, depth=depth + 1) for item in node.value]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, *, depth: int) -> dict[Any, Any]:
        merged: dict[Any, Any] = {}
        own: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged = self._merge(value_node, depth=depth) | merged
                continue
            key = self._key(key_node, depth=depth)
            if key in own:
                message = (
                    f"key {key_node.value!r} stands here and in line {lines[key]}; "
                    "YAML would keep only the last one: remove one of them"
                )
                raise _fault(self.path, message, key_node)
            lines[key] = key_node.start_mark.line + 1
            own[key] = self.value(value_node, depth=depth + 1)
        return merged | own

    def _merge(self, node: yaml.Node, *, depth: int) -> dict[Any, Any]:
        """Read what ``<<`` brings in; the first of several wins, as in YAML."""
        value = self.value(node, depth=depth + 1)
        merged: dict[Any, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, dict):
                message = "`<<` takes a mapping or a list of mappings"
                raise _fault(self.path, message, node)
            merged = part | merged
        return merged

    def _key(self, node: yaml.Node, *, depth: int) -> Any:
        if isinstance(node, yaml.ScalarNode):
            key = self.value(node, depth=depth)
            if key is not None:
                return key
        message = "a key is text, a number or true/false"
        raise _fault(self.path, message, node)

    def _scalar(self, node: yaml.Node) -> bool | int | float | str | None:
        raw: str = node.value
        match node.tag.removeprefix(_TAG):
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
                return int(raw, 0)
            case "float" if _PLAIN_FLOAT.fullmatch(raw):
                return float(raw)
            case "float" if raw.lower().lstrip("+-") in (".inf", ".nan"):
                return float(raw.lower().replace(".", ""))
            case "int" | "float":
                message = (
                    f"YAML 1.1 reads {raw} as another number than it looks like; "
                    f'write it in plain decimal, or quote it: "{raw}"'
                )
            case "timestamp":
                message = f'YAML reads {raw} as a date; quote it: "{raw}"'
            case tag:
                message = f"tag {tag} is not known here; write plain text, a number or true/false"
        raise _fault(self.path, message, node)
