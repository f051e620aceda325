"""How far a plan can be trusted before anybody is paid for answering it.

A logistic model over a few features of the decoding and the text gives the probability that a plan is a good one
(plan F1 of at least 0.5 with people's plans). It is fitted by `dnc-edge bench confidence` on questions that trained
nothing, and kept in `student.json`. Below the threshold of its level a plan is withheld.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_WORD = re.compile(r"[^\W\d_]{2,}|\d+(?:[.,]\d+)*")
# Words with which a sub-question asks, not what it asks about; by their first four letters, as below.
_ASKING = frozenset(
    word[:4]
    for word in (
        "a an and are as at be by did do does each for from given has have how if in into is it its less long many "
        "more most much not of on or than that the their them there these they this to total was were what when where "
        "which who whose with would years year number first last same different equal greater larger smaller earlier "
        "later"
    ).split()
)
# A log-probability below this says no more than this does.
_LOWEST = -6.0
# Names of the features, in order; see `features`.
FEATURES = ("first", "mean", "lowest", "foreign", "script", "alike", "lines", "words", "passage", "numbers")


@dataclass(frozen=True)
class Confidence:
    """A fitted model of a student's confidence.

    Attributes:
        weights: of the features by name, and "bias".
        thresholds: by level, from 0 to 1; a plan below is withheld. "" holds for a level that is not named.
    """

    weights: Mapping[str, float]
    thresholds: Mapping[str, float]

    def of(self, question: str, context: str | None, plan: Sequence[str], logprobs: Sequence[float]) -> float:
        """The probability that a plan is good, from 0 to 1.

        Args:
            question, context: what was asked.
            plan: the sub-questions; an empty plan is not judged, for nothing is delivered with it.
            logprobs: of the decoded tokens.
        """
        return self.probability(features(question, context, plan, logprobs))

    def probability(self, values: Mapping[str, float]) -> float:
        """The probability for features that are worked out already."""
        z = self.weights["bias"] + sum(self.weights[name] * value for name, value in values.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))

    def threshold(self, level: str) -> float:
        """Below which a plan is withheld at a level."""
        return self.thresholds.get(level, self.thresholds.get("", 0.0))


def features(question: str, context: str | None, plan: Sequence[str], logprobs: Sequence[float]) -> dict[str, float]:
    """What a plan's confidence is worked out from, each about -1 to 1.

    "first": log-probability of the first token, which decides between a plan and none; "mean" and "lowest": of all;
    "foreign": share of the plan's words that are not in the question; "script": share of the question's letters that
    are not ASCII; "alike": the largest share of words that a line has in common with the one before; "lines" and
    "words": how long plan and question are; "passage": whether there is one; "numbers": whether it has two.
    """
    clipped = [max(_LOWEST, value) for value in logprobs] or [0.0]
    known = _stems(question) | _stems(context or "")
    asked = [_stems(line) for line in plan]
    words = [word for line in asked for word in line]
    letters = [letter for letter in question if letter.isalpha()]
    return {
        "first": clipped[0],
        "mean": sum(clipped) / len(clipped),
        "lowest": min(clipped) / -_LOWEST,
        "foreign": sum(word not in known for word in words) / max(1, len(words)),
        "script": sum(not letter.isascii() for letter in letters) / max(1, len(letters)),
        "alike": max((len(one & two) / max(1, len(one | two)) for one, two in pairwise(asked)), default=0.0),
        "lines": len(plan) / 10,
        "words": math.log1p(len(question.split())) / 4,
        "passage": float(context is not None),
        "numbers": float(len(re.findall(r"\d+", question)) > 1),
    }


def _stems(text: str) -> set[str]:
    """The words of a text that say what it is about, by their first four letters."""
    return {word[:4] for word in _WORD.findall(text.lower())} - _ASKING
