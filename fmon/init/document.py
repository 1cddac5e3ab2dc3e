"""Write a proposed config as short YAML, with the keys in the order of ``docs/config.md``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from fmon.model import level_text, value_key
from fmon.text import visible
from fmon.written import FLOAT, WrittenFloat, as_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fmon.model import Level


class _Dumper(yaml.SafeDumper):
    """Writes ``1e-4`` as fmon's configs are read: the text in quotes, the number without."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
_Dumper.add_representer(
    WrittenFloat,
    lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", number.written),
)

BLOCKS = ("factors", "baselines", "fixed", "overrides")
"""Keys with one line per item."""


def document(
    keys: Mapping[str, Any], *, notes: Mapping[str, str], head: Iterable[str], tail: Iterable[str]
) -> str:
    """Write a config.

    Parameters
    ----------
    keys
        The keys of the config, in order; empty ones are left out.
    notes
        A comment for some keys.
    head, tail
        Comments at the beginning and at the end.
    """
    lines = [comment(each) for each in head]
    for key, value in keys.items():
        if value is None or value in ({}, []):
            continue
        note = f"  {comment(notes[key])}" if key in notes else ""
        if key in BLOCKS:
            lines += [f"{key}:{note}", *_block(value)]
        else:
            lines.append(f"{key}: {flow(value)}{note}")
    return "\n".join([*lines, *(comment(each) for each in tail)]) + "\n"


def comment(text: str) -> str:
    """Return a text as a comment of one line."""
    return f"# {visible(' '.join(text.split()))}"


def prices(accelerators: object) -> str:
    """Return an example of ``prices`` for the accelerators of a task."""
    found = re.match(r"[A-Za-z0-9-]+", accelerators) if isinstance(accelerators, str) else None
    name = found[0] if found else "L4"
    return f"prices: {{{name}: {{spot: 0.22, on_demand: 0.70}}}} # USD/h; default: SkyPilot's catalog"


def flow(value: Any) -> str:
    """Write a value in one line."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=1 << 30,
    )
    return text.removesuffix("...\n").strip("\n")  # a no-break space at an end belongs to the value


def _block(value: Mapping[Any, Any] | Sequence[Any]) -> Iterator[str]:
    """Write one line for each item, and for each key of an item of a list."""
    if isinstance(value, list):
        for item in value:
            first = "- "
            for key, each in item.items():
                yield f"  {first}{flow(key)}: {flow(each)}"
                first = "  "
        return
    for key, each in value.items():  # type: ignore[union-attr]
        nested = isinstance(each, dict) and any(isinstance(inner, dict) for inner in each.values())
        if nested:
            yield f"  {flow(key)}:"
            yield from (f"    {flow(inner)}: {flow(item)}" for inner, item in each.items())
        else:
            yield f"  {flow(key)}: {flow(each)}"


def typed(values: Sequence[str]) -> list[Level]:
    """Return values with their YAML type: booleans or numbers if all of them are, otherwise text.

    Examples
    --------
    >>> typed(["0", "1"]), typed(["true", "false"]), typed(["0.1", "1"]), typed(["1", "x"]), typed(["01"])
    ([0, 1], [True, False], [0.1, 1], ['1', 'x'], ['01'])

    Different texts of one number are levels of their own, which only text can be.

    >>> typed(["0.001", "1e-4"]), typed(["0.0001", "1e-4"])
    ([0.001, 0.0001], ['0.0001', '1e-4'])
    """
    found = [_typed(value) for value in values]
    kinds = {kind for kind, _ in map(value_key, found)}
    is_typed = kinds in ({"boolean"}, {"number"}) and len(set(map(value_key, found))) == len(found)
    return found if is_typed else list(values)


def _typed(text: str) -> Level:
    """Return the number or boolean that is written exactly like this; otherwise the text."""
    if text in ("true", "false"):
        return text == "true"
    for pattern, kind in ((r"-?[0-9]{1,18}", int), (r"-?[0-9]{1,15}\.[0-9]{1,15}", float)):
        if re.fullmatch(pattern, text) and level_text(kind(text)) == text:
            return kind(text)
    if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?[eE][-+]?[0-9]{1,2}", text):
        return as_written(float(text), text)
    return text
