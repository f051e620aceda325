"""GSM8K test: grade-school word problems, with socratic gold plans and ChatGPT's."""

from __future__ import annotations

from dnc_edge import parse
from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, number_scores

scores = number_scores


def load(limit: int | None = None) -> list[Problem]:
    """The 1,319 test problems in order, or the first `limit`, with their socratic plans.

    Raises:
        DataMissing: the data set is not there.
    """
    problems = []
    for number, row in enumerate(files.read_jsonl("gsm8k/test_socratic.jsonl"), start=1):
        *lines, last = row["answer"].split("\n")
        plan = parse.without_repeats(line.partition(" ** ")[0].strip() for line in lines)
        answer = last.removeprefix("####").strip()
        problems.append(Problem(f"gsm8k-test-{number}", row["question"], answer, tuple(plan)))
    return problems[:limit]


def chatgpt_plans() -> dict[str, tuple[str, ...]]:
    """ChatGPT's plan of each test question (GSM8K-AI-SubQ), by the order of the test set."""
    rows = files.read_json("gsm8k_ai_subq/qg_test_dataset.jsonl")
    return {f"gsm8k-test-{n}": tuple(row["answers"]) for n, row in enumerate(rows, start=1)}
