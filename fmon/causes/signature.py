"""Identity of errors: signature and root cause id."""

import hashlib
from collections.abc import Sequence

from fmon.causes.mask import mask
from fmon.causes.taxonomy import SHARED_CLASSES, cause_of

RULES_VERSION = "4"
"""Version of the rule set, part of every signature; raised when rules distinguish errors differently."""


def signature_of(
    category: str,
    subcategory: str | None,
    *,
    exception_class: str | None,
    message: str | None,
    frames: Sequence[str] = (),
) -> str:
    """Hash what makes two errors identical.

    Parameters
    ----------
    category, subcategory
        The cause.
    exception_class
        Class of the exception, if there is one.
    message
        Its message, or the line that decided.
    frames
        The deepest frames of the project, ``file.py:function``.

    Returns
    -------
    str
        16 hex digits.
    """
    parts = [RULES_VERSION, category, subcategory or "", exception_class or "", mask(message or ""), *frames]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def root_cause_id_of(
    category: str, subcategory: str | None, *, exception_class: str | None, message: str | None
) -> str:
    """Return the id of the root cause, by which failures are clustered.

    Category and subcategory if the group of the cause is resources, infrastructure or external;
    otherwise also the exception class and 8 hex digits of the hash of the masked message.
    """
    name = f"{category}/{subcategory}" if subcategory else category
    if cause_of(category, subcategory).group in SHARED_CLASSES or category in ("none", "user_cancelled"):
        return name
    digest = hashlib.sha256(mask(message or "").encode("utf-8", "replace")).hexdigest()[:8]
    return "/".join([category, subcategory or "-", exception_class or "-", digest])
