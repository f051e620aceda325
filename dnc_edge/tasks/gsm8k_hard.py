"""GSM-Hard: GSM8K test with large numbers in place of the small ones (Gao et al. 2023)."""

from __future__ import annotations

from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem, number_scores

scores = number_scores


def load() -> list[Problem]:
    """The 1,319 problems in order.

    Raises:
        DataMissing: the data set is not there.
    """
    rows = files.read_jsonl("math_word_problems/gsmhardv2.jsonl")
    return [
        Problem(f"gsm8k-hard-{number}", " ".join(row["input"].split()), f"{row['target']:.10g}")
        for number, row in enumerate(rows, start=1)
    ]
