"""StrategyQA dev: 229 yes/no questions of fact, with human decompositions."""

from __future__ import annotations

from dnc_edge import parse
from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem


def load(limit: int | None = None) -> list[Problem]:
    """The questions in order, or the first `limit`.

    Raises:
        DataMissing: the data set is not there.
    """
    problems = [
        Problem(
            f"strategyqa-{row['qid']}",
            row["question"].strip(),
            "yes" if row["answer"] else "no",
            tuple(parse.without_repeats(step.strip() for step in row["decomposition"])),
        )
        for row in files.read_json("strategyqa/dev.json")
    ]
    return problems[:limit]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """Accuracy: whether the answer says yes or no as gold does; true and false count as yes and no."""
    words = (answer or "").lower().replace("true", "yes").replace("false", "no").split()
    said = [word.strip(".,!:;*") for word in words if word.strip(".,!:;*") in ("yes", "no")]
    return {"accuracy": float(said[:1] == [problem.answer])}
