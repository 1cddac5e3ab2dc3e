"""Every phase behind every rule it stands behind: it refuses with the rule's code and changes nothing."""

from collections.abc import Callable
from functools import cache
from pathlib import PurePath

import pytest

from fmon.diagnose.diagnose import diagnose
from fmon.errors import RuleError
from fmon.events import DiagnosedCause, DiagnosisEvent
from fmon.fix.plan import fix_plan
from fmon.fix.steps import record, run_commands, verify
from fmon.store.events import append_event
from fmon.warehouse import connect, typed_rows
from tests.support.relaunching import OLD, Repository, Stage
from tests.support.world import CONDITIONS

FAILED = CONDITIONS[2:]

GUARDS = {
    "diagnose": (1, 2),
    "fix plan": (1, 2),
    "fix record": (1, 2),
    "fix run": (1, 2),
    "fix verify": (1, 2),
    "relaunch": (1, 2, 3, 4, 5),
}
"""The rules that each phase calls before it acts. ``fix verify`` measures F3 and writes down what it saw."""


def all_is_well(world: Repository) -> None:
    """Two failed, were diagnosed and fixed."""
    world.launch()
    world.end(FAILED)
    world.diagnose()
    world.fix()


def open_job(world: Repository) -> None:
    """All is well but for one job that still runs."""
    world.launch()
    world.end(FAILED, running=CONDITIONS[:1])
    diagnose_in_spite_of_it(world)
    world.fix()


def diagnose_in_spite_of_it(world: Repository) -> None:
    """Record a full diagnosis, as if no rule had been asked."""
    con = connect(world.data, queries=("from failure",))
    causes = typed_rows(
        con,
        "select root_cause_id, any_value(category) as category, any_value(remedy) as remedy, "
        "any_value(confidence) as confidence, list(job_id) as job_ids, list(condition_id) as condition_ids "
        "from failure where is_newest group by root_cause_id",
        DiagnosedCause,
    )
    event = DiagnosisEvent(
        at=world.server.clock(), cycle=0, is_preliminary=False, failed_count=2, causes=causes
    )
    append_event(world.store, event)


def nobody_looked(world: Repository) -> None:
    """All is well but for the failures, which nobody has examined."""
    world.launch()
    world.end(FAILED, is_examined=False)
    diagnose_in_spite_of_it(world)
    world.fix()


def stale_image(world: Repository) -> None:
    """All is well but for the image, which nobody has pushed."""
    world.launch()
    world.end(FAILED)
    world.diagnose()
    world.fix(OLD)


def third_cycle(world: Repository) -> None:
    """All is well, and it would be the third relaunch."""
    world.launch()
    world.end(FAILED)
    for number in (1, 2):
        world.cycle(FAILED, number)
    world.diagnose()
    world.fix("sha256:" + "3" * 64)


def second_job(world: Repository) -> None:
    """All is well but for a second job of one condition, which somebody has launched beside fmon."""
    world.launch()
    world.server.add(CONDITIONS[0])
    world.end(FAILED)
    world.diagnose()
    world.fix()


NOTES = ("unexamined", ".examine.lock", ".examine.lock.queue", "findings.parquet", ".kill_switch")
"""What an examination leaves in a store."""

STATES: dict[int, Callable[[Repository], None]] = {
    0: all_is_well,
    1: open_job,
    2: nobody_looked,
    3: stale_image,
    4: third_cycle,
    5: second_job,
}


def call(world: Repository, phase: str) -> None:
    """Call a phase as its command does."""
    study, clock = world.study, world.server.clock
    if phase == "diagnose":
        # With time to examine it would make good what F2 refuses.
        diagnose(study, logs=world.logs, now=clock(), examine_s=0)
    elif phase == "fix plan":
        fix_plan(study)
    elif phase == "fix record":
        record(study, "code_bug/x", what="mended", by="ada", now=clock())
    elif phase == "fix run":
        list(run_commands(study, clock=world.server.time))
    elif phase == "fix verify":
        verify(study, now=clock(), ask=world.digest_of)
    else:
        world.relaunch()


def judged_files(world: Repository, phase: str, rule: int) -> dict[str, bytes]:
    """Give all files but what a phase may note before a rule is asked.

    A diagnosis examines before F2, and may note how far it came; a relaunch asks the queue, which is a poll.
    """
    files = world.files()
    if phase == "relaunch":
        return {path: content for path, content in files.items() if PurePath(path).parent.name != "log"}
    if (phase, rule) == ("diagnose", 2):
        return {path: content for path, content in files.items() if PurePath(path).name not in NOTES}
    return files


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Give the state that violates a rule, 0 = none, made once and put back for every phase."""

    @cache
    def stage(rule: int) -> Stage:
        world = Repository(tmp_path_factory.mktemp("world"))
        STATES[rule](world)
        return Stage(world)

    return lambda rule: stage(rule).again()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "rule"), [(phase, rule) for phase, rules in GUARDS.items() for rule in rules]
)
def test_each_rule_of_a_phase_refuses_without_changing_a_file_or_job(state, phase, rule):
    world = state(rule)
    files, jobs = judged_files(world, phase, rule), world.jobs()
    with pytest.raises(RuleError) as refusal:
        call(world, phase)
    assert (refusal.value.rule, refusal.value.exit_code) == (rule, 20 + rule)
    assert judged_files(world, phase, rule) == files
    assert world.jobs() == jobs


@pytest.mark.parametrize("phase", GUARDS)
def test_without_a_violation_no_rule_refuses(state, phase):
    """Else the states above might be refused for something that all of them share."""
    world = state(0)
    if phase == "fix record":
        (cause,) = world.events("diagnosis")[0]["causes"]
        record(world.study, cause["root_cause_id"], what="mended", by="ada", now=world.server.clock())
    else:
        call(world, phase)
    assert world.launched(1) == (sorted(FAILED) if phase == "relaunch" else [])
