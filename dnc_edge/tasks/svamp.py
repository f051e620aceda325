"""SVAMP's 200 test questions (as split by Distilling step-by-step): one- and two-step word problems."""

from __future__ import annotations

from dnc_edge.calculator import evaluate
from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, number_scores

scores = number_scores


def load(limit: int | None = None) -> list[Problem]:
    """The test questions in order, or the first `limit`; those with one operator need no decomposition.

    Raises:
        DataMissing: the data set is not there.
    """
    problems = []
    for number, row in enumerate(files.read_jsonl("distilling_step_by_step/svamp/svamp_test.json"), start=1):
        expression = row["label"]
        one_step = sum(expression.count(sign) for sign in " + | - | * | / ".split("|")) == 1
        answer = f"{evaluate(expression):g}"
        question = " ".join(row["input"].split())
        problems.append(Problem(f"svamp-test-{number}", question, answer, () if one_step else None))
    return problems[:limit]
