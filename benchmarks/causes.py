"""How often the classifier finds the true category, bare and in long logs, compared with substrings.

Goals: category accuracy and macro-F1 >= 0.90 on both halves, hard items >= 0.85, no successful log
classified. The baseline is the method of the study before fmon: thirteen substrings, the first match wins.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the corpus is in tests/

from fmon.causes import analyze_logs
from tests.corpus.embed import VARIANTS, embed
from tests.corpus.noise import Item
from tests.corpus.score import Answer, Classifier, Score, is_tuned, items, score

SUBSTRINGS: tuple[tuple[str, Answer], ...] = (
    ("not inside of a DVC repository", ("config_error", "dvc_no_git")),
    ("is not a git repository", ("config_error", "dvc_no_git")),
    ("${", ("config_error", "env_var_literal")),
    ("inline_container.cc", ("disk_full", "enospc")),
    ("401 Client Error", ("auth", "tracking")),
    ("command not found", ("shell_error", "command_not_found")),
    ("ResourcesUnavailableError", ("no_resource", "capacity")),
    ("unauthorized", ("auth", "registry")),
    ("failed to pull data from the cloud", ("data_missing", "dvc_pull")),
    ("preempted", ("node_lost", "preempted")),
    ("No space left on device", ("disk_full", "enospc")),
    ("CUDA out of memory", ("cuda_oom", "torch")),
    ("OutOfMemoryError", ("cuda_oom", "torch")),
)


def substrings(text: str, item: Item) -> Answer:
    """Return the category of the first substring that occurs; it also uses the status."""
    if item["status"] == "SUCCEEDED":
        return ("none", None)
    return next((answer for word, answer in SUBSTRINGS if word in text), ("unknown", None))


def fmon(text: str, item: Item) -> Answer:
    """Return the category that fmon finds."""
    info = analyze_logs(text, item["status"], failure_reason=item.get("failure_reason"))
    return info.category, info.subcategory


def scored(corpus: list[Item], classify: Classifier, texts: Callable[[Item], list[str]]) -> Score:
    """Score all texts of all items."""
    return score((item, classify(text, item)) for item in corpus for text in texts(item))


def line(what: str, result: Score) -> str:
    """Format one row of the table."""
    return (
        f"{what:34} {result.failed_count:5}  {result.accuracy:8.3f}  {result.macro_f1:8.3f}  "
        f"{result.hard_accuracy:6.3f}  {result.kind_right_count / max(1, result.failed_count):11.3f}  "
        f"{result.ok_classified_count:3} of {result.ok_count}"
    )


def main() -> None:
    """Print the table and the confusions."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", default=",".join(VARIANTS))
    variants = parser.parse_args().variants.split(",")
    known = items("failures")
    corpora = {
        "tuned half": [item for item in known if is_tuned(item)],
        "held half": [item for item in known if not is_tuned(item)],
        "unseen set": items("unseen"),
        "written set": items("written"),
        "produced set": items("produced"),
    }
    print(f"{'':34} {'n':>5}  accuracy  macro-F1    hard  subcategory  successful ones classified")
    mistakes = {}
    for name, corpus in corpora.items():
        started = time.process_time()
        bare = scored(corpus, fmon, lambda item: [item["text"]])
        long = scored(corpus, fmon, lambda item: [embed(item, variant).text for variant in variants])
        print(line(f"{name}, bare", bare))
        print(line(f"{name}, in long logs", long), f" {time.process_time() - started:.1f} s CPU")
        print(line(f"{name}, bare: 13 substrings", scored(corpus, substrings, lambda item: [item["text"]])))
        in_logs = scored(corpus, substrings, lambda item: [embed(item, variant).text for variant in variants])
        print(line(f"{name}, in logs: 13 substrings", in_logs))
        mistakes[name] = bare.confusions + long.confusions
    for name, confusions in mistakes.items():
        print(f"\n{name}: true -> found, bare and in long logs together ({1 + len(variants)} texts per item)")
        for (true, said), count in confusions.most_common():
            print(f"  {true} -> {said} x{count}")


if __name__ == "__main__":
    main()
