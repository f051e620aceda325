"""Questions that a program writes, without end: with exact plans, or best left whole.

They teach a pretrained decomposer what no data set at hand shows: which questions to leave alone, and how chains,
comparisons, durations, sets, tables and short passages are taken apart. Names and wording are our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.written import facts, passages, sums, whole
from dnc_edge.train.written.question import Written

# How often each kind is written; the rest is best left whole.
_SHARES = (("facts", 0.38), ("sums", 0.17), ("passages", 0.05))


def _one(rng: Random) -> tuple[str, Written]:
    kind, roll, passed = "whole", rng.random(), 0.0
    for name, share in _SHARES:
        passed += share
        if roll < passed:
            kind = name
            break
    if kind == "whole":
        written = whole.whole(rng)
    elif kind == "sums":
        written = sums.problem(rng)
    else:
        written = rng.choice(facts.BUILDERS if kind == "facts" else passages.BUILDERS)(rng)
    question = whole.untidy(rng, written.question) if kind == "facts" else written.question
    return kind, Written(facts.an(question), tuple(map(facts.an, written.plan)), written.context)


def questions(seed: int) -> Iterator[Demonstration]:
    """An endless stream of questions; the same for the same seed."""
    rng = Random(f"written-{seed}")
    number = 0
    while True:
        kind, written = _one(rng)
        if len(set(written.plan)) < len(written.plan):
            continue
        number += 1
        yield Demonstration(
            id=f"written-{seed}-{number}",
            question=written.question,
            teacher=f"written-{kind}",
            source="train/written",
            context=written.context,
            subquestions=written.plan,
        )
