"""Bamboogle: 125 two-hop questions of fact that no search engine answers (Press et al. 2023). Never trained on."""

from __future__ import annotations

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, plain


def load() -> list[Problem]:
    """The questions in order.

    Raises:
        DataMissing: the data set is not there.
    """
    rows = files.read_csv("bamboogle/Bamboogle Prerelease - Sheet1.csv")
    return [
        Problem(
            f"bamboogle-{number}",
            row["Question"].strip(),
            row["Answer"].strip(),
            also=tuple(other for other in (row["Answer 2"].strip(),) if other),
        )
        for number, row in enumerate(rows, start=1)
    ]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Exact match, and whether the answer contains a gold one, after normalisation."""
    given = plain(answer or "")
    accepted = [plain(gold) for gold in (problem.answer, *problem.also)]
    return {
        "accuracy": float(given in accepted),
        "containment": float(any(f" {gold} " in f" {given} " for gold in accepted)),
    }
