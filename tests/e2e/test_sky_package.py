"""What fmon relies on in the pinned SkyPilot package, asked of the package; no server is needed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fmon.config.placeholders import VARIABLE
from fmon.errors import QueueError
from fmon.launch.job_names import name_fault
from fmon.launch.system_variables import FOR_USERS, is_of_system
from fmon.sky.endpoint import Endpoint, find_endpoint
from fmon.sky.protocol import API_VERSION, FIELDS, SPEC_FIELDS, VERSION, request_headers
from fmon.sky.sdk import ask_worker
from fmon.sky.status import STATUSES
from fmon.sky.user_yaml import variables_of

pytestmark = pytest.mark.real


def pinned(script: str, **environ: str):
    """Run a script where SkyPilot is installed, in a home of its own; give what it prints as JSON."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SKYPILOT")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import json\n" + script],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def package():
    """What the pinned package says about itself; one import for all who ask."""
    return pinned(
        "import sky\n"
        "from sky.jobs.state import ManagedJobStatus\n"
        "from sky.schemas.api.responses import ManagedJobRecord\n"
        "from sky.server import constants\n"
        "statuses = {s.value: [s.is_terminal(), s.is_failed()] for s in ManagedJobStatus}\n"
        "versions = [sky.__version__, constants.API_VERSION]\n"
        "headers = [constants.API_VERSION_HEADER, constants.VERSION_HEADER]\n"
        "fields = list(ManagedJobRecord.model_fields)\n"
        "print(json.dumps(dict(statuses=statuses, versions=versions, headers=headers, fields=fields)))"
    )


def test_the_versions_that_are_sent_are_those_of_the_pinned_package(package):
    assert package["versions"] == [VERSION, API_VERSION]
    assert set(package["headers"]) <= set(request_headers(Endpoint(url="http://x")))


def test_every_field_is_one_of_skypilots_record(package):
    assert {*FIELDS, *SPEC_FIELDS} <= set(package["fields"])


def test_the_recorded_yaml_lacks_what_the_command_line_overrides(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("envs: {FOLD: 0, FLAG: true, RATE: 1.50, MODEL: null}\nrun: 'true'\n")
    # As the client sends a task, and as the server records it (sky/jobs/server/core.py).
    recorded, envs = pinned(
        "from sky.utils import dag_utils\n"
        f"dag = dag_utils.load_chain_dag_from_yaml({str(path)!r}, [('FOLD', '2'), ('MODEL', 'sam3')])\n"
        "sent = dag_utils.load_chain_dag_from_yaml_str(dag_utils.dump_chain_dag_to_yaml_str(dag))\n"
        "recorded = dag_utils.dump_dag_to_yaml_str(sent, use_user_specified_yaml=True)\n"
        "print(json.dumps([recorded, sent.tasks[0].envs]))"
    )
    assert variables_of(recorded) == {"FOLD": "0", "FLAG": "True", "RATE": "1.5"}
    command = "sky jobs launch --env FOLD=2 --env MODEL=sam3 task.yaml"
    assert variables_of(recorded, command) == envs


def test_the_statuses_are_skypilots(package):
    ours = {known.status: [known.is_terminal, known.is_failed] for known in STATUSES}
    assert ours == package["statuses"]


CONFIGS = [
    ("", "", {}),
    (
        "api_server: {endpoint: http://user:1, service_account_token: sky_a}\n",
        "api_server: {endpoint: http://p:2}\n",
        {},
    ),
    ("api_server: {endpoint: http://user:1}\n", "", {"SKYPILOT_API_SERVER_ENDPOINT": "http://env:3"}),
    ("", "", {"SKYPILOT_API_SERVER_LOCAL_PORT": "5"}),
    (
        "",
        "",
        {"SKYPILOT_SERVICE_ACCOUNT_TOKEN": "sky_b", "SKYPILOT_USER_ID": "abc123", "SKYPILOT_USER": "ada"},
    ),
]


@pytest.mark.parametrize(("user", "project", "environ"), CONFIGS)
def test_the_server_is_found_where_the_sdk_finds_it(tmp_path, monkeypatch, user, project, environ):
    (tmp_path / ".sky").mkdir()
    (tmp_path / ".sky/config.yaml").write_text(user)
    (tmp_path / ".sky/user_hash").write_text("fcd1e5cf")
    (tmp_path / ".sky.yaml").write_text(project)
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("SKYPILOT"):
            monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path), **environ}.items():
        monkeypatch.setenv(name, value)
    script = (
        "from sky.server import common; from sky.client import service_account_auth as auth\n"
        "from sky.utils import common_utils as u\n"
        "print(json.dumps([common.get_server_url(), auth.get_service_account_headers(),"
        " u.get_user_hash(), u.get_local_user_name()]))"
    )
    endpoint = find_endpoint()
    ours = [endpoint.url, endpoint.headers, *endpoint.identity.values()]
    assert ours == pinned(script, HOME=str(tmp_path), **environ)


NAMES = (
    *("dynunet-dice_ce-true-0", "a", "A.b_c--d", "a__b", "a_-b", "x1", "m-1e-4", "m-0.10", "a" * 229),
    *(
        "a/b",
        "a+b",
        "a=b",
        "a,b",
        "a b",
        "é",
        "名前",
        "-a",
        "a-",
        ".a",
        "_a",
        "a___b",
        "a-._b",
        "a\tb",
        "a:b",
        "a\n",
    ),
    *(
        "3d-unet",
        "1",
        "1e-4",
        "0x1f",
        "1-0",
        "true",
        "null",
        "on",
        "~",
        "2026-03-01",
        "a" * 230,
        "",
        "a@b",
        "$M",
    ),
)


@pytest.fixture(scope="module")
def refused_names():
    """The names that the package refuses: for a task, for its cluster, in a file name, or read from YAML."""
    return pinned(
        "import sky, tempfile, yaml\n"
        "from sky.jobs.utils import generate_managed_job_cluster_name\n"
        "from sky.utils import common_utils\n"
        f"names, refused = {NAMES!r}, []\n"
        "for name in names:\n"
        "    try:\n"
        "        sky.Task(name=name).validate_name()\n"
        "        common_utils.check_cluster_name_is_valid(generate_managed_job_cluster_name(name, 1))\n"
        "        tempfile.NamedTemporaryFile(prefix=f'managed-user-dag-{name}-').close()\n"
        "        assert yaml.safe_load(f'name: {name}') == {'name': name}\n"
        "    except Exception:\n"
        "        refused.append(name)\n"
        "print(json.dumps(refused))"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_check_of_job_names_agrees_with_the_package(refused_names, name):
    assert (name_fault(name) is not None) is (name in refused_names)


def test_the_file_of_a_job_is_named_as_the_check_of_its_length_assumes():
    """Of the names that the server gives to files, this one is the longest."""
    text = Path(pinned("import sky.jobs.server.core as c; print(json.dumps(c.__file__))")).read_text()
    assert "prefix=f'managed-user-dag-{dag.name}-'," in text


def test_the_grammar_of_variables_is_that_of_the_package():
    names = ["A", "_a1", "a-b", "1a", "a b", "é", "a.b", "", "A_"]
    found = pinned(
        "from sky.utils import common_utils as c\n"
        f"print(json.dumps([name for name in {names!r} if c.is_valid_env_var(name)]))"
    )
    assert found == [name for name in names if re.fullmatch(VARIABLE, name)]


def test_every_variable_that_the_package_sets_in_a_job_is_a_system_variable():
    found = pinned(
        "from sky.skylet import constants as c\n"
        "names = [v for k, v in vars(c).items() if isinstance(v, str) and v.startswith('SKYPILOT_')]\n"
        "print(json.dumps([sorted(names), sorted(c.DOCKER_LOGIN_ENV_VARS)]))"
    )
    names, login = found
    assert {*login} <= FOR_USERS
    assert {name for name in names if not is_of_system(name)} <= FOR_USERS


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("name: a/b\nrun: x\n", None),  # names of jobs are another check
        ("envs: {A: null}\nrun: x\n", None),
        ("name: p\n---\nname: a/b\nrun: x\n---\nrun: y\n", "Invalid task name a/b"),
        ("name: p\n---\nname: 3d\nrun: x\n---\nrun: y\n", "Cluster name"),
        ("name: p\n---\nname: a\nrun: x\n---\nname: a\nrun: y\n", "two tasks have the same name"),
        ("resources: {infra: kubernetes, labels: {'a b': x}}\nrun: x\n", "labels are invalid"),
        ("envs: {SKYPILOT_DOCKER_USERNAME: x}\nrun: x\n", "Docker login variables"),
        ("file_mounts: {/a: gone}\nrun: x\n", "does not exist locally"),
    ],
)
def test_the_package_checks_a_task_as_its_server_would(tmp_path, task, said):
    path = tmp_path / "0.yaml"
    path.write_text(task)
    if said is None:
        assert ask_worker("tasks", str(path)) == 1
    else:
        with pytest.raises(QueueError, match=re.escape(said)):
            ask_worker("tasks", str(path))
