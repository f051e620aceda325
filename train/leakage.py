"""Keep the frozen test sides out of training: by normalised text, before every run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dnc_edge.errors import InputError
from dnc_edge.tasks import drop, files
from dnc_edge.train.demonstrations import Demonstration


def normalise(text: str) -> str:
    """Lower case, digits kept, punctuation and spacing folded."""
    return " ".join(re.findall(r"\w+", text.lower()))


def frozen_questions() -> Iterable[str]:
    """Every question of every frozen test side but DROP's, whose passages tell."""
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
    yield from (row["question"] for row in files.read_jsonl("distilling_step_by_step/cqa/cqa_test.json"))


@dataclass(frozen=True)
class FrozenSides:
    """The normalised questions of all frozen test sides."""

    questions: frozenset[str] = field(repr=False)

    @classmethod
    def load(cls) -> FrozenSides:
        return cls(frozenset(normalise(question) for question in frozen_questions()))

    def holds(self, demonstration: Demonstration) -> bool:
        if demonstration.context is not None and drop.on_test_side(demonstration.context):
            return True
        return normalise(demonstration.question) in self.questions

    def refuse(self, demonstrations: Iterable[Demonstration]) -> None:
        """Stop a run that would train on a test question.

        Raises:
            InputError: names the first few that leak.
        """
        leaks = [demonstration.id for demonstration in demonstrations if self.holds(demonstration)]
        if leaks:
            raise InputError(
                f"{len(leaks)} demonstrations are on a frozen test side: {json.dumps(leaks[:5])}",
                hint="remove them; dnc-edge train screen does",
            )
