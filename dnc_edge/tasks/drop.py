"""DROP: questions over a passage; the held-out passages of the frozen split. Exact match and bag-of-words F1.

The scorer follows the official evaluation (Dua et al. 2019, section 5): articles and punctuation dropped,
numbers normalised, spans aligned one to one, the best over the accepted answers.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator, Sequence

from dnc_edge.errors import ExtraMissing
from dnc_edge.tasks import files
from dnc_edge.tasks.problem import Problem


def on_test_side(passage: str) -> bool:
    """The frozen split, by passage: first byte of its SHA-256 below 64 is the test side."""
    return hashlib.sha256(passage.strip().encode("utf-8")).digest()[0] < 64


def rows() -> Iterator[tuple[str, str, list[str]]]:
    """(passage, question, accepted answers) of DROP dev, both sides."""
    for row in files.read_jsonl("drop/drop_v0_dev.jsonl"):
        passage, _, rest = row["context"].rpartition("\nQuestion:")
        question = rest.removesuffix("Answer:").strip()
        yield passage.removeprefix("Passage:").strip(), question, row["ref_text"].split("|")


def load() -> list[Problem]:
    """The questions over held-out passages, in order.

    Raises:
        DataMissing: the data set is not there.
    """
    return [
        Problem(f"drop-dev-{number}", question, accepted[0], context=passage, also=tuple(accepted[1:]))
        for number, (passage, question, accepted) in enumerate(rows(), start=1)
        if on_test_side(passage)
    ]


def scores(answer: str | None, problem: Problem) -> dict[str, float]:
    """F1 and exact match, the best over the accepted answers."""
    best = max(exact_and_f1(spans(answer or ""), spans(gold)) for gold in (problem.answer, *problem.also))
    exact, f1 = best
    return {"f1": f1, "exact": exact}


def spans(text: str) -> list[str]:
    """The spans of an answer in one line: parts between "and", semicolons and commas outside numbers."""
    parts = re.split(r"\s+and\s+|\s*;\s*|,\s+(?:and\s+)?", text.strip())
    return [part for part in parts if part.strip()] or [""]


def exact_and_f1(given: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """(exact match, F1) of predicted spans against gold spans, each 0 to 1.

    Raises:
        ExtraMissing: the extra `eval` is not installed.
    """
    try:
        import numpy as np
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ExtraMissing("scipy", "eval") from error
    ours, theirs = [_words(span) for span in given], [_words(span) for span in gold]
    same = {" ".join(words) for words in ours} == {" ".join(words) for words in theirs}
    overlaps = np.array([[_overlap(set(one), set(other)) for other in ours] for one in theirs])
    chosen = linear_sum_assignment(overlaps, maximize=True)
    f1 = float(overlaps[chosen].sum()) / max(len(ours), len(theirs))
    return float(same and len(ours) == len(theirs)), round(f1, 2)


def _overlap(gold: set[str], given: set[str]) -> float:
    """F1 of two bags; 0 where gold holds numbers and none of them was given."""
    numbers = set(filter(_is_number, gold))
    if numbers and not numbers & given:
        return 0.0
    common = len(gold & given)
    precision = common / len(given) if given else 1.0
    recall = common / len(gold) if gold else 1.0
    return 2 * precision * recall / (precision + recall) if common or not (gold or given) else 0.0


def _words(text: str) -> list[str]:
    return list(filter(None, map(_normal, re.split(r"[ -]", text.lower()))))


def _normal(token: str) -> str:
    """A token without punctuation, or a number as a number; articles vanish."""
    token = token.strip()
    if not _is_number(token):
        token = token.translate(str.maketrans("", "", string.punctuation))
    if _is_number(token):
        return str(float(token))
    return "" if token in ("a", "an", "the") else token


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
