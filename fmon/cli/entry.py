"""Entry point; the only place that turns errors into messages and exit codes."""

import os
import sys

from fmon.cli.poll import plain_call, run_poll
from fmon.cli.stderr import say
from fmon.errors import FmonError, RuleError


def main() -> None:
    """Run the command line."""
    try:
        call = plain_call(sys.argv[2:]) if sys.argv[1:2] == ["poll"] else None
        if call is None:
            from fmon.cli.app import app

            app()
        else:
            run_poll(call)
    except FmonError as refusal:
        details = refusal.details if isinstance(refusal, RuleError) else ()
        say(f"fmon: {refusal}", *details)
        raise SystemExit(refusal.exit_code) from None
    except BrokenPipeError:
        # The reader has closed the pipe (fmon sql ... | head): keep Python from flushing again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
