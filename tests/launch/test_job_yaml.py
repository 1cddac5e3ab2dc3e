"""The task YAML of one condition's job."""

import yaml

from fmon.config import load_experiment
from fmon.config.task import read_task
from fmon.launch.environment import Environment
from fmon.launch.job_yaml import job_yaml, unset
from fmon.sky.record import parse_records
from tests.support.world import write_config

CONFIG = """\
experiment_name: e
skypilot_yaml: train.yaml
factors: {model: [dynunet, sam3], aug: [true]}
envs: {model: MODEL_FAMILY}
overrides: {model: {sam3: {envs: {BATCH: 1}, resources: {use_spot: false}}}}
fixed: {EPOCHS: "2"}
"""


def jobs(tmp_path, task, **environment):
    experiment = load_experiment(write_config(tmp_path, CONFIG, task))
    read = read_task(experiment)
    given = Environment(**{"environ": {}, **environment})
    texts = [
        job_yaml(read, experiment, condition, experiment_id="e-1", cycle=1, environment=given)
        for condition in experiment.conditions
    ]
    return [list(yaml.safe_load_all(text)) for text in texts]


def test_a_job_gets_its_name_its_levels_and_the_fixed_variables(tmp_path):
    (dynunet,), (sam3,) = jobs(tmp_path, "name: x\nenvs: {MODEL_FAMILY: none, KEEP: a}\nrun: |\n  a\n  b\n")
    assert dynunet["name"] == "dynunet-true"
    tags = {"FMON_EXPERIMENT": "e-1", "FMON_CONDITION": "dynunet-true", "FMON_CYCLE": "1"}
    levels = {"MODEL_FAMILY": "dynunet", "AUG": "true", "EPOCHS": "2", "KEEP": "a"}
    assert dynunet["envs"] == {**levels, **tags}
    assert dynunet["run"] == "a\nb\n"
    assert sam3["envs"]["BATCH"] == "1"


def test_overrides_win_over_the_task_and_over_each_of_its_choices(tmp_path):
    task = "resources: {cpus: 1+, any_of: [{infra: gcp, use_spot: true}, {infra: aws}]}\nrun: x\n"
    (dynunet,), (sam3,) = jobs(tmp_path, task)
    assert dynunet["resources"]["any_of"] == [{"infra": "gcp", "use_spot": True}, {"infra": "aws"}]
    assert sam3["resources"] == {
        "cpus": "1+",
        "any_of": [{"infra": "gcp"}, {"infra": "aws"}],
        "use_spot": False,
    }


def test_the_metadata_is_read_back_from_the_queue(tmp_path):
    ((task,), _) = jobs(tmp_path, "run: x\n_metadata: {own: 1}\n")
    assert task["_metadata"]["own"] == 1
    (record,), _ = parse_records([{"job_id": 1, "status": "PENDING", "metadata": task["_metadata"]}])
    assert (record.fmon_experiment, record.fmon_condition, record.fmon_cycle) == ("e-1", "dynunet-true", 1)


def test_all_tasks_of_a_pipeline_belong_to_the_condition_and_its_header_has_the_name(tmp_path):
    for task in (
        "name: p\n---\nname: a\nrun: x\n---\nname: b\nrun: y\n",
        "name: a\nrun: x\n---\nname: b\nrun: y\n",
    ):
        (header, a, b), _ = jobs(tmp_path, task)
        assert header == {"name": "dynunet-true"}
        assert (a["name"], b["name"]) == ("a", "b")
        assert a["_metadata"] == b["_metadata"]
        assert a["envs"]["AUG"] == "true"


def test_declared_variables_take_their_value_from_the_environment(tmp_path):
    task = "envs: {HF_TOKEN: null, MODEL_FAMILY: null}\nsecrets: {KEY: null}\nrun: x\n"
    ((job,), _) = jobs(tmp_path, task, environ={"HF_TOKEN": "t", "KEY": "k", "MODEL_FAMILY": "wrong"})
    assert (job["envs"]["HF_TOKEN"], job["secrets"]["KEY"], job["envs"]["MODEL_FAMILY"]) == (
        "t",
        "k",
        "dynunet",
    )
    read = read_task(load_experiment(tmp_path / "experiment.yaml"))
    assert unset(read, {"MODEL_FAMILY": "x"}, Environment(environ={})) == ["HF_TOKEN", "KEY"]


def test_placeholders_are_filled_since_skypilot_would_pass_them_on(tmp_path):
    task = "envs: {URL: 'https://${HOST}/${GONE}', MODEL_FAMILY: '${HOST}'}\n"
    task += "secrets: {KEY: 'x-${KEY}'}\nrun: x\n"
    ((job,), _) = jobs(tmp_path, task, environ={"HOST": "h"}, passed={"KEY": "k"})
    assert (job["envs"]["URL"], job["envs"]["MODEL_FAMILY"]) == ("https://h/${GONE}", "dynunet")
    assert job["secrets"]["KEY"] == "k"


def test_the_env_file_reaches_every_job_and_its_secrets_stay_secrets(tmp_path):
    task = "envs: {SEED: '1', OLD: a}\nsecrets: {KEY: null, OTHER: fixed}\nrun: echo ${EXTRA}\n"
    passed = {"KEY": "k", "OTHER": "o", "EXTRA": "e", "OLD": "new"}
    for (job,) in jobs(tmp_path, task, passed=passed):
        assert job["secrets"] == {"KEY": "k", "OTHER": "o"}
        assert not {"KEY", "OTHER"} & job["envs"].keys()
        assert [job["envs"][name] for name in ("EXTRA", "OLD", "SEED")] == ["e", "new", "1"]
        assert job["run"] == "echo ${EXTRA}"


def test_fmons_variables_take_precedence_over_those_of_the_file(tmp_path):
    passed = {"MODEL_FAMILY": "wrong", "EPOCHS": "99", "AUG": "wrong", "FMON_CONDITION": "wrong"}
    (job,), _ = jobs(tmp_path, "run: x\n", passed=passed)
    assert [job["envs"][name] for name in passed] == ["dynunet", "2", "true", "dynunet-true"]


def test_the_env_file_reaches_all_tasks_of_a_pipeline(tmp_path):
    task = "name: a\nrun: x\n---\nname: b\nsecrets: {KEY: null}\nrun: y\n"
    (_, a, b), _ = jobs(tmp_path, task, passed={"KEY": "k"})
    assert a["envs"]["KEY"] == "k"
    assert (b["secrets"], "KEY" in b["envs"]) == ({"KEY": "k"}, False)
