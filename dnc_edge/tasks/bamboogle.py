"""Bamboogle: 125 two-hop questions of fact that no search engine answers (Press et al. 2023). Never trained on."""

from __future__ import annotations

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, short_scores

scores = short_scores


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
