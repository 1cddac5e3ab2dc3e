"""fmon plan: what a config amounts to, without changing anything."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from fmon.errors import ConfigError, QueueError
from fmon.launch.plan import Counts, plan
from fmon.launch.preflight import Consent
from fmon.model import Price
from tests.support.world import write_config

CONFIG = """\
experiment_name: planned
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], fold: [0, 1, 2]}
exclude: [{model: sam3, fold: 2}]
baselines: [{model: vanilla, fold: 0}]
overrides: {model: {sam3: {resources: {use_spot: false}}}}
expect: {minutes: 30, by: {model: {sam3: 60}}}
prices: {L4: {spot: 0.22, on_demand: 0.70}}
"""
TASK = """\
resources: {image_id: 'docker:registry/x:tag', accelerators: 'L4:1', use_spot: true}
run: python x.py $MODEL $FOLD
"""


class SkyPilot:
    """SkyPilot as far as plan asks it: it reads every task YAML and knows the price of an A100."""

    def __init__(self, answer=1):
        self.answer = answer
        self.yamls = []
        self.looked_up = []

    def ask(self, *arguments):
        self.yamls = [
            yaml.safe_load(Path(each).read_text())
            for each in arguments[1:]
            if "\n---" not in Path(each).read_text()
        ]
        if isinstance(self.answer, QueueError):
            raise self.answer
        return self.answer

    def catalog(self, accelerators):
        self.looked_up = list(accelerators)
        return {"A100": Price(spot=1.0, on_demand=4.0, source="catalog")} if "A100" in self.looked_up else {}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)


def made(folder, config=CONFIG, task=TASK, *, skypilot=None, **options):
    skypilot = skypilot or SkyPilot()
    return plan(write_config(folder, config, task), ask=skypilot.ask, catalog=skypilot.catalog, **options)


def results(planned):
    return {check.name: check.result for check in planned.checks}


def test_the_grid_is_counted(tmp_path):
    planned = made(tmp_path)
    assert planned.counts == Counts(condition=6, grid=6, excluded=1, baseline=1, inner=0)
    assert planned.factors == {"model": ["dynunet", "sam3"], "fold": [0, 1, 2]}


def test_inner_factors_are_counted_over_all_jobs_of_the_grid(tmp_path):
    layered = (
        "experiment_name: layered\nfactors:\n  training: {model: [a, b], fold: [0]}\n"
        "  post: {method: [none, swag], ensemble: [x, y, z]}\ninfrastructure: {skypilot_yaml: train.yaml}\n"
    )
    assert made(tmp_path, layered).counts.inner == 2 * 6


def test_the_estimate_is_expected_hours_times_the_price_of_each_conditions_machine(tmp_path):
    planned = made(tmp_path)
    # 3 dynunet and the baseline: half an hour on spot; 2 sam3: an hour on demand
    assert planned.cost.expected_h == pytest.approx(4.0)
    assert planned.cost.estimated_usd == pytest.approx(4 * 0.5 * 0.22 + 2 * 1.0 * 0.70)
    assert planned.cost.price_sources == ["config"]
    assert planned.cost.unpriced_count == 0
    assert set(results(planned).values()) == {"ok"}


def test_several_accelerators_and_nodes_multiply_the_price(tmp_path):
    planned = made(tmp_path, task="resources: {accelerators: {L4: 4}}\nnum_nodes: 2\nrun: x\n")
    assert planned.cost.estimated_usd == pytest.approx(8 * 0.70 * 4.0)


def test_with_a_choice_the_most_expensive_machine_counts(tmp_path):
    task = (
        "resources: {any_of: [{accelerators: L4, use_spot: true}, {accelerators: [L4, 'A100:1']}]}\nrun: x\n"
    )
    planned = made(tmp_path, CONFIG.replace("overrides", "#overrides"), task)
    assert planned.cost.estimated_usd == pytest.approx(4.0 * 4.0)
    assert planned.cost.price_sources == ["catalog"]


def test_only_machines_without_a_price_in_the_config_are_looked_up(tmp_path):
    skypilot = SkyPilot()
    made(tmp_path, task=TASK.replace("'L4:1'", "[L4, A100]"), skypilot=skypilot)
    assert skypilot.looked_up == ["A100"]


def test_an_unknown_price_stays_unknown_and_is_counted(tmp_path):
    planned = made(tmp_path, task=TASK.replace("L4", "T4"))
    assert planned.cost.estimated_usd is None
    assert planned.cost.unpriced_count == 6
    assert results(planned)["price"] == "warn"
    assert "T4" in next(check.sentence for check in planned.checks if check.name == "price")


def test_without_expected_minutes_there_is_no_estimate(tmp_path):
    planned = made(tmp_path, CONFIG.replace("expect:", "#expect:") + "limits: {budget_usd: 5}\n")
    assert (planned.cost.expected_h, planned.cost.estimated_usd, planned.cost.unpriced_count) == (
        None,
        None,
        6,
    )
    assert results(planned)["budget"] == "fail"


@pytest.mark.parametrize(
    ("limits", "check", "result"),
    [
        ("budget_usd: 1", "budget", "fail"),
        ("budget_usd: 25", "budget", "ok"),
        ("max_hourly_usd: 0.5", "hourly", "fail"),
        ("max_hourly_usd: 0.7", "hourly", "ok"),
        ("accelerators: [A100]", "accelerators", "fail"),
        ("accelerators: [l4]", "accelerators", "ok"),
        ("clouds: [aws]", "clouds", "fail"),  # the task names none
        ("regions: [us-east1]", "regions", "fail"),
    ],
)
def test_the_plan_is_checked_against_the_limits(tmp_path, limits, check, result):
    assert results(made(tmp_path, CONFIG + f"limits: {{{limits}}}\n"))[check] == result


def test_a_limit_that_meets_an_unknown_price_fails(tmp_path):
    config = CONFIG + "limits: {max_hourly_usd: 5}\n"
    planned = made(tmp_path, config, TASK.replace("L4", "T4"))
    assert results(planned)["hourly"] == "fail"
    with pytest.raises(ConfigError, match="1 check failed, so fmon launch would refuse"):
        planned.require_passed()


def test_a_region_file_must_exist_and_is_then_in_the_resources_of_every_condition(tmp_path):
    config = CONFIG + "region_config: europe\n"
    planned = made(tmp_path, config)
    (check,) = (check for check in planned.checks if check.name == "region_config")
    assert (check.result, f"{tmp_path}/regions/europe.yaml" in check.sentence) == ("fail", True)
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions/europe.yaml").write_text("regions: {gcp: {L4: [{region: europe-west4}]}}\n")
    planned = made(tmp_path, config)
    assert results(planned)["region_config"] == "ok"
    ordered = {"ordered": [{"accelerators": "L4:1", "region": "europe-west4"}]}
    by_model = {each.envs["MODEL"]: each.resources for each in planned.conditions}
    assert (by_model["dynunet"], by_model["sam3"]) == (ordered, {**ordered, "use_spot": False})
    assert planned.cost.estimated_usd == pytest.approx(4 * 0.5 * 0.22 + 2 * 1.0 * 0.70)


def test_the_checks_name_the_regions_and_their_file_in_its_order(tmp_path):
    (tmp_path / "regions").mkdir()
    file = tmp_path / "regions/europe.yaml"
    file.write_text(
        "regions: {gcp: {L4: [{region: us-west1}, {region: us-east1}], 'A100:8': [{region: us-west1}]}}\n"
    )
    config = CONFIG + "region_config: europe\nlimits: {accelerators: [T4], regions: [x]}\n"
    said = {check.name: check.sentence for check in made(tmp_path, config).checks}
    assert said["region_config"] == (f"jobs may run in us-west1 (L4, A100:8), us-east1 (L4), from {file}")
    change = f"change {file}, region_config or the limits"
    assert said["accelerators"] == f"L4, A100 is not in limits.accelerators (T4); {change}"
    assert said["regions"] == f"us-west1, us-east1 is not in limits.regions (x); {change}"


def test_regions_that_no_resources_take_up_are_a_failed_check(tmp_path):
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions/europe.yaml").write_text("regions: {gcp: {L4: [{region: us-west1}]}}\n")
    planned = made(tmp_path, CONFIG + "region_config: europe\n", task="run: echo $MODEL $FOLD\n")
    assert results(planned)["region_config"] == "fail"


def test_the_wall_clock_is_unknown_if_the_time_of_a_job_is(tmp_path):
    planned = made(tmp_path, CONFIG.replace("minutes: 30, ", ""))
    assert planned.cost.expected_h == pytest.approx(2.0)
    assert planned.cost.wall_clock_h is None


def test_each_condition_has_its_job_its_variables_and_its_cost(tmp_path):
    planned = made(tmp_path)
    sam3 = next(each for each in planned.conditions if each.condition_id == "sam3-0")
    assert asdict(sam3) == {
        "condition_id": "sam3-0",
        "job_name": "sam3-0",
        "envs": {"MODEL": "sam3", "FOLD": "0"},
        "resources": {"use_spot": False},
        "expected_minutes": 60,
        "estimated_usd": pytest.approx(0.70),
    }
    assert sum(each.estimated_usd for each in planned.conditions) == pytest.approx(planned.cost.estimated_usd)


def test_the_next_command_has_the_options_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, CONFIG + "preflight: [make check-data]\n", TASK)
    Path("my task.yaml").write_text(TASK)
    Path(".env").write_text("A=1\n")
    skypilot = SkyPilot()
    planned = plan(
        Path("experiment.yaml"),
        task_file=Path("my task.yaml"),
        env_file=Path(".env"),
        max_conditions=9,
        ask=skypilot.ask,
        catalog=skypilot.catalog,
    )
    options = "--task 'my task.yaml' --env-file .env --max-conditions 9"
    assert planned.next_command == f"fmon launch experiment.yaml {options}"
    assert planned.preflight == ["make check-data"]


def test_a_failed_check_leaves_the_conditions_and_names_what_to_run_next(tmp_path):
    planned = made(tmp_path, task=TASK.replace("$FOLD", ""))
    assert results(planned)["factors"] == "fail"
    assert len(planned.conditions) == 6
    assert planned.next_command == f"fmon plan {tmp_path / 'experiment.yaml'}"
    with pytest.raises(
        ConfigError, match=r"^1 check failed, so fmon launch would refuse .*experiment\.yaml$"
    ):
        planned.require_passed()
    made(tmp_path).require_passed()


@pytest.mark.parametrize(
    ("task", "config", "result"),
    [
        (TASK, "", "ok"),
        ("resources: {accelerators: L4}\nrun: x\n", "", "fail"),
        ("resources: {accelerators: L4}\nrun: x\n", "docker_image: registry/x:tag\n", "ok"),
        ("resources: {image_id: ami-123}\nrun: x\n", "docker_image: registry/x:tag\n", "fail"),
        ("resources: {image_id: {us-east-1: 'docker:x', us-west-1: ami-1}}\nrun: x\n", "", "fail"),
        ("run: x\n", "", "fail"),
        ("resources: {image_id: {docker: 'registry/x:tag'}}\nrun: x\n", "", "ok"),
        ("resources: {infra: kubernetes, image_id: registry/x:tag}\nrun: x\n", "", "ok"),
    ],
)
def test_a_bare_vm_must_be_allowed(tmp_path, task, config, result):
    assert results(made(tmp_path, CONFIG + config, task))["image"] == result
    allowed = made(tmp_path, CONFIG + config, task, consent=Consent(bare_vm=True))
    assert results(allowed)["image"] == {"ok": "ok", "fail": "warn"}[result]


def test_skypilots_own_parser_checks_the_task_yaml(tmp_path):
    refusing = SkyPilot(QueueError("ValueError: no such field", error_type="ValueError"))
    assert results(made(tmp_path, skypilot=refusing))["task"] == "fail"
    slow = SkyPilot(QueueError("it took too long", error_type="Timeout"))
    assert results(made(tmp_path, skypilot=slow))["task"] == "warn"


def test_skypilot_parses_a_job_of_each_kind_as_it_would_be_launched(tmp_path):
    skypilot = SkyPilot()
    config = CONFIG.replace("use_spot: false}", "use_spot: false}, envs: {EXTRA: 1}")
    made(tmp_path, config, TASK + "envs: {HF_TOKEN: }\n", skypilot=skypilot)
    assert [(each["name"], each["resources"]["use_spot"]) for each in skypilot.yamls] == [
        ("dynunet-0", True),
        ("sam3-0", False),
    ]
    assert skypilot.yamls[1]["envs"]["EXTRA"] == "1"


def test_a_declared_variable_without_a_value_takes_it_from_the_environment_or_is_refused(
    tmp_path, monkeypatch
):
    task = TASK + "envs: {HF_TOKEN: , MODEL: }\nsecrets: {KEY: }\n"
    (check,) = [check for check in made(tmp_path, task=task).checks if check.name == "variables"]
    assert (check.result, "HF_TOKEN" in check.sentence, "MODEL" in check.sentence) == ("fail", True, False)
    monkeypatch.setenv("HF_TOKEN", "x")
    monkeypatch.setenv("KEY", "y")
    assert results(made(tmp_path, task=task))["variables"] == "ok"


@pytest.mark.parametrize(
    ("mounts", "result"),
    [
        ("workdir: code\n", "ok"),
        ("workdir: gone\n", "fail"),
        ("workdir: {url: 'https://example.org/x.git'}\n", "ok"),
        ("file_mounts: {/a: code/, /b: 's3://bucket', /c: {name: bucket, source: gone}}\n", "fail"),
        ("file_mounts: {/a: code/, /b: 's3://bucket', /c: {name: bucket, mode: MOUNT}}\n", "ok"),
    ],
)
def test_local_files_are_searched_in_the_current_folder(tmp_path, monkeypatch, mounts, result):
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    assert results(made(tmp_path, task=TASK + mounts))["files"] == result


def test_a_pipeline_with_several_documents_is_read(tmp_path):
    planned = made(tmp_path, task=f"name: pipe\n---\n{TASK}---\nresources: {{accelerators: A100}}\nrun: y\n")
    assert results(planned)["price"] == "ok"
    assert planned.cost.estimated_usd == pytest.approx(4.0 * 4.0)


@pytest.mark.parametrize(
    "task",
    ["", "# nothing\n", "just words", "- a\n", "a: [", "\x00", "[" * 1000, "--- 1\n--- 2\n"]
    + [f"run: {value}\n" for value in ("!!bool x", '!!int ""', '!!float ""', "!!timestamp x", "2026-13-41")]
    + ["run: x\nenvs: [A]\n", "name: p\n---\nrun: x\nsecrets: [A]\n", "run: x\nenvs: A\n"],
)
def test_an_invalid_task_yaml_is_refused(tmp_path, task):
    with pytest.raises(ConfigError, match=r"train\.yaml"):
        made(tmp_path, task=task)


@pytest.mark.real
@pytest.mark.parametrize(
    ("task", "result", "said"),
    [
        (TASK + "envs: {HF_TOKEN: }\n", "ok", "1 task"),
        (f"name: pipe\n---\n{TASK}---\n{TASK}", "ok", "2 tasks"),
        (TASK.replace("resources", "resorces"), "fail", "did you mean 'resources'"),
    ],
)
def test_the_installed_skypilot_parses_the_task_yaml(tmp_path, task, result, said):
    planned = plan(write_config(tmp_path, CONFIG, task), catalog=SkyPilot().catalog)
    check = next(check for check in planned.checks if check.name == "task")
    assert (check.result, said in check.sentence) == (result, True), check.sentence


def test_plan_changes_nothing(tmp_path):
    made(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["experiment.yaml", "train.yaml"]


@pytest.mark.parametrize(("parallel", "hours"), [(None, 1.0), (1, 4.0), (2, 2.0), (100, 1.0)])
def test_the_wall_clock_is_the_time_until_the_last_job_ends(tmp_path, parallel, hours):
    expect = "expect: {minutes: 30" + (f", parallel: {parallel}" if parallel else "")
    cost = made(tmp_path, CONFIG.replace("expect: {minutes: 30", expect)).cost
    assert cost.wall_clock_h == pytest.approx(hours)  # 4 jobs of 30 minutes and 2 of 60
    assert cost.parallel_jobs == parallel


def test_without_an_expected_time_the_wall_clock_is_unknown(tmp_path):
    assert made(tmp_path, CONFIG.replace("expect", "#expect")).cost.wall_clock_h is None


@pytest.mark.parametrize(("usd", "result"), [(5.0, "ok"), (5.1, "fail")])
def test_without_a_budget_an_estimate_above_20_usd_must_be_allowed(tmp_path, usd, result):
    config = CONFIG.replace("{spot: 0.22, on_demand: 0.70}", f"{{spot: {usd}, on_demand: {usd}}}")
    (budget,) = (check for check in made(tmp_path, config).checks if check.name == "budget")
    assert budget.result == result
    if result == "fail":
        assert budget.sentence == (
            "about 20.40 USD, more than 20, and limits.budget_usd is not set; --over-budget allows it"
        )
    (allowed,) = (
        check
        for check in made(tmp_path, config, consent=Consent(over_budget=True)).checks
        if check.name == "budget"
    )
    assert allowed.result == {"ok": "ok", "fail": "warn"}[result]
