"""Demonstrations of questions that chain facts: MuSiQue and 2WikiMultihopQA, their relations put into words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dnc_edge.parse import fold
from dnc_edge.tasks import files
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.relations import question as worded

# A comparison of 2Wiki, by the words of its question: how the two values are set against each other.
_COMPARED = (
    (r"\b(same|both|share)\b", "Are {values} the same?"),
    (r"\b(younger|later|last|recently|newer)\b", "Which is later, {either}?"),
    (r"\b(older|earlier|first|before)\b", "Which is earlier, {either}?"),
    (r"\b(longer|lived longer)\b", "Which is longer, {either}?"),
)


def natural_step(step: str) -> str | None:
    """Return a step of MuSiQue as a question, its spelling tidied or its relation worded; None if that fails."""
    subject, arrow, relation = step.partition(">>")
    if arrow:
        return worded(subject, relation)
    text = re.sub(r" +([,.?'])", r"\1", " ".join(step.split())).rstrip(" ?.,")
    return f"{text[:1].upper()}{text[1:]}?" if text else None


def musique() -> Iterator[Demonstration]:
    """Yield MuSiQue's training side: two to four steps, `#k` for earlier answers."""
    tested = {fold(row["question"]) for row in files.read_jsonl("musique/test.jsonl")}
    for row in files.read_jsonl("musique/train.jsonl"):
        steps = [natural_step(step["question"]) for step in row["question_decomposition"]]
        # Two questions of the test side are also here.
        if None in steps or fold(row["question"]) in tested:
            continue
        yield Demonstration(
            id=f"musique-{row['id']}",
            question=row["question"].strip(),
            teacher="musique",
            source="musique/train.jsonl",
            subquestions=tuple(step for step in steps if step),
            answer=row["answer"],
        )


def _alike(first: str, second: str) -> bool:
    """Return whether two spellings name the same thing: one contains the other, without brackets."""
    one, other = (fold(re.sub(r"\(.*?\)", "", name)).replace(",", "") for name in (first, second))
    return one in other or other in one


def two_wiki_plan(row: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the sub-questions of a 2Wiki question: one per triple, `#k` for an earlier object, the comparison last.

    Returns:
        None if a relation has no wording, or the question compares in a way that is not known.
    """
    plan: list[str] = []
    objects: list[str] = []
    for subject, relation, found in row["evidences"]:
        earlier = [number for number, known in enumerate(objects, start=1) if _alike(subject, known)]
        name = f"#{earlier[-1]}" if earlier else re.sub(r" \(.*?\)", "", subject)
        if (asked := worded(name, relation)) is None:
            return None
        plan.append(asked)
        objects.append(found)
    if not row["type"].endswith("comparison"):
        return tuple(plan)
    # The last triple of each of the two sides gives a value.
    values = [f"#{number}" for number in range(len(plan) - 1, len(plan) + 1)]
    for words, comparison in _COMPARED:
        if re.search(words, row["question"], re.IGNORECASE):
            joined = comparison.format(values=" and ".join(values), either=" or ".join(values))
            return (*plan, joined)
    return None


def two_wiki() -> Iterator[Demonstration]:
    """Yield 2WikiMultihopQA's training side: chains, and comparisons of two things or of what they lead to."""
    for row in files.read_jsonl("2wiki/train.jsonl"):
        plan = two_wiki_plan(row)
        if plan is not None and len(plan) > 1:
            yield Demonstration(
                id=f"2wiki-{row['_id']}",
                question=row["question"].strip(),
                teacher="2wiki",
                source="2wiki/train.jsonl",
                subquestions=plan,
                answer=row["answer"],
            )
