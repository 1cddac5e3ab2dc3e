"""Counts how often commands open the four files of an experiment; a process of its own, for good.

Called with a folder: a study is launched, fails and is fixed there; prints one JSON object, per command how
often it read each file. An audit hook sees every open of the process, whoever asks for it.
"""

import json
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

from fmon.clients import registry
from fmon.sky import queue
from fmon.sky.submit import sdk
from tests.support.fake_skypilot import FakeSubmitter, SkyPilotQueue
from tests.support.relaunching import Repository
from tests.support.world import CONDITIONS

FILES = {
    "manifest.json": "manifest",
    "experiment.yaml": "config",
    "train.yaml": "task",
    "events.jsonl": "events",
}
WRITES = 3
"""The bits of ``os.O_ACCMODE``; a file that is opened to read has none of them."""
COMMANDS = (["fix", "plan"], ["fix", "verify"], ["relaunch", "--yes"])


def main() -> None:
    """Count."""
    world = Repository(Path(sys.argv[1]))
    registry.digest_of = lambda reference: world.digest
    from fmon.cli import launch  # not before: the commands take digest_of over
    from fmon.cli.app import app

    world.launch()
    world.end(CONDITIONS[1::2])
    world.diagnose()
    world.fix()
    queue.open_queue = lambda source: SkyPilotQueue(world.server)
    sdk.SdkSubmitter = lambda hold: FakeSubmitter(world.server)
    launch.Clock = lambda: world.server.time

    reads: Counter[str] = Counter()

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not int(args[2]) & WRITES and Path(str(args[0])).name in FILES:
            reads[FILES[Path(str(args[0])).name]] += 1

    sys.addaudithook(hook)
    counted = {}
    for command in COMMANDS:
        reads.clear()
        with redirect_stdout(sys.stderr):
            app([*command, "--data", str(world.data)], standalone_mode=False)
        counted[" ".join(command[:2])] = {name: reads[name] for name in FILES.values()}
    print(json.dumps({"reads": counted, "relaunched": world.launched(1)}))


if __name__ == "__main__":
    main()
