"""Small stand-ins that make invariants testable in milliseconds; the real parts have tests of their own."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from dnc_edge.engines import Request, Step
from dnc_edge.errors import InputError, SolverServerError
from dnc_edge.progress import Progress
from dnc_edge.remote.protocol import Chat
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.students.facts import Role
from dnc_edge.students.manifest import Manifest, WeightFile
from dnc_edge.students.student import Student
from dnc_edge.types import Answer, AnswerDelta, Question, Usage

END = 256
DECOMPOSE, PLAN, SOLVE, ANSWER = 257, 258, 259, 260
CONTROLS = {"<|end|>": END, "<|decompose|>": DECOMPOSE, "<|plan|>": PLAN, "<|solve|>": SOLVE, "<|answer|>": ANSWER}


class Reports(Progress):
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, int, int]] = []
        self.errors: list[InputError] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, what: str, done: int = 0, total: int = 0) -> None:
        self.steps.append((what, done, total))

    def skipped(self, error: InputError) -> None:
        self.errors.append(error)


class ByteTokenizer:
    """A token per byte, and five control pieces."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def control(self, piece: str) -> int:
        return CONTROLS[piece]

    def bytes_of(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""


class ScriptedEngine:
    """Decodes the texts it was given, one for each request, a byte a step."""

    name = "scripted"

    def __init__(self, *texts: str, context: int = 10_000) -> None:
        self.texts = list(texts)
        self.context = context
        self.requests: list[Request] = []
        self.cancelled: set[str] = set()

    def run(self, requests: Iterable[Request]) -> Generator[Step]:
        for request in requests:
            self.requests.append(request)
            if len(request.tokens) >= self.context:
                yield Step(request.id, None, finish="too_long")
                continue
            tokens = [*self.texts.pop(0).encode(), END][: request.max_tokens]
            for index, token in enumerate(tokens):
                if request.id in self.cancelled:
                    yield Step(request.id, None, finish="cancelled")
                    break
                inserted = [other for observer in request.observers for other in observer.add(token)]
                stops = token == END or any(observer.done for observer in request.observers)
                last = index == request.max_tokens - 1
                yield Step(request.id, token, -0.5, "stop" if stops else "length" if last else None)
                if stops:
                    break
                yield from (Step(request.id, other) for other in inserted)

    def cancel(self, id: str) -> None:
        self.cancelled.add(id)

    def close(self) -> None:
        pass


def scripted_student(*texts: str, context: int = 10_000, cap: int = 10) -> Student:
    """A student that decodes `texts`."""
    manifest = Manifest(
        name="scripted",
        roles={
            "decompose": Role("<|decompose|> {user}<|plan|>", "1", 500),
            "solve": Role("<|solve|> {user}<|answer|>", "1", 500),
        },
        files=(),
        default_level="q8_0",
        context=context,
        max_subquestions=cap,
        stop=("<|end|>",),
        probes=(),
    )
    weights = WeightFile("scripted.gguf", "scripted", "q8_0", "0" * 64, 0)
    return Student(manifest, weights, ScriptedEngine(*texts, context=context), ByteTokenizer())


class ScriptedSolver:
    """Answers with the texts it was given; None is a failure."""

    name = "scripted"
    small = False
    chat: Chat | None = None
    shots: int = 0

    def __init__(self, *replies: str | None) -> None:
        self.replies = list(replies)
        self.identity: Mapping[str, Any] = {"scripted": True}
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def prepare(self) -> None:
        pass

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        return self._reply(mode, tuple(plan))

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        return self._reply("step", (subquestion,))

    def conclude(self, question: Question, history: History, rest: Sequence[str] = ()) -> Solving:
        return self._reply("conclude", (*(answer for _, answer in history), *rest))

    def _reply(self, kind: str, given: tuple[str, ...]) -> Solving:
        self.asked.append((kind, given))
        reply = self.replies.pop(0)
        if reply is None:
            raise SolverServerError("scripted failure")
        yield AnswerDelta(reply)
        usage = Usage(requests=1, input_tokens=10, output_tokens=5, seconds=0.1, cost_usd=None)
        return Answer(reply.rpartition(" ")[2], reply, usage=usage)
