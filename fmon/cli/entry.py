"""Entry point; the only place that turns errors into messages and exit codes."""

import sys

from fmon.cli.poll import plain_call, run_poll
from fmon.cli.stderr import say
from fmon.errors import FmonError, RuleError
from fmon.terminal.streams import guard


def main() -> None:
    """Run the command line."""
    guard()
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()  # while an error still can be reported
    except FmonError as refusal:
        details = refusal.details if isinstance(refusal, RuleError) else ()
        say(f"fmon: {refusal}", *details)
        raise SystemExit(refusal.exit_code) from None
    except KeyboardInterrupt:  # of a poll without Typer
        from fmon.cli.options import INTERRUPTED

        raise SystemExit(INTERRUPTED) from None


def _run() -> None:
    call = plain_call(sys.argv[2:]) if sys.argv[1:2] == ["poll"] else None
    if call is None:
        from fmon.cli.app import app

        app()
    else:
        run_poll(call)
