"""What SkyPilot says that jobs have cost: whose clusters, how much, and nothing it does not know."""

import json
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmon.errors import QueueError
from fmon.sky.costs import cluster_name, reported_costs
from tests.support.fake_server import payload


def cluster(name, usd, **changed):
    """Make a row of the report as the real server gives it, cut to what matters."""
    row = {
        "name": name,
        "launched_at": 1795471715,
        "duration": 200,
        "num_nodes": 1,
        "resources": "gASVlAMAAAAAAACMDXNreS5yZXNvdXJjZXOU",
        "usage_intervals": [[1795471715, 1795471915]],
        "status": None,
        "total_cost": usd,
        "cloud": "Slurm",
    }
    return {**row, **changed}


@pytest.fixture
def report(server):
    """Let the fake server give a cost report."""
    server.on_other = lambda it: it.send(200, "null")

    def give(*rows):
        server.on_get = lambda it: it.send(200, payload(list(rows)))
        return server

    return give


def test_the_clusters_of_all_recoveries_are_added_up(report):
    report(cluster("sam3-7", 0.25), cluster("sam3-7", 0.5), cluster("dynunet-8", 1))
    assert reported_costs({7: ["sam3"], 8: ["dynunet"]}, days=3) == {7: 0.75, 8: 1}


def test_the_tasks_of_one_job_are_added_up(report):
    report(cluster("train-7", 0.25), cluster("evaluate-7", 0.5))
    assert reported_costs({7: ["train", "evaluate"]}, days=3) == {7: 0.75}


def test_names_match_exactly_never_in_part(report):
    report(cluster("sam3-77", 1), cluster("big-sam3-7", 1), cluster("sam3-7-7", 1), cluster("sam3", 1))
    assert reported_costs({7: ["sam3"]}, days=3) == {}


@pytest.mark.parametrize("unknown", [0, 0.0, None, -1, "1.5", True, 1e10])
def test_a_cost_that_skypilot_does_not_know_is_no_figure(report, unknown):
    report(cluster("a-1", unknown), cluster("b-2", unknown), cluster("b-2", 1), cluster("c-3", 2))
    assert reported_costs({1: ["a"], 2: ["b"], 3: ["c"]}, days=3) == {3: 2}


def test_a_cluster_that_never_ran_costs_nothing(report):
    report(cluster("a-1", 0.0, duration=0), cluster("a-1", 2))
    assert reported_costs({1: ["a"]}, days=3) == {1: 2}


def test_rows_of_another_shape_are_left_out(report):
    report(None, 7, [], {"name": ["a-1"]}, {"name": "a-1"}, cluster("c-3", 2))
    assert reported_costs({1: ["a"], 3: ["c"]}, days=3) == {3: 2}


def test_the_server_is_asked_once_and_told_how_far_back(report):
    server = report()
    reported_costs({1: ["a"]}, days=12)
    assert server.asked == ["POST /cost_report", "GET /api/get"]
    assert json.loads(server.requests[0][3]) == {"days": 12}


@pytest.mark.parametrize("answer", [{}, None, "null", 7])
def test_an_answer_that_is_no_report_is_one_sentence(report, answer, monkeypatch):
    server = report()
    server.on_get = lambda it: it.send(200, payload(answer))
    with pytest.raises(QueueError, match="instead of its cost report"):
        reported_costs({1: ["a"]}, days=1)


def test_a_server_that_hangs_is_not_waited_for(report):
    server = report()
    server.on_get = lambda it: it.hang()
    with pytest.raises(QueueError, match=r"within 0.3 s; it may be busy; the next report tries again"):
        reported_costs({1: ["a"]}, days=1, timeout_s=0.3)


def test_where_plain_http_is_refused_the_sdk_is_asked(report, home, monkeypatch):
    package = home / "lib/sky"
    for folder in ("client", "server"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text("print('a hint from SkyPilot')\n")
    asked = home / "asked"
    (package / "client/sdk.py").write_text(
        f"def cost_report(**asked):\n    open({str(asked)!r}, 'w').write(repr(asked))\n    return 'id'\n"
    )
    body = json.dumps(payload([cluster("sam3-7", 0.25)])).encode()
    (package / "server/common.py").write_text(
        textwrap.dedent(f"""
            class Response:
                status_code = 200
                headers = {{}}
                content = {body!r}
            def make_authenticated_request(*asked, **how):
                return Response()
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(home / "lib"))
    report().on_other = lambda it: it.send(401, {"detail": "who are you?"})
    assert reported_costs({7: ["sam3"]}, days=12) == {7: 0.25}
    assert asked.read_text() == "{'days': 12}"


def test_a_server_that_is_down_is_not_asked_twice(home, monkeypatch):
    monkeypatch.setenv("SKYPILOT_API_SERVER_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(QueueError, match="can't be reached"):
        reported_costs({7: ["sam3"]}, days=1)


# Made by SkyPilot 0.14.1's own function; the test after this one asks it again.
@pytest.mark.parametrize(
    ("task_name", "name"),
    [
        ("dynunet", "dynunet-12"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaa-12"),
        ("A_long.name-of-a-condition-with-levels", "a-long-name-of-a-condi-an-12"),
        ("segresnet-dice_ce_cldi---x", "segresnet-dice-ce-cldi-f4-12"),
        ("sam3-dice_ce_cldice-fold-0", "sam3-dice-ce-cldice-fo-8m-12"),
    ],
)
def test_a_long_name_is_cut_and_hashed_as_skypilot_does(task_name, name):
    assert cluster_name(task_name, 12) == name


NAMES = st.one_of(
    st.text("abcXYZ019._-", min_size=1, max_size=60),
    st.from_regex(r"[a-z]{20,24}[-._]{0,4}[a-z]{0,8}", fullmatch=True),
)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")  # SkyPilot's own
def test_clusters_are_named_as_the_installed_skypilot_names_them():
    from sky.jobs.utils import generate_managed_job_cluster_name

    @given(name=NAMES, job_id=st.integers(0, 10**9))
    @settings(deadline=None)
    def holds(name, job_id):
        assert cluster_name(name, job_id) == generate_managed_job_cluster_name(name, job_id)

    holds()
