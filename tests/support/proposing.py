"""Jobs of a grid in the queue, and the config that is proposed for them."""

from itertools import product

import yaml

from fmon.config import load_experiment
from fmon.init.propose import propose_config
from fmon.launch.adopt import adopt
from tests.support.queues import START, FakeQueue
from tests.support.recorded import recorded


def grid(first_id=1, *, folds=2, models=("unet", "sam"), name="{m}-{loss}-f{f}", more=None, **fields):
    """Make the jobs of a grid of models, two losses and folds."""
    cells = product(models, ["dice", "ce"], range(folds))
    return [
        recorded(
            number,
            name.format(m=model, loss=loss, f=fold),
            {"MODEL": model, "LOSS": loss, "FOLD": str(fold), "EPOCHS": "5", **(more or {})},
            **fields,
        )
        for number, (model, loss, fold) in enumerate(cells, start=first_id)
    ]


class Proposed:
    """A proposed config, adopted from the same queue in an empty folder."""

    def __init__(self, folder, jobs, **options):
        self.queue = FakeQueue(jobs)
        proposal = propose_config(self.queue, **options)
        self.text, self.sentences = proposal.text, proposal.sentences
        self.config = yaml.safe_load(self.text)
        self.path = folder / "experiment.yaml"
        self.path.write_text(self.text)
        self.folder = folder

    def adopt(self):
        return adopt(self.path, self.queue, self.folder / "data", now=START, catalog=lambda names: {})

    def experiment(self):
        return load_experiment(self.path, needs_task=False)
