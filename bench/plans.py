"""Plans judged without a solver: a student's on GSM8K test, beside those that others published."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dnc_edge.bench.machine import machine
from dnc_edge.decomposers import Decomposer, StudentDecomposer, trivial
from dnc_edge.errors import DncError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.streams import result_of
from dnc_edge.tasks import files, gsm8k
from dnc_edge.tasks.plans import PlanFigures, figures, score
from dnc_edge.tasks.problem import Problem
from dnc_edge.types import Estimate, Plan, Question

# The lines of each question's plan as decoded, question by question.
RawPlans = list[list[str]]


@dataclass(frozen=True)
class SystemPlans:
    """A decomposer's figures against the socratic gold plans, and its plan F1 against ChatGPT's plans."""

    socratic: PlanFigures
    chatgpt: Estimate


@dataclass(frozen=True)
class PlansResult:
    """Decomposers on `n` questions of a task, by name; `seconds` is how long the measured one took for all plans."""

    task: str
    n: int
    seconds: float
    systems: Mapping[str, SystemPlans]
    machine: Mapping[str, Any]


def raw_lines(plan: Plan) -> list[str]:
    """Return the lines as decoded; none if the decomposer left the question whole."""
    return [line for line in plan.raw.splitlines() if line.strip()] if plan.subquestions else []


def decoded(decomposer: Decomposer, problems: Sequence[Problem], progress: Progress = SILENT) -> RawPlans:
    """Return the raw plans of all problems, in their order; a local student decodes several at once, one per slot."""
    what = f"{len(problems):,} plans by {decomposer.name}"
    questions = [Question(problem.question, problem.context, str(at)) for at, problem in enumerate(problems)]
    if not isinstance(decomposer, StudentDecomposer):
        raw = []
        for number, question in enumerate(questions, start=1):
            raw.append(raw_lines(result_of(decomposer.decompose(question))))
            progress.step(what, number, len(problems))
        return raw
    found: dict[str | None, list[str]] = {}
    for question, plan in decomposer.decompose_many(questions):
        if isinstance(plan, DncError):
            raise plan
        found[question.id] = raw_lines(plan)
        progress.step(what, len(found), len(problems))
    return [found[question.id] for question in questions]


def published() -> dict[str, RawPlans]:
    """Return plans on GSM8K test by name: those that GSM8K-AI-SubQ published, and the trivial one."""
    problems = gsm8k.load()
    chatgpt = gsm8k.chatgpt_plans()
    systems = {
        "ChatGPT (teacher)": [list(chatgpt[problem.id]) for problem in problems],
        "trivial: last sentence": decoded(trivial(), problems),
    }
    for label, name in (("GPT-2 small, filtered", "filtered_bc"), ("GPT-2 small, cloned", "finetune")):
        rows = files.read_jsonl(f"gsm8k_ai_subq/eval_responses/chatgpt/eval_{name}.jsonl")
        systems[label] = [[re.sub(r"^Q\d+:\s*", "", line) for line in row["questions"].splitlines()] for row in rows]
    return systems


def plans(decomposer: Decomposer, *, limit: int | None = None, progress: Progress = SILENT) -> PlansResult:
    """Measure a decomposer on GSM8K test, beside published ones on the same questions.

    Args:
        decomposer: what is measured.
        limit: the first so many questions; None takes all 1,319.
        progress: gets the number of plans that are done.

    Raises:
        DataMissing: GSM8K or GSM8K-AI-SubQ is not there.
        ExtraMissing: the extra `eval` is not installed.
    """
    problems = gsm8k.load(limit)
    chatgpt = gsm8k.chatgpt_plans()
    started = time.perf_counter()
    name = f"{decomposer.name} {decomposer.level or ''}".strip()
    systems = {name: decoded(decomposer, problems, progress)}
    seconds = time.perf_counter() - started
    systems |= published()
    rows: dict[str, SystemPlans] = {}
    for label, raw in systems.items():
        chosen = list(zip(raw, problems, strict=False))
        socratic = figures([score(plan, problem.plan or (), problem.question) for plan, problem in chosen])
        teacher = figures([score(plan, chatgpt[problem.id], problem.question) for plan, problem in chosen])
        rows[label] = SystemPlans(socratic, teacher.f1)
    return PlansResult("gsm8k test", len(problems), round(seconds, 1), rows, machine())


def table(result: PlansResult) -> str:
    """Return the result as a Markdown table."""

    def cell(estimate: Estimate) -> str:
        return f"{estimate.value:.3f} ± {(estimate.high - estimate.low) / 2:.3f}"

    lines = [
        "| decomposer | plan F1, socratic | plan F1, ChatGPT's | unsupported words | repeats | count difference |",
        "|---|---|---|---|---|---|",
    ]
    for label, row in result.systems.items():
        figures = row.socratic
        order = [figures.f1, row.chatgpt, figures.unsupported, figures.repeats, figures.count_difference]
        lines.append(f"| {label} | " + " | ".join(map(cell, order)) + " |")
    return "\n".join(lines)
