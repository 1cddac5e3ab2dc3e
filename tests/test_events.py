"""The schema and the table of the events are those of the structs, and what is written is what they say."""

import json
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from fmon.events import ActionEvent, BaseEvent, KnownEvent
from tests.support.events import written_events
from tests.support.relaunching import Repository
from tests.support.world import CONDITIONS
from tests.tools import events

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = json.loads((ROOT / "fmon/events.schema.json").read_text())


def test_the_shipped_schema_and_the_docs_are_the_generated_ones():
    assert events.schema() == SHIPPED
    assert (ROOT / "docs/events.md").read_text() == events.markdown()


def test_every_kind_is_known_to_the_reader():
    assert set(get_args(KnownEvent)) == {*BaseEvent.__subclasses__(), *ActionEvent.__subclasses__()} - {
        ActionEvent
    }


@pytest.mark.slow
def test_what_the_commands_write_is_what_the_schema_says(tmp_path):
    Draft202012Validator.check_schema(SHIPPED)
    validator = Draft202012Validator(SHIPPED)
    world = Repository(tmp_path)
    world.launch()
    world.end(CONDITIONS[:2])
    world.diagnose()
    world.fix()
    world.relaunch()
    lines = written_events(world.store)
    assert {line["event"] for line in lines} == {
        "launch",
        "launch_intent",
        "launch_result",
        "diagnosis",
        "fix",
        "fix_verified",
        "relaunch",
    }
    for line in lines:
        validator.validate(line)
    with pytest.raises(ValidationError):
        validator.validate({**lines[0], "at": 5})
