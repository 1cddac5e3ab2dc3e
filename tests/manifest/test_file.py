"""The manifest: what was written comes back, what is nonsense is refused by name."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fmon
from fmon.errors import ManifestError, StoreError
from fmon.manifest.file import ManifestFile, read_manifest, write_manifest
from fmon.model import Entry
from fmon.store.folder import Store
from tests.support.stores import START, full_manifest, manifest
from tests.tools.schema import manifest_schema


def content(store):
    return json.loads(store.manifest.read_text())


def refuses(store, why):
    with pytest.raises(ManifestError, match=why) as refusal:
        read_manifest(store)
    assert refusal.value.exit_code == 13
    assert str(store.manifest) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def edited(store, edit):
    """Edit the manifest as a person would, then read it."""
    raw = content(store)
    edit(raw)
    store.manifest.write_text(json.dumps(raw))
    return raw


def test_what_was_written_comes_back(store):
    write_manifest(store, full_manifest())
    assert read_manifest(store) == full_manifest()


def test_the_file_is_for_people(store):
    write_manifest(store, full_manifest())
    text = store.manifest.read_text()
    assert text.startswith('{\n  "schema_version": 1,\n  "experiment_id": "small-20260322T050000Z",\n')
    assert '"created_at": "2026-03-22T05:00:00Z"' in text
    assert list(content(store)["jobs"][0])[:6] == [
        "condition",
        "kind",
        "model",
        "calib",
        "job_name",
        "expected_minutes",
    ]
    assert list(content(store)["jobs"][4])[:4] == ["condition", "kind", "model", "job_name"]


def test_writing_twice_gives_the_same_bytes(store):
    write_manifest(store, full_manifest())
    before = store.manifest.read_bytes()
    write_manifest(store, read_manifest(store))
    assert store.manifest.read_bytes() == before


def test_times_are_written_in_utc(store):
    there = START.astimezone(timezone(timedelta(hours=-7)))
    write_manifest(store, manifest(created_at=there))
    assert content(store)["created_at"] == "2026-03-22T05:00:00Z"


LEVELS = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
NAMES = st.text(min_size=1).filter(lambda name: name not in {*Entry.__struct_fields__})


@settings(deadline=None)  # every example writes durably: its time is the disk's
@given(NAMES, st.lists(LEVELS, min_size=1, max_size=8, unique_by=lambda level: (type(level), level)))
def test_every_level_comes_back_with_its_type(tmp_path_factory, factor, levels):
    store = Store(tmp_path_factory.mktemp("data") / "e-20260101T000000Z")
    jobs = [
        Entry(condition=f"c{number}", kind="grid", factors={factor: level}, job_name=f"j{number}")
        for number, level in enumerate(levels)
    ]
    made = manifest(
        experiment_id=store.experiment_id, factors={factor: levels}, jobs=jobs, expected_job_count=len(jobs)
    )
    write_manifest(store, made)
    read = [entry.factors[factor] for entry in read_manifest(store).jobs]
    assert [(type(level), level) for level in read] == [(type(level), level) for level in levels]


def entry(number, **keys):
    return lambda raw: raw["jobs"][number].update(keys)


def top(**keys):
    return lambda raw: raw.update(keys)


NONSENSE = {
    "entry 2 .*'dynunet-true'.*: entry 1 is the same condition": entry(1, condition="dynunet-true"),
    "entry 3 .*job_id 1 is already used in entry 1": entry(2, job_id=1),
    "entry 3 .*job_id 3 is already used in entry 1": entry(0, attempts=[{"cycle": 0, "job_id": 3}]),
    "entry 1 .*twice among its attempts": entry(0, attempts=[{"cycle": 0, "job_id": 1}]),
    "entry 2 .*job_name 'dynunet-calibtrue' is already used in entry 1": entry(
        1, job_name="dynunet-calibtrue"
    ),
    "entry 1 .*job_id: Expected int | null, got str": entry(0, job_id="1"),
    "entry 1 .*job_id: Expected int >= 0": entry(0, job_id=-1),
    "entry 1 .*job_id: Expected int <=": entry(0, job_id=2**63),
    "entry 4 .*'teapot' is not a level of factor 'model'": entry(3, model="teapot"),
    "entry 1 .*1 is not a level of factor 'calib'": entry(0, calib=1),
    "entry 1 .*'true' is not a level of factor 'calib'": entry(0, calib="true"),
    "entry 1 .*Expected bool": entry(0, calib=None),
    "entry 1 .*factor 'calib' is missing": lambda raw: raw["jobs"][0].pop("calib"),
    "entry 5 .*unknown key 'modle', did you mean 'model'": entry(4, modle="x"),
    "entry 1 .*unknown key 'factors'": entry(0, factors={}),
    "entry 1 .*missing required field job_name": lambda raw: raw["jobs"][0].pop("job_name"),
    "entry 1 .*kind: Invalid enum value 'cell'": entry(0, kind="cell"),
    "entry 1 .*relaunch_batch is 3, but current_cycle is 0": entry(0, relaunch_batch=3),
    "entry 1 .*job 9 is an attempt of cycle 1, after relaunch_batch 0": entry(
        0, attempts=[{"cycle": 1, "job_id": 9}]
    ),
    "entry 1 .*start_time: Invalid RFC3339": entry(0, start_time="yesterday"),
    "entry 1 .*start_time: Expected datetime with a timezone": entry(0, start_time="2026-03-22T05:00:00"),
    "entry 3 is not a JSON object": lambda raw: raw["jobs"].__setitem__(2, None),
    "expected_job_count is 5, but there are 4 entries": lambda raw: raw["jobs"].pop(),
    "expected_job_count: Expected int >= 0": top(expected_job_count=-1),
    "experiment_id is 'other', but the folder is named": top(experiment_id="other"),
    "written by a newer fmon .*schema_version 2.*upgrade": top(schema_version=2),
    "schema_version is '1', which is not a positive integer": top(schema_version="1"),
    "unknown key 'job', did you mean 'jobs'": top(job=[]),
    "jobs: Expected array, got object": top(jobs={}),
    "factors: Expected object, got array": top(factors=[]),
    "factor 'model' has no levels": top(factors={"model": [], "calib": [True, False]}),
    "factor 'calib' has a level twice": lambda raw: raw["factors"]["calib"].append(True),
    "factor 'status' has the name of a key": top(factors={"status": ["x"]}),
    "created_at: Expected datetime with a timezone": top(created_at="2026-03-22T05:00:00"),
    "missing required field created_at": lambda raw: raw.pop("created_at"),
    r"limits: Object contains unknown field budget": top(limits={"budget": 3}),
    r"prices\[...\].spot: Expected float": top(prices={"L4": {"spot": "cheap"}}),
}  # fmt: skip


@pytest.mark.parametrize("why", NONSENSE)
def test_nonsense_is_refused_and_named(store, why):
    edited(store, NONSENSE[why])
    refuses(store, why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{\n  "jobs": [,]\n}', "is not valid JSON: .*line 2 column"),
        (b'{"a": NaN}', "is not valid JSON"),
        (b'{"a": 1}}', "is not valid JSON: Extra data, line 1 column 9"),
        (b'{"schema_version": 1', "is not valid JSON"),
        (b'\xff\xfe{"a": 1}', "is not valid JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"jobs":' + b"[" * 100_000, "nested too deeply|is not valid JSON"),
    ],
)
def test_what_is_no_manifest_is_refused(store, text, why):
    store.manifest.write_bytes(text)
    refuses(store, why)


def test_a_missing_manifest_and_a_folder_in_its_place_are_refused(store):
    store.manifest.unlink()
    refuses(store, "No such file")
    store.manifest.mkdir()
    refuses(store, "Is a directory")


def test_what_could_not_be_read_is_not_written(store):
    before = store.manifest.read_bytes()
    wrong = [
        manifest(expected_job_count=3),
        manifest(created_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        manifest(factors={"kind": ["grid"]}),
    ]
    for made in wrong:
        with pytest.raises(ManifestError, match="was not written"):
            write_manifest(store, made)
    assert store.manifest.read_bytes() == before


def test_a_baseline_may_have_fewer_factors_and_levels_of_its_own(store):
    assert read_manifest(store).jobs[4].factors == {"model": "vanilla"}


SHIPPED = Path(fmon.__file__).parent / "manifest.schema.json"


def test_the_shipped_schema_is_the_generated_one():
    assert json.loads(SHIPPED.read_text()) == manifest_schema()


def test_the_schema_is_a_schema_and_accepts_what_is_written(store):
    schema = json.loads(SHIPPED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    write_manifest(store, full_manifest())
    jsonschema.validate(content(store), schema)


NOT_IN_A_SCHEMA = ("already used", "twice", "the same", "is not a level", "is missing", "but ", "modle",
                   "after relaunch", "no levels", "has the name")  # fmt: skip


@pytest.mark.parametrize("why", [why for why in NONSENSE if not any(text in why for text in NOT_IN_A_SCHEMA)])
def test_the_schema_refuses_what_a_schema_can(store, why):
    schema = json.loads(SHIPPED.read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(edited(store, NONSENSE[why]), schema)


@pytest.mark.slow
def test_many_entries_are_read_about_as_fast_as_their_json(store):
    count = 30_000
    jobs = [
        Entry(
            condition=f"c{n}", kind="grid", factors={"a": n % 7, "b": n % 2 == 0}, job_name=f"j{n}", job_id=n
        )
        for n in range(count)
    ]
    write_manifest(
        store,
        manifest(factors={"a": list(range(7)), "b": [True, False]}, jobs=jobs, expected_job_count=count),
    )
    start = time.process_time()
    json.loads(store.manifest.read_bytes())
    bare_s = time.process_time() - start
    start = time.process_time()
    assert len(read_manifest(store).jobs) == count
    assert time.process_time() - start < 3 * bare_s + 0.5


def test_utc_is_what_comes_back(store):
    assert read_manifest(store).created_at.tzinfo == UTC


class TestManifestFile:
    """The manifest in the hands of a process that changes it several times."""

    @pytest.fixture
    def file(self, store):
        write_manifest(store, full_manifest())
        return ManifestFile(store)

    def test_it_is_read_again_only_where_another_has_written_it(self, store, file):
        first = file.read()
        assert file.read() is first
        other = read_manifest(store)
        other.current_cycle = 1
        write_manifest(store, other)
        assert file.read().current_cycle == 1

    def test_what_it_writes_it_need_not_read(self, store, file):
        with file.changing() as manifest:
            manifest.current_cycle = 1
            file.write(manifest)
        assert file.read() is manifest
        assert read_manifest(store).current_cycle == 1

    def test_a_change_that_failed_is_forgotten(self, file):
        before = file.read().current_cycle

        def change():
            with file.changing() as manifest:
                manifest.current_cycle = before + 1
                raise StoreError("the disk is full")

        with pytest.raises(StoreError):
            change()
        assert file.read().current_cycle == before

    def test_one_that_is_gone_is_said(self, store, file):
        file.read()
        store.manifest.unlink()
        with pytest.raises(ManifestError, match="can't be read"):
            file.read()
