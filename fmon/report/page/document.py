"""Render templates into a one-file page that runs only its own script and uses no network.

All output of a template is escaped and control characters are shown as escapes: names, levels, reasons and
logs are untrusted.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from fmon.text import clock, cost, cut, duration, money, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmon.warehouse.result import Row

MAX_BYTES = 1_000_000


def document(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    filters: dict[str, Callable[..., Any]] | None = None,
    **values: Any,
) -> str:
    """Return a page; the same values give the same bytes.

    Parameters
    ----------
    template
        File in this package; it extends ``base.html.j2``.
    styles, scripts
        Files in this package to include in the page, in this order; its policy allows only their hashes.
    filters
        More filters for the template.
    values
        Variables of the template.
    """
    style, script = (_joined(names) for names in (styles, scripts))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; "
    policy += f"script-src '{_hash(script)}'; " if script else ""
    policy += "base-uri 'none'; form-action 'none'"
    environment = _environment()
    environment.filters.update(filters or {})
    return environment.get_template(template).render(
        style=Markup(style), script=Markup(script), policy=policy, **values
    )


def multiline(text: str, most: int, length: int | None = None) -> Markup:
    """Keep the lines of a text; a truncated text ends with its full length.

    Parameters
    ----------
    text
        The text, or its beginning.
    most
        Characters to show.
    length
        Length of the entire text; None = that of ``text``.
    """
    shown = "\n".join(visible(part) for part in text[:most].split("\n"))[:most]
    total = len(text) if length is None else length
    more = f" … ({total:,} characters; see the JSONL)" if total > len(shown) else ""
    return Markup(escape(shown + more))


def sentence(text: str) -> str:
    """Start a text with a capital letter and end it with a full stop."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def left(found: Sequence[Row], most: int) -> int:
    """Count the rows that a list leaves out; each row has the total."""
    return max(0, found[0]["total"] - min(len(found), most)) if found else 0


@cache  # compiles a template once for all sizes of a page; rendering looks the filters up again
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        loader=FunctionLoader(asset),
    )
    environment.filters.update(
        clock=clock,
        duration=duration,
        money=money,
        count=lambda number: f"{number:,}",
        cut=cut,
        multiline=multiline,
        kept=lambda found, most: found[:most],
        left=left,
        sentence=sentence,
    )
    environment.globals.update(cost=cost)
    return environment


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


@cache
def asset(name: str) -> str:
    """Read a file of this package."""
    return files("fmon.report.page").joinpath("assets", name).read_text(encoding="utf-8")


def _joined(names: Sequence[str]) -> str:
    return "".join(map(asset, names))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
