"""Ask before anything is launched, cancelled or closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fmon.cli.options import INTERRUPTED
from fmon.cli.services import services
from fmon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


def require_consent(question: str, *, verb: str, participle: str) -> None:
    """Ask on the terminal, and refuse unless the answer is yes.

    Parameters
    ----------
    question
        The question to ask.
    verb, participle
        The action, for the messages: launch, launched.

    Raises
    ------
    ConfigError
        The answer was no, or there is no terminal to ask on.
    """
    if not services().can_ask():
        raise ConfigError(f"no terminal to ask on; use --yes to {verb} or --dry-run to preview")
    if not confirm(question):
        raise ConfigError(f"nothing was {participle}: you answered no")


def confirm(question: str) -> bool:
    """Ask on the terminal."""
    try:
        return services().confirm(question)
    except typer.Abort:  # Ctrl-C or Ctrl-D instead of an answer
        raise typer.Exit(INTERRUPTED) from None


def confirming(*, yes: bool) -> Callable[[str], bool] | None:
    """Return the function that asks further questions; None = do not ask."""
    return None if yes or not services().can_ask() else confirm
