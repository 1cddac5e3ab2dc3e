"""A world to launch in: levels with variables and resources of their own, an expected time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import world

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = f"""\
{world.CONFIG}overrides: {{model: {{sam3: {{envs: {{BATCH: 1}}, resources: {{use_spot: false}}}}}}}}
fixed: {{EPOCHS: 2}}
expect: {{minutes: 60}}
"""
TASK = """\
resources: {image_id: 'docker:registry/x:1', accelerators: L4, use_spot: true}
run: python train.py $MODEL $LOSS --epochs $EPOCHS --batch ${BATCH:-2}
"""


def launching_world(root: Path) -> world.World:
    """Make it; nothing is launched yet."""
    return world.World(root, CONFIG, TASK)
