"""The record of a question while its stages run."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType

from dnc_edge.errors import DncError, Unexpected
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Answer, Finished, Plan, Record, Routed, Usage


class RecordBuilder:
    """The record of one question, filled in as its stages end.

        with pipeline.builder(question) as builder:
            builder.planned(plan)
            builder.solved(answer)
        record = builder.finished().record

    An exception in the `with` block becomes the record's error; what was filled in before it stays.

    Args:
        record: of the question, with nothing made yet.
        prices: their date goes into a record that costs money.

    Attributes:
        stage: the one that is running, "decompose" or "solve"; an error is counted to it.
    """

    def __init__(self, record: Record, prices: Prices) -> None:
        self.stage: str | None = None
        self._record = record
        self._prices = prices
        self._usage: dict[str, Usage] = {}
        self._error: DncError | None = None
        self._started = time.perf_counter()

    @property
    def subquestions(self) -> tuple[str, ...]:
        return self._record.subquestions or ()

    def planned(self, plan: Plan | DncError) -> None:
        """Take the plan, or raise what was wrong with it. Called again, usage and repairs are added up."""
        self.stage = "decompose"
        if isinstance(plan, DncError):
            raise plan
        self._spend(self.stage, plan.usage)
        self._record = replace(
            self._record,
            subquestions=plan.subquestions,
            plan_logprob=plan.logprob,
            plan_confidence=plan.confidence,
            withheld=plan.withheld or None,
            repaired=self._record.repaired + plan.repaired,
        )

    def solved(self, answer: Answer | DncError) -> None:
        """Take the answer, or raise what was wrong with it. Called again, usage is added up."""
        self.stage = "solve"
        if isinstance(answer, DncError):
            raise answer
        self._spend(self.stage, answer.usage)
        self._record = replace(
            self._record,
            answer=answer.answer,
            text=answer.text or None,
            subanswers=answer.subanswers,
            finish_reason=answer.finish_reason,
            solver=answer.solver or self._record.solver,
            worked_out=answer.worked_out or None,
        )

    def chose(self, strategy: str) -> None:
        """Say which strategy was taken, if that was left open."""
        self._record = replace(self._record, strategy=strategy)

    def routed(self, routed: Routed, solver: str) -> None:
        """Say which solver is asked, if that was left open."""
        self._record = replace(self._record, routed=routed, solver=solver)

    def __enter__(self) -> RecordBuilder:
        return self

    def __exit__(self, kind: object, raised: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(raised, Exception):
            return False
        self._error = error = raised if isinstance(raised, DncError) else _unexpected(raised)
        error.stage = error.stage or self.stage
        if error.usage is not None:
            self._spend(error.stage or "solve", error.usage)
        return True

    def finished(self) -> Finished:
        """The record with its times and costs, and the error that ended it, if one did."""
        stages = self._usage.values()
        # A stage that was decoded together with others took its own time before.
        seconds = max(time.perf_counter() - self._started, sum(usage.seconds for usage in stages))
        known = [usage.cost_usd for usage in stages if usage.cost_usd is not None]
        cost = sum(known) if len(known) == len(stages) else None
        record = replace(self._record, usage=self._usage, seconds=seconds, cost_usd=cost)
        if cost != 0:
            record = replace(record, price_date=self._prices.date())
        return Finished(record.with_error(self._error) if self._error else record, self._error)

    def _spend(self, stage: str, usage: Usage) -> None:
        self._usage[stage] = self._usage[stage] + usage if stage in self._usage else usage


def _unexpected(raised: Exception) -> Unexpected:
    """Of a thousand questions one that meets a bug must not take the others along."""
    said = " ".join(str(raised).split())[:200]
    error = Unexpected(f"unexpected {type(raised).__name__}: {said}", hint="this is a bug; please report it")
    error.__cause__ = raised
    return error
