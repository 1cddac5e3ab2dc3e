"""``envs``: the variables of factors, inner factors and other keys of the config."""

import pytest

from fmon.model import envs_of

GRID = "factors: {model: [a], calib: [true]}\ninner_factors: {method: [none, swag], width: [8, 1.5, true]}\n"


@pytest.fixture
def variables(folder):
    """Load a config with these ``envs`` and return the variables of its only job."""

    def load(text):
        experiment = folder.load(GRID + text)
        return envs_of(experiment, experiment.conditions[0])

    return load


def test_without_envs_each_factor_is_passed_in_upper_case_and_inner_factors_are_not(variables):
    assert variables("") == {"MODEL": "a", "CALIB": "true"}


def test_a_factor_is_passed_under_the_name_it_is_given(variables):
    assert variables("envs: {model: MODEL_FAMILY}\n") == {"MODEL_FAMILY": "a", "CALIB": "true"}


def test_an_inner_factor_is_passed_with_its_levels_joined_by_commas(variables):
    found = variables("envs: {method: METHODS, width: WIDTHS}\n")
    assert (found["METHODS"], found["WIDTHS"]) == ("none,swag", "8,1.5,true")


def test_any_key_is_passed_by_its_dotted_name(variables):
    found = variables(
        "envs: {experiment_name: NAME, limits.budget_usd: BUDGET, undeclared: OTHERS}\n"
        "limits: {budget_usd: 2.5}\nundeclared: [A, B]\n"
    )
    assert (found["NAME"], found["BUDGET"], found["OTHERS"]) == ("study", "2.5", "A,B")


def test_a_value_that_is_false_or_zero_is_a_value(variables):
    found = variables("envs: {limits.budget_usd: {name: BUDGET, default: 5}}\nlimits: {budget_usd: 0}\n")
    assert found["BUDGET"] == "0"


def test_a_key_that_is_missing_or_empty_has_its_default(folder):
    experiment = folder.load(
        GRID
        + "envs: {docker_image: {name: IMAGE, default: none}, expect.minutes: {name: MINUTES, default: 3}}\n"
        "docker_image:\n"
    )
    assert experiment.fixed == {"IMAGE": "none", "MINUTES": "3"}
    assert experiment.defaults == {"docker_image": "none", "expect.minutes": "3"}


@pytest.mark.parametrize(
    ("limits", "value"), [("budget_usd: 1, max_hourly_usd: 2", "1"), ("max_hourly_usd: 2", "2"), ("", "9")]
)
def test_of_several_keys_of_one_variable_the_first_that_the_config_has_is_used(variables, limits, value):
    found = variables(
        "envs: {limits.budget_usd: USD, limits.max_hourly_usd: USD, "
        f"expect.minutes: {{name: USD, default: 9}}}}\nlimits: {{{limits}}}\n"
    )
    assert found["USD"] == value


def test_null_means_no_variable(variables):
    assert variables("envs: {method: null, experiment_name: null, no_such_key: null}\n") == {
        "MODEL": "a",
        "CALIB": "true",
    }


def test_fixed_takes_precedence_over_a_key_and_an_override_over_both(folder):
    experiment = folder.load(
        "factors: {model: [a, b]}\nenvs: {experiment_name: NAME, expect.minutes: MINUTES}\n"
        "fixed: {NAME: fixed}\nexpect: {minutes: 3}\n"
        "overrides: {model: {b: {envs: {NAME: override, MINUTES: 4}}}}\n"
    )
    first, second = (envs_of(experiment, each) for each in experiment.conditions)
    assert first == {"MODEL": "a", "NAME": "fixed", "MINUTES": "3"}
    assert second == {"MODEL": "b", "NAME": "override", "MINUTES": "4"}


def test_null_in_a_baseline_unsets_a_variable_and_a_resource(folder):
    experiment = folder.load(
        "factors: {model: [a]}\nfixed: {EPOCHS: 2, SEED: 1}\n"
        "overrides: {model: {a: {envs: {BATCH: 1}, resources: {use_spot: false, cpus: 2}}}}\n"
        "baselines:\n"
        "  - {model: a, job_name: p, envs: {EPOCHS: null, BATCH: null}, resources: {use_spot: null}}\n"
    )
    _, plain = experiment.conditions
    assert envs_of(experiment, plain) == {"MODEL": "a", "SEED": "1"}
    assert plain.resources == {"cpus": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("envs: {modle: MODEL}", ["line 5", "envs has modle", "did you mean 'model'"]),
        ("envs: {limits.budget: B}\nlimits: {budget_usd: 1}", ["line 5", "did you mean 'limits.budget_usd'"]),
        ("envs: {metod: METHODS}", ["did you mean 'method'"]),
        ("envs: {limits: LIMITS}\nlimits: {budget_usd: 1}", ["line 5", "limits is a mapping", "variable"]),
        ("envs: {exclude: E}\nexclude: [{model: b}]", ["exclude is a list", "a list of these"]),
        ("envs: {x: {name: X, default: {a: 1}}}", ["x is a mapping"]),
        ("envs: {model: null}", ["line 5", "factor model has no variable", "name one"]),
        ("envs: {model: {name: M, defalt: 1}}", ["line 5", "envs.model.defalt", "did you mean 'default'"]),
        ("envs: {model: {default: 1}}", ["line 5", "envs.model"]),
        ("envs: {model: 3}", ["envs.model is 3", "name of a variable, or {name: VARIABLE, default: VALUE}"]),
        ("envs: {model: {name: A-B}}", ["envs.model", "A-B"]),
        ("envs: {method: MODEL}", ["line 5", "MODEL passes the factor model"]),
        ("envs: {model: X, calib: X}", ["X", "factors model and calib"]),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_a_fix(folder, text, said):
    sentence = folder.refusal(GRID + text)
    for words in said:
        assert words in sentence


@pytest.mark.parametrize(
    "text",
    [
        "factors: {m: [a]}\nfixed: {NAME: x}\n",
        "factors: {m: [a]}\nenvs: {experiment_name: NAME}\n",
        "factors: {m: [a]}\nenvs: {gone: {name: NAME, default: 1}}\n",
        "factors: {m: [a]}\nenvs: {m: NAME}\n",
        "factors: {NAME: [a]}\n#\n",
        "factors: {m: [a]}\noverrides: {m: {a: {envs: {NAME: x}}}}\n",
        "factors: {m: [a]}\nbaselines: [{m: b, envs: {NAME: x}}]\n",
        "factors: {m: [a]}\nbaselines: [{m: b, envs: {NAME: null}}]\n",
    ],
)
@pytest.mark.parametrize("name", ["FMON_EXPERIMENT", "FMON_CONDITION", "FMON_CYCLE", "MLFLOW_RUN_CONTEXT"])
def test_a_variable_that_fmon_sets_itself_is_refused(folder, name, text):
    sentence = folder.refusal(text.replace("NAME", name))
    assert (
        f"line {3 if '#' in text else 4}: {name} can't be set here, because fmon sets it itself" in sentence
    )
