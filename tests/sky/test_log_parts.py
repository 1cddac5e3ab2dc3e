# ruff: noqa: E501 -- lines of logs are easier to read in one line
"""The parts of a log: which lines are whose, and what is no log at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.sky.log_parts import controller_part_of, is_silent, no_log, part_of, tasks_in
from tests.support.parts import HINT, STARTED, heading, parts

PREP = "FileNotFoundError: no cache\nbuilding it\n"
ENDED = "✓ Job finished (status: FAILED).\n"


def lines(part):
    return [line for line in part.text.split("\n") if line]


class TestAfterTheEnd:
    """The job has ended: each part has a heading and a closing line."""

    def test_each_task_has_the_lines_below_its_heading_with_their_numbers(self):
        text = parts(PREP, "KeyError: 1\n")
        part = part_of(text, 1)
        assert lines(part) == ["KeyError: 1"]
        assert part.text.split("\n").index("KeyError: 1") == text.split("\n").index("KeyError: 1")
        assert lines(part_of(text, 0)) == PREP.splitlines()
        assert tasks_in(text) == {0, 1}

    def test_what_is_shown_has_the_heading_and_the_end(self):
        shown = part_of(parts(PREP, "KeyError: 1\n\n"), 1).shown.splitlines()
        assert (shown[0], shown[-3:]) == (
            "=== Task t1(1) ===",
            ["KeyError: 1", "", "✓ Task t1(1) finished (status: FAILED)."],
        )

    def test_the_mark_is_removed_from_a_line_that_the_program_did_not_end(self):
        assert lines(part_of(parts(PREP, "KeyError: 1"), 1)) == ["KeyError: 1"]

    def test_a_task_without_a_name_is_known_by_its_number(self):
        assert lines(part_of(f"{HINT}=== Task 0 ===\na\n=== Task 1 ===\nb\n", 1)) == ["b"]

    def test_a_name_with_brackets_and_numbers_is_not_the_number(self):
        assert lines(part_of(f"{HINT}=== Task a(7).b(1) ===\na\n=== Task c(2) ===\nb\n", 1)) == ["a"]

    def test_without_the_hint_a_heading_in_the_first_line_is_enough(self):
        assert lines(part_of("\n=== Task a(0) ===\na\n=== Task b(1) ===\nb\n", 0)) == ["a"]

    def test_the_log_of_a_job_of_one_task_is_one_part(self):
        text = f"{STARTED}step 1\n=== Task b(1) ===\nValueError\n{ENDED}"
        assert part_of(text, 0).text == text
        assert part_of(text, 0).no_log_reason is None

    def test_a_task_that_printed_nothing_is_silent_though_another_did_not(self):
        part = part_of(parts(PREP, "srun: error: node1: task 0: Exited with exit code 3\n"), 1)
        assert (part.is_silent, part.no_log_reason) == (True, None)
        assert lines(part) == ["srun: error: node1: task 0: Exited with exit code 3"]
        assert not part_of(parts(PREP, "Killed\n"), 1).is_silent

    def test_a_task_without_a_heading_has_no_log(self):
        part = part_of(parts(PREP), 1)
        assert (part.no_log_reason, part.is_silent, lines(part), part.shown) == (
            "it has no part for this task", True, [], ""
        )  # fmt: skip

    def test_one_task_may_have_a_log_while_that_of_another_was_deleted(self):
        text = (
            f"{HINT}Task a(0) log has been cleaned at 2026-03-01 10:00:00.\n{heading(1)}KeyError: 1\n{ENDED}"
        )
        assert no_log(text) is None
        assert part_of(text, 0).no_log_reason == "SkyPilot has deleted it (at 2026-03-01 10:00:00)"
        assert lines(part_of(text, 1)) == ["KeyError: 1"]

    def test_one_task_may_have_a_log_while_that_of_another_cannot_be_read(self):
        failed = "W 03-02 10:00:00 utils.py:9] Failed to read logs for job 3 task 0 from the external log store: x\n"
        text = f"{HINT}=== Task t0(0) ===\n{failed}{heading(1)}KeyError: 1\n"
        assert part_of(text, 0).no_log_reason == "it was sent to an external log store"
        assert part_of(text, 1).no_log_reason is None

    def test_after_a_cut_the_closing_line_assigns_the_lines_to_its_task(self):
        cut = "[fmon: 100 bytes left out here]\n"
        text = f"{HINT}{heading(0)}first\n{cut}last of 1\n✓ Task t1(1) finished (status: FAILED).\n{heading(2)}c\n"
        assert [lines(part_of(text, task)) for task in (0, 1, 2)] == [
            ["first", cut.strip()], ["last of 1"], ["c"]
        ]  # fmt: skip

    @given(
        st.lists(
            st.sampled_from(["a\n", "KeyError\n", "\n", heading(0), heading(1), ENDED, "x"]), max_size=12
        )
    )
    def test_no_line_is_two_tasks_and_no_number_changes(self, pieces):
        text = HINT + heading(0) + "".join(pieces)
        found = [part_of(text, task).text.split("\n") for task in (0, 1)]
        assert [len(each) for each in found] == [text.count("\n") + 1] * 2
        assert not any(one and other for one, other in zip(*found, strict=True))


class TestBeforeTheEnd:
    """The job goes on: SkyPilot shows one task after another, without headings."""

    def test_the_part_that_ended_in_a_failure_is_the_failed_tasks(self):
        text = f"{HINT}{STARTED}{PREP}✓ Job finished (status: SUCCEEDED).\n\n{STARTED}KeyError: 1\n{ENDED}"
        assert lines(part_of(text, 1)) == ["KeyError: 1"]
        assert no_log(text) is None

    def test_the_log_of_a_task_that_runs_is_not_that_of_the_failed_one(self):
        text = f"{HINT}{STARTED}step 1\n"
        assert no_log(text) == "SkyPilot shows the log of another task until the job has ended"
        part = part_of(text, 0)
        assert (part.no_log_reason, lines(part)) == (no_log(text), [])


class TestController:
    PIPELINE = (
        "Loaded DAG\nProcessing task 0/1: prep\nStarting task 0 (prep) for job 3\nFileNotFoundError: caught\n"
        "Task 0 completed in 9.0s with success=True\nI 03-02 10:01:00.1 PID=7 controller.py:57] Processing task 1/1: "
        "train\nStarting task 1 (train) for job 3\nno H100\n"
    )
    GROUP = (
        "Running as Job Group with 2 parallel jobs\nPhase 1\nTask 0 succeeded! Getting end time and cleaning up\n"
        "FileNotFoundError: caught\n== End of logs (ID: 3) ==\nTask 1 failed with status: JobStatus.FAILED\n"
        "KeyError: 1\n== End of logs (ID: 3) ==\nno H100\n"
    )

    def test_in_a_pipeline_a_tasks_part_begins_with_its_start(self):
        part = controller_part_of(self.PIPELINE, 1)
        assert "FileNotFoundError" not in part.text
        assert "no H100" in part.text
        assert "Loaded DAG" in part.text
        assert part.text.count("\n") == self.PIPELINE.count("\n")
        assert "no H100" not in controller_part_of(self.PIPELINE, 0).text

    def test_in_a_group_only_the_copies_of_the_logs_are_distinguished(self):
        part = controller_part_of(self.GROUP, 1)
        assert "FileNotFoundError" not in part.text
        assert "KeyError: 1" in part.text
        assert "no H100" in part.text
        assert "KeyError: 1" not in controller_part_of(self.GROUP, 0).text

    def test_a_task_that_it_does_not_name_has_no_part(self):
        assert controller_part_of(self.GROUP, 2).no_log_reason == "it has no part for this task"
        assert controller_part_of(self.PIPELINE, 1).no_log_reason is None

    def test_the_controller_of_a_job_of_one_task_has_one_part(self):
        text = "Processing task 0/0: a\nStarting task 0 (a) for job 3\nno H100\n"
        assert lines(controller_part_of(text, 0)) == ["no H100"]
        assert controller_part_of(text, 0).shown == text
        assert controller_part_of("starting\n", 0).no_log_reason is None
        assert controller_part_of("", 0).no_log_reason == "it is empty"

    def test_the_cleanup_after_each_job_is_not_evidence(self):
        text = "Task 0 failed, stopping execution\nCluster(s) not found: a-3.\na-3 is down\n"
        assert lines(controller_part_of(text, 0)) == ["Task 0 failed, stopping execution", "a-3 is down"]


DELETED = "Task train(0) log has been cleaned at 2026-01-01 00:00:00.\n✓ Job finished (status: FAILED).\n"
TERMINAL = (
    "Job 5 is already in terminal state FAILED. For more details, run: sky jobs logs --controller 5\n"
    "Failure reason: no H100 anywhere\nin any zone\n"
)
EXTERNAL = (
    "No logs found for job 5 in the external log store. The logs may be outside the store's retention window "
    "or were never captured. For controller logs, run: sky jobs logs --controller 5\nFailure reason: None"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        ("✓ Job finished (status: FAILED).\n", "it is empty"),
        (STARTED, "it has no output and no end"),
        ("Job 7 not found.", "SkyPilot does not know the job"),
        (DELETED, "SkyPilot has deleted it (at 2026-01-01 00:00:00)"),
        (HINT + DELETED, "SkyPilot has deleted it (at 2026-01-01 00:00:00)"),
        ("Controller log has been cleaned at 2026-01-01 00:00:00.\n", "SkyPilot has deleted it (at 2026-01-01 00:00:00)"),
        (TERMINAL, "SkyPilot has no log of it"),
        (EXTERNAL, "it was sent to an external log store"),
        (HINT + EXTERNAL, "it was sent to an external log store"),
        ("Logs were forwarded to gs://logs/5 and are not kept.\n", "it was sent to an external log store"),
        ("Task a(0) log was deleted.\n", "SkyPilot has deleted it"),
        ("INFO: Waiting 1s for the logs to be written...\n", "it is not written yet"),
        ("ERROR: Logs for managed job 5 (status: INIT) does not exist after retrying 5 times.\n", "it is not written yet"),
        ("'sky.jobs.logs' request 1234 cancelled\n", "the request for it was cancelled"),
    ],
)  # fmt: skip
def test_what_skypilot_prints_instead_of_a_log_is_not_a_log(text, reason):
    assert no_log(text) == reason
    assert is_silent(text)
    if not text.startswith(HINT):
        assert no_log("an error\n" + text) is None


@pytest.mark.parametrize(
    "line", ["Job 10's logs were removed after 7 days.", "The log file is no longer available (retention)."]
)
def test_the_wording_of_another_release_is_not_a_log_unless_a_program_was_started(line):
    assert no_log(line + "\n" + ENDED) == f"SkyPilot printed: {line}"
    assert no_log(STARTED + line + "\n" + ENDED) is None
    assert part_of(parts(PREP, line + "\n"), 1).no_log_reason is None
    assert not is_silent(STARTED + line + "\n")


def test_a_job_that_never_printed_is_silent():
    assert is_silent(STARTED + ENDED)
    assert no_log(STARTED + ENDED) is None
    assert not is_silent(STARTED + "hello\n" + ENDED)
