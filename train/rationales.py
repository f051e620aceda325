"""Labels with a teacher's rationales: what Distilling step-by-step trains on (arXiv 2305.02301)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dnc_edge.errors import DataMissing, UsageError
from dnc_edge.parse import own_part
from dnc_edge.tasks import files
from dnc_edge.tasks.commonsenseqa import asked

_ROOT = "distilling_step_by_step"
_ANSWER = re.compile(r"(?:[Ss]o )?[Tt]he answer is\s*|^Answer:\s*", re.MULTILINE)


@dataclass(frozen=True)
class Labelled:
    """One question with its gold label, and a teacher's rationale and label."""

    id: str
    question: str
    label: str
    rationale: str
    teacher_label: str


def split_reply(reply: str) -> tuple[str, str]:
    """Return (rationale, label) of a teacher's few-shot reply, without problems that it invents afterwards."""
    own = re.split(r"\n\s*(?:Q|Premise)\s*:", own_part(reply))[0]
    match = list(_ANSWER.finditer(own))
    if not match:
        return " ".join(own.split()), ""
    label = own[match[-1].end() :].split("\n")[0].strip().rstrip(".")
    return " ".join(own[: match[-1].start()].split()), label


def _svamp_label(text: str) -> str:
    """Return an expression in canonical form: "( 8.0 * 35.0 )" and "(8 * 35)" become the same."""
    text = re.sub(r"(\d)\.0\b", r"\1", text)
    return "".join(text.split()).replace("(", "( ").replace(")", " )")


def svamp(side: str) -> Iterator[Labelled]:
    """Yield SVAMP, whose label is the expression, with PaLM's rationales from files of 500."""
    rows = list(files.read_jsonl(f"{_ROOT}/svamp/svamp_{side}.json"))
    for number, (row, reply) in enumerate(zip(rows, _replies("svamp", side), strict=True), start=1):
        rationale, label = split_reply(reply)
        question = " ".join(row["input"].split())
        yield Labelled(f"svamp-{side}-{number}", question, _svamp_label(row["label"]), rationale, _svamp_label(label))


def commonsenseqa(side: str) -> Iterator[Labelled]:
    """Yield CommonsenseQA, whose label is the choice."""
    rows = list(files.read_jsonl(f"{_ROOT}/cqa/cqa_{side}.json"))
    for row, reply in zip(rows, _replies("cqa", side), strict=True):
        rationale, label = split_reply(reply)
        chosen = re.sub(r"^\([a-e]\)\s*", "", label)
        yield Labelled(f"commonsenseqa-{row['id']}", asked(row), row["answer"], rationale, chosen)


def _inference(task: str) -> Callable[[str], Iterator[Labelled]]:
    names = ("entailment", "neutral", "contradiction")

    def read(side: str) -> Iterator[Labelled]:
        rows = list(files.read_jsonl(f"{_ROOT}/{task}/{task}_{side}.json"))
        for number, (row, reply) in enumerate(zip(rows, _replies(task, side), strict=True), start=1):
            rationale, label = split_reply(reply)
            question = f"premise: {row['premise']}\nhypothesis: {row['hypothesis']}"
            yield Labelled(f"{task}-{side}-{number}", question, names[row["label"]], rationale, label)

    return read


def _replies(task: str, side: str) -> Iterator[str]:
    """Return the teacher's replies in all files of a side, in order."""
    for number in range(1000):
        try:
            yield from files.read_json(f"{_ROOT}/{task}/llm/{side}_CoT_{number}.json")
        except DataMissing:
            if number == 0:
                raise
            return


TASKS: dict[str, Callable[[str], Iterator[Labelled]]] = {
    "svamp": svamp,
    "commonsenseqa": commonsenseqa,
    "esnli": _inference("esnli"),
    "anli1": _inference("anli1"),
}


def load(task: str, side: str) -> list[Labelled]:
    """Load the "train" or "test" side of a task.

    Raises:
        UsageError: there is no such task. DataMissing: its data are not there.
    """
    if task not in TASKS:
        raise UsageError(f"there is no task {task!r} with rationales", hint=f"choose from: {', '.join(TASKS)}")
    return list(TASKS[task](side))
