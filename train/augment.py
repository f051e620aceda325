"""Augmentation: the same problem with other names and numbers, swapped alike in question and plan."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.words import SYLLABLES

# Capitalised in mid-sentence, yet no names of people.
NOT_NAMES = frozenset(
    "I Mr Mrs Ms Dr Miss Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December Christmas Halloween Easter Thanksgiving American English "
    "French Spanish Chinese How What If When Who Which The There In On At For After Before Each She He They It Math "
    "Valentine Science History Art Day Street School City Park High Earth Mars China America California Texas York New "
    "TV DVD DVDs GB AM PM A An And Of Uncle Aunt Grandma Grandpa Mom Dad Mount Lake North South East West".split()
)
NAME = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]{2,})\b")
NUMBER = re.compile(r"(?<![\d.,/$#])\b([2-9]|[1-9]\d{1,2})\b(?![\d/%]|[.,]\d)")


class Augmenter:
    """Swaps learned from a set of demonstrations: their names, told apart by the pronouns beside them."""

    def __init__(self, demonstrations: Iterable[Demonstration]) -> None:
        seen: Counter[str] = Counter()
        she: Counter[str] = Counter()
        for demonstration in demonstrations:
            names = set(NAME.findall(demonstration.question)) - NOT_NAMES
            seen.update(names)
            if len(names) == 1:
                words = demonstration.question.lower().split()
                she.update(
                    dict.fromkeys(
                        names, sum(w in ("she", "her") for w in words) - sum(w in ("he", "his", "him") for w in words)
                    )
                )
        self.names = {name for name, count in seen.items() if count >= 3}
        self.she = sorted(name for name in self.names if she[name] > 0)
        self.he = sorted(name for name in self.names if she[name] < 0)

    def names_swapped(self, demonstration: Demonstration, rng: Random, invented: float = 0.3) -> Demonstration:
        """Replace each known name by another of its kind, or (share `invented`) by one made of syllables."""
        present = sorted(self.names.intersection(re.findall(r"\w+", demonstration.question)))
        swaps: dict[str, str] = {}
        for name in present:
            pool = self.she if name in self.she else self.he
            new = rng.choice(pool)
            if rng.random() < invented:
                new = "".join(rng.choices(SYLLABLES, k=rng.randint(2, 3))).capitalize()
            swaps[name] = new if new not in swaps.values() and new not in present else name
        return _mapped(demonstration, swaps)

    def numbers_swapped(self, demonstration: Demonstration, rng: Random) -> Demonstration:
        """Replace whole numbers from 2 to 999 by others of about their size; the solution is dropped."""
        numbers = sorted(set(NUMBER.findall(demonstration.question)))
        swaps: dict[str, str] = {}
        for number in numbers:
            new = str(rng.randint(max(2, int(number) // 2), int(number) * 2 + 1))
            swaps[number] = new if new not in swaps.values() and new not in numbers else number
        return replace(_mapped(demonstration, swaps), solution=None, answer=None)


def _mapped(demonstration: Demonstration, swaps: dict[str, str]) -> Demonstration:
    if not swaps:
        return demonstration
    pattern = re.compile(r"(?<![\d.,/])\b(" + "|".join(map(re.escape, swaps)) + r")\b(?!\d|[.,]\d)")

    def swap(text: str) -> str:
        return pattern.sub(lambda match: swaps[match.group(1)], text)

    plan, solution = demonstration.subquestions, demonstration.solution
    return replace(
        demonstration,
        question=swap(demonstration.question),
        subquestions=None if plan is None else tuple(map(swap, plan)),
        solution=None if solution is None else swap(solution),
    )
