"""A stand-in for ``gh``: the commands and flags that fmon uses, its issues kept in a folder ($FAKE_GH).

tests/e2e/test_real_gh.py holds it against the real one. A file of the folder makes it misbehave:
``search_lags`` (search knows nothing), ``no_login``, ``fail`` (its text on stderr), ``killed`` (it carries
the command out, but dies before it says so), ``may_not`` (commands without permission, such as
``label create``; ``issue create`` means with labels).
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("FAKE_GH", "."))
REPOSITORY = "https://github.com/lab/study"
JSON_FIELDS = {
    "issue list": {"number", "title", "body", "url", "state", "labels"},
    "issue view": {"number", "title", "body", "url", "state", "labels", "comments"},
    "label list": {"name", "color", "description"},
    "repo view": {"url", "nameWithOwner"},
}


def parser() -> argparse.ArgumentParser:
    """Parse as gh does, as far as fmon uses it."""
    made = argparse.ArgumentParser(prog="gh", allow_abbrev=False)
    groups = made.add_subparsers(dest="group", required=True)
    issue = groups.add_parser("issue").add_subparsers(dest="verb", required=True)
    label = groups.add_parser("label").add_subparsers(dest="verb", required=True)
    repo = groups.add_parser("repo").add_subparsers(dest="verb", required=True)
    add(issue, "list", "--state", "--search", "--label", "--limit", "--json", "--repo")
    add(issue, "view", "number", "--json", "--repo")
    add(issue, "create", "--title", "--body-file", "--repo").add_argument("--label", action="append")
    add(issue, "comment", "number", "--body-file", "--repo")
    add(label, "list", "--limit", "--json", "--repo")
    add(label, "create", "name", "--color", "--description", "--repo")
    add(repo, "view", "--json", "--jq")
    return made


def add(group: Any, name: str, *arguments: str) -> argparse.ArgumentParser:
    """Add a command with its flags."""
    command = group.add_parser(name, allow_abbrev=False)
    for argument in arguments:
        command.add_argument(argument)
    return command


def load(name: str) -> list[dict[str, Any]]:
    """Read what GitHub holds."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def save(name: str, rows: list[dict[str, Any]]) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(rows))


def picked(rows: list[dict[str, Any]], called: str, fields: str) -> str:
    """Answer with the JSON fields that were asked for."""
    wanted = fields.split(",")
    if unknown := set(wanted) - JSON_FIELDS[called]:
        sys.exit(f'Unknown JSON field: "{unknown.pop()}"')
    return json.dumps([{field: row[field] for field in wanted} for row in rows])


def answer(asked: argparse.Namespace) -> str:
    """Carry a command out; give what it prints."""
    called = f"{asked.group} {asked.verb}"
    if called == "repo view":
        return REPOSITORY
    if called in may_not() and (called != "issue create" or asked.label):
        sys.exit("GraphQL: Resource not accessible by personal access token")
    if called == "label list":
        return picked(load("labels"), called, asked.json)
    if called == "label create":
        labels = load("labels")
        if any(label["name"] == asked.name for label in labels):
            sys.exit(f'label with name "{asked.name}" already exists; use `--force` to update it')
        save(
            "labels", [*labels, {"name": asked.name, "color": asked.color, "description": asked.description}]
        )
        return ""
    issues = load("issues")
    if called == "issue list":
        found = [issue for issue in issues if matches(issue, asked)]
        return picked(found[::-1][: int(asked.limit)], called, asked.json)
    if called == "issue create":
        known = {label["name"] for label in load("labels")}
        if unknown := set(asked.label or []) - known:
            sys.exit(f"could not add label: '{unknown.pop()}' not found")
        number = len(issues) + 1
        url = f"{REPOSITORY}/issues/{number}"
        new = {"number": number, "title": asked.title, "body": sys.stdin.read(), "url": url, "state": "OPEN"}
        save("issues", [*issues, {**new, "labels": asked.label, "comments": []}])
        return url
    issue = issues[int(asked.number) - 1]
    if called == "issue view":
        return picked([issue], called, asked.json)[1:-1]
    issue["comments"].append({"body": sys.stdin.read()})
    save("issues", issues)
    return f"{issue['url']}#issuecomment-{len(issue['comments'])}"


def may_not() -> list[str]:
    """Return the commands for which the permission is missing."""
    path = FOLDER / "may_not"
    return path.read_text().splitlines() if path.exists() else []


def matches(issue: dict[str, Any], asked: argparse.Namespace) -> bool:
    if asked.state != "all" and issue["state"].lower() != asked.state:
        return False
    if asked.label is not None and asked.label not in (issue["labels"] or []):
        return False
    if asked.search is not None:
        word, where = asked.search.split()
        assert where == "in:body"
        return not (FOLDER / "search_lags").exists() and word in issue["body"]
    return True


def main() -> None:
    with (FOLDER / "calls").open("a") as calls:
        calls.write(" ".join(sys.argv[1:3]) + "\n")
    if (FOLDER / "no_login").exists():
        print("To get started with GitHub CLI, please run:  gh auth login", file=sys.stderr)
        sys.exit(4)
    if (FOLDER / "fail").exists():
        sys.exit((FOLDER / "fail").read_text())
    said = answer(parser().parse_args())
    if (FOLDER / "killed").exists() and sys.argv[1] == "issue" and sys.argv[2] in ("create", "comment"):
        os.kill(os.getpid(), 9)
    print(said)


if __name__ == "__main__":
    main()
