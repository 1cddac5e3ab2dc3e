"""Find out why a job failed, from its log, its status and SkyPilot's failure reason, without any I/O.

Reading order: ``taxonomy`` (the categories), ``text`` (cleaned lines), ``tracebacks``, ``rules``
(patterns.toml), ``decide`` (which rule wins).
"""

from fmon.causes.analyze import analyze_logs
from fmon.causes.info import FailureInfo
from fmon.causes.signature import RULES_VERSION
from fmon.model import Pattern

__all__ = ["RULES_VERSION", "FailureInfo", "Pattern", "analyze_logs"]
