"""Why a job failed, read from its log, its status and SkyPilot's reason. Pure.

Read in this order: ``taxonomy`` (the categories), ``text`` (lines as a person reads them),
``tracebacks``, ``rules`` (patterns.toml), ``decide`` (which of them wins).
"""

from fmon.causes.analyze import analyze_logs
from fmon.causes.info import FailureInfo
from fmon.causes.signature import RULES_VERSION
from fmon.model import Pattern

__all__ = ["RULES_VERSION", "FailureInfo", "Pattern", "analyze_logs"]
