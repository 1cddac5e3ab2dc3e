"""What a config expands into."""

import math
from itertools import product

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.config import load_experiment
from fmon.model import LaunchLimits, envs_of, level_text


def names(experiment):
    return [condition.job_name for condition in experiment.conditions]


def ids(experiment):
    return [condition.condition_id for condition in experiment.conditions]


def test_the_grid_is_the_product_of_the_levels_in_the_order_of_the_config(folder):
    experiment = folder.load("factors: {model: [a, b], fold: [0, 1]}")
    assert ids(experiment) == ["a-0", "a-1", "b-0", "b-1"]
    assert names(experiment) == ids(experiment)


def test_levels_keep_their_type_and_booleans_are_written_true_and_false(folder):
    experiment = folder.load(
        "factors: {m: [dynunet], loss: [dice_ce], calib: [true, false], fold: [0], lr: [0.1]}"
    )
    assert ids(experiment) == ["dynunet-dice_ce-true-0-0.1", "dynunet-dice_ce-false-0-0.1"]
    levels = list(experiment.conditions[0].factors.values())
    assert [type(level) for level in levels] == [str, str, bool, int, float]


def test_one_and_true_are_two_levels(folder):
    experiment = folder.load("factors: {x: [1, true]}\nexclude: [{x: true}]")
    assert [condition.factors["x"] for condition in experiment.conditions] == [1]
    assert experiment.conditions[0].factors["x"] is not True


def test_exclude_leaves_out_every_cell_it_names(folder):
    experiment = folder.load(
        """
        factors: {model: [a, b], loss: [x, y], fold: [0, 1]}
        exclude: [{loss: x, model: a}, {fold: 1, model: b}]
        """
    )
    assert ids(experiment) == ["a-y-0", "a-y-1", "b-x-0", "b-y-0"]


def test_baselines_stand_behind_the_grid_with_levels_of_their_own(folder):
    experiment = folder.load(
        """
        factors: {model: [a], fold: [0, 1]}
        baselines:
          - {model: plain, fold: 0}
          - {model: other, job_name: other-zeroshot, envs: {ZERO_SHOT: "true"}}
        job_name: "{model}-f{fold}"
        """
    )
    assert ids(experiment) == ["a-0", "a-1", "plain-0", "other"]
    assert names(experiment) == ["a-f0", "a-f1", "plain-f0", "other-zeroshot"]
    assert [condition.kind for condition in experiment.conditions] == ["grid", "grid", "baseline", "baseline"]


def test_a_baseline_that_does_not_fill_the_template_is_named_by_its_id(folder):
    experiment = folder.load(
        """
        factors: {model: [a], fold: [0]}
        baselines: [{model: plain}]
        job_name: "{model}-f{fold}"
        """
    )
    assert names(experiment) == ["a-f0", "plain"]


def test_ids_that_would_collide_get_a_hash_that_stays_the_same(folder):
    text = "factors: {a: [x, x-y], b: [y-z, z, w]}"
    first = ids(folder.load(text))
    assert len(set(first)) == 6
    assert [each for each in first if each.startswith("x-y-z-")] == [
        each for each in ids(folder.load(text)) if each.startswith("x-y-z-")
    ]
    assert "x-w" in first


def test_expected_minutes_come_from_the_level_with_the_longest_time(folder):
    experiment = folder.load(
        """
        factors: {model: [a, b], fold: [0, 1]}
        expect: {minutes: 10, by: {model: {b: 40}, fold: {1: 20}}}
        """
    )
    assert [condition.expected_minutes for condition in experiment.conditions] == [10, 20, 40, 40]


def test_expected_minutes_of_level_one_do_not_count_for_true(folder):
    experiment = folder.load("factors: {x: [true, 1]}\nexpect: {by: {x: {1: 5}}}")
    assert [condition.expected_minutes for condition in experiment.conditions] == [None, 5]


def test_resources_of_overrides_and_baselines_reach_the_conditions(folder):
    experiment = folder.load(
        """
        factors: {model: [a, b]}
        baselines: [{model: c, resources: {accelerators: L4}}]
        overrides: {model: {b: {resources: {use_spot: false}}, c: {resources: {use_spot: true}}}}
        """
    )
    assert [condition.resources for condition in experiment.conditions] == [
        {},
        {"use_spot": False},
        {"use_spot": True, "accelerators": "L4"},
    ]


def test_limits_and_prices_are_taken_over(folder):
    experiment = folder.load(
        """
        factors: {model: [a]}
        limits: {budget_usd: 25, accelerators: [L4]}
        prices: {L4: {spot: 0.22}}
        """
    )
    assert experiment.limits.budget_usd == 25
    assert experiment.limits.pending_minutes == 30
    assert experiment.prices["L4"].spot == 0.22
    assert experiment.prices["L4"].on_demand is None
    assert experiment.controller_usd_per_h is None


def test_the_price_of_the_controller_is_not_that_of_an_accelerator(folder):
    experiment = folder.load("factors: {model: [a]}\nprices: {L4: {spot: 0.22}, controller: 0.05}")
    assert list(experiment.prices) == ["L4"]
    assert experiment.controller_usd_per_h == 0.05


def test_keys_left_empty_mean_the_same_as_keys_left_out(folder):
    assert ids(
        folder.load("factors: {model: [a]}\nexclude:\nbaselines:\nlimits:\nmax_failed_ratio: null\n")
    ) == ["a"]


def test_anchors_and_merge_keys_work(folder):
    experiment = folder.load(
        """
        factors: {model: &models [a, b], other: *models}
        prices:
          L4: &price {spot: 0.2, on_demand: 0.7}
          H100: {<<: *price, on_demand: 3.0}
        """
    )
    assert len(experiment.conditions) == 4
    assert experiment.prices["H100"].spot == 0.2
    assert experiment.prices["H100"].on_demand == 3.0


@pytest.mark.slow
def test_a_hundred_thousand_conditions_expand_without_asking(folder):
    levels = list(range(10))
    experiment = folder.load(f"factors: {{a: {levels}, b: {levels}, c: {levels}, d: {levels}, e: {levels}}}")
    assert len(experiment.conditions) == 100_000
    assert experiment.conditions[-1].condition_id == "9-9-9-9-9"


LEVELS = st.one_of(
    st.booleans(),
    st.integers(-5, 1000),
    st.floats(allow_nan=False, allow_infinity=False, width=16).filter(bool),
    st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True),
)
FACTORS = st.dictionaries(
    st.from_regex(r"f_[a-z]{1,4}", fullmatch=True),
    st.lists(LEVELS, min_size=1, max_size=4, unique_by=level_text),
    min_size=1,
    max_size=4,
)


@st.composite
def designs(draw):
    factors = draw(FACTORS)
    cells = st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(each) for name, each in factors.items()}
    )
    exclude = draw(st.lists(cells.filter(bool), max_size=3))
    baselines = draw(st.lists(cells.filter(bool), max_size=2))
    for number, baseline in enumerate(baselines):
        baseline["job_name"] = f"baseline {number}"
    return factors, exclude, baselines


def same(first, second):
    return type(first) is type(second) and first == second


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(design=designs())
def test_any_design_expands_into_its_product_without_the_excluded_plus_its_baselines(
    tmp_path_factory, design
):
    factors, exclude, baselines = design
    cells = [dict(zip(factors, levels, strict=True)) for levels in product(*factors.values())]
    left = [
        cell
        for cell in cells
        if not any(all(same(cell[factor], level) for factor, level in each.items()) for each in exclude)
    ]
    path = tmp_path_factory.mktemp("design")
    (path / "train.yaml").touch()
    config = {
        "experiment_name": "any",
        "skypilot_yaml": "train.yaml",
        "factors": factors,
        "exclude": exclude,
        "baselines": baselines,
        "job_name": "|".join(f"{{{factor}}}" for factor in factors),
    }
    (path / "any.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    if not left:
        return
    experiment = load_experiment(path / "any.yaml")
    assert math.prod(map(len, factors.values())) == len(cells)
    assert len(experiment.conditions) == len(left) + len(baselines)
    assert len(set(ids(experiment))) == len(experiment.conditions)
    assert names(experiment)[: len(left)] == ["|".join(map(level_text, cell.values())) for cell in left]
    for condition, cell in zip(experiment.conditions, left, strict=False):
        assert list(condition.factors) == list(cell)
        assert all(same(condition.factors[factor], level) for factor, level in cell.items())


def envs(experiment, condition_id):
    condition = next(each for each in experiment.conditions if each.condition_id == condition_id)
    return envs_of(experiment, condition)


def test_a_job_is_told_what_is_fixed_its_levels_and_what_overrides_say(folder):
    experiment = folder.load(
        """
        factors: {model: [a, b], calib: [true]}
        envs: {model: MODEL_FAMILY}
        fixed: {MAX_EPOCHS: 2, BATCH_SIZE: 8}
        overrides: {model: {b: {envs: {BATCH_SIZE: "1"}}}}
        baselines: [{model: plain, envs: {ZERO_SHOT: true, CALIB: none}}]
        """
    )
    assert envs(experiment, "a-true") == {
        "MAX_EPOCHS": "2",
        "BATCH_SIZE": "8",
        "MODEL_FAMILY": "a",
        "CALIB": "true",
    }
    assert envs(experiment, "b-true")["BATCH_SIZE"] == "1"
    assert envs(experiment, "plain") == {
        "MAX_EPOCHS": "2",
        "BATCH_SIZE": "8",
        "MODEL_FAMILY": "plain",
        "ZERO_SHOT": "true",
        "CALIB": "none",
    }


@pytest.mark.parametrize(
    ("written", "hours"), [("90m", 1.5), ("12h", 12), ("7d", 168), ("1.5h", 1.5), ("0.5", 0.5), ("0", 0)]
)
def test_how_long_to_keep_submitting_is_a_duration_or_a_number_of_hours(folder, written, hours):
    loaded = folder.load(f"factors: {{model: [a]}}\nlaunch: {{give_up_after: {written}}}\n")
    assert loaded.launch.give_up_after_s == hours * 3600


def test_without_the_key_jobs_are_submitted_with_the_documented_limits(folder):
    assert folder.load("factors: {model: [a]}\n").launch == LaunchLimits()
    assert folder.load("factors: {model: [a]}\nlaunch: {parallel: 2}\n").launch == LaunchLimits(parallel=2)
