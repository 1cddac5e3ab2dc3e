"""Every fault of a config is one sentence that says what, where and what to do."""

import pytest

from fmon.config import load_experiment
from fmon.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("factors: {m: [a]}\nbaseline: []", ["line 4", "unknown key 'baseline'", "did you mean 'baselines'"]),
        ("factors: {m: [a]}\nlimits: {budget: 3}", ["unknown key 'limits.budget'", "budget_usd"]),
        ("factors: {m: [a]}\nexpect: {minuts: 3}", ["expect.minuts", "did you mean 'minutes'"]),
        ("factors: {m: [a]}\nprices: {L4: {spott: 3}}", ["prices.L4.spott", "did you mean 'spot'"]),
        ("factors: {m: [a]}\nverify: {test: x}", ["verify.test", "did you mean 'tests'"]),
        ("factors: {m: [a]}\nmlflow: {metric: [x]}", ["mlflow.metric", "did you mean 'metrics'"]),
        ("factors: {m: [a]}\nmlflow: {metrics: [x]}", ["mlflow.experiment", "is missing"]),
        (
            "factors: {m: [a]}\nmlflow: {experiment: e, tracking_uri: 'https://me:secret@host'}",
            ["mlflow.tracking_uri contains a login", "MLFLOW_TRACKING_PASSWORD"],
        ),
        ("factors: {m: [a]}\noverrides: {m: {a: {env: {}}}}", ["overrides.m.a.env", "did you mean 'envs'"]),
        ("factors: {m: [a]}\nbaselines: [{model: x}]", ["line 4", "unknown key 'model'", "m"]),
        ("factors: {m: [a, b, a]}", ["line 3", "factors.m", "'a' twice", "remove"]),
        ("factors: {m: [0.0, -0.0]}", ["0.0 and -0.0", "same number"]),
        ("factors: {m: [a, 1, '1']}", ["1 and '1'", "are the same text"]),
        ("factors: {m: ['true', true]}", ["'true' and true", "are the same text"]),
        ("factors:\n  m: [a]\n  n: [b]\n  m: [c]", ["line 6", "'m'", "line 4", "remove one"]),
        ("factors: {m: [a, .nan]}", ["line 3", "nan", "quote"]),
        ("factors: {m: [a, -.inf]}", ["-inf"]),
        ("factors: {m: [on, off]}", ["line 3", "reads on as true", "quote it"]),
        ("factors: {m: [a, No]}", ["reads No as false"]),
        ("factors: {m: [a]}\nkill_switch: off", ["reads off as false"]),
        ("factors: {m: [a]}\nfixed: {yes: 1}", ["reads yes as true"]),
        ("factors: {m: [a]}\nfixed: {a-b: 1}", ["fixed.a-b"]),
        ("factors: {m: [a]}\nfixed: {M: 1}", ["line 4", "M passes the factor m"]),
        ("factors: {m: [a]}\nenvs: {m: X}\noverrides: {m: {a: {envs: {X: 1}}}}", ["X passes the factor m"]),
        ("factors: {m: [a]}\nbaselines: [{m: b, envs: {M: c}}]", ["line 4", "M passes the factor m"]),
        ("factors: {m: [a, null]}", ["factors.m", "null"]),
        ("factors: {m: [a, ]}\nexclude: [{m: }]", ["no level empty"]),
        ("factors: {m: [a, {b: c}]}", ["a mapping", "must be text, a number or true/false"]),
        ("factors: {m: [2026-03-01]}", ["as a date", "quote"]),
        ("factors: {m: [12:30]}", ["12:30 as 750;", "quote"]),
        ("factors: {m: [010]}", ["010 as 8;", "plain decimal"]),
        ("factors: {m: [' a']}", ["without control characters and without spaces"]),
        ('factors: {m: ["a\\nb"]}', ["control characters"]),
        ("factors: {m: ['']}", ["''"]),
        ("factors: {m: [99999999999999999999]}", ["64 bits"]),
        ("factors: {m: !!python/object:os.system [a]}", ["line 3"]),
        ("factors: {m: !!str {a: b}}", ["line 3", "tag str is not supported"]),
        ("factors: {m: !!int [1]}", ["line 3", "tag int is not supported"]),
        ("factors: {m: [a], <<: {n: [b], n: [c]}}", ["key 'n' is here and in line 3"]),
        ("factors: {m: [a, true]}\noverrides:\n  m:\n    a: {}\n    true: {env: {}}", ["line 7"]),
        ("factors: {m: [a, 1.5]}\noverrides:\n  m:\n    a: {}\n    1.5: {env: {}}", ["line 7"]),
        ("factors: {m: [a], n: []}", ["line 3", "factors.n", "no level"]),
        ("factors: {m: }", ["factors.m is empty", "list"]),
        ("factors: {m: a}", ["factors.m is 'a'", "list"]),
        ("factors: {}", ["no factor"]),
        ("factors: [m, n]", ["factors", "{name: [level, level]}"]),
        ("factors:", ["'factors' is missing"]),
        ("", ["'factors' is missing"]),
        ("factors: {job_id: [1]}", ["job_id", "rename"]),
        ("factors: {status: [1]}", ["status", "rename"]),
        ("factors: {envs: [1]}", ["envs", "rename"]),
        ("factors: {state: [1]}", ["factor state", "selection", "rename"]),
        ("factors: {cause: [1]}", ["factor cause", "selection", "rename"]),
        ("factors: {job: [1]}", ["factor job", "selection", "rename"]),
        ("factors: {my-factor: [1]}", ["my-factor", "letters, digits and _"]),
        ("factors: {1: [1]}", ["factor name 1"]),
        ("factors: {m: [a]}\nexclude: [{n: a}]", ["line 4", "unknown factor 'n'"]),
        ("factors: {m: [a]}\nexclude: [{m: b}]", ["no level 'b'", "its levels are 'a'"]),
        ("factors: {m: [1, 2]}\nexclude: [{m: '1'}]", ["no level '1'", "its levels are 1, 2"]),
        ("factors: {m: [1, 2]}\nexclude: [{m: true}]", ["no level true"]),
        ("factors: {m: [1, 2]}\nexclude: [{m: [1]}]", ["no level a list"]),
        ("factors: {m: [1, 2]}\nexclude: [{}]", ["exclude every condition"]),
        ("factors: {m: [1, 2]}\nexclude: [{m: 1}, {m: 2}]", ["leaves no cell"]),
        ("factors: {m: [1, 2]}\nexclude: {m: 1}", ["exclude is a mapping", "list"]),
        ("factors: {m: [a]}\nexpect: {by: {n: {a: 1}}}", ["unknown factor 'n'", "available: m"]),
        ("factors: {m: [a]}\nexpect: {by: {m: {b: 1}}}", ["no level 'b'"]),
        ("factors: {m: [a]}\nexpect: {minutes: 0}", ["expect.minutes is 0", "greater than 0"]),
        ("factors: {m: [a]}\noverrides: {m: {b: {envs: {A: 1}}}}", ["no level 'b'"]),
        ("factors: {m: [a]}\noverrides: {n: {b: {envs: {A: 1}}}}", ["unknown factor 'n'"]),
        (
            "factors: {m: [a]}\noverrides: {m: {a: {envs: {A: [1]}}}}",
            ["overrides.m.a.envs.A", "text, a number"],
        ),
        ("factors: {m: [a]}\nenvs: {n: N}", ["envs has n", "neither a factor nor a key", "available: m"]),
        ("factors: {m: [a]}\nenvs: {m: MY-ENV}", ["envs.m", "'MY-ENV'", "environment variable"]),
        ("factors: {m: [a], n: [b]}\nenvs: {m: X, n: X}", ["envs", "X", "factors m and n"]),
        (
            "factors: {m: [a]}\nlimits: {budget_usd: -1}",
            ["limits.budget_usd is -1", "greater than or equal to 0"],
        ),
        ("factors: {m: [a]}\nlaunch: {retry: 3}", ["launch.retry", "did you mean 'retries'"]),
        ("factors: {m: [a]}\nlaunch: {parallel: 0}", ["launch.parallel is 0", "greater than or equal to 1"]),
        ("factors: {m: [a]}\nlaunch: {parallel: 17}", ["launch.parallel is 17", "less than or equal to 16"]),
        ("factors: {m: [a]}\nlaunch: {per_minute: 0}", ["launch.per_minute is 0", "greater than 0"]),
        ("factors: {m: [a]}\nlaunch: {retries: 1.5}", ["launch.retries is 1.5", "integer"]),
        *(
            (
                f"factors: {{m: [a]}}\nlaunch: {{give_up_after: {written}}}",
                ["launch.give_up_after is ", "90m, 12h or 7d, or a number of hours"],
            )
            for written in ("7 days", "'12'", "-1", "-1h", ".nan", "true", "366d", "[1]")
        ),
        ("factors: {m: [a]}\nlimits: {budget_usd: .nan}", ["limits.budget_usd", "finite"]),
        ("factors: {m: [a]}\nlimits: {budget_usd: '25'}", ["limits.budget_usd is '25'", "number"]),
        ("factors: {m: [a]}\nlimits: {pending_minutes: true}", ["limits.pending_minutes is true", "number"]),
        ("factors: {m: [a]}\nlimits: {accelerators: L4}", ["limits.accelerators is 'L4'", "[L4]"]),
        ("factors: {m: [a]}\nlimits: {clouds: gcp}", ["limits.clouds is 'gcp'", "[gcp]"]),
        ("factors: {m: [a]}\nlimits: {regions: []}", ["limits.regions is a list", "[us-central1]"]),
        ("factors: {m: [a]}\npreflight: make check", ["preflight is 'make check'", "[make check-data]"]),
        ("factors: {m: [a]}\nundeclared: [A-B]", ["undeclared.0 is 'A-B'"]),
        ("factors: {m: [a]}\nexpect: {parallel: 0}", ["expect.parallel is 0", "greater than or equal to 1"]),
        ("factors: {m: [a]}\nregion_config: 3", ["region_config is 3"]),
        ("factors: {m: [a]}\ninner_factors: {n: []}", ["line 4", "inner_factors.n", "no level"]),
        ("factors: {m: [a]}\ninner_factors: {m: [b]}", ["line 4", "m is already a factor", "rename"]),
        ("factors: {m: [a]}\nskypilot_yaml: 3", ["key 'skypilot_yaml'"]),
        ("factors: {m: [a]}\nprices: {L4: 0.22}", ["prices.L4 is 0.22", "on_demand"]),
        ("factors: {m: [a]}\nprices: {L4: {spot: -1}}", ["prices.L4.spot is -1"]),
        ("factors: {m: [a]}\nprices: {controller: -1}", ["prices.controller", "greater than or equal to 0"]),
        (
            "factors: {m: [a]}\nprices: {controller: {spot: 1}}",
            ["controller has one price", "controller: 0.05"],
        ),
        ("factors: {m: [a]}\njob_name: '{model}'", ["line 4", "placeholder {model}", "m"]),
        ("factors: {m: [a]}\njob_name: '{m'", ["job_name", "{factor}"]),
        ("factors: {m: [a]}\njob_name: '{m!r:>10}'", ["job_name"]),
        ("factors: {m: [a]}\nkill_switch: maybe", ["kill_switch is 'maybe'", "'alert' or 'act'"]),
        ("factors: {m: [a]}\nmax_failed_ratio: 2", ["max_failed_ratio is 2"]),
        (
            "factors: {m: [a]}\nnotify: [slack://x]",
            ["line 4", "key 'notify' is not supported yet; remove it"],
        ),
        ("factors: {m: [a]}\nregistry: {}", ["line 4", "key 'registry' is not supported yet; remove it"]),
        ("factors: {m: [a]}\nbaselines: [{envs: {A: 1}}]", ["at least one factor level"]),
        ("factors: {m: [a]}\nbaselines: [{m: .inf}]", ["inf"]),
        ("factors: {m: [a]}\nbaselines: [{m: b, job_name: 3}]", ["baselines.0.job_name is 3"]),
    ],
)
def test_a_fault_is_one_sentence_that_says_what_to_do(folder, text, said):
    sentence = folder.refusal(text)
    for words in said:
        assert words in sentence


def test_two_conditions_with_one_job_name_are_both_shown(folder):
    sentence = folder.refusal("factors: {m: [a], fold: [0, 1]}\njob_name: '{m}'")
    assert "line 4" in sentence
    assert "a-0 (m=a, fold=0)" in sentence
    assert "a-1 (m=a, fold=1)" in sentence
    assert "'a'" in sentence


def test_two_equal_baselines_are_two_conditions_with_one_job_name(folder):
    assert "one" not in folder.load("factors: {m: [a]}\nbaselines: [{m: b}]").conditions[1].job_name
    assert "job name" in folder.refusal("factors: {m: [a]}\nbaselines: [{m: b}, {m: b}]")


@pytest.mark.parametrize("name", ["Study", "my-study", "", "a b", "../x", "ä"])
def test_an_experiment_name_is_lower_case_letters_digits_and_underscores(folder, name):
    sentence = folder.refusal(
        "factors: {m: [a]}", head=f"experiment_name: {name!r}\nskypilot_yaml: train.yaml\n"
    )
    assert "experiment_name" in sentence
    assert "lower-case" in sentence


def test_a_missing_task_yaml_is_named_with_the_folder_it_was_looked_for_in(folder):
    (folder.path / "train.yaml").unlink()
    sentence = folder.refusal("factors: {m: [a]}")
    assert "line 2" in sentence
    assert "'train.yaml' is not in" in sentence
    assert str(folder.path) in sentence


def test_a_recording_may_lack_its_task_yaml(folder):
    (folder.path / "train.yaml").unlink()
    assert folder.load("factors: {m: [a]}", needs_task=False).skypilot_yaml == "train.yaml"


def test_more_conditions_than_allowed_are_counted_but_not_made(folder):
    text = "factors: {" + ", ".join(f"f{n}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for n in range(30)) + "}"
    sentence = folder.refusal(text)
    assert f"--max-conditions {10**30}" in sentence


def test_max_conditions_allows_more_and_fewer(folder):
    text = "factors: {a: [0, 1], b: [0, 1]}"
    assert "2 x 2" in folder.refusal(text, max_conditions=3)
    assert len(folder.load(text, max_conditions=4).conditions) == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"- a\n- b\n", "not a mapping"),
        (b"just text", "not a mapping"),
        (b"a: b: c", "line 1, column 5"),
        (b"a: [1, 2\nb: 3\n", "not valid YAML"),
        (b"a:\n\t- b\n", "spaces, not tabs"),
        (b"a: 1\n---\nb: 2\n", "one YAML document"),
        (b"\xff\xfe\x00\x01", "not UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "not valid YAML"),
        (b"[" * 60, "nested deeper"),
        (b"- " * 900 + b"x", "nested deeper"),
        (b"[" * 100_000, "nesting depth"),  # libyaml's own limit comes first
        (b"a: &a [*a]\n", "values or 50 levels"),
        (b"a: &a {<<: *a}\n", "values or 50 levels"),
        (b"? [a, b]\n: c\n", "a key must be text"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, content, said):
    path = tmp_path / "experiment.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_experiment(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_experiment(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_experiment(tmp_path)


def test_a_config_whose_name_no_manifest_can_hold_is_refused(folder):
    config = folder.write("factors: {m: [a]}").rename(folder.path / "experiment\udcff.yaml")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_experiment(config)


@pytest.mark.slow
def test_aliases_that_multiply_are_stopped(folder):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "with aliases expanded" in folder.refusal("\n".join(lines))


def test_a_login_that_a_config_must_not_hold_is_not_repeated(folder):
    sentence = folder.refusal(
        "factors: {m: [a]}\nmlflow: {experiment: e, tracking_uri: 'https://me:hidden@host'}"
    )
    assert "hidden" not in sentence
