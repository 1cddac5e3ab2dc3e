"""Score a classifier on the corpus: accuracy, macro-F1 and what it takes for what."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.noise import Item

FOLDER = Path(__file__).parent
Answer = tuple[str, str | None]
"""Category and subcategory."""
Classifier = Callable[[str, Item], Answer]
"""(log text, item for its status and failure reason) -> answer."""


def items(name: str) -> list[Item]:
    """Read ``failures``, ``unseen``, ``written`` or ``produced``."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def is_tuned(item: Item) -> bool:
    """Is the item of the half the rules were written with? By its source: no thread is in both."""
    return int(hashlib.sha256(item["source"].encode()).hexdigest(), 16) % 2 == 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well some answers fit; ratios are 0..1, counts are of items."""

    failed_count: int
    right_count: int
    macro_f1: float
    hard_count: int
    hard_right_count: int
    ok_count: int
    ok_classified_count: int
    kind_right_count: int
    confusions: Counter[tuple[str, str]]

    @property
    def accuracy(self) -> float:
        """Share of failed items with the right category."""
        return self.right_count / max(1, self.failed_count)

    @property
    def hard_accuracy(self) -> float:
        """Accuracy over the failed items that are hard."""
        return self.hard_right_count / max(1, self.hard_count)


def score(pairs: Iterable[tuple[Item, Answer]]) -> Score:
    """Score answers: successful items count only as classified or not, all else is of failed ones."""
    pairs = list(pairs)
    failed = [(item, answer) for item, answer in pairs if item["category"] != "none"]
    fine = [answer for item, answer in pairs if item["category"] == "none"]
    right = [item["category"] == answer[0] for item, answer in failed]
    hard = [is_right for (item, _), is_right in zip(failed, right, strict=True) if item["hard"]]
    return Score(
        failed_count=len(failed),
        right_count=sum(right),
        macro_f1=macro_f1([(item["category"], answer[0]) for item, answer in failed]),
        hard_count=len(hard),
        hard_right_count=sum(hard),
        ok_count=len(fine),
        ok_classified_count=sum(category != "none" for category, _ in fine),
        kind_right_count=sum((item["category"], item["subcategory"]) == answer for item, answer in failed),
        confusions=Counter(
            (item["category"], answer[0]) for item, answer in pairs if item["category"] != answer[0]
        ),
    )


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """Mean of F1 over the categories that are true of some pair."""
    pairs = list(pairs)
    true = Counter(category for category, _ in pairs)
    said = Counter(category for _, category in pairs)
    both = Counter(category for category, other in pairs if category == other)
    return sum(2 * both[category] / (true[category] + said[category]) for category in true) / max(
        1, len(true)
    )
