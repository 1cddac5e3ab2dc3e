"""A config proposed for the jobs in the queue is adopted as it is, with all and only the right jobs."""

from itertools import product

import pytest
import yaml

from fmon.errors import ConfigError
from tests.support.proposing import grid
from tests.support.queues import START, job
from tests.support.recorded import recorded, study_jobs


def envs_of(record):
    return yaml.safe_load(record["user_yaml"])["envs"]


STRANGERS = [
    job(901, "jupyter", minutes=3),
    recorded(902, "nightly-etl", {"DAY": "3"}, task={"run": "python etl.py"}, minutes=4),
]
BASELINE = recorded(
    500,
    "plain-zeroshot",
    {"MODEL": "plain", "LOSS": "none", "FOLD": "0", "EPOCHS": "0", "EXPERIMENT_NAME": "first"},
    minutes=9,
)


class TestTwoExperimentsStrangersAndABaseline:
    """34 jobs of the same task: 24 and a baseline of one experiment, 8 and a baseline of another."""

    first = (*grid(1, folds=6, more={"EXPERIMENT_NAME": "first"}), BASELINE)
    second = (
        *grid(600, more={"EXPERIMENT_NAME": "second"}, minutes=90),
        recorded(620, "tiny", {**envs_of(BASELINE), "EXPERIMENT_NAME": "second"}, minutes=95),
    )
    jobs = (*first, *second, *STRANGERS)

    def test_the_newest_is_proposed_and_the_other_named(self, propose):
        proposed = propose(self.jobs)
        adopted = proposed.adopt()
        assert proposed.config["experiment_name"] == "second"
        assert set(adopted.attached.values()) == {each["job_id"] for each in self.second}
        assert (adopted.missing, adopted.duplicates, adopted.by_variables) == ([], {}, {})
        assert "# Also in the queue: 25 jobs such as unet-dice-f0 (experiment first); fmon init --job 24" in (
            proposed.text
        )
        assert "# Other jobs in the queue: nightly-etl, jupyter" in proposed.text

    def test_the_other_is_proposed_for_one_of_its_jobs(self, propose):
        proposed = propose(self.jobs, job_id=24)
        adopted = proposed.adopt()
        assert proposed.config["experiment_name"] == "first"
        assert set(adopted.attached.values()) == {each["job_id"] for each in self.first}
        assert (adopted.missing, adopted.duplicates, adopted.by_variables) == ([], {}, {})

    def test_a_person_is_asked_which(self, propose):
        asked = []

        def no_then_yes(question):
            asked.append(question)
            return len(asked) > 1

        proposed = propose(self.jobs, ask=no_then_yes)
        assert proposed.config["experiment_name"] == "first"
        assert asked == [
            "Propose a config for 9 jobs such as unet-dice-f0 (experiment second)?",
            "Propose a config for 25 jobs such as unet-dice-f0 (experiment first)?",
            "plain-zeroshot is not in the grid. Is it a baseline of the experiment?",
        ]

    def test_what_a_person_says_is_not_a_baseline_is_left_out(self, propose):
        proposed = propose(self.first, ask=lambda question: "grid" not in question)
        assert "baselines" not in proposed.config
        assert "# Left out: plain-zeroshot" in proposed.text


def test_the_printed_config(propose):
    assert (
        propose([*grid(more={"EXPERIMENT_NAME": "first"}), BASELINE, *STRANGERS]).text
        == """\
# Proposed by fmon init: the queue (sky) has jobs for 9 conditions.
experiment_name: first
skypilot_yaml: train.yaml  # a guess: not needed for adopt; needed for plan, launch and relaunch
factors:
  model: [unet, sam]
  loss: [dice, ce]
  fold: [0, 1]
baselines:  # not in the grid; delete those that are not part of the experiment
  - model: plain
    loss: none
    fold: 0
    envs: {EPOCHS: 0}
    job_name: plain-zeroshot
fixed:
  EPOCHS: 5
  EXPERIMENT_NAME: first
job_name: '{model}-{loss}-f{fold}'
# expect: {minutes: 30} # run time of a job, for the estimate and the overrun alarm
# limits: {budget_usd: 20}
# prices: {L4: {spot: 0.22, on_demand: 0.70}} # USD/h; default: SkyPilot's catalog
# Other jobs in the queue: nightly-etl, jupyter
"""
    )


def test_the_expected_time_is_the_median_of_the_finished_jobs(propose):
    first, second, third, *rest = grid()
    done = [
        {**each, "status": "SUCCEEDED", "job_duration": 60 * minutes}
        for each, minutes in ((first, 10), (second, 20), (third, 90))
    ]
    text = propose([*done, {**rest[0], "status": "FAILED", "job_duration": 1}, *rest[1:]]).text
    assert "# expect: {minutes: 20} # the median of 3 finished jobs\n" in text


@pytest.mark.parametrize(
    "config",
    [
        "debug",
        "debug_factorial",
        pytest.param("paper_full", marks=pytest.mark.slow),
        "smoke_mini",
        "smoke_test",
    ],
)
def test_the_studys_configs_are_found_again_from_their_jobs(propose, config):
    jobs = study_jobs(config)
    proposed = propose(jobs)
    adopted = proposed.adopt()
    assert len(adopted.attached) == len(jobs) == adopted.condition_count
    assert (adopted.strangers, adopted.by_variables, adopted.rejected) == ([], {}, [])
    if config == "debug":
        hybrid = proposed.config["overrides"]["model_family"]["sam3_hybrid"]
        assert hybrid["resources"] == {"use_spot": False}
        assert hybrid["envs"] == {"GRADIENT_CHECKPOINTING": True, "BATCH_SIZE": 1, "GRAD_ACCUM_STEPS": 4}


@pytest.mark.slow
@pytest.mark.parametrize("newest", ["debug", "debug_factorial"])
def test_of_two_launches_with_the_same_names_the_newest_is_proposed(propose, newest):
    older = {"debug": "debug_factorial", "debug_factorial": "debug"}[newest]
    proposed = propose([*study_jobs(older, status="SUCCEEDED"), *study_jobs(newest, first_id=101)])
    adopted = proposed.adopt()
    assert len(adopted.rejected) == 17
    assert all(job_id > 100 for job_id in adopted.attached.values())
    assert "# Left out: 17 earlier jobs with the same names but different variables" in proposed.text


def test_levels_have_the_types_that_yaml_gives_them(propose):
    levels = {"RATE": ["0.1", "0.01"], "DEEP": ["true", "false"], "CODE": ["01", "2"], "STEPS": ["10", "9"]}
    jobs = [
        recorded(number, "-".join(cell), dict(zip(levels, cell, strict=True)))
        for number, cell in enumerate(product(*levels.values()))
    ]
    proposed = propose(jobs)
    assert proposed.config["factors"] == {
        "rate": [0.01, 0.1],
        "deep": [True, False],
        "code": ["01", "2"],
        "steps": [9, 10],
    }
    assert len(proposed.adopt().attached) == 16


class TestVariablesThatAreNoFactors:
    """A run id, what a level determines, secrets, values from outside."""

    def test_one_that_differs_in_every_job_is_left_out(self, propose):
        jobs = [
            recorded(each["job_id"], each["job_name"], {**envs_of(each), "RUN_ID": f"r{each['job_id']}"})
            for each in grid()
        ]
        proposed = propose(jobs)
        assert list(proposed.config["factors"]) == ["model", "loss", "fold"]
        assert "# Not in the config, because no factor determines them: RUN_ID" in proposed.text

    def test_one_that_a_level_determines_is_an_override(self, propose):
        jobs = [
            recorded(
                each["job_id"], each["job_name"], {**envs, "BATCH": "1" if envs["MODEL"] == "sam" else "2"}
            )
            for each in grid(folds=3, models=("unet", "net", "sam"))
            if (envs := envs_of(each))
        ]
        config = propose(jobs).config
        assert config["fixed"]["BATCH"] == 2
        assert config["overrides"] == {"model": {"sam": {"envs": {"BATCH": 1}}}}

    def test_secrets_are_neither_printed_nor_levels(self, propose):
        jobs = [
            recorded(
                each["job_id"],
                each["job_name"],
                {
                    **envs_of(each),
                    "HF_TOKEN": f"hunter{each['job_id']}",
                    "URI": "${URI}",
                    "LOGIN": "https://ada:hunter2@host/",
                },
            )
            for each in grid()
        ]
        proposed = propose(jobs)
        assert "hunter" not in proposed.text
        assert "# Secret, or set by the environment or --env-file: HF_TOKEN, LOGIN, URI" in proposed.text
        assert len(proposed.adopt().attached) == 8

    def test_names_of_variables_that_are_not_in_upper_case_are_kept(self, propose):
        jobs = [recorded(n, f"x-{rate}", {"lr": rate, "STATUS": "a"}) for n, rate in enumerate(["1", "2"])]
        proposed = propose(jobs)
        assert proposed.config["envs"] == {"lr": "lr"}
        assert len(proposed.adopt().attached) == 2

    def test_a_reserved_name_is_not_a_factor(self, propose):
        jobs = [recorded(n, f"x-{each}", {"STATUS": each}) for n, each in enumerate(["on", "off"])]
        proposed = propose(jobs)
        assert proposed.config["envs"] == {"factor_status": "STATUS"}
        assert proposed.config["factors"] == {"factor_status": ["on", "off"]}
        assert len(proposed.adopt().attached) == 2


def with_values(variable, values):
    """Make a job of two folds for each value of a variable."""
    cells = list(product(values, range(2)))
    return [
        recorded(number, f"{'abc'[values.index(value)]}-{fold}", {variable: value, "FOLD": str(fold)})
        for number, (value, fold) in enumerate(cells, start=1)
    ]


class TestValuesThatYamlReadsOtherwise:
    """A config has them quoted, or leaves the jobs out with a comment."""

    @pytest.mark.parametrize("value", ["null", "~", "on", "12:30", "1_000", "\u00e9"])
    def test_a_word_of_yaml_is_a_level(self, propose, value):
        proposed = propose(with_values("MODEL", ["unet", value]))
        assert proposed.experiment().factors["model"] == ["unet", value]
        assert len(proposed.adopt().attached) == 4

    @pytest.mark.parametrize("value", ["", " x", "x ", "\ufeffx", "\u00a0"])
    def test_a_job_whose_value_can_be_no_level_is_left_out(self, propose, value):
        proposed = propose(with_values("MODEL", ["unet", value, "sam"]))
        assert proposed.experiment().factors["model"] == ["unet", "sam"]
        assert set(proposed.adopt().attached.values()) == {1, 2, 5, 6}
        assert "# Left out, since their MODEL can't be a level (spaces, or no text): b-0, b-1" in (
            proposed.text
        )

    @pytest.mark.parametrize("value", ["", " x", "\ufeffx", "\u00a0"])
    def test_it_may_be_the_value_of_every_job(self, propose, value):
        jobs = [recorded(n, f"m-{n}", {"FOLD": str(n), "NOTE": value}) for n in range(2)]
        assert propose(jobs).experiment().fixed["NOTE"] == value

    @pytest.mark.parametrize("count", [1, 3])
    def test_without_any_level_there_is_no_config(self, propose, count):
        jobs = [recorded(n, f"m{n}", {"MODEL": " " * n}) for n in range(count)]
        with pytest.raises(ConfigError, match="no factor is left: the values of MODEL can't be levels"):
            propose(jobs)

    @pytest.mark.parametrize("name", ["a.b", "x-y", "1x", "a\nb", "\u00e9"])
    def test_a_variable_without_a_valid_name_is_ignored(self, propose, name):
        proposed = propose(
            [recorded(each["job_id"], each["job_name"], {**envs_of(each), name: "1"}) for each in grid()]
        )
        assert len(proposed.adopt().attached) == 8
        assert "# Ignored, since no variable can have such a name: " in proposed.text

    def test_the_names_of_the_jobs_must_do_if_no_variable_has_a_valid_name(self, propose):
        jobs = with_values("a.b", ["x", "y"])
        assert len(propose(jobs).adopt().attached) == 4


class TestIncompleteGrids:
    """A cell without a job stays in the grid; a level with one job among many is a baseline."""

    def test_missing_cells_are_counted(self, propose):
        proposed = propose(grid(folds=3)[:-2])
        assert "factors:  # 2 of 12 cells have no job; see exclude in docs/config.md" in proposed.text
        assert proposed.adopt().missing == ["sam-ce-1", "sam-ce-2"]

    def test_a_level_that_has_just_begun_is_a_level(self, propose):
        jobs = grid(folds=3, models=("a", "b", "c"))[:-3]
        assert propose(jobs).config["factors"]["model"] == ["a", "b", "c"]

    def test_a_job_outside_the_grid_at_another_time_is_left_out(self, propose):
        smoke = recorded(99, "smoke", {"MODEL": "tiny", "LOSS": "x", "FOLD": "9"}, minutes=-600)
        proposed = propose([smoke, *grid(folds=6)])
        assert "baselines" not in proposed.config
        assert "# Left out: smoke" in proposed.text

    def test_a_single_job_is_a_grid_of_one_cell(self, propose):
        proposed = propose(grid()[:1])
        assert proposed.config["factors"] == {"model": ["unet"]}
        assert proposed.config["fixed"] == {"LOSS": "dice", "FOLD": 0, "EPOCHS": 5}
        assert len(proposed.adopt().attached) == 1


@pytest.mark.slow
class TestTheTaskTriedBeforeTheLaunch:
    """A job with the task's own name and the levels of a cell is no condition of its own."""

    @pytest.fixture(params=[0, 90])
    def trial(self, request):
        first = study_jobs("debug")[0]
        return {
            **first,
            "job_id": 200,
            "job_name": "minivess-factorial",
            "status": "CANCELLED",
            "submitted_at": first["submitted_at"] + request.param,
        }

    def check(self, proposed):
        adopted = proposed.adopt()
        assert (adopted.condition_count, len(adopted.attached)) == (34, 34)
        assert (200 in adopted.attached.values(), adopted.strangers) == (False, ["minivess-factorial"])
        assert "# Left out, since they have the levels of another job: minivess-factorial" in proposed.text

    def test_with_other_variables(self, propose, trial):
        trial["entrypoint"] = "sky jobs launch -y --env-file .env deployment/skypilot/train_factorial.yaml"
        self.check(propose([*study_jobs("debug"), trial]))

    @pytest.mark.parametrize("condition", [0, 33])
    def test_with_the_variables_of_a_cell_or_a_baseline(self, propose, trial, condition):
        trial["entrypoint"] = study_jobs("debug")[condition]["entrypoint"]
        trial["user_yaml"] = study_jobs("debug")[condition]["user_yaml"]
        self.check(propose([*study_jobs("debug"), trial]))

    def test_a_newer_run_under_another_name_does_not_take_the_place(self, propose):
        again = {**grid()[0], "job_id": 50, "job_name": "again", "submitted_at": START.timestamp() + 900}
        proposed = propose([*grid(), again])
        assert proposed.adopt().attached["unet-dice-0"] == 1
        assert "# Left out, since they have the levels of another job: again" in proposed.text
