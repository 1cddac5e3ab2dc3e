# ruff: noqa: E501
"""Every reason that SkyPilot 0.14 can write is classified, or is the evidence of an unknown cause."""

import ast
import json
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import fmon.causes
from fmon.causes import analyze_logs
from fmon.causes.decide import read_reason
from fmon.causes.reason import is_closing, reason_of
from fmon.causes.rules import built_in_for_reasons

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "corpus/reasons.jsonl").read_text(encoding="utf-8").splitlines()
]
SEE = "(user program failure). To see the details, run: sky jobs logs --controller 7"
STEPS = "epoch 1\nepoch 2\n"
OWN = "ERROR: Job 1 failed with return code list: [3] \n✓ Job finished (status: FAILED).\n"


def said(row):
    return row["failure_reason"] or row["details"]


def found(row, log=""):
    return analyze_logs(log, row["status"], failure_reason=said(row))


@pytest.mark.parametrize("log", ["", STEPS], ids=["without a log", "behind steps"])
@pytest.mark.parametrize("row", ROWS, ids=said)
def test_a_reason_is_classified_or_kept(row, log):
    info = found(row, log)
    assert "/".join(filter(None, [info.category, info.subcategory])) == row["cause"]
    assert info.exit_code == row.get("exit_code")
    is_last_line = reason_of(said(row)).is_general and info.category == "unknown" and log
    assert info.source == ("log" if is_last_line else "failure_reason")
    assert info.evidence


@cache
def words(path):
    """Return the texts in a source file of the installed SkyPilot; None if it is not installed."""
    spec = find_spec("sky")
    if spec is None or spec.origin is None:
        pytest.skip("SkyPilot is not installed")
    tree = ast.parse((Path(spec.origin).parent / path).read_text(encoding="utf-8"))
    return [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is str
    ]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=said)
def test_the_installed_skypilot_has_the_words_of_a_reason(row):
    assert any(row["says"] in each for each in words(row["source"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "count"), [("jobs/controller.py", 7), ("jobs/utils.py", 1), ("batch/coordinator.py", 0)]
)
def test_the_installed_skypilot_writes_a_reason_in_no_other_place(path, count):
    words(path)
    tree = ast.parse((Path(find_spec("sky").origin).parent / path).read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(each.arg == "failure_reason" for each in node.keywords)
    ]
    assert len(calls) == count


def test_different_unknown_reasons_are_different_causes():
    unknown = {said(row): found(row).root_cause_id for row in ROWS if row["cause"] == "unknown/reason"}
    assert len(set(unknown.values())) == len(unknown) > 5


@pytest.mark.parametrize(
    "reason",
    [
        "Batch {number} failed after 3 retries: lost",
        "Controller process has exited abnormally (Controller process is dead). Also, cleanup failed: Failed to "
        "terminate cluster {name}-{number}: [RuntimeError] boom. For more details, run: sky jobs logs --controller "
        "{number}",
        "pod sky-{name}-7f9d8c6b5-x2x4{number} was evicted at 2026-11-{number:02d}T03:04:05.{number}Z by the node's agent",
        '[sky.exceptions.InvalidClusterNameError] Cluster name "{name},{number}" is invalid; ensure ...',
    ],
)
def test_a_reason_is_one_cause_for_all_jobs_and_machines(reason):
    first, second = (
        analyze_logs("", "FAILED_CONTROLLER", failure_reason=reason.format(name=name, number=number))
        for name, number in (("dynunet-dice-f0", 12), ("sam3-cldice-f1", 3))
    )
    assert first.root_cause_id == second.root_cause_id


def test_without_a_log_or_a_reason_the_status_is_the_cause():
    setup, run = (analyze_logs("", status) for status in ("FAILED_SETUP", "FAILED"))
    assert setup.root_cause_id != run.root_cause_id
    assert (run.evidence, run.source) == (None, None)


@pytest.mark.parametrize("status", ["FAILED_CONTROLLER", "FAILED_PRECHECKS", "FAILED_NO_RESOURCE", "FAILED"])
def test_a_reason_that_no_rule_knows_wins_over_the_last_line_of_a_log(status):
    info = analyze_logs(STEPS, status, failure_reason="the moon is in the wrong house")
    assert (info.evidence, info.source) == ("the moon is in the wrong house", "failure_reason")


@pytest.mark.parametrize("status", ["FAILED_CONTROLLER", "FAILED"])
def test_an_exception_in_the_log_wins_over_a_reason_that_no_rule_knows(status):
    log = STEPS + "ModuleNotFoundError: No module named 'monai'\n"
    assert (
        analyze_logs(log, status, failure_reason="the moon is in the wrong house").category == "import_error"
    )


def test_a_failed_cleanup_is_not_a_failure_of_a_program_that_caught_an_error():
    log = STEPS + "ModuleNotFoundError: No module named 'apex'\ngoing on without\ndone\n"
    reason = "Failed to clean up, resources may have leaked: RuntimeError: boom. Please check whether it still exists."
    info = analyze_logs(log, "FAILED_CONTROLLER", failure_reason=reason)
    assert (info.category, info.subcategory) == ("unknown", "controller")


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (1, "unknown"),
        (3, "unknown"),
        (143, "unknown"),
        (137, "host_oom"),
        (-9, "host_oom"),
        (139, "native_crash"),
        (124, "walltime"),
    ],
)
def test_an_exit_code_is_shown_and_used_if_the_log_has_nothing_more_specific(code, category):
    info = analyze_logs(STEPS, "FAILED", failure_reason=f"Job exited with exit code {code} {SEE}")
    assert (info.category, info.exit_code) == (category, code)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("command terminated with exit code 137", 137),
        ("container main exited with code: 3", 3),
        ("Exit code: 3", 3),
        ("ssh returned non-zero exit status 255", 255),
        ("prolog ended, exit_code=4", 4),
        ("launcher failed with return code 5", 5),
        ("exited with code 99999999999999999999", None),
        ("the server answered with status 429", None),
    ],
)
def test_an_exit_code_is_read_in_any_wording(reason, code):
    assert reason_of(reason).exit_code == code


def test_an_exception_in_the_log_takes_precedence_over_an_exit_code():
    log = STEPS + "ModuleNotFoundError: No module named 'monai'\n"
    info = analyze_logs(log, "FAILED", failure_reason=f"Job exited with exit code 137 {SEE}")
    assert (info.category, info.exit_code) == ("import_error", 137)


def test_silent_programs_are_grouped_by_their_exit_code():
    three, seven = (
        analyze_logs("", "FAILED", failure_reason=f"Job exited with exit code {code} {SEE}")
        for code in (3, 7)
    )
    assert three.root_cause_id != seven.root_cause_id
    assert "exit code 3" in three.root_cause


@pytest.mark.parametrize("log", [OWN, STEPS + OWN])
def test_skypilots_own_closing_line_is_not_evidence(log):
    info = analyze_logs(log, "FAILED")
    assert info.exit_code == 3
    assert info.evidence == ("epoch 2" if "epoch" in log else None)
    assert all(is_closing(line) for line in OWN.splitlines())


def test_colors_in_a_reason_are_not_in_the_evidence():
    info = analyze_logs("", "FAILED_PRECHECKS", failure_reason="\x1b[31mno\x1b[0m way\u200b out")
    assert info.evidence == "no way out"


def test_each_rule_for_reasons_matches_its_examples():
    patterns = Path(fmon.causes.__file__).with_name("patterns.toml").read_text(encoding="utf-8")
    for rule in tomllib.loads(patterns)["reasons"]:
        for _, example in rule["any"]:
            found = read_reason(reason_of(example).lines, [built_in_for_reasons()])
            assert [event.rule.id for event in found] == [rule["id"]], example
