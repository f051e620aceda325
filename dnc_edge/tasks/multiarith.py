"""MultiArith: 600 word problems of two or more steps."""

from __future__ import annotations

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, number_scores

scores = number_scores


def load(limit: int | None = None) -> list[Problem]:
    """All problems in order, or the first `limit`.

    Raises:
        DataMissing: the data set is not there.
    """
    rows = files.read_json("math_word_problems/MultiArith.json")
    problems = [
        Problem(f"multiarith-{number}", " ".join(row["sQuestion"].split()), f"{row['lSolutions'][0]:g}")
        for number, row in enumerate(rows, start=1)
    ]
    return problems[:limit]
