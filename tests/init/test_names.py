"""How the jobs are named in a proposed config, and what to do if that does not tell."""

from fmon.errors import QueueError
from fmon.init.propose import propose_config
from tests.support.proposing import grid
from tests.support.queues import START, FakeQueue, ended, job
from tests.support.recorded import study_jobs


class TestNames:
    """How jobs are named, and what to do if that does not tell."""

    def test_a_retry_is_not_a_separate_condition(self, propose):
        jobs = grid()
        retry = {**jobs[0], "job_id": 50, "submitted_at": START.timestamp() + 9000}
        proposed = propose([ended(jobs[0], "FAILED"), *jobs[1:], retry])
        adopted = proposed.adopt()
        assert (len(adopted.attached), adopted.superseded) == (8, [1])
        assert adopted.attached["unet-dice-0"] == 50

    def test_one_name_for_all_jobs(self, propose):
        proposed = propose(grid(name="train"))
        assert "job_name" not in proposed.config
        assert "# The job names do not follow from the levels, so fmon adopt matches the variables." in (
            proposed.text
        )
        assert len(proposed.adopt().attached) == 8

    def test_names_that_do_not_have_every_factor(self, propose):
        assert len(propose(grid(name="{m}-f{f}")).adopt().attached) == 8

    def test_names_with_braces(self, propose):
        assert len(propose(grid(name="{{x}}-{m}-{loss}-{f}")).adopt().attached) == 8

    def test_a_script_that_sets_variables_unseen_leaves_only_names(self, propose):
        jobs = [
            {**each, "user_yaml": grid()[0]["user_yaml"], "entrypoint": "python sweep.py"} for each in grid()
        ]
        proposed = propose(jobs)
        assert proposed.config["factors"] == {"a": ["unet", "sam"], "b": ["dice", "ce"], "c": [0, 1]}
        assert "fixed" not in proposed.config
        assert len(proposed.adopt().attached) == 8

    def test_a_queue_without_yamls(self, propose):
        jobs = [job(each["job_id"], each["job_name"], minutes=each["job_id"]) for each in study_jobs("debug")]
        proposed = propose([*jobs, job(900, "jupyter"), job(901, "my-notebook-dev-x")])
        assert proposed.config["factors"] == {
            "a": ["dynunet", "mambavesselnet", "sam3_topolora", "sam3_hybrid"],
            "b": ["cbdice_cldice", "dice_ce", "dice_ce_cldice", "bce_dice_05cldice"],
            "calib": [True, False],
        }
        assert proposed.config["job_name"] == "{a}-{b}-calib{calib}-f0"
        adopted = proposed.adopt()
        assert len(adopted.attached) == 34
        assert adopted.strangers == ["jupyter", "my-notebook-dev-x"]

    def test_names_are_used_if_variables_can_not_be_read(self):
        queue = FakeQueue(grid())
        queue.specs_error = QueueError("too busy", error_type="Timeout")
        text = propose_config(queue).text
        assert "# The variables of the jobs could not be read (too busy)." in text
        assert "no variables are recorded" in text
