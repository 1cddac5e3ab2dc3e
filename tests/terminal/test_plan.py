"""A plan on a terminal and in a pipe."""

import json
import re
from dataclasses import replace

from fmon.launch.plan import Plan
from fmon.launch.preflight import Check
from fmon.terminal.lines import plain
from fmon.terminal.plan import plan_lines, print_plan
from tests.support.screens import HOSTILE

PLAN = Plan(
    experiment_name="study",
    config_file="experiment.yaml",
    skypilot_yaml="train.yaml",
    factors={"model": ["dynunet", "sam3"], "calib": [True, False]},
    inner_factors={"post": ["none", "crf"]},
    grid_count=4,
    excluded_count=1,
    baseline_count=2,
    condition_count=5,
    inner_count=6,
    expected_h=2.5,
    cost_usd=3.25,
    price_sources=["config"],
    unpriced_count=2,
    checks=[Check("task", "ok", "fine"), Check("budget", "fail", f"too dear {HOSTILE}")],
)


def test_says_what_fails_first_then_counts_cost_and_levels(capsys):
    print_plan(PLAN, "table")
    out = capsys.readouterr().out
    assert out.startswith("fail  too dear [bold]")
    assert "5 conditions = 4 grid cells - 1 excluded + 2 baselines; 6 evaluations" in out
    assert "est. $3.25 (2 conditions without price or expected time), 2.5 h" in out
    assert re.search(r"calib +2 +true, false", out)
    assert "\x1b" not in out


def test_a_narrow_terminal_folds_the_levels():
    plan = replace(PLAN, factors={"model": [f"level-{n}" for n in range(15)]}, checks=[])
    lines = [plain(each) for each in plan_lines(plan, width=60)]
    header = next(number for number, each in enumerate(lines) if each.startswith("factor"))
    assert max(map(len, lines[header:])) <= 60
    assert all(f"level-{n}" in " ".join(lines) for n in range(15))


def test_json_is_one_object_with_the_checks(capsys):
    print_plan(PLAN, "json")
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["checks"][0] == {"name": "task", "result": "ok", "sentence": "fine"}
    assert plan["factors"]["calib"] == [True, False]
