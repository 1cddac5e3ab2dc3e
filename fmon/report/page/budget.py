"""The number of items that a page shows of each list, in steps from large to small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of each list a page shows; the rest is counted, and the JSONL has it."""

    conditions: int = 5_000
    conditions_of_many: int = 500
    bars: int = 500
    bars_of_many: int = 200
    alarms: int = 50
    levels: int = 40
    cells: int = 3_000
    causes: int = 24
    matrix_causes: int = 12
    excerpt_lines: int = 6
    line_characters: int = 300
    files: int = 8
    reasons: int = 20
    reason_characters: int = 2_000
    ids: int = 20
    events: int = 200
    polls: int = 30
    runs: int = 200
    metrics: int = 6
    cycles: int = 30
    name_characters: int = 100


SIZES = (
    Size(),
    Size(conditions=1_000, reason_characters=1_000, name_characters=60, cells=2_000, excerpt_lines=4),
    Size(
        conditions=300,
        bars=150,
        bars_of_many=150,
        causes=16,
        excerpt_lines=3,
        line_characters=200,
        reasons=15,
        reason_characters=500,
        events=100,
        runs=100,
        name_characters=40,
        cells=1_500,
    ),
    Size(
        conditions=100,
        bars=50,
        bars_of_many=50,
        alarms=20,
        levels=15,
        cells=500,
        causes=10,
        matrix_causes=8,
        excerpt_lines=2,
        line_characters=120,
        files=3,
        reasons=8,
        reason_characters=200,
        ids=5,
        events=40,
        runs=40,
        polls=10,
        cycles=10,
        name_characters=20,
    ),
)
"""Tried in this order until the page is small enough; only very long texts need more than the first."""
