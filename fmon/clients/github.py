"""Read and file issues on GitHub with its command line, ``gh``.

gh has the user's login, hosts and proxies; fmon has no token. It is run without a shell.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any, NamedTuple

from fmon.errors import ConfigError, GitHubError
from fmon.redact import redact

TIMEOUT_S = 60.0
"""Longest wait for one call of gh [s]; a call that timed out may still take effect."""

MOST_LISTED = 1000
"""Maximum number of issues to list if the search finds none; GitHub's search has the same limit."""

NOT_LOGGED_IN = 4
"""Exit status of gh without a login."""

LABELS = {
    "fmon": ("1f6feb", "Filed by fmon: a root cause of failed experiment conditions"),
    "fmon-unrecoverable": ("d1242f", "A person has to fix it"),
    "fmon-out-of-cycles": ("bf8700", "Still failing after the last allowed relaunch"),
}
"""Colour and description of each label, to create it in a repository."""

ASK = "ask a maintainer of the repository to add it"

_REPOSITORY = re.compile(r"(?:https://)?(?:[\w.-]+/)?[\w.-]+/[\w.-]+")
_MAY_NOT = re.compile(r"label|permission|not accessible|not authorized|forbidden|HTTP 40[34]", re.IGNORECASE)
"""How GitHub refuses a label: there is none, or the user may not set it."""

_URL = re.compile(r"https?://\S+/issues/\d+")

QUIET = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1", "GH_PAGER": "cat"}


class RefusedError(GitHubError):
    """gh ended with an error of GitHub's, such as a missing permission: what it was to do is not done."""


class Found(NamedTuple):
    """An issue of the repository."""

    number: int
    url: str
    state: str
    body: str


class GitHub:
    """The issues of one repository.

    Attributes
    ----------
    label_faults
        Why issues were filed without a label, in sentences.
    """

    def __init__(self, program: str, repository: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.program = program
        self.repository = repository
        self.timeout_s = timeout_s
        self.label_faults: list[str] = []
        self._labels: set[str] | None = None
        self._newest: list[Found] | None = None

    def search(self, word: str) -> list[Found]:
        """List the issues, including closed ones, that GitHub's search finds by a word of their body.

        Its index lags, and on some servers lacks HTML comments: an empty result proves nothing.
        """
        return self._list("--search", f"{word} in:body")

    def labelled(self, label: str) -> list[Found]:
        """List the newest issues with a label, including closed ones; this does not use the lagging index."""
        return self._list("--label", label)

    def newest(self) -> list[Found]:
        """List the newest issues, including closed ones, as of the first call: also those without a label."""
        if self._newest is None:
            self._newest = self._list()
        return self._newest

    def comments(self, number: int) -> list[str]:
        """Return the bodies of an issue's comments."""
        issue = self._json("issue", "view", str(number), "--json", "comments")
        return [str(comment["body"]) for comment in issue["comments"]]

    def create(self, title: str, body: str, labels: list[str]) -> str:
        """Create an issue and return its URL; create missing labels first.

        Labels that may not be made or used are left out: ``label_faults`` says why. Not everybody who may
        file an issue may do that.
        """
        options = [part for label in labels if self._has_label(label) for part in ("--label", label)]
        words = ("issue", "create", "--title", title, "--body-file", "-")
        try:
            return self._url(*words, *options, body=body)
        except RefusedError as fault:
            # After any other error the issue may exist.
            if not options or not _MAY_NOT.search(str(fault)):
                raise
            url = self._url(*words, body=body)
            self.label_faults.append(f"filed without labels: {fault}; {ASK}")
            return url

    def comment(self, number: int, body: str) -> str:
        """Add a comment to an issue and return its URL."""
        return self._url("issue", "comment", str(number), "--body-file", "-", body=body)

    def _list(self, *filters: str) -> list[Found]:
        options = ["--state", "all", "--limit", str(MOST_LISTED), "--json", "number,url,state,body"]
        return [
            Found(found["number"], found["url"], found["state"].lower(), found["body"])
            for found in self._json("issue", "list", *filters, *options)
        ]

    def _has_label(self, label: str) -> bool:
        """Return whether the repository has a label, after trying to create it."""
        colour, meaning = LABELS[label]
        try:
            if label in self._known_labels():
                return True
            self._run("label", "create", label, "--color", colour, "--description", meaning)
        except RefusedError as fault:
            if "already exists" not in str(fault):  # another process has just created it
                sentence = f"filed without the label {label}: {fault}; {ASK}"
                self.label_faults += [] if sentence in self.label_faults else [sentence]
                return False
        self._known_labels().add(label)
        return True

    def _known_labels(self) -> set[str]:
        """Return the labels of the repository, read once."""
        if self._labels is None:
            listed = self._json("label", "list", "--limit", str(MOST_LISTED), "--json", "name")
            self._labels = {row["name"].lower() for row in listed}
        return self._labels

    def _json(self, *words: str) -> Any:
        output = self._run(*words)
        try:
            return json.loads(output)
        except ValueError:
            message = (
                f"gh {' '.join(words[:2])} printed something that is not JSON; check that gh is up to date"
            )
            raise GitHubError(message) from None

    def _url(self, *words: str, body: str) -> str:
        output = self._run(*words, body=body)
        lines = output.strip().splitlines()
        if not lines or not _URL.match(lines[-1]):
            message = f"gh {' '.join(words[:2])} succeeded but printed no URL; check that gh is up to date"
            raise GitHubError(message)
        return lines[-1]

    def _run(self, *words: str, body: str | None = None) -> str:
        words = (*words, "--repo", self.repository)
        return run_gh(self.program, *words, body=body, timeout_s=self.timeout_s)


def open_github(repository: str | None, *, timeout_s: float = TIMEOUT_S) -> GitHub:
    """Find gh and the repository.

    Parameters
    ----------
    repository
        ``OWNER/NAME``, with the host before it if it is not github.com; None = that of the current folder.
    timeout_s
        Longest wait for one call of gh [s].

    Raises
    ------
    ConfigError
        gh is not installed, or the name of the repository is invalid.
    GitHubError
        No repository is given and gh can't determine it.
    """
    program = shutil.which("gh")
    if program is None:
        message = (
            "--create needs gh, GitHub's command line, which is not on the PATH; install it "
            "(https://cli.github.com), run gh auth login, then run the same command again"
        )
        raise ConfigError(message)
    if repository is None:
        url = run_gh(program, "repo", "view", "--json", "url", "--jq", ".url", timeout_s=timeout_s)
        return GitHub(program, url.strip(), timeout_s=timeout_s)
    if not _REPOSITORY.fullmatch(repository):
        message = f"--repo {repository!r} is not a repository; write OWNER/NAME"
        raise ConfigError(message)
    return GitHub(program, repository, timeout_s=timeout_s)


def run_gh(program: str, *words: str, body: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
    """Run gh and return its output.

    Raises
    ------
    GitHubError
        It timed out, was killed, has no login, or can't be run.
    RefusedError
        It failed; the message has its error output, without secrets.
    """
    command = f"gh {' '.join(words[:2])}"
    try:
        done = subprocess.run(
            [program, *words],
            input=body or "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, **QUIET},
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = (
            f"{command} did not finish within {timeout_s:g} s; run the same command again, "
            "which creates no duplicates"
        )
        raise GitHubError(message) from None
    except OSError as fault:
        message = f"{command} can't be run ({fault.strerror}); check that {program} is GitHub's command line"
        raise GitHubError(message) from fault
    if done.returncode == NOT_LOGGED_IN:
        raise GitHubError("gh is not logged in; run gh auth login, then run the same command again")
    if done.returncode != 0:
        reason = redact(" ".join(done.stderr.split()))[:300] or f"exit status {done.returncode}"
        error = RefusedError if done.returncode > 0 else GitHubError  # killed: it may have taken effect
        raise error(f"{command} failed: {reason}")
    return done.stdout
