"""What is generated from ``fmon.events``: the JSON Schema of an event, and docs/events.md."""

import inspect
from typing import Any, get_args

import msgspec

from fmon.events import DiagnosedCause, KnownEvent, VerifiedLink

TITLE = """# `events.jsonl`

The events of an experiment, oldest first: one JSON object per line, only appended. Key `event` is
the kind. `fmon/events.schema.json` is the JSON Schema of a line. A later version of fmon may add kinds and
fields: skip those that you do not know. A last line without a newline was cut off by a crash; leave it out.

Every event has `at`, when it happened [UTC]. `"dry_run": true` marks an action that was only recorded,
because the experiment is a replay.
"""


def schema() -> dict[str, Any]:
    """Make the JSON Schema of one line."""
    made = msgspec.json.schema(KnownEvent)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["description"] = "A line of events.jsonl. Later versions of fmon may add kinds and fields."
    return made


def markdown() -> str:
    """Make docs/events.md: each kind, when it is written, its fields."""
    kinds = [part for kind in get_args(KnownEvent) for part in _section(f"`{_tag(kind)}`", kind)]
    parts = [
        *_section("A root cause in `causes`", DiagnosedCause),
        *_section("A link in `links`", VerifiedLink),
    ]
    return "\n".join([TITLE, *kinds, *parts])


def _section(title: str, kind: type[msgspec.Struct]) -> list[str]:
    fields = [
        field for field in msgspec.inspect.type_info(kind).fields if field.name not in ("at", "dry_run")
    ]
    return [
        f"## {title}\n",
        f"{inspect.cleandoc(kind.__doc__ or '')}\n".replace("``", "`"),
        "| field | type | meaning |",
        "|---|---|---|",
        *(f"| `{field.name}` | {_type(field.type)} | {_meaning(field.type)} |" for field in fields),
        "",
    ]


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _meaning(kind: msgspec.inspect.Type) -> str:
    """The description of a field."""
    assert isinstance(kind, msgspec.inspect.Metadata), f"{kind} has no description"
    return str(kind.extra_json_schema["description"])


def _type(kind: msgspec.inspect.Type) -> str:
    """The JSON type of a field."""
    info = msgspec.inspect
    match kind:
        case info.Metadata():
            return _type(kind.type)
        case info.UnionType():
            return " or ".join(_type(each) for each in kind.types)
        case info.ListType():
            return f"array of {_type(kind.item_type)}"
        case info.DictType():
            return f"object of {_type(kind.value_type)}"
        case info.StructType():
            return "object"
        case info.DateTimeType():
            return "time"
        case info.IntType() | info.FloatType():
            return "number"
        case info.BoolType():
            return "boolean"
        case info.NoneType():
            return "null"
        case _:
            assert isinstance(kind, info.StrType), kind
            return "string"
