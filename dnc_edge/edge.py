"""`Edge`: the Python API's one entry. Parts are made when first needed and shared."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge.config import Settings, changed, load, route_path
from dnc_edge.engines.protocol import Sampling
from dnc_edge.errors import InputError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote.pricing import Prices
from dnc_edge.strategies import STRATEGIES
from dnc_edge.types import Event, Finished, Question, Record

if TYPE_CHECKING:
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.engines.protocol import Engine
    from dnc_edge.log import Log
    from dnc_edge.pipeline import Pipeline
    from dnc_edge.remote.gate import Gate
    from dnc_edge.remote.protocol import Chat
    from dnc_edge.remote.store import Store
    from dnc_edge.solvers import Solver
    from dnc_edge.solvers.routing import Router
    from dnc_edge.students.chat import LocalChat
    from dnc_edge.students.student import Student

LONGEST_QUESTION = 65_536


class Edge:
    """A decomposer and a solver, as the settings say.

        with Edge(solver="openai:gpt-4o-mini") as edge:
            record = edge.ask("Tom has 3 boxes of 12 eggs and uses 7. How many are left?")

    Args:
        settings: merged settings; None reads environment and file.
        prices: how remote and local stages are priced.
        solver_options: fields merged into every request to a remote solver.
        slots: sequences that a local student decodes at once.
        engine_thread: decode in a thread of its own, for many callers at once, each of which may be cancelled.
        gate: what every remote request must pass, for runs of many.
        store: where complete remote replies are kept and looked up.
        progress: gets a note whenever a server makes it wait.
        log: gets a row for each question, as the setting `logging` says; None logs nothing. It is closed with the edge.
        **flags: single settings, over all other sources and over `settings`.

    Raises:
        UsageError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        prices: Prices | None = None,
        solver_options: Mapping[str, Any] | None = None,
        slots: int = 1,
        engine_thread: bool = False,
        gate: Gate | None = None,
        store: Store | None = None,
        progress: Progress = SILENT,
        log: Log | None = None,
        **flags: Any,
    ) -> None:
        self.settings = load(flags) if settings is None else changed(settings, flags)
        self.prices = prices or Prices()
        self.solver_options = dict(solver_options or {})
        self.slots, self.engine_thread = slots, engine_thread
        self.gate, self.store, self.progress = gate, store, progress
        self._students: dict[tuple[str | None, str | None], Student] = {}
        self._chats: dict[str, LocalChat] = {}
        self._log = log if self.settings.logging != "off" else None
        self._lock = threading.Lock()

    def ask(self, question: str | Question, context: str | None = None) -> Record:
        """Decompose and answer.

        Args:
            question: the text, or a `Question`.
            context: the passage it is about.

        Returns:
            the record; its `error` is None.

        Raises:
            DncError: whatever the record tells of.
        """
        return _finished(self.stream(question, context))

    def decompose(self, question: str | Question, context: str | None = None) -> Record:
        """The plan alone: a record without an answer. Raises as `ask` does."""
        return _finished(self.stream(question, context, solve=False))

    def solve(self, question: str | Question, plan: Sequence[str], context: str | None = None) -> Record:
        """Answer through sub-questions that are given. Raises as `ask` does."""
        return _finished(self.stream(question, context, plan=plan))

    def stream(
        self,
        question: str | Question,
        context: str | None = None,
        *,
        plan: Sequence[str] | None = None,
        solve: bool = True,
    ) -> Generator[Event]:
        """Events of one question; the last is `Finished`, whose record may hold an error.

        Raises:
            InputError: the question is empty or too long.
            StudentError, ExtraMissing, UsageError: a part cannot be made.
        """
        asked = question if isinstance(question, Question) else Question(question, context)
        check_question(asked)
        with contextlib.closing(self.pipeline(decompose=plan is None, solve=solve).stream(asked, plan)) as events:
            for event in events:
                if isinstance(event, Finished):
                    self.log(event.record)
                yield event

    def log(self, record: Record) -> None:
        """Write a row of the log, if there is one. A log that fails costs no answer: it is told of, once."""
        if self._log is None:
            return
        try:
            self._log.add(record, texts=self.settings.logging == "texts")
        except InputError as error:
            self._log = None
            self.progress.note(f"{error.message}; {error.hint}")

    def pipeline(self, *, decompose: bool = True, solve: bool = True) -> Pipeline:
        """The strategy with its parts, made now."""
        from dnc_edge.pipeline import Pipeline

        settings = self.settings
        strategy = settings.strategy if solve else "static"
        if solve and (settings.decomposer == "none" or settings.plan == "never"):
            strategy = "single"
        solver = self.solver if solve else None
        router = self.router if solve else None
        for one in (solver, router.strong if router else None):
            if one and not one.small:
                # The import of the HTTP library and the TLS set-up run while the student loads and decodes.
                threading.Thread(target=_quietly, args=(one.prepare,), daemon=True).start()
        return Pipeline(
            strategy=strategy,
            decomposer=self.decomposer if decompose and STRATEGIES[strategy].decomposes else None,
            solver=solver,
            # Settings are checked against the choices when they are merged.
            mode=settings.mode,  # type: ignore[arg-type]
            prices=self.prices,
            router=router,
        )

    def varied(self, **flags: Any) -> Edge:
        """An edge with single settings changed and the same students, gate, store and log; closing one closes both.

        Raises:
            UsageError: a setting is unknown or out of range.
        """
        other = copy.copy(self)
        other.settings = changed(self.settings, flags)
        for part in ("decomposer", "solver", "router"):
            other.__dict__.pop(part, None)
        return other

    @functools.cached_property
    def router(self) -> Router | None:
        """What chooses between the two solvers of the settings; None if there is one.

        Raises:
            UsageError: a route without a second solver, or none that can be taken.
        """
        from dnc_edge import models
        from dnc_edge.solvers.routing import Route, Router

        settings = self.settings
        if settings.strong is None:
            if settings.route is not None:
                raise UsageError("--route needs a second solver", hint="name it with --strong")
            return None
        route = Route.of(settings.route or "auto", route_path())
        return Router(self.solver, models.solver(settings.strong, self), route)

    @functools.cached_property
    def decomposer(self) -> Decomposer:
        """The decomposer of the settings. Raises UsageError if there is no such kind."""
        from dnc_edge import models

        return models.decomposer(self.settings.decomposer or "student", self)

    @functools.cached_property
    def solver(self) -> Solver:
        """The solver of the settings. Raises UsageError if there is no such kind."""
        from dnc_edge import models

        return models.solver(self.settings.solver, self)

    def student(self, name: str | None = None, role: str | None = None) -> Student:
        """A local student, loaded once.

        Args:
            name: None is the one of the settings.
            role: the only one that the caller asks of it; None is any.
        """
        from dnc_edge.students.student import Student

        with self._lock:
            for key in ((name, None), (name, role)):
                if key in self._students:
                    return self._students[key]
            student = Student.open(
                name,
                level=self.settings.level,
                engine=self.settings.engine,
                threads=self.settings.threads,
                slots=self.slots,
                role=role,
            )
            student.engine = self._shared(student.engine)
            # One that has merged weights has this role alone.
            self._students[name, role if list(student.manifest.roles) == [role] else None] = student
            return student

    def _shared(self, engine: Engine) -> Engine:
        if not self.engine_thread:
            return engine
        from dnc_edge.engines.thread import EngineThread

        return EngineThread(engine)

    def close(self) -> None:
        """Free the students. Calling it twice is harmless."""
        with self._lock:
            for student in self._students.values():
                student.close()
            for chat in self._chats.values():
                chat.close()
            self._students.clear()
            self._chats.clear()
            if self._log:
                self._log.close()

    def __enter__(self) -> Edge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sampling(self) -> Sampling:
        """How local models choose among tokens."""
        return Sampling(self.settings.temperature, self.settings.top_p, self.settings.seed)

    def local_chat(self, path: str) -> Chat:
        """A GGUF chat model, loaded once."""
        from dnc_edge.students.chat import LocalChat

        with self._lock:
            if path not in self._chats:
                chat = self._chats[path] = LocalChat(
                    Path(path).expanduser(),
                    shots=self.settings.shots,
                    max_tokens=self.settings.max_tokens,
                    sampling=self.sampling,
                    threads=self.settings.threads,
                )
                chat.engine = self._shared(chat.engine)
            return self._chats[path]

    def endpoint(self, model: str, base_url: str | None = None, options: Mapping[str, Any] | None = None) -> Chat:
        """A remote model with this edge's deadlines, gate and store.

        Args:
            model: its name there.
            base_url: None is OpenAI.
            options: fields merged into its requests.

        Raises:
            UsageError: the address is none.
        """
        from dnc_edge.remote.endpoint import Endpoint
        from dnc_edge.remote.retry import Retry
        from dnc_edge.remote.transport import Deadlines

        settings = self.settings
        retry = Retry(patience=settings.patience)
        if self.gate and not self.gate.lasting:
            # Of many requests in a run each can wait longer than a person would.
            retry = replace(retry, attempts=8, longest=30.0)
        endpoint = Endpoint(
            model,
            base_url,
            retry=retry,
            gate=self.gate,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            options=options or {},
            instruction=settings.instruction,
            progress=self.progress,
            deadlines=Deadlines(read=min(60.0, settings.timeout), total=settings.timeout),
        )
        if self.store is None:
            return endpoint
        from dnc_edge.remote.store import StoredChat

        return StoredChat(endpoint, self.store)


def check_question(question: Question) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: the question is empty, longer than 65,536 characters, or holds what is no text.
    """
    for name, value in (("question", question.text), ("context", question.context), ("id", question.id)):
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"the {name} holds what is no text at character {error.start + 1}: bytes that are not UTF-8, or half "
                "of a surrogate pair",
                hint="write it in UTF-8",
            ) from error
    if not question.text.strip():
        raise InputError("the question is empty")
    if len(question.text) > LONGEST_QUESTION:
        raise InputError(
            f"the question has {len(question.text):,} characters; at most {LONGEST_QUESTION:,} can be asked",
            hint="a long passage belongs in the context, not in the question",
        )


def _finished(events: Iterator[Event]) -> Record:
    for event in events:
        if isinstance(event, Finished):
            if event.error:
                raise event.error
            return event.record
    raise AssertionError("a strategy ended without a record")


def _quietly(action: Any) -> None:
    """Preparation is a head start: what fails in it fails again, and is told, where it counts."""
    with contextlib.suppress(Exception):
        action()
