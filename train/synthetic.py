"""Word problems written by a program, with exact plans and solutions, without end.

They teach what a model from scratch lacks: to copy names and things, and to compose steps. The structures
are in `stories.py`; wording, names, things, numbers and order vary. No sentence is taken from a data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from dnc_edge.prompts import FINAL_ANSWER, numbered
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.stories import BUILDERS, Story
from dnc_edge.train.words import number_text


def problems(seed: int) -> Iterator[Demonstration]:
    """Yield problems without end, the same for the same seed."""
    rng = Random(seed)
    number = 0
    while True:
        story = Story(rng)
        rng.choice(BUILDERS)(story)
        asked = [step.subquestion for step in story.steps]
        if not asked or len(set(asked)) < len(asked):
            continue
        number += 1
        value = number_text(story.steps[-1].value)
        text = " ".join([*story.sentences, asked[-1]]).replace(",  ", ", ")
        # After "If Tom has 3, " the question goes on in lower case.
        text = text.replace(", How", ", how").replace(", What", ", what")
        yield Demonstration(
            id=f"synthetic-{seed}-{number}",
            question=text,
            teacher="program",
            source="train/synthetic.py",
            subquestions=tuple(asked) if len(asked) > 1 else (),
            solution=numbered([step.working for step in story.steps]) + f"\n{FINAL_ANSWER} {value}",
            answer=value,
        )
