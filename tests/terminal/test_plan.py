"""A plan on a terminal and in a pipe."""

import json
import re
from dataclasses import replace

from fmon.launch.check import Check
from fmon.launch.plan import Cost, Counts, Plan, PlannedCondition
from fmon.terminal.lines import plain
from fmon.terminal.plan import plan_lines, print_plan
from tests.support.screens import HOSTILE

CONDITION = PlannedCondition(
    condition_id="sam3-true",
    job_name="sam3-calibtrue",
    envs={"MODEL": "sam3", "NOTE": HOSTILE},
    resources={"use_spot": False},
    expected_minutes=30,
    estimated_usd=0.35,
)
PLAN = Plan(
    experiment_name="study",
    config_file="experiment.yaml",
    skypilot_yaml="train.yaml",
    factors={"model": ["dynunet", "sam3"], "calib": [True, False]},
    inner_factors={"post": ["none", "crf"]},
    study_file=None,
    defaults={},
    unused_keys=[],
    counts=Counts(condition=5, grid=4, excluded=1, baseline=2, inner=6),
    cost=Cost(
        estimated_usd=3.25,
        expected_h=2.5,
        wall_clock_h=1.25,
        parallel_jobs=2,
        price_sources=["config"],
        unpriced_count=2,
    ),
    checks=[Check("task", "ok", "fine"), Check("budget", "fail", f"too dear {HOSTILE}")],
    conditions=[CONDITION],
)


def test_the_grid_comes_first_then_the_checks_failed_ones_first_then_the_cost(capsys):
    print_plan(PLAN, "table", with_conditions=False)
    out = capsys.readouterr().out
    assert out.startswith(
        "study: 5 conditions = 4 grid cells - 1 excluded + 2 baselines; 6 evaluations inside the jobs\n"
    )
    assert re.search(r"calib +2 +true, false", out)
    assert re.search(r"post +2 +none, crf +inside each job", out)
    order = [out.index(words) for words in ("calib", "fail  too dear [bold]", "ok    fine", "est. $3.25")]
    assert order == sorted(order)
    assert "\x1b" not in out


def test_the_cost_has_its_hours_and_its_sources(capsys):
    print_plan(PLAN, "table", with_conditions=False)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "est. $3.25 (2 conditions without price or expected time), 2.5 h of run time, "
        "1.2 h of wall clock with 2 at a time, prices from config"
    )
    print_plan(replace(PLAN, cost=replace(PLAN.cost, parallel_jobs=None)), "table", with_conditions=False)
    assert "1.2 h of wall clock with all at the same time" in capsys.readouterr().out


def test_conditions_are_printed_on_request_between_counts_and_checks(capsys):
    print_plan(PLAN, "table", with_conditions=False)
    assert "sam3-calibtrue" not in capsys.readouterr().out
    other = replace(
        CONDITION, job_name="dynunet-calibtrue", envs=CONDITION.envs | {"MODEL": "dynunet"}, resources={}
    )
    print_plan(replace(PLAN, conditions=[CONDITION, other]), "table", with_conditions=True)
    out = capsys.readouterr().out
    assert "\nevery job: NOTE=" in out
    assert re.search(r"\nsam3-calibtrue +MODEL=sam3 use_spot=False\n", out)
    assert re.search(r"\ndynunet-calibtrue +MODEL=dynunet\n", out)
    assert out.index("calib") < out.index("sam3-calibtrue") < out.index("fail  too dear")
    assert "\x1b" not in out


def test_defaults_and_unused_keys_are_listed_once(capsys):
    plan = replace(PLAN, defaults={"fixed.max_epochs": "50", "fixed.batch_size": "2"}, unused_keys=["a", "b"])
    print_plan(plan, "table", with_conditions=True)
    lines = capsys.readouterr().out.splitlines()
    assert "defaults, not set in experiment.yaml: fixed.max_epochs=50, fixed.batch_size=2" in lines
    assert "not used by fmon: a, b" in lines


def test_defaults_are_those_of_the_file_in_the_studys_form(capsys):
    print_plan(replace(PLAN, defaults={"a": "1"}, study_file="study.yaml"), "table", with_conditions=False)
    assert "defaults, not set in study.yaml: a=1" in capsys.readouterr().out.splitlines()


def test_a_narrow_terminal_folds_the_levels():
    plan = replace(PLAN, factors={"model": [f"level-{n}" for n in range(15)]}, checks=[])
    lines = [plain(each) for each in plan_lines(plan, with_conditions=False, width=60)]
    header = next(number for number, each in enumerate(lines) if each.startswith("factor"))
    end = lines.index("", header)
    assert max(map(len, lines[header:end])) <= 60
    assert all(f"level-{n}" in " ".join(lines) for n in range(15))


def test_json_is_one_object_with_checks_conditions_and_the_next_command(capsys):
    print_plan(PLAN, "json", with_conditions=False)
    plan = json.loads(capsys.readouterr().out)
    assert plan["checks"][0] == {"name": "task", "result": "ok", "message": "fine"}
    assert plan["factors"]["calib"] == [True, False]
    assert plan["counts"] == {"condition": 5, "grid": 4, "excluded": 1, "baseline": 2, "inner": 6}
    assert plan["cost"]["estimated_usd"] == 3.25
    assert plan["next"] == "fmon plan experiment.yaml"
    (condition,) = plan["conditions"]
    assert set(condition) == {
        *("condition_id", "job_name", "envs", "resources", "expected_minutes", "estimated_usd"),
    }
    assert condition["envs"]["MODEL"] == "sam3"


def test_the_next_command_launches_once_no_check_fails(capsys):
    print_plan(replace(PLAN, checks=PLAN.checks[:1]), "json", with_conditions=False)
    assert json.loads(capsys.readouterr().out)["next"] == "fmon launch experiment.yaml"
