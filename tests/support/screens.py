"""What a terminal is shown of a small experiment, and a pseudo terminal to show it on."""

import os
import pty
import re
import subprocess
import sys
from decimal import Decimal

from fmon.model import STATES
from fmon.monitor.eta import Eta
from fmon.monitor.status import Alarm, ConditionRow, Status
from tests.support.studies import at

HOSTILE = "[bold]x[/] \x1b]0;owned\x07 \x1b[31m \u202eevil\u202c \x9b2J \r\n\u2028"


def row(number: int, state: str = "running", **changed) -> ConditionRow:
    fields = {
        "condition_id": f"dynunet-dice_ce_cldice-true-{number}",
        "kind": "grid",
        "factors": {"model_family": "dynunet", "fold": str(number)},
        "job_id": number,
        "job_name": f"job-{number}",
        "cycle": 0,
        "state": state,
        "status": state.upper(),
        "category": None,
        "failure_reason": None,
        "recovery_count": 0,
        "run_s": 61.0,
        "cost_usd": Decimal("0.4200"),
        "submitted_at": None,
        "start_at": None,
        "end_at": None,
        "since_at": None,
        "closed_by": None,
        "closed_reason": None,
        "closed_at": None,
    }
    return ConditionRow(**{**fields, **changed})


def alarm(number: int, **changed) -> Alarm:
    fields = {
        "kind": "overrun",
        "severity": "critical",
        "condition_id": f"dynunet-dice_ce_cldice-true-{number}",
        "job_id": number,
        "message": f"job {number} runs longer than expected",
        "value": None,
        "threshold": None,
        "unit": None,
        "started_at": None,
        "raised_at": at(number),
    }
    return Alarm(**{**fields, **changed})


def seen(rows: list[ConditionRow], alarms: list[Alarm] | None = None, **changed) -> Status:
    counts = {state: sum(each.state == state for each in rows) for state in STATES}
    fields = {
        "experiment_id": "study-20260322T050000Z",
        "experiment_name": "study",
        "is_replayed": False,
        "now_at": at(10),
        "poll_id": 7,
        "polled_at": at(9),
        "poll_age_s": 60.0,
        "poll_error": None,
        "last_ok_at": at(9),
        "ok_age_s": 60.0,
        "alarms": alarms or [],
        "rows": rows,
        "counts": counts,
        "condition_count": len(rows),
        "open_count": counts["running"],
        "cost_usd": Decimal("4.2"),
        "job_count": 4,
        "unpriced_count": 2,
        "reported_count": 0,
        "impossible_count": 0,
        "eta": Eta(at=at(30), rest_s=1200, rule="median of all succeeded conditions; 1 at a time"),
    }
    return Status(**{**fields, **changed})


MIXED = [row(1, "succeeded"), row(2, "failed"), row(3), row(4, "lost"), row(5, "missing", job_id=None)]

EXAMPLE = """\
import sys
from fmon.terminal.watch import WatchScreen
from fmon.terminal.status import print_status
from tests.support.screens import MIXED, alarm, seen
status = seen(MIXED, [alarm(3)])
if sys.argv[1] == "watch":
    with WatchScreen() as screen:
        for count in (1, 2, 3):
            screen.show(seen(MIXED[:count]), note="a note" if count == 3 else None)
else:
    print_status(status, "table")
"""


def on_terminal(what: str, *, columns: int = 80, **env: str) -> str:
    """Run the example on a pseudo terminal and give all that came out of it."""
    parent, child = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24", **env}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", EXAMPLE, what], stdout=child, stdin=child, stderr=child, env=kept | variables
    )
    os.close(child)
    out = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the child has closed its end
            break
        if not piece:
            break
        out += piece
    os.close(parent)
    assert process.wait(timeout=60) == 0, out.decode()
    return out.decode().replace("\r\n", "\n")


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
