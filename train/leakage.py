"""Keep the frozen test sides out of training: by normalised text, before every run."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable

from dnc_edge.errors import InputError
from dnc_edge.tasks import drop, everyday, files
from dnc_edge.train.demonstrations import Demonstration

# Share of all runs of five words that two questions have in common where one is a leak of the other.
NEAR = 0.7


def normalise(text: str) -> str:
    """Return a text in lower case with punctuation and spacing folded; digits stay."""
    return " ".join(re.findall(r"\w+", text.lower()))


def frozen_questions() -> Iterable[str]:
    """Yield the questions of every frozen test side except DROP's, which is known by its passages."""
    for name in ("gsm8k/test.jsonl", "gsm8k/test_socratic.jsonl"):
        yield from (row["question"] for row in files.read_jsonl(name))
    yield from (row["problem"] for row in files.read_jsonl("gsm8k_ai_subq/qg_test_data_raw.jsonl"))
    yield from (row["problem"] for row in files.read_json("gsm8k_ai_subq/test_chat.jsonl"))
    yield from (row["question"] for row in files.read_json("gsm8k_ai_subq/qg_test_dataset.jsonl"))
    yield from (row["input"] for row in files.read_jsonl("math_word_problems/gsmhardv2.jsonl"))
    yield from (row["Question"] for row in files.read_csv("bamboogle/Bamboogle Prerelease - Sheet1.csv"))
    yield from (row["question"] for row in files.read_json("strategyqa/dev.json"))
    yield from (row["input"] for row in files.read_jsonl("distilling_step_by_step/svamp/svamp_test.json"))
    for name in ("MultiArith", "SingleEq", "AddSub"):
        yield from (row["sQuestion"] for row in files.read_json(f"math_word_problems/{name}.json"))
    for name in ("dev", "test"):
        yield from (row["question"] for row in files.read_jsonl(f"aqua/{name}.json"))
    cqa = "distilling_step_by_step/cqa/cqa_test.json"
    for name in (cqa, "musique/test.jsonl", "2wiki/test.jsonl", "fanoutqa/test.jsonl"):
        yield from (row["question"] for row in files.read_jsonl(name))
    # Of both sides: settings may be chosen on "dev", weights never.
    yield from (problem.question for problem in everyday.load())


def shingles(question: str) -> frozenset[tuple[str, ...]]:
    """Runs of five words, numbers all alike: what two wordings of a problem share."""
    words = re.sub(r"\d+", "0", normalise(question)).split()
    return frozenset(tuple(words[start : start + 5]) for start in range(len(words) - 4))


class FrozenSides:
    """The questions of all frozen test sides, to be found exactly or nearly."""

    def __init__(self, questions: Iterable[str]) -> None:
        self.questions = frozenset(normalise(question) for question in questions)

    @functools.cached_property
    def _index(self) -> tuple[list[int], dict[tuple[str, ...], list[int]]]:
        """How many runs of words each question has, and which questions contain a run; only `leak` needs it."""
        sizes: list[int] = []
        holders: dict[tuple[str, ...], list[int]] = {}
        for number, question in enumerate(sorted(self.questions)):
            own = shingles(question)
            sizes.append(len(own))
            for shingle in own:
                holders.setdefault(shingle, []).append(number)
        return sizes, holders

    @classmethod
    def load(cls) -> FrozenSides:
        return cls(frozen_questions())

    def holds(self, demonstration: Demonstration) -> bool:
        """Return whether the question, or its passage, is on a test side."""
        if demonstration.context is not None and drop.on_test_side(demonstration.context):
            return True
        return normalise(demonstration.question) in self.questions

    def leak(self, demonstration: Demonstration) -> str | None:
        """Return "exactly" or "nearly" (most runs of five words shared) if the question is on a test side, else None.

        Questions over a passage are told apart by their passages, however alike they are asked.
        """
        if self.holds(demonstration):
            return "exactly"
        if demonstration.context is not None:
            return None
        sizes, holders = self._index
        own = shingles(demonstration.question)
        shared = Counter(number for shingle in own for number in holders.get(shingle, ()))
        for number, count in shared.most_common(1):
            if count / (len(own) + sizes[number] - count) >= NEAR:
                return "nearly"
        return None

    def refuse(self, demonstrations: Iterable[Demonstration]) -> None:
        """Raise if a demonstration is on a test side.

        Raises:
            InputError: names the first few that leak.
        """
        leaks = [demonstration.id for demonstration in demonstrations if self.holds(demonstration)]
        if leaks:
            raise InputError(
                f"{len(leaks)} demonstrations are on a frozen test side: {json.dumps(leaks[:5])}",
                hint="leave them out: dnc-edge train screen --drop-leaks",
            )
