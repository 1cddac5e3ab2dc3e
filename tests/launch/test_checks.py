"""plan and launch have one list of checks: what one of them refuses, the other does."""

import re

import pytest

from fmon.errors import ConfigError
from fmon.launch.plan import plan
from tests.support.launching import CONFIG, TASK, launching_world

IMAGE = "docker:registry/x:1"

REFUSED = {
    # name: (what the config has in addition, the change of the task, what both say)
    "a slash in a level": ("exclude: [{model: a/b}]\n", {}, "'a/b-dice_ce'"),
    "a name that starts with a digit": ("baselines: [{model: 3d-unet}]\n", {}, "'3d-unet'"),
    "a name that YAML misreads": ("baselines: [{model: x, job_name: 'on'}]\n", {}, "SkyPilot reads as true"),
    "a blank in the name of a baseline": (
        "baselines: [{model: x, job_name: a b}]\n",
        {},
        "a space is not a letter",
    ),
    "upper case in an image": ("", {IMAGE: "docker:registry/X:1"}, "'docker:registry/X:1' is not an image"),
    "an image of one level": (
        "baselines: [{model: x, resources: {image_id: 'docker:a b'}}]\n",
        {},
        "'docker:a b' is not an image",
    ),
    "an image with a variable": ("", {IMAGE: "docker:${REG}/x:1"}, "image_id: 'docker:${REG}/x:1'"),
    "an image that is a variable": ("", {IMAGE: "docker:$IMG"}, "'docker:$IMG' is not an image"),
    "docker_image": ("docker_image: 'x:y:z'\n", {}, "'x:y:z' is not an image"),
    "no image": ("", {f"image_id: '{IMAGE}', ": ""}, "jobs run on a bare VM"),
    "PATH": ("fixed: {PATH: /opt}\n", {}, "the config would set PATH=/opt"),
    "the factor's variable": ("envs: {model: HOME}\n", {"$MODEL": "$HOME"}, "factor model would set HOME="),
    "a variable of a level": (
        "baselines: [{model: x, envs: {LD_LIBRARY_PATH: /l}}]\n",
        {},
        "would set LD_LIBRARY_PATH=/l",
    ),
    "a variable that bash ignores": ("fixed: {GROUPS: 8}\n", {}, "GROUPS=8"),
    "a variable of SkyPilot": ("fixed: {SKYPILOT_NODE_RANK: 1}\n", {}, "SKYPILOT_NODE_RANK=1"),
    "a variable that the task sets": ("", {"run:": "envs: {LANG: C}\nrun:"}, "train.yaml would set LANG,"),
    "a variable from here": ("", {"run:": "envs: {USER: null}\nrun:"}, "declares USER without a value"),
    "a variable of the task": (
        "",
        {"run:": "envs: {CUDA_VISIBLE_DEVICES: '0'}\nrun:"},
        "would set CUDA_VISIBLE",
    ),
    "a secret of the task": ("", {"run:": "secrets: {HOME: /x}\nrun:"}, "train.yaml would set HOME, but"),
    "an unresolved value": ("fixed: {DATA: '${BUCKET}/x'}\n", {}, "set DATA to '${BUCKET}/x'"),
    "an unresolved level": ("baselines: [{model: $NAME, job_name: x}]\n", {}, "set MODEL to '$NAME'"),
    "a folder of a variable": ("fixed: {OUT: $HOME/out}\n", {}, "set OUT to '$HOME/out'"),
    "a command": ("fixed: {DAY: $(date)}\n", {}, "set DAY to '$(date)'"),
    "an unresolved resource": ("", {"L4,": "'${GPU}',"}, "accelerators: '${GPU}'"),
    "an unresolved mount": (
        "",
        {"run:": "file_mounts: {/d: 's3://${B}/x'}\nrun:"},
        "no job has the variable B",
    ),
    "a file of one level": ("", {"run:": "workdir: ${MODEL}\nrun:"}, "uploads sam3, which does not exist"),
    "no budget for it": ("limits: {budget_usd: 1}\n", {}, "limits.budget_usd is 1"),
    "no estimate": ("limits: {budget_usd: 9}\nexpect: {minutes: null}\n", {}, "no estimate to compare"),
}


@pytest.fixture
def sky(tmp_path, monkeypatch):
    world = launching_world(tmp_path)
    monkeypatch.chdir(world.config.parent)
    monkeypatch.setenv("USER", "ada")
    (world.config.parent / "dynunet").mkdir()
    return world


def planned(sky, **options):
    return plan(sky.config, ask=sky.ask, catalog=lambda names: {}, **options)


def failed(sky):
    return [check.sentence for check in planned(sky).checks if check.result == "fail"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_plan_refuses_launch_refuses_and_nothing_else(sky, case):
    more, changes, said = REFUSED[case]
    task = TASK
    for old, new in changes.items():
        assert old in task
        task = task.replace(old, new)
    keys = {line.partition(":")[0] for line in more.splitlines()}
    config = "".join(line for line in CONFIG.splitlines(True) if line.partition(":")[0] not in keys)
    if "a/b" in more:
        config, more = config.replace("dynunet", "a/b"), ""
    sky.write(config + more, task)
    (sentence,) = failed(sky)
    assert said in sentence
    with pytest.raises(ConfigError, match="1 check failed") as refusal:
        planned(sky).require_passed()
    assert refusal.value.exit_code == 2
    with sky.refused(ConfigError, re.escape(said)):
        sky.launch()


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ("", {}),
        ("allow_variables: [PATH, GROUPS]\nfixed: {PATH: /opt, GROUPS: 8}\n", {}),
        ("fixed: {DATA: 'pa$word', PATHS: x}\n", {}),
        ("allow_variables: [LANG]\n", {"run:": "envs: {LANG: C, OUT: '/x'}\nrun:"}),
        ("", {"run:": "file_mounts: {/d: ./$MODEL}\nrun:"}),
        ("", {IMAGE: "docker:localhost:5000/a/b@sha256:" + "0" * 64}),
    ],
)
def test_what_plan_accepts_launch_accepts(sky, more, changes):
    (sky.config.parent / "sam3").mkdir(exist_ok=True)
    task = TASK
    for old, new in changes.items():
        task = task.replace(old, new)
    keys = {line.partition(":")[0] for line in more.splitlines()}
    config = "".join(line for line in CONFIG.splitlines(True) if line.partition(":")[0] not in keys)
    sky.write(config + more, task)
    assert failed(sky) == []
    assert len(sky.launch().dispatched.launched) == 4
