"""Many questions through one pipeline: a record for each, as it is finished."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TypeGuard

from dnc_edge.batch.run import run
from dnc_edge.decomposers import Decomposer, StudentDecomposer
from dnc_edge.errors import DncError, UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.solvers import LocalSolver
from dnc_edge.students.student import Generation, Student
from dnc_edge.types import Finished, Plan, Question, Record

# Threads take turns so often while plans are decoded beside requests.
SWITCH_SECONDS = 1e-4


def records(questions: Iterable[Question], pipeline: Pipeline, *, jobs: int = 8) -> Generator[Record]:
    """Records as they are finished.

    A local student decodes plans of many questions together, and its answers with them; with another solver up to
    `jobs` finished plans are being solved meanwhile.

    Raises:
        BudgetReached, SolverError: no more can be asked.
    """
    decomposer, solver = pipeline.decomposer, pipeline.solver
    method = pipeline.method
    one_solver = method.asks_once and not pipeline.routes
    if one_solver and isinstance(solver, LocalSolver) and _made_by(decomposer, solver.student):
        yield from _by_one_student(questions, pipeline, decomposer, solver)
        return
    if method.decomposes and method.plans_first and isinstance(decomposer, StudentDecomposer):
        planned = decomposer.decompose_many(questions)
        if not solver:
            # Nothing to wait for: no thread is worth its switches.
            yield from (_kept(pipeline.finish(question, plan)) for question, plan in planned)
            return
        with _eager_switches():
            yield from run(planned, lambda item: _kept(pipeline.finish(*item)), jobs=jobs)
        return
    with _eager_switches():
        yield from run(questions, lambda question: _record(pipeline, question), jobs=jobs)


def _record(pipeline: Pipeline, question: Question) -> Record:
    """Run a question."""
    finished = next(event for event in pipeline.stream(question) if isinstance(event, Finished))
    return _kept(finished)


def _kept(finished: Finished) -> Record:
    """The record, unless its error ends the run: then the question is left to be asked again."""
    if finished.error and (finished.error.fatal or isinstance(finished.error, UsageError)):
        raise finished.error
    return finished.record


def _made_by(decomposer: Decomposer | None, student: Student) -> TypeGuard[StudentDecomposer | None]:
    """Whether a student makes all plans there are."""
    return decomposer is None or (isinstance(decomposer, StudentDecomposer) and decomposer.student is student)


def _by_one_student(
    questions: Iterable[Question], pipeline: Pipeline, decomposer: StudentDecomposer | None, solver: LocalSolver
) -> Iterator[Record]:
    """Plans and answers share the student's slots in one thread; a plan that is whole is answered next."""
    waiting = iter(questions)
    planned: deque[tuple[Question, Plan | None]] = deque()
    planning: dict[Generation, Question] = {}
    solving: dict[Generation, tuple[Question, Plan | None]] = {}

    def generations() -> Iterator[Generation]:
        while True:
            if not planned:
                question = next(waiting, None)
                if question is None:
                    return
                if decomposer:
                    planning[generation := decomposer.begin(question)] = question
                    yield generation
                    continue
                planned.append((question, None))
            question, plan = planned.popleft()
            asked = plan.subquestions if plan else ()
            solving[generation := solver.begin(question, asked, pipeline.mode)] = question, plan
            yield generation

    while True:
        for generation in solver.student.generate_many(generations()):
            if decomposer and generation in planning:
                question = planning.pop(generation)
                made = decomposer.planned(question, generation)
                if isinstance(made, DncError):
                    yield _kept(pipeline.finish(question, made))
                else:
                    planned.append((question, made))
            else:
                question, plan = solving.pop(generation)
                asked = plan.subquestions if plan else ()
                answer = solver.answered(generation, asked, pipeline.mode)
                yield _kept(pipeline.finish(question, plan, answer))
        # The last plans became whole when there was nothing more to take.
        if not planned:
            return


@contextlib.contextmanager
def _eager_switches() -> Iterator[None]:
    """Let the engine's thread have the interpreter soon after each decode: by default others keep it for 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
