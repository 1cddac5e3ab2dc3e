"""The rules as data, and the user's own."""

import tomllib
from importlib.resources import files

import pytest
import re2

from fmon import analyze_logs
from fmon.causes import Pattern
from fmon.causes.rules import TIERS, built_in, joined_expressions
from fmon.causes.taxonomy import ALIAS_NOTES, ALIASES, CAUSES, cause_of, differing
from fmon.causes.text import clean
from fmon.causes.tracebacks import read_tracebacks
from fmon.config import load_experiment
from fmon.errors import ConfigError
from tests.support import ROOT
from tests.tools.causes import markdown

RULES = tomllib.loads(files("fmon.causes").joinpath("patterns.toml").read_text())["rules"]
OWN = Pattern(name="licence", regex="no licence left", category="auth", subcategory="licence")
TRACEBACK = 'Traceback (most recent call last):\n  File "/app/train.py", line 3, in main\n    fit()\n'
CONFIG = "experiment_name: a\nskypilot_yaml: t.yaml\nfactors: {{m: [x, y]}}\npatterns: [{}]\n"


def test_rules_have_names_of_their_own_and_known_categories_and_tiers():
    assert len({rule["id"] for rule in RULES}) == len(RULES)
    assert {rule["cause"].partition("/")[0] for rule in RULES} <= set(CAUSES)
    assert {rule.get("tier", "error") for rule in RULES} <= set(TIERS)
    assert {rule.get("on", "any") for rule in RULES} == {"line", "exception", "any"}


def rules_of(log: str) -> set[str]:
    """Return the ids of the rules that match a log's exceptions, or its last line where there are none."""
    lines = [part for number, line in enumerate(log.splitlines(), 1) for part in clean(line.encode(), number)]
    raised = [each for chain in read_tracebacks(lines)[0] for each in chain.raised]
    if raised:
        found = [rule for each in raised for rule in built_in().matching(each.text, frames=each.frames)]
    else:
        found = list(built_in().matching(lines[-1].text, is_mild=lines[-1].is_mild))
    return {rule.id for rule in found}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_every_expression_matches_its_example(rule):
    wrong = [pair for pair in rule["any"] if re2.search(pair[0], clean(pair[1].encode(), 1)[0].text) is None]
    assert wrong == []
    vetoed = [pair for pair in rule["any"] if any(re2.search(veto, pair[1]) for veto in rule.get("veto", ()))]
    assert vetoed == []


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if not {"frames", "last_frame"} & set(rule)],  # these ask for a traceback
    ids=lambda rule: rule["id"],
)
def test_every_example_gets_its_rule_or_one_before_it(rule):
    decides_little = rule.get("tier") in ("wrapper", "weak")

    def is_right(log: str) -> bool:
        matching = rules_of(log)
        return rule["id"] in matching and (decides_little or analyze_logs(log, "FAILED").rule in matching)

    forms = ("{}\n", TRACEBACK + "{}\n")  # many an exception is only recognized below its traceback
    examples = [example for _, example in rule["any"]]
    assert [each for each in examples if not any(is_right(form.format(each)) for form in forms)] == []


def test_a_flag_reaches_no_other_expression():
    joined = joined_expressions(["(?i)full", "quota"])
    assert re2.search(joined, "FULL")
    assert re2.search(joined, "QUOTA") is None


def test_every_alias_and_every_row_that_differs_stands_in_the_taxonomy():
    assert {cause.partition("/")[0] for cause in ALIASES.values()} <= set(CAUSES)
    assert set(ALIAS_NOTES) == set(ALIASES)
    assert all(cause_of(name, sub) != CAUSES.get(name) for name, sub in differing())


def test_the_documented_taxonomy_is_the_one_in_use():
    assert (ROOT / "docs/causes.md").read_text() == markdown()


def test_a_pattern_of_the_users_own_beats_an_exception():
    log = (
        "step 3\nno licence left for solver\nTraceback (most recent call last):\nValueError: solver is None\n"
    )
    info = analyze_logs(log, "FAILED", patterns=[OWN])
    assert (info.category, info.subcategory, info.rule) == ("auth", "licence", "pattern:licence")


def test_a_pattern_of_the_users_own_never_beats_the_scheduler():
    log = (
        "no licence left for solver\nslurmstepd: error: *** JOB 7 ON n CANCELLED AT 1 DUE TO TIME LIMIT ***\n"
    )
    assert analyze_logs(log, "FAILED", patterns=[OWN]).category == "walltime"


def test_a_pattern_without_words_of_the_built_in_ones_is_found_in_a_long_log():
    log = b"all is well\n" * 300_000 + b"xyzzy 7\n" + b"all is well\n" * 300_000
    own = Pattern(name="odd", regex=r"^xyzzy \d", category="code_bug")
    assert analyze_logs(log, "FAILED", patterns=[own]).evidence_line == 300_001


def test_a_veto_takes_a_line_out():
    own = Pattern(name="licence", regex="no licence left", category="auth", veto="free edition")
    assert (
        analyze_logs("no licence left, free edition in use", "FAILED", patterns=[own]).category == "unknown"
    )


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ('{name: a, regex: "(", category: auth}', "is not a valid RE2 regex"),
        ('{name: a, regex: "(?=x)y", category: auth}', "is not a valid RE2 regex"),
        ('{name: a, regex: "x*", category: auth}', "matches an empty line"),
        ('{name: a, regex: "x", category: aut}', "did you mean 'auth'"),
        ('{name: a, regex: "x", category: none}', "unknown category 'none'"),
        ('{regex: "x", category: auth}', "name' is missing"),
        ('{name: a, regex: "x", category: auth}, {name: a, regex: "y", category: auth}', "appears twice"),
        ('{name: a, regx: "x", category: auth}', "did you mean 'regex'"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused_in_one_sentence(tmp_path, pattern, said):
    (tmp_path / "t.yaml").write_text("run: x\n")
    (tmp_path / "c.yaml").write_text(CONFIG.format(pattern))
    with pytest.raises(ConfigError, match="line 4") as refused:
        load_experiment(tmp_path / "c.yaml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
