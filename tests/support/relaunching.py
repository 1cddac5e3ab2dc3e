"""A world whose project is a git repository, to fail in, to be fixed and to be run again."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from fmon.events import FixEvent
from fmon.relaunch.plan import Authorization
from fmon.relaunch.relaunch import Relaunched, RelaunchOptions, relaunch
from fmon.store.events import append_event
from tests.support.fake_skypilot import START
from tests.support.git import commit, git
from tests.support.queues import FakeLogs
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Collection

IMAGE = "registry.example/study:v1"
CONFIG = f"""\
experiment_name: small
skypilot_yaml: train.yaml
docker_image: {IMAGE}
factors: {{model: [dynunet, sam3], loss: [dice_ce, dice_ce_cldice]}}
prices: {{L4: {{spot: 0.36, on_demand: 0.36}}}}
verify: {{tests: test -f fixed}}
"""
TASK = f"""\
resources: {{accelerators: L4}}
envs: {{IMAGE: {IMAGE}, MODEL: null, LOSS: null}}
run: python train.py
"""
OUTAGE = (
    "requests.exceptions.ConnectionError: HTTPSConnectionPool: Max retries exceeded: Connection refused\n"
)
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
OPTIONS = frozenset(RelaunchOptions.__dataclass_fields__)


class Repository(World):
    """A world with a git repository as its project, whose image was built of the first commit."""

    def __init__(self, root: Path, config: str = CONFIG, task: str = TASK) -> None:
        super().__init__(root, config, task)
        self.digest = OLD
        git(self.project, "init", "-q", at=START)
        commit(self.project, "First", at=START - timedelta(days=1))

    def fix(self, digest: str = NEW) -> None:
        """Commit a fix, build and push the image, and record what was done about each cause."""
        self.server.pass_time(60)
        (self.project / "fixed").write_text(digest)
        commit(self.project, "Fix the loss", at=self.server.clock())
        self.digest = digest
        for event in self.events("diagnosis")[-1:]:
            for cause in event["causes"]:
                self.record(cause["root_cause_id"], event.get("cycle", 0))

    def record(self, root_cause_id: str, cycle: int) -> None:
        """Record a fix as ``fmon fix record`` does, without asking F1 and F2."""
        event = FixEvent(
            at=self.server.clock(), cycle=cycle, root_cause_id=root_cause_id, what="mended", by="ada"
        )
        append_event(self.store, event)

    def relaunch(self, **changes: Any) -> Relaunched:
        """Run again what the view lists."""
        self.server.pass_time(60)
        submitter = changes.pop("submitter", None) or self.open_submitter()
        wished = {name: changes.pop(name) for name in OPTIONS & changes.keys()}
        dependencies = replace(
            self.dependencies(),
            open_submitter=lambda hold: submitter,
            digest_of=changes.pop("ask", self.digest_of),
        )
        agree = changes.pop("agree", lambda again: True)
        options = RelaunchOptions(by="ada", **wished)
        return relaunch(self.study, dependencies, agree=agree, options=options, **changes)

    def cycle(self, failed: Collection[str], number: int) -> None:
        """Diagnose, fix, run again and fail again."""
        self.diagnose()
        self.fix("sha256:" + str(number) * 64)
        self.relaunch()
        self.end(failed)


class Stage:
    """A world at a moment, to be had again and again at the same place: what led there takes seconds."""

    def __init__(self, world: Repository) -> None:
        self._world = world
        self._kept = Path(mkdtemp(dir=world.root.parent)) / "kept"
        shutil.copytree(world.root, self._kept)

    def again(self) -> Repository:
        """Go back to it."""
        shutil.rmtree(self._world.root)
        shutil.copytree(self._kept, self._world.root)
        world = copy.copy(self._world)
        world.server = self._world.server.copy()
        world.logs = FakeLogs(dict(self._world.logs.texts))
        return world


def allowed(cycle: int, budget_usd: str = "5") -> Authorization:
    """Give a person's word for a cycle."""
    return Authorization(cycle, Decimal(budget_usd), "ada")
