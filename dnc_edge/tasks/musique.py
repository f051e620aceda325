"""MuSiQue test: 372 questions that chain two to four facts, with people's decompositions (Trivedi et al. 2022)."""

from __future__ import annotations

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, short_scores

scores = short_scores


def load() -> list[Problem]:
    """The questions in order; a step that is a relation ("A >> spouse") is asked for in one wording.

    Raises:
        DataMissing: the data set is not there.
    """
    return [
        Problem(
            f"musique-{row['id']}",
            row["question"].strip(),
            row["answer"],
            tuple(_asked(step["question"]) for step in row["question_decomposition"]),
            also=tuple(row["answer_aliases"]),
        )
        for row in files.read_jsonl("musique/test.jsonl")
    ]


def _asked(step: str) -> str:
    subject, arrow, relation = step.partition(">>")
    text = f"What is the {relation.strip()} of {subject.strip()}" if arrow else step
    return " ".join(text.split()).rstrip(" ?") + "?"
