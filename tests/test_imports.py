"""Heavy libraries stay off the paths that don't need them."""

import json
import subprocess
import sys

import pytest

from tests.support.queues import job
from tests.support.world import write_config

HEAVY = {"sky", "polars", "duckdb", "pandas", "pyarrow", "pydantic", "rich", "yaml", "jinja2", "numpy"}


def loaded_by(code: str, *args: str) -> set[str]:
    """Run code in a clean interpreter and say which heavy modules it loaded."""
    tail = "import sys; print('LOADED', *sys.modules)"
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\n{tail}"
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, timeout=60)
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("LOADED"), done.stderr
    return HEAVY & set(last.split())


def test_import_fmon_loads_nothing_heavy():
    assert loaded_by("import fmon") == set()


def test_help_loads_nothing_heavy_but_rich():
    assert loaded_by("from fmon.cli.entry import main; main()", "--help") <= {"rich"}


def test_poll_with_nothing_open_loads_nothing_heavy(tmp_path):
    assert loaded_by("from fmon.cli.entry import main; main()", "poll", "--data", str(tmp_path)) == set()


def test_a_quiet_poll_loads_pyarrow_and_nothing_else_heavy(tmp_path):
    queue = tmp_path / "queue.json"
    queue.write_text(json.dumps([job(1, "sam3-dice_ce")]))
    where = ["--queue", f"file:{queue}", "--data", str(tmp_path / "data")]
    adopt = [sys.executable, "-m", "fmon", "adopt", str(write_config(tmp_path)), *where]
    subprocess.run(adopt, check=True, capture_output=True)
    loaded = loaded_by("from fmon.cli.entry import main; main()", "poll", *where)
    assert loaded - {"numpy"} == {"pyarrow"}


@pytest.mark.slow
def test_only_the_poll_that_compares_variables_loads_yaml(tmp_path):
    queue = tmp_path / "queue.json"
    recorded = {"user_yaml": "envs: {MODEL: sam3, LOSS: dice_ce}", "entrypoint": "sky jobs launch t.yaml"}
    queue.write_text(json.dumps([job(1, "sam3-dice_ce", **recorded)]))
    where = ["--queue", f"file:{queue}", "--data", str(tmp_path / "data")]
    adopt = [sys.executable, "-m", "fmon", "adopt", str(write_config(tmp_path)), *where]
    subprocess.run(adopt, check=True, capture_output=True)
    call = "from fmon.cli.entry import main; main()"
    assert loaded_by(call, "poll", *where) - {"numpy"} == {"pyarrow", "yaml"}
    assert loaded_by(call, "poll", *where) - {"numpy"} == {"pyarrow"}


@pytest.mark.parametrize("name", ["connect", "__version__"])
def test_the_public_names_are_there(name):
    import fmon

    assert getattr(fmon, name)
    assert name in dir(fmon)
