"""The batch plan of a fix: an order per root cause, and what comes after all of them."""

import pytest

from fmon.fix.plan import fix_plan
from fmon.fix.steps import record
from fmon.sky.reader import LogRequest
from fmon.study import Study
from fmon.terminal.fix_plan import fix_plan_lines
from fmon.terminal.lines import plain
from tests.support.fixing import CONFIG, OOM, diagnosed
from tests.support.relaunching import OUTAGE, Repository
from tests.support.studies import job, study
from tests.support.world import CONDITIONS, write_config


@pytest.fixture
def world(tmp_path):
    return Repository(tmp_path)


def planned(world, **options):
    """Both jobs of sam3 have failed; diagnosed."""
    world.launch()
    world.end(CONDITIONS[2:], **options)
    world.diagnose()
    return fix_plan(world.study)


@pytest.mark.slow
def test_an_order_says_what_to_do_whom_it_touches_and_what_comes_next(world):
    (world.project / "train.py").write_text("x = {}\n")
    plan = planned(world)
    (order,) = plan.orders
    assert order.affected_files == order.files == ["train.py"]
    assert order.condition_ids == list(CONDITIONS[2:])
    assert order.test_command == plan.verify["tests"] == "test -f fixed"
    assert order.could_break.endswith(
        "all 2 that succeeded run the same code and are not relaunched: make sure that the tests cover them"
    )
    assert order.steps[-1] == f"fmon fix record {order.root_cause_id} --what '...'"
    assert not order.needs_person
    assert order.needs_record
    assert sorted(plan.rerun) == sorted(CONDITIONS[2:])
    assert plan.steps == [
        "git commit: the fixes of all causes in one commit",
        "fmon fix run",
        "fmon fix verify",
        "fmon relaunch --dry-run",
    ]


@pytest.mark.slow
def test_where_a_relaunch_alone_may_do_nothing_is_to_be_built(world):
    plan = planned(world, log=OUTAGE)
    assert plan.steps == ["fmon fix verify", "fmon relaunch --dry-run"]
    assert not plan.orders[0].needs_record
    assert plan.orders[0].could_break == "nothing: a relaunch does not affect the 2 that succeeded"
    assert plan.orders[0].transience.startswith("not shown to be transient")


@pytest.mark.slow
def test_where_nothing_is_changed_nothing_is_to_be_committed_and_the_reason_is_shown(world):
    (order,) = planned(world).orders
    now = world.server.clock()
    record(world.study, order.root_cause_id, what="a bad node", is_without_fix=True, by="ada", now=now)
    plan = fix_plan(world.study)
    assert plan.steps == ["fmon fix verify", "fmon relaunch --dry-run"]
    text = [plain(line).strip() for line in fix_plan_lines(plan, width=100)]
    assert "done        relaunched without a fix: a bad node (ada)" in text


@pytest.mark.slow
def test_what_needs_a_person_says_so_and_is_run_again_only_once_it_is_recorded(world):
    missing = "FileNotFoundError: [Errno 2] No such file or directory: 'splits/fold1.json'\n"
    plan = planned(world, log=missing)
    (order,) = plan.orders
    assert order.needs_person
    assert "fmon issues" in order.steps
    assert plan.rerun == []
    record(world.study, order.root_cause_id, what="pushed", by="ada", now=world.server.clock())
    again = fix_plan(world.study)
    assert sorted(again.rerun) == sorted(CONDITIONS[2:])
    assert [done.what for done in again.orders[0].recorded] == ["pushed"]


@pytest.mark.slow
def test_succeeded_conditions_of_the_same_levels_are_counted(tmp_path):
    config = write_config(tmp_path, CONFIG)
    store = study(
        tmp_path / "data", {"model": ["dynunet", "sam3"], "fold": list(range(8))}, config_file=str(config)
    )
    ids = range(1, 17)
    failed = {1, *range(9, 16)} | {16}
    records = [job(n, "FAILED" if n in failed else "SUCCEEDED") for n in ids]
    diagnosed(store, records, {LogRequest(n): OOM for n in failed})
    (order,) = fix_plan(Study(store)).orders
    assert order.bystanders == []
    assert order.could_break.startswith("none with model=sam3, or with one of these levels")


@pytest.mark.slow
def test_a_file_outside_of_the_project_is_not_looked_for(world):
    log = (
        "Traceback (most recent call last):\n"
        '  File "../../../secret/train.py", line 3, in <module>\n'
        "KeyError: 'lora'\n"
    )
    (world.project / "train.py").write_text("x")
    assert planned(world, log=log).orders[0].files == []


@pytest.mark.slow
def test_hostile_text_of_a_log_does_not_steer_the_terminal(world):
    plan = planned(world, log="ValueError: \u202eevil\x9b2J [bold]\n")
    text = "".join(plain(each) for each in fix_plan_lines(plan, width=100))
    assert "ValueError: evil [bold]" in text
    assert text.isprintable()
