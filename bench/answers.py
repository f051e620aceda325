"""Recorded answers of one solver, question by question: right or wrong, dollars, and the plan if the record has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files, parse, prompts
from dnc_edge.bench.replay import letters
from dnc_edge.errors import InputError, UsageError
from dnc_edge.remote.usage import BYTES_PER_TOKEN
from dnc_edge.tasks import Task
from dnc_edge.tasks.problem import short_answer
from dnc_edge.types import Plan, Record

Price = tuple[float, float]


@dataclass(frozen=True)
class Answered:
    """One question answered: its score from 0 to 1, its dollars, and what was planned, if the record tells."""

    score: float
    usd: float
    plan: Plan | None = None


def answered(path: Path, task: Task, price: Price | None = None, *, planned: bool = False) -> dict[str, Answered]:
    """Score and price a file of recorded answers.

    Args:
        path: records of dnc-edge, or GSM8K-AI-SubQ's recordings (`problem`, `questions`, `answers`).
        task: whose questions and gold answers.
        price: dollars per million input and output tokens. Recordings hold no counts: their tokens are estimated from
            their text. Records are priced by their counts if it is given, else they keep their own dollars.
        planned: whether the recorded solver also wrote, and was paid for, the plan.

    Returns:
        by the id of the task's problem; questions that are not the task's are left out.

    Raises:
        InputError: a line is neither, or none asks a question of the task. UsageError: a price is needed.
    """
    wanted = {letters(problem.question): problem for problem in task.answered.problems}
    found: dict[str, Answered] = {}
    for where, line in files.lines(path):
        try:
            row = json.loads(line)
            question = row.get("problem") or row["question"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: no recorded answer ({error})") from error
        problem = wanted.get(letters(question))
        if problem is None or problem.id in found:
            continue
        if "schema" in row:
            record = Record.from_json(line, where=where)
            score = task.scores(short_answer(record), problem)[task.metric]
            found[problem.id] = Answered(score, _dollars(record, price, where), _plan(record))
        else:
            if price is None:
                raise UsageError(f"{path} holds no costs", hint="give a price with --cheap-price and --strong-price")
            reply = _text(row.get("answers"))
            score = task.scores(parse.scored_answer(reply), problem)[task.metric]
            found[problem.id] = Answered(score, _estimated(row, reply, price, planned=planned))
    if not found:
        raise InputError(f"{path}: no record asks a question of the task {task.name}", hint="choose another --task")
    return found


def planned(path: Path, task: Task) -> dict[str, Plan]:
    """The plans of a file of records, by the id of the task's problem.

    Raises:
        InputError: a line is no record.
    """
    wanted = {letters(problem.question): problem.id for problem in task.problems}
    found: dict[str, Plan] = {}
    for where, line in files.lines(path):
        record = Record.from_json(line, where=where)
        if (id := wanted.get(letters(record.question))) and (plan := _plan(record)):
            found[id] = plan
    return found


def _dollars(record: Record, price: Price | None, where: str) -> float:
    if price is not None:
        solve = record.usage.get("solve")
        return (solve.input_tokens * price[0] + solve.output_tokens * price[1]) / 1e6 if solve else 0.0
    if record.cost_usd is None:
        raise UsageError(f"{where}: the record's cost is not known", hint="give a price for this side")
    return record.cost_usd


def _plan(record: Record) -> Plan | None:
    if record.subquestions is None:
        return None
    return Plan(
        record.subquestions,
        logprob=record.plan_logprob,
        confidence=record.plan_confidence,
        withheld=record.withheld or (),
    )


def _estimated(row: Mapping[str, Any], reply: str, price: Price, *, planned: bool) -> float:
    """Dollars of a recorded reply, with those of the plan if it was `planned` by the same model."""
    question = str(row.get("problem") or row["question"])
    plan = _text(row.get("questions")).splitlines()
    usd = _of(prompts.solve(question, None, plan), reply, price)
    if planned:
        usd += _of(prompts.decompose(question, None, cap=10), "\n".join(plan), price)
    return usd


def _of(messages: list[prompts.Message], reply: str, price: Price) -> float:
    sent = sum(len(message["content"].encode()) for message in messages)
    return (sent * price[0] + len(reply.encode()) * price[1]) / BYTES_PER_TOKEN / 1e6


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""
