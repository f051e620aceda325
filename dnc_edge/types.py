"""What flows through dnc-edge: questions in, events on the way, records out. Frozen, and self-measuring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dnc_edge.errors import DncError, InputError

SCHEMA = 1

# The documented order of a record's fields.
RECORD_FIELDS = (
    "schema", "id", "question", "context", "subquestions", "subanswers", "answer", "text", "finish_reason", "strategy",
    "decomposer", "engine", "level", "solver", "prompt_version", "plan_logprob", "plan_confidence", "withheld",
    "repaired", "worked_out", "routed", "usage", "cost_usd", "price_date", "seconds", "error", "key",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A question, the passage it is about (if any), and an id that the caller chose (if any)."""

    text: str
    context: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Usage:
    """What one stage cost.

    Attributes:
        requests: how many requests were made, retried ones included.
        unaccounted: how many of them may have been charged although no usage came back.
        input_tokens, cached_tokens, output_tokens, reasoning_tokens: as the provider (or the local
            engine) counts them; cached is a part of input, reasoning a part of output.
        estimated: whether any count is ours, because the provider sent none.
        seconds: wall time of the stage; first_token_seconds: until its first token, if there was one.
        cost_usd: dollars; None if the price is unknown, or a request is unaccounted.
    """

    requests: int = 0
    unaccounted: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    seconds: float = 0.0
    first_token_seconds: float | None = None
    cost_usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            requests=self.requests + other.requests,
            unaccounted=self.unaccounted + other.unaccounted,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
            seconds=self.seconds + other.seconds,
            first_token_seconds=self.first_token_seconds if self.requests else other.first_token_seconds,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )


@dataclass(frozen=True)
class Plan:
    """What a decomposer delivers: sub-questions in order; empty where it said that none are needed.

    Attributes:
        raw: the text as decoded. repaired: how many lines needed mending or were left out.
        logprob: mean log-probability of the decoded tokens, where the decomposer tells.
        confidence: the probability that the plan is good, if the decomposer is calibrated and made one.
        withheld: sub-questions that were made but are not trusted; the question goes to the solver whole.
        note: why the question is left whole, if that is not what the decomposer said.
    """

    subquestions: tuple[str, ...]
    raw: str = ""
    repaired: int = 0
    logprob: float | None = None
    usage: Usage = Usage()
    confidence: float | None = None
    withheld: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a solver delivers: the final answer, the sub-answers it gave on the way, the whole reply.

    `solver` names who answered if that is not the solver that was asked (a fallback). `worked_out` holds the numbers,
    from 1, of the sub-questions that the calculator answered in its place.
    """

    answer: str | None
    text: str
    subanswers: tuple[str, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = Usage()
    solver: str | None = None
    worked_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class Routed:
    """Which of two solvers a question went to.

    Attributes:
        to: "cheap" or "strong".
        chance: from 0 to 1, that the cheap one is enough; below `threshold` the strong one is asked.
    """

    to: str
    chance: float
    threshold: float


@dataclass(frozen=True)
class RecordError:
    code: str
    stage: str | None
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: DncError) -> RecordError:
        return cls(error.code, error.stage, error.message, error.retryable)


@dataclass(frozen=True)
class Record:
    """The one shape in which results are kept; a plan is a record without an answer.

    `subquestions` is None where there was no decomposition stage, empty where the decomposer said that
    none are needed. `key` is the hash of everything that changes the answer. `worked_out` holds the numbers of the
    sub-questions that were answered by the calculator here, None if there is none.
    """

    id: str
    question: str
    key: str
    strategy: str
    prompt_version: str
    context: str | None = None
    subquestions: tuple[str, ...] | None = None
    subanswers: tuple[str, ...] | None = None
    answer: str | None = None
    text: str | None = None
    finish_reason: str | None = None
    decomposer: str | None = None
    engine: str | None = None
    level: str | None = None
    solver: str | None = None
    plan_logprob: float | None = None
    plan_confidence: float | None = None
    withheld: tuple[str, ...] | None = None
    repaired: int = 0
    worked_out: tuple[int, ...] | None = None
    routed: Routed | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)
    cost_usd: float | None = 0.0
    price_date: str | None = None
    seconds: float = 0.0
    error: RecordError | None = None
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the documented order."""
        # By hand: `asdict` copies every value deeply, which a batch feels.
        values = {name: getattr(self, name) for name in RECORD_FIELDS}
        values["usage"] = {stage: dict(vars(usage)) for stage, usage in self.usage.items()}
        values["error"] = dict(vars(self.error)) if self.error else None
        values["routed"] = dict(vars(self.routed)) if self.routed else None
        return values

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "record") -> Record:
        """Read a record back; `where` names the file and line in errors.

        Raises:
            InputError: it is not a record of this schema.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({getattr(error, 'msg', error)})") from error
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            raise InputError(
                f"{where}: not a dnc-edge record of schema {SCHEMA}",
                hint="write one with: dnc-edge decompose QUESTION --json",
            )
        known = {f.name for f in fields(cls)}
        try:
            kept = {name: value for name, value in values.items() if name in known}
            for name in ("subquestions", "subanswers", "withheld"):
                if kept.get(name) is not None:
                    kept[name] = _strings(kept[name], name)
            kept["usage"] = {stage: Usage(**usage) for stage, usage in kept.get("usage", {}).items()}
            if kept.get("error"):
                kept["error"] = RecordError(**kept["error"])
            if kept.get("routed"):
                kept["routed"] = Routed(**kept["routed"])
            if kept.get("worked_out") is not None:
                kept["worked_out"] = tuple(map(int, kept["worked_out"]))
            record = cls(**kept)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: not a dnc-edge record ({error})") from error
        if not isinstance(record.question, str) or not record.question.strip():
            raise InputError(f"{where}: the record has no question")
        return record

    def with_error(self, error: DncError) -> Record:
        return replace(self, error=RecordError.of(error))


def _strings(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} is not a list of strings")
    return tuple(values)


def record_key(settings: Mapping[str, Any]) -> str:
    """Hash of the canonical JSON of everything that changes an answer."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


# What a strategy yields, in order: deltas and sub-questions of the plan, answers of them and deltas of the answer, the
# record.


@dataclass(frozen=True)
class PlanDelta:
    """Text of the plan as it is decoded."""

    text: str


@dataclass(frozen=True)
class SubQuestion:
    """One whole sub-question of the delivered plan, numbered from 1."""

    number: int
    text: str


@dataclass(frozen=True)
class AnswerDelta:
    """Text of the answer as it streams."""

    text: str


@dataclass(frozen=True)
class SubAnswer:
    """The whole answer of one sub-question that was asked by itself; `worked_out` if the calculator gave it."""

    number: int
    text: str
    worked_out: bool = False


@dataclass(frozen=True)
class Notice:
    """Something the user should know before the answer ("the solver failed; answering locally")."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The last event of every strategy; `error` is the one that the record tells of, if any."""

    record: Record
    error: DncError | None = None


Event = PlanDelta | SubQuestion | AnswerDelta | SubAnswer | Notice | Finished


def event_dict(event: Event) -> dict[str, Any]:
    """An event as `--events` prints it and a server sends it."""
    if isinstance(event, Finished):
        return {"event": "finished", "record": event.record.to_dict()}
    return {"event": _EVENT_NAMES[type(event)], **vars(event)}


_EVENT_NAMES = {
    PlanDelta: "plan_delta",
    SubQuestion: "subquestion",
    AnswerDelta: "answer_delta",
    SubAnswer: "subanswer",
    Notice: "notice",
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the number of questions behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
