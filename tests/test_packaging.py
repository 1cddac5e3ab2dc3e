"""Wheel and editable install both bring the views, from any folder."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow

LIST_VIEWS = """
import pathlib, sys
sys.path[:0] = sys.argv[1:]
import fmon, fmon.sql
from importlib.resources import files
print(pathlib.Path(fmon.__file__).parent)
print(sorted(p.name for p in files("fmon.sql").iterdir() if p.name.endswith(".sql")))
shipped = ("events.schema.json", "manifest.schema.json", "py.typed")
print(*[(files("fmon") / name).is_file() for name in shipped])
"""


def views_listed(python: Path | str, folder: Path) -> str:
    """List the views as a Python in another folder sees them."""
    done = subprocess.run(
        [str(python), "-c", LIST_VIEWS], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_an_editable_install_finds_the_views(tmp_path):
    said = views_listed(sys.executable, tmp_path)
    assert str(ROOT / "fmon") in said
    assert str(sorted(path.name for path in (ROOT / "sql").glob("*.sql"))) in said
    assert "True True True" in said


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, capture_output=True, timeout=300, check=True)
    return next(out.glob("*.whl"))


def test_a_wheel_brings_the_views_and_no_tests(wheel, tmp_path):
    """Installed without dependencies: the views are files, listing them needs none."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    uv = Path(sys.executable).parent / "uv"
    install = [str(uv), "pip", "install", "-q", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(install, capture_output=True, timeout=120, check=True)
    said = views_listed(python, tmp_path)
    assert str(tmp_path / "venv") in said
    assert str(sorted(path.name for path in (ROOT / "sql").glob("*.sql"))) in said
    assert "True True True" in said
    top = {path.name.split("-")[0] for path in (tmp_path / "venv/lib").glob("python3*/site-packages/*")}
    assert top <= {"fmon", "_virtualenv.py", "_virtualenv.pth", "__pycache__"}
