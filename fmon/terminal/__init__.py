"""What people see in a terminal.

``visible`` costs nothing to import: a poll under cron says its sentences through it. Everything else loads
rich, or prepares for it, and comes when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fmon.text import visible

if TYPE_CHECKING:
    from fmon.terminal.comparison import print_comparison
    from fmon.terminal.diagnosis import print_diagnosis
    from fmon.terminal.export import print_exported
    from fmon.terminal.fix_plan import print_fix_plan
    from fmon.terminal.launch import LaunchBar
    from fmon.terminal.plan import print_plan
    from fmon.terminal.relaunch import print_escalation, print_relaunched
    from fmon.terminal.rows import print_rows
    from fmon.terminal.status import print_status
    from fmon.terminal.watch import WatchScreen

__all__ = [
    "LaunchBar",
    "WatchScreen",
    "print_comparison",
    "print_diagnosis",
    "print_escalation",
    "print_exported",
    "print_fix_plan",
    "print_plan",
    "print_relaunched",
    "print_rows",
    "print_status",
    "visible",
]

_HOMES = {
    "LaunchBar": "launch",
    "WatchScreen": "watch",
    "print_comparison": "comparison",
    "print_exported": "exported",
    "print_diagnosis": "diagnosis",
    "print_escalation": "relaunch",
    "print_fix_plan": "fix_plan",
    "print_plan": "plan",
    "print_relaunched": "relaunch",
    "print_rows": "rows",
    "print_status": "status",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
