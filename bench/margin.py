"""Which level to take: the smallest one that is shown, not merely seen, to lose less than a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dnc_edge.bench.results import LevelRow

MARGIN = 0.01
# A plan that has lost more than this is a worse one, and this is the largest share of them.
WORSE = 0.1
MOST_WORSE = 0.02


def is_shown(row: LevelRow, margin: float) -> bool:
    """Return whether a level keeps the margin: its mean loss and its share of worse plans, each with one-sided 95 %.

    A task on which it is shown to lose more than the margin, by the 95 % interval, rules it out.
    """
    kept = row.lost_at_most < margin and row.flips.worse_at_most <= MOST_WORSE
    return kept and all(task.lost.low <= margin for task in row.tasks.values())


def questions_needed(row: LevelRow, margin: float) -> int | None:
    """Return how many questions would show that a level keeps the margin if it goes on as so far; None if none would.

    Both bounds shrink with the square root of the number of questions.
    """
    n, worse, bound = row.flips.worse.n, row.flips.worse.value, row.flips.worse_at_most
    if row.lost.value >= margin or worse >= MOST_WORSE or row.worst[1].lost.low > margin:
        return None
    by_loss = ((row.lost_at_most - row.lost.value) / (margin - row.lost.value)) ** 2
    # Wilson's bound u of a share p is where (u - p)^2 = z^2 u (1 - u) / n.
    by_share = _per_question(worse, MOST_WORSE) / _per_question(worse, bound)
    return math.ceil(n * max(by_loss, by_share))


def _per_question(share: float, bound: float) -> float:
    return bound * (1 - bound) / (bound - share) ** 2


def recommended(rows: Sequence[LevelRow], full: str, margin: float) -> LevelRow:
    """Return the smallest level that keeps the margin; full precision always does."""
    reference = next(row for row in rows if (row.level, row.engine) == (full, "llama.cpp"))
    return min((reference, *(row for row in rows if is_shown(row, margin))), key=lambda row: row.bytes)


def recommendation(rows: Sequence[LevelRow], full: str, margin: float) -> str:
    """Return a sentence about the recommended level, the next smaller one, and how many questions would tell more."""
    best = recommended(rows, full, margin)
    smaller = sorted((row for row in rows if row.bytes < best.bytes), key=lambda row: -row.bytes)
    if (best.level, best.engine) == (full, "llama.cpp"):
        text = f"Take {_named(best)}: no smaller level is shown to lose less than {margin:g} plan F1 with at most "
        text += f"{MOST_WORSE:.0%} of plans worse by more than {WORSE:g}"
    else:
        text = f"Take {_named(best)}, the smallest level shown to lose less than {margin:g} plan F1 (at most "
        text += f"{best.lost_at_most:+.4f}, one-sided 95 %) with at most {MOST_WORSE:.0%} of plans worse by more than "
        text += f"{WORSE:g} ({best.flips.worse.value:.1%}, at most {best.flips.worse_at_most:.1%})"
    if not smaller:
        return f"{text}; none measured is smaller."
    text += f"; {_named(smaller[0])}, the next smaller one, {_missed(smaller[0], margin)}"
    needed = {row.label: count for row in smaller if (count := questions_needed(row, margin)) is not None}
    if not needed:
        return f"{text}."
    label, count = list(needed.items())[-1]
    return f"{text}. {best.lost.n:,} questions are too few for {label}: about {_round(count):,} would show it."


def _named(row: LevelRow) -> str:
    return f"{row.level} on {row.engine} ({row.bytes / 1e6:.1f} MB)"


def _missed(row: LevelRow, margin: float) -> str:
    """Why a level is not recommended."""
    name, worst = row.worst
    lost = f"loses {row.lost.value:+.4f} (at most {row.lost_at_most:+.4f})"
    if row.lost_at_most < margin and row.flips.worse_at_most <= MOST_WORSE:
        return f"loses {worst.lost.value:+.4f} on {name}"
    return f"{lost} and makes {row.flips.worse.value:.1%} of plans worse (at most {row.flips.worse_at_most:.1%})"


def _round(count: int) -> int:
    """Two significant digits, upwards."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / step) * step
