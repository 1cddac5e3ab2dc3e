"""Remove secrets from text before it is stored or shown.

There are two steps: a scan for fixed words, which is the only cost for text without secrets, then
the patterns whose words were found. Each pattern is anchored, bounded and possessive, so the time is
linear in the length of the text, whatever it contains. In doubt, a value is redacted if its name
says that it is secret, and kept if only its shape suggests it: git hashes, ``max_tokens=512`` and
``tokenizer=...`` stay readable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME = 80
MAX_KEY_BLOCK = 16_384
RANDOM_LENGTH = 16


def redact(text: str) -> str:
    """Replace every secret with ``[redacted:<kind>]``; the name before it is kept.

    Parameters
    ----------
    text
        Any text; logs and error messages are untrusted.

    Returns
    -------
    str
        The text, unchanged if it contains no secret. Redacting twice changes nothing.

    Examples
    --------
    >>> redact("WANDB_API_KEY=0123456789abcdef0123 epochs=3")
    'WANDB_API_KEY=[redacted:key] epochs=3'
    """
    low = text.lower()
    if not any(word in low for word in WORDS):
        return text
    if "private key" in low:
        text = _without_key_blocks(text)
    for rule in RULES:
        if any(word in low for word in rule.words):
            text = rule.pattern.sub(rule.replace, text)
    return text


BEGIN = (
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=\x1b\[m)|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm)|(?<=\x1b\[\d;\d\dm))"
)
"""The start of a token: not inside a longer word, which also keeps a run of prefixes from being
scanned repeatedly. Colour codes and escaped newlines end in a letter but are not part of a word."""


class _Rule(NamedTuple):
    """A pattern, and the lower-case words of which the text must contain one for it to match."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: str | Callable[[re.Match[str]], str]


def _token(kind: str, pattern: str, *words: str) -> _Rule:
    """Return the rule for a token that is recognized by its shape."""
    return _Rule(words, re.compile(BEGIN + pattern), f"[redacted:{kind}]")


def _is_placeholder(bare: str) -> bool:
    """Return whether a value is a placeholder: empty, a reference, a mask, or already redacted."""
    return (
        not bare.strip("*.x-_")
        or bare[0] in "$<[{(%*"
        or bare.lower()
        in ("none", "null", "true", "false", "nil", "undefined", "unset", "required", "missing")
    )


def _is_random(value: str) -> bool:
    """Return whether a value looks random: long, with letters and digits."""
    return (
        len(value) >= RANDOM_LENGTH
        and any(letter.isdigit() for letter in value)
        and any(letter.isalpha() for letter in value)
        and "/" not in value[:1]
    )


def _name_before(match: re.Match[str]) -> str:
    """Return the part of the name before the word that marks it as secret."""
    text, start = match.string, match.start()
    before = text[max(0, start - MAX_NAME) : start]
    kept = len(before)
    while kept and (before[kept - 1].isalnum() or before[kept - 1] in "_-."):
        kept -= 1
    return NOT_THE_NAME.sub("", before[kept - 1 if kept else 0 :])


def _assignment(match: re.Match[str]) -> str:
    """Redact the value of NAME=VALUE or NAME: VALUE if the name says that it is secret."""
    word, separator, value = match["word"], match["separator"], match["value"]
    before = _name_before(match)
    if _is_placeholder(value.strip("\"'")) or not _is_secret(before + word, word, value):
        return match[0]
    if separator[0] == ":" and value[0] not in "\"'" and _is_prose(match, before):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    end = quote if value.endswith(quote) and len(value) > 1 else ""
    return f"{word}{separator}{quote}[redacted:{KINDS[word.lower()]}]{end}"


def _is_secret(name: str, word: str, value: str) -> bool:
    """Return whether a name and its value are a secret."""
    before, bare = name[: -len(word)], value.strip("\"'")
    if word.lower() not in ("key", "token") or QUALIFIED.search(before):
        return True
    # pad_token, primary_key: in lower case the word alone says little, in an env var it is enough.
    if name.isupper() and before[-1:] in ("_", "-"):
        return not bare.isdigit()
    return word.lower() == "token" and before[-1:] in ("", "_", "-", ".") and _is_random(bare)


def _is_prose(match: re.Match[str], before: str) -> bool:
    """Return True for "invalid password: authentication failed", False for the YAML "password: hunter2"."""
    start = match.start() - len(before)
    last_word = match.string[max(0, start - 4) : start].rstrip(" ")
    return last_word[-1:].isalnum() and not any(letter.isdigit() for letter in match["value"])


def _any_case(word: str) -> str:
    """Return a regex that matches a word in any case: four times faster here than re.IGNORECASE."""
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


KINDS = {
    "key": "key", "token": "token", "secret": "secret", "secrets": "secret",
    "password": "password", "passwords": "password", "passwd": "password", "passphrase": "password",
    "pwd": "password", "credential": "secret", "credentials": "secret",
}  # fmt: skip
"""The last word of a name that marks it as secret, and the kind it is redacted as."""

NOT_THE_NAME = re.compile(r"^(?:\[[\d;]{0,8}m|\\[nrt]|[^\w.-])")
"""The character before the name, with what a colour code or an escaped newline adds to it."""

QUALIFIED = re.compile(
    r"(?:api|access|secret|private|auth|account|signing|encryption|refresh|bearer|session)[_-]?$",
    re.IGNORECASE,
)

_ASSIGNMENT = re.compile(
    "(?P<word>" + "|".join(_any_case(word) for word in KINDS) + ")"
    r"(?P<separator>[\"']?(?:[ \t]{1,3}[=:]{1,2}[ \t]{0,3}|=(?:[ \t]{1,3}(?=[\"']))?|:=?[ \t]{0,3})"
    r"(?:\x1b\[[\d;]{0,8}m)?)"
    r"(?P<value>\"[^\"\n]{0,4096}+\"?|'[^'\n]{0,4096}+'?|[^\s\"',;&<>\x1b]{1,4096}+)"
)

RULES = (
    _token("huggingface", r"(?:hf_[A-Za-z0-9]{20,}+|api_org_[A-Za-z0-9]{20,}+)", "hf_", "api_org_"),
    _token(
        "github",
        r"(?:gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_\w{22,}+)",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
    ),
    _token(
        "gitlab",
        r"(?:gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent)-|gloas-|GR1348941)[\w-]{20,}+",
        *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-"),
        *("gloas-", "gr1348941"),
    ),
    _token("pypi", r"pypi-[\w-]{32,}+", "pypi-"),
    _token("npm", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])", "npm_"),
    _Rule(
        (":_authtoken",), re.compile(r"(:_authToken=\s{0,4})(?!\[redacted)[^\s\"']{8,}+"), r"\1[redacted:npm]"
    ),
    _token("stripe", r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}+", "k_live_", "k_test_"),
    _token("sendgrid", r"SG\.[\w-]{22}\.[\w-]{43}", "sg."),
    _token("square", r"sq0csp-[\w\\-]{43}", "sq0csp-"),
    _token("telegram", r"\d{8,10}:AA[\w-]{33}(?![\w-])", ":aa"),
    # No word marks these two: with the letter first, most text is only searched for that letter.
    _Rule(
        ("ac", "sk"),
        re.compile(r"[AS](?<![A-Za-z0-9_-].)[CK][0-9a-f]{32}(?![A-Za-z0-9])"),
        "[redacted:twilio]",
    ),
    _Rule(
        (".",),
        re.compile(r"[MNO](?<![A-Za-z0-9_-].)[\w-]{23,25}\.[\w-]{6}\.[\w-]{27}(?![\w-])"),
        "[redacted:discord]",
    ),
    _token("mailchimp", r"[0-9a-f]{32}-us\d{1,2}(?!\w)", "-us"),
    _token("artifactory", r"(?:AKC|AP[\dA-F])(?=[A-Za-z]{0,63}\d)[A-Za-z0-9]{20,}+", "akc", "ap"),
    _Rule(
        ("accountkey=",),
        re.compile(r"(AccountKey=)[A-Za-z0-9+/]{40,}+={0,2}"),
        r"\1[redacted:azure]",
    ),
    _token("docker", r"dckr_pat_[\w-]{20,}+", "dckr_pat_"),
    _token("aws", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", "akia", "asia", "abia", "acca"),
    _token("gcp", r"(?:AIza[\w-]{35}|ya29\.[\w.-]{20,}+|GOCSPX-[\w-]{20,}+)", "aiza", "ya29.", "gocspx-"),
    _token("slack", r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}+", "xox", "xapp-"),
    _Rule(
        ("hooks.slack.com",),
        re.compile(r"(hooks\.slack\.com/(?:services|workflows)/)[\w/-]{8,}+", re.IGNORECASE),
        r"\1[redacted:slack]",
    ),
    _token("anthropic", r"sk-ant-[\w-]{16,}+", "sk-ant-"),
    _token("openai", r"sk-(?=[A-Za-z_-]{0,64}\d)[\w-]{20,}+", "sk-"),
    _token("wandb", r"wandb_v1_\w{20,}+", "wandb_v1_"),
    _Rule(
        ("wandb",),
        re.compile(
            r"(wandb\S{0,40}\s{1,4}(?:login\s{1,4})?(?:--relogin\s{1,4})?)[0-9a-f]{40}(?![0-9a-f])",
            re.IGNORECASE,
        ),
        r"\1[redacted:wandb]",
    ),
    _token("jwt", r"(?:sky_)?eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?", "eyj"),
    _Rule(
        ("authorization",),
        re.compile(
            r"(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|token|digest|apikey)\s{1,3})?+)"
            r"(?!\[redacted)[^\s\"',;\[]{4,}+",
            re.IGNORECASE,
        ),
        r"\1[redacted:authorization]",
    ),
    _Rule(
        ("bearer",),
        re.compile(r"(\bbearer\s{1,3})[\w.~+/=-]{16,}+", re.IGNORECASE),
        r"\1[redacted:authorization]",
    ),
    _Rule(
        ("://",),
        re.compile(r"(://[^\s:/@?#\"'<>\[]{0,256}+:)(?!\[redacted)[^\s/?#\"'<>]{1,256}@"),
        r"\1[redacted:password]@",
    ),
    _Rule(
        ("sig=", "signature=", "token=", "key="),
        re.compile(
            r"([?&](?:sig|x-(?:amz|goog)-(?:signature|security-token)|(?:access_|api_)?(?:token|key))=)[^\s&\"'<>\[]{8,}+",
            re.IGNORECASE,
        ),
        r"\1[redacted:url_parameter]",
    ),
    _Rule(
        ("--pass", "--token", "--api-key", "--secret"),
        re.compile(
            r"(--(?:password|passwd|token|api-key|secret(?:-key)?)\s{1,3})(?!-|\[redacted)[^\s\"'|;&<>$]{1,4096}+"
        ),
        r"\1[redacted:argument]",
    ),
    _Rule(
        ("machine ",),
        re.compile(
            r"(machine\s{1,3}\S{1,256}\s{1,3}login\s{1,3}\S{1,256}\s{1,3}password\s{1,3})(?!\[redacted)\S{1,4096}+"
        ),
        r"\1[redacted:password]",
    ),
    _Rule(("key", "token", "secret", "pass", "pwd", "credential"), _ASSIGNMENT, _assignment),
)

WORDS = (*dict.fromkeys(word for rule in RULES for word in rule.words), "private key")

_KEY = re.compile(r"-----(?P<side>BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(
    r"[^\n]{0,300}?[A-Za-z0-9+/=]{40,}+[ \t\r]*"
    r"|[A-Za-z0-9+/]{0,64}={0,2}[ \t\r]*"
    r"|(?:Proc-Type|DEK-Info|Comment): [^\n]{0,200}"
)
"""A line of a key's body, with any prefix that a log adds."""


def _without_key_blocks(text: str) -> str:
    """Replace private keys, even if a log prefixes each line or only part of the key is there."""
    parts, position = [], 0
    marks = list(_KEY.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark.start() < position:
            continue
        if mark["side"] == "END":  # its beginning was cut off
            start, stop = _body_before(text, position, mark.start()), mark.end()
        elif following and following["side"] == "END" and following.start() < mark.end() + MAX_KEY_BLOCK:
            start, stop = mark.start(), following.end()
        else:  # its end was cut off
            start, stop = mark.start(), _body_after(text, mark.end())
        parts += [text[position:start], "[redacted:private_key]"]
        position = stop
    parts.append(text[position:])
    return "".join(parts)


def _body_after(text: str, start: int) -> int:
    """Return the end of the lines from ``start`` that can belong to a key."""
    limit = min(len(text), start + MAX_KEY_BLOCK)
    stop = text.find("\n", start, limit)
    while 0 <= stop < limit and (line := _KEY_LINE.match(text, stop + 1, limit)):
        if line.end() < limit and text[line.end()] != "\n":
            break
        stop = line.end()
    return stop if stop >= 0 else limit


def _body_before(text: str, position: int, stop: int) -> int:
    """Return the start of the lines up to ``stop`` that can belong to a key."""
    limit = max(position, stop - MAX_KEY_BLOCK)
    start = text.rfind("\n", limit, stop) + 1 or limit
    while start > limit:
        above = text.rfind("\n", limit, start - 1) + 1 or limit
        if not _KEY_LINE.fullmatch(text, above, start - 1):
            break
        start = above
    return start
