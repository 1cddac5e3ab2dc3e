"""How fmon run ends: what a parent batch reads."""

import json

import pytest

from fmon.cli.options import Output
from fmon.cli.run import conclude, print_conclusion
from fmon.monitor.replay import replay
from fmon.monitor.status import QUERIES, exit_status, status
from fmon.warehouse import connect
from tests.support import ROOT

pytestmark = pytest.mark.slow


def test_it_prints_summary_causes_and_reports_as_one_json_object(tmp_path, capsys):
    replay(ROOT / "data/demo", tmp_path / "data")
    seen = status(connect(tmp_path / "data", queries=QUERIES))
    print_conclusion(conclude(tmp_path / "data", seen, tmp_path / "reports"), Output.json)
    told = json.loads(capsys.readouterr().out)
    assert told["experiment_id"] == seen.experiment_id
    assert (
        told["experiment_summary"]["succeeded"],
        told["experiment_summary"]["failed"],
        exit_status(seen),
    ) == (11, 7, 4)
    assert {cause["root_cause_id"].split("/")[0] for cause in told["causes"]} == {
        "cuda_oom",
        "import_error",
        "data_missing",
    }
    assert told["html"].endswith(".html")
