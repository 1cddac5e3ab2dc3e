"""fmon/manifest.schema.json, made of the types that the manifest is read into."""

from typing import Any

import msgspec

from fmon.model import Manifest


def manifest_schema() -> dict[str, Any]:
    """Make the JSON Schema of the file."""
    schema = msgspec.json.schema(Manifest)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    definitions["Manifest"]["additionalProperties"] = False
    entry = definitions["Entry"]
    entry["additionalProperties"] = entry["properties"].pop("factors")["additionalProperties"]
    entry["required"].remove("factors")
    entry["description"] = (
        "One condition; each of its factors is a key of its own beside the ones listed here."
    )
    _demand_time_zones(schema)
    return schema


def _demand_time_zones(node: Any) -> None:
    """Let the schema ask of every time what msgspec asks: a time zone."""
    if isinstance(node, dict):
        if node.get("format") == "date-time":
            node["pattern"] = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$"
        for child in node.values():
            _demand_time_zones(child)
    elif isinstance(node, list):
        for child in node:
            _demand_time_zones(child)
