"""What is known of a job's variables, and what is not: the YAML alone does not say it."""

from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fmon.sky.user_yaml import differing, variables_of

BY_FMON = "FMON_EXPERIMENT: e, FMON_CONDITION: c, FMON_CYCLE: '0'"
CLI = "sky jobs launch -y -n a "


def test_the_values_are_the_text_that_the_job_gets():
    # SkyPilot passes str() of what PyYAML reads: a YAML true is "True" in the job.
    text = "envs: {A: true, B: 'true', C: 1.50, D: 010, E: '', F: 2026-01-02, 7: x}"
    assert variables_of(text) == {
        "A": "True", "B": "true", "C": "1.5", "D": "8", "E": "", "F": "2026-01-02", "7": "x"
    }  # fmt: skip


def test_variables_of_all_tasks_count_unless_they_differ():
    text = "name: a\n---\nenvs: {FOLD: 1, LOSS: dice}\n---\nenvs: {FOLD: 2, LOSS: dice, LR: 3}\n"
    assert variables_of(text) == {"LOSS": "dice", "LR": "3"}
    assert differing({"FOLD": "1", "LOSS": "dice", "LR": "3"}, text, CLI) == ["FOLD"]


@pytest.mark.parametrize("value", ["!!bool x", '!!int ""', '!!float ""', "!!timestamp x", "2026-13-41"])
def test_a_value_that_is_not_of_its_type_is_not_known(value):
    assert variables_of(f"envs: {{A: {value}, B: b}}") == {"B": "b"}
    assert variables_of(f"envs: {{? {value} : a, B: b}}") is None


@pytest.mark.parametrize("text", ["run: 'true'", "envs:\nrun: 'true'", "envs: {}", ""])
def test_a_task_may_have_no_variables(text):
    assert variables_of(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "just text",
        "[1, 2]",
        "envs: [A, B]",
        "envs: {A: 1",
        "envs: A",
        "\0",
        "\ud800",
        "envs: {[1]: 2}",
        "? " + "[" * 40_000,
        "a: " + "{a: " * 5_000,
        "base: &b {A: 1}\nenvs: {<<: *b}",
        "<<: {envs: {A: 1}}",
        "!!python/object/apply:os.system [ls]",
        "envs: {A: 1}\n" + "#" * (1 << 18),
    ],
)
def test_a_yaml_that_can_not_be_read_says_nothing(text):
    assert variables_of(text) is None
    assert differing({"A": "2"}, text, CLI) is None


@pytest.mark.parametrize(
    "value", ["null", "[1]", "{a: b}", "!!int x", "2026-99-99", "9" * 5000, "!custom x", "!!binary x"]
)
def test_a_value_that_is_none_is_not_known(value):
    text = f"envs: {{A: {value}, B: 1}}"
    assert variables_of(text) == {"B": "1"}
    assert differing({"A": "1", "B": "1"}, text, CLI) == []


def test_aliases_are_not_expanded():
    bomb = "a: &a [x]\n" + "".join(f"{n}: &{n} [{f'*{p}, ' * 9}]\n" for p, n in pairwise("abcdefghi"))
    assert variables_of(bomb + "envs: {A: *i, B: 1}\n") == {"B": "1"}
    assert variables_of("x: &v 3\nenvs: {A: *v}\n") == {"A": "3"}


@given(st.text(max_size=60))
def test_any_text_is_read_or_says_nothing(text):
    for found in (variables_of(text, text), variables_of(f"envs: {{A: {text}}}", "sky jobs launch " + text)):
        assert found is None or all(type(value) is str for value in found.values())
    assert differing({"A": "1"}, text, text) in (None, [], ["A"])


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=5))
def test_what_fmon_writes_is_read_back(envs):
    text = yaml.dump_all([{"name": "a"}, {"envs": envs}], Dumper=yaml.CSafeDumper, allow_unicode=True)
    assert variables_of(text) == envs


# The command line


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--env FOLD=2 t.yaml", "2"),
        ("--env=FOLD=2 t.yaml", "2"),
        ("t.yaml --env FOLD=1 --env FOLD=2", "2"),
        ("--env 'FOLD=a=b c' t.yaml", "a=b c"),
        ("--env OTHER=2 t.yaml", "0"),
        ("t.yaml -- --env FOLD=2", "0"),
        ("--secret FOLD=2 t.yaml", "0"),
        ("--env-file .env t.yaml", "0"),
        ("--env", "0"),
    ],
)
def test_env_on_the_command_line_overrides_the_yaml(options, found):
    assert variables_of("envs: {FOLD: 0}", CLI + options)["FOLD"] == found
    assert variables_of("envs: {FOLD: 0}", "/opt/sky/bin/" + CLI + options)["FOLD"] == found


def test_a_value_from_the_launching_environment_is_not_known():
    assert variables_of("envs: {FOLD: 0}", CLI + "--env FOLD t.yaml") == {}
    assert differing({"FOLD": "1"}, "envs: {FOLD: 0}", CLI + "--env FOLD t.yaml") == []


# What differs for certain


def test_another_value_and_a_missing_variable_differ_whatever_else_the_job_has():
    expected = {"MODEL": "sam3", "FOLD": "1", "LOSS": "dice"}
    assert differing(expected, "envs: {MODEL: sam3, FOLD: 0, OWN: 1}", CLI + "t.yaml") == ["FOLD", "LOSS"]
    assert differing(expected, "envs: {MODEL: x}", CLI + "--env FOLD=1 --env LOSS=dice t.yaml") == ["MODEL"]


def test_nothing_differs_where_the_command_line_gives_what_the_yaml_does_not():
    given_too = CLI + "--env FOLD=1 t.yaml"
    assert differing({"FOLD": "1"}, "envs: {FOLD: 0}", given_too) == []
    assert differing({}, "run: 'true'", given_too) == []


def test_an_env_file_may_have_set_whatever_the_command_line_does_not():
    by_file = CLI + "--env-file .env --env FOLD=2 t.yaml"
    assert differing({"FOLD": "1", "LOSS": "dice"}, "envs: {FOLD: 0, LOSS: x}", by_file) == ["FOLD"]
    assert differing({"LOSS": "dice"}, "envs: {LOSS: x}", by_file) is None


@pytest.mark.parametrize("entrypoint", [None, "sweep.py", "sky launch t.yaml", "sky jobs launch 't", "", 5])
def test_a_script_may_have_changed_the_variables_after_it_read_the_yaml(entrypoint):
    assert differing({"FOLD": "1"}, "envs: {FOLD: 0}", entrypoint) is None
    assert variables_of("envs: {FOLD: 0}", entrypoint) == {"FOLD": "0"}


def test_a_yaml_that_fmon_wrote_has_all_variables():
    text = f"envs: {{{BY_FMON}, FOLD: '0'}}"
    assert differing({"FOLD": "1", "LR": "3"}, text, "worker.py 7") == ["FOLD", "LR"]
    assert differing({"FOLD": "0"}, text) == []


def test_a_job_with_none_of_the_variables_has_other_names_for_them():
    assert differing({"MODEL": "sam3"}, "envs: {MODEL_FAMILY: sam3}", CLI + "t.yaml") is None


def test_what_says_which_attempt_a_job_is_is_not_compared():
    expected = {"FMON_EXPERIMENT": "x", "MLFLOW_RUN_CONTEXT": "y", "FOLD": "0"}
    assert differing(expected, f"envs: {{{BY_FMON}, FOLD: '0'}}") == []
