"""Which jobs of the queue a config is proposed for."""

import pytest

from fmon.errors import ConfigError
from tests.support.proposing import grid
from tests.support.queues import START, job
from tests.support.recorded import TRAIN, recorded


class TestWhichJobs:
    """Jobs of the user, not of fmon, as the options say."""

    def test_jobs_of_others_are_left_out(self, propose):
        ours = grid(user_hash="aaaa1111")
        theirs = grid(100, models=("x", "y"), user_hash="bbbb2222")
        assert propose([*ours, *theirs]).config["factors"]["model"] == ["unet", "sam"]

    def test_by_name_and_time(self, propose):
        jobs = [*grid(name="old-{m}-{loss}-{f}"), *grid(100, name="new-{m}-{loss}-{f}", folds=1, minutes=99)]
        assert len(propose(jobs, pattern="old-*").adopt().attached) == 8
        later = START.replace(hour=6)
        proposed = propose(jobs, since=later)
        assert len(proposed.experiment().conditions) == 4
        assert proposed.sentences[0].endswith("Next: fmon adopt CONFIG --since 2026-03-22T06:00:00")
        with pytest.raises(ConfigError, match=r"matches --name and --since; it has old-unet-dice-0"):
            propose(jobs, pattern="x*")

    def test_jobs_that_fmon_launched_have_a_config(self, propose):
        tags = {"fmon": {"experiment": "e-1", "condition": "c", "cycle": 0}}
        with pytest.raises(ConfigError, match=r"fmon launched all jobs in the queue \(sky\), as e-1"):
            propose([job(1, "c", metadata=tags)])

    def test_an_empty_queue_and_an_unknown_job(self, propose):
        with pytest.raises(ConfigError, match=r"the queue \(sky\) has no jobs.*fmon init TASK.yaml"):
            propose([])
        with pytest.raises(ConfigError, match="job 77 is not in the queue"):
            propose(grid(), job_id=77)

    def test_a_task_that_differs_in_each_job_does_not_separate_them(self, propose):
        jobs = [
            recorded(each["job_id"], each["job_name"], {}, task={**TRAIN, "run": f"train {each['job_name']}"})
            for each in grid()
        ]
        assert len(propose(jobs).adopt().attached) == 8


@pytest.mark.parametrize(
    "hostile",
    [
        "a: &a [*a]",
        "&a {run: x, envs: *a}",
        f"envs: {{0x{'f' * 9000}: 1}}",
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nrun: &r [*b, *r]\n",
        "\n".join([f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9 if n else ['x'])}]" for n in range(20)]),
        f"resources: {{disk_size: 0x{'f' * 9000}, cpus: .inf}}",
        f"run: {{0x{'f' * 9000}: 0x{'f' * 9000}}}",
        "run: [",
        "[" * 10_000,
        "- 1",
    ],
)
def test_a_hostile_task_in_the_queue_changes_nothing(propose, hostile):
    jobs = [{**job(990 + number, "evil", minutes=2), "user_yaml": hostile} for number in range(2)]
    proposed = propose([*grid(), *jobs])
    assert set(proposed.adopt().attached.values()) == set(range(1, 9))


def test_a_level_with_control_characters_does_not_reach_the_terminal(propose):
    jobs = [recorded(n, f"x{n}", {"A": f"a\x1b[31m{n}", "B": str(n)}) for n in range(3)]
    assert "\x1b" not in propose([*jobs, job(9, "s\x1b[31m\nexclude: []")]).text
