"""The notebooks run from a clean kernel over real stores, and none has an output stored."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from fmon.monitor.replay import replay
from tests.support import ROOT
from tests.support.recordings import write_recording

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FILE = "FileNotFoundError: [Errno 2] No such file or directory: 'centrelines/fold1.json'"
JUPYTER = Path(sys.executable).with_name("jupyter-execute")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The demo, and the same grid again: memory suffices now, the file of the first fold is still missing."""
    folder = tmp_path_factory.mktemp("notebooks")
    replay(ROOT / "data/demo", folder / "data")
    config = (ROOT / "data/demo/experiment.yaml").read_text().replace("H100", "L4")
    config = config.replace("debug_factorial", "debug_again", 1)
    start = datetime(2026, 12, 1, 5, tzinfo=UTC)

    def died_of(levels):
        return FILE if (levels["model_family"], levels["fold"]) == ("segresnet", "1") else None

    replay(write_recording(folder / "again", config, start, died_of), folder / "data")
    return folder / "data"


def executed(path: Path, data: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook as Jupyter does: a new kernel, in the notebook's folder."""
    out = folder / path.name
    env = {**os.environ, "FMON_DATA": str(data), "PLOOMBER_STATS_ENABLED": "false"}
    command = [JUPYTER, "--timeout", "120", "--output", out, path]
    done = subprocess.run(command, cwd=path.parent, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(out, as_version=4)


def shown(notebook: nbformat.NotebookNode) -> str:
    """Gather what the cells print and give, and the data of the charts."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return "\n".join(json.dumps(output.get("data", output.get("text", ""))) for output in outputs)


def charts(notebook: nbformat.NotebookNode) -> list[dict]:
    """Gather the charts as Vega-Lite, out of the HTML that altair makes of them."""
    pages = [
        output.get("data", {}).get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    found = [re.search(r'\}\)\((\{.*\}), \{"mode": "vega-lite"\}\);', page) for page in pages]
    return [json.loads(chart[1]) for chart in found if chart]


@pytest.mark.slow
def test_coverage_runs_from_a_clean_kernel(data, tmp_path):
    notebook = executed(ROOT / "notebooks/coverage.ipynb", data, tmp_path)
    text = shown(notebook)
    assert "debug_again-20261201T050100Z" in text
    assert "segresnet-dice_ce_cldice-1" in text
    assert "data_missing" in text
    drawn = charts(notebook)
    assert len(drawn) == 3
    [matrix] = [rows for rows in drawn[1]["datasets"].values() if "row_level" in rows[0]]
    counts = {(row["row_level"], row["column_level"]): row["succeeded_count"] for row in matrix}
    assert counts["segresnet", "dice_ce"] == 2
    assert len(counts) == 6
    [levels] = drawn[2]["datasets"].values()
    assert {row["factor"] for row in levels} == {"model_family", "loss_name", "fold"}
    assert all(row["usd"] > 0 for row in levels)


@pytest.mark.slow
def test_post_mortem_runs_from_a_clean_kernel_and_compares(data, tmp_path):
    notebook = executed(ROOT / "notebooks/post_mortem.ipynb", data, tmp_path)
    text = shown(notebook)
    for expected in (
        "centrelines/fold1.json",
        "recovered",
        "regressed",
        "fixed",
        "new",
        "model_family=segresnet",
    ):
        assert expected in text
    assert len(charts(notebook)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_single_experiment_without_failures_is_no_error(path, tmp_path):
    config = "experiment_name: calm\nskypilot_yaml: t.yaml\nfactors: {a: [1, 2], b: [x]}\n"
    replay(
        write_recording(tmp_path / "r", config, datetime(2026, 5, 1, tzinfo=UTC), lambda _: None),
        tmp_path / "data",
    )
    assert "calm-20260501T000100Z" in shown(executed(path, tmp_path / "data", tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_both_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["coverage", "post_mortem"]
