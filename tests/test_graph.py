"""Strategy `graph`: what a plan's references say, sub-questions side by side over real HTTP, kills and resumes."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import prompts
from dnc_edge.bench.loopback import LoopbackSolver, Reply
from dnc_edge.decomposers import GivenDecomposer, Planning, StudentDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import NoPlan, SolverServerError
from dnc_edge.pipeline import Pipeline
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.solvers import ChatSolver
from dnc_edge.solvers.protocol import History, Mode, Solving
from dnc_edge.strategies.plan_graph import PlanGraph, says_its_order
from dnc_edge.streams import Together
from dnc_edge.types import (
    Answer,
    AnswerDelta,
    Event,
    Finished,
    Plan,
    PlanDelta,
    Question,
    SubAnswer,
    SubQuestion,
    Usage,
    record_key,
)
from tests.batches import read_records
from tests.fakes import scripted_student

FACT = Question("Who of the two composers was born first?")
PROBLEM = Question("Lea bakes 4 trays of 15 rolls and sells half of them for $2 each. How much does she earn?")
DIAMOND = (
    "Who composed Aida?",
    "Who composed Norma?",
    "When was #1 born?",
    "When was #2 born?",
    "Which is earlier, #3 or #4?",
)


def test_references_say_which_sub_questions_wait_for_which() -> None:
    graph = PlanGraph.of(FACT, DIAMOND)
    assert graph.levels == (0, 0, 1, 1, 2) and graph.depth == 3 and graph.width == pytest.approx(5 / 3)
    assert graph.behind(4) == [0, 1, 2, 3] and graph.behind(3) == [1]
    assert PlanGraph.of(FACT, ()).width == 0


def test_a_reference_to_itself_or_to_a_later_one_waits_for_nothing() -> None:
    assert PlanGraph.of(FACT, ("Is #1 old?", "Is #3 old?", "Is #2 old?", "Is #0 old?")).levels == (0, 0, 1, 0)


def test_a_problem_that_names_its_quantities_in_words_goes_step_by_step() -> None:
    plan = ("How many rolls does Lea bake?", "How many does she sell?", "How much does she earn?")
    assert PlanGraph.of(PROBLEM, plan).width == 1
    assert PlanGraph.of(PROBLEM, (*plan[:2], "How much is #2 times 2?")).levels == (0, 0, 1)
    assert PlanGraph.of(FACT, plan).depth == 1
    # What can be told of a line before the next one is decoded.
    assert [says_its_order(PROBLEM, line, index) for index, line in enumerate(plan)] == [True, False, False]
    assert says_its_order(PROBLEM, "How much is #2 times 2?", 2) and says_its_order(FACT, plan[1], 1)


@given(st.lists(st.lists(st.integers(0, 12), max_size=4), max_size=12))
def test_every_plan_is_a_graph_whose_rounds_hold_all_of_it(references: list[list[int]]) -> None:
    plan = [" ".join(["What of"] + [f"#{number}" for number in numbers]) + "?" for numbers in references]
    graph = PlanGraph.of(FACT, plan)
    assert set(graph.levels) == set(range(graph.depth))
    for index, level in enumerate(graph.levels):
        assert all(other < index and graph.levels[other] < level for other in graph.needs[index])
        assert graph.needs[index] <= set(graph.behind(index))


class Oracle:
    """Answers each sub-question by its text, after a time; from any thread.

    Args:
        answers: by what the sub-question holds; an exception is raised.
        seconds: that each request takes.
    """

    name = "oracle"
    small = False
    chat = None
    shots = 0
    identity: Mapping[str, Any] = {"oracle": True}

    def __init__(self, answers: Mapping[str, str | Exception] | None = None, seconds: float = 0.02) -> None:
        self.answers, self.seconds = answers or {}, seconds
        self.asked: list[tuple[str, History]] = []
        self.concluded: list[tuple[History, tuple[str, ...]]] = []
        self.spans: list[tuple[float, float]] = []
        self._guard = threading.Lock()

    def prepare(self) -> None:
        pass

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        started = time.perf_counter()
        with self._guard:
            self.asked.append((subquestion, list(history)))
        time.sleep(self.seconds)
        found = next((answer for key, answer in self.answers.items() if key in subquestion), f"answer to {subquestion}")
        with self._guard:
            self.spans.append((started, time.perf_counter()))
        if isinstance(found, Exception):
            raise found
        yield AnswerDelta(found)
        return Answer(found, found, usage=Usage(requests=1, input_tokens=10, output_tokens=5, seconds=self.seconds))

    def conclude(self, question: Question, history: History, rest: Any = ()) -> Solving:
        self.concluded.append((list(history), tuple(rest)))
        yield AnswerDelta("The answer is: Verdi")
        subanswers = tuple(f"rest {one}" for one in rest)
        usage = Usage(requests=1, input_tokens=10, output_tokens=5, seconds=0.0)
        return Answer("Verdi", "The answer is: Verdi", subanswers, usage=usage)

    def solve(self, question: Question, plan: Any, mode: Mode) -> Solving:
        return self.conclude(question, (), plan)


def run(pipeline: Pipeline, question: Question = FACT) -> tuple[list[Event], Finished]:
    *events, last = pipeline.stream(question)
    assert isinstance(last, Finished)
    return events, last


def graph(solver: Oracle, *plan: str, strategy: str = "graph") -> Pipeline:
    return Pipeline(strategy, GivenDecomposer("given", lambda _: plan), solver)


def test_a_round_is_asked_side_by_side_and_each_sub_question_gets_what_it_refers_to() -> None:
    solver = Oracle({"Aida": "Verdi", "Norma": "Bellini", "Verdi born": "1813", "Bellini born": "1801"}, seconds=0.2)
    events, last = run(graph(solver, *DIAMOND))
    assert last.error is None
    record = last.record
    asked = dict(solver.asked)
    assert set(list(asked)[:2]) == {"Who composed Aida?", "Who composed Norma?"}
    assert asked["When was Verdi born?"] == [("Who composed Aida?", "Verdi")]
    assert asked["When was Bellini born?"] == [("Who composed Norma?", "Bellini")]
    (a, b), (c, d) = sorted(solver.spans)[:2], sorted(solver.spans)[2:]
    assert a[0] < b[1] and b[0] < a[1] and c[0] < d[1] and d[0] < c[1], "a round was not asked side by side"
    assert record.subanswers == ("Verdi", "Bellini", "1813", "1801", "1801")
    # The last one is a comparison of numbers: nobody was asked.
    assert record.worked_out == (5,) and len(solver.asked) == 4 and solver.concluded[0][1] == ()
    assert [e.number for e in events if isinstance(e, SubAnswer)][-1] == 5
    assert record.usage["solve"].requests == 5 and record.usage["solve"].output_tokens == 25
    # Requests overlap: the stage takes less than they do one after another.
    assert 0.4 <= record.usage["solve"].seconds < sum(end - start for start, end in solver.spans)
    assert record.strategy == "graph"


def test_a_small_last_round_is_answered_on_the_way_to_the_answer() -> None:
    solver = Oracle({"Aida": "Verdi"})
    _, last = run(graph(solver, "Who composed Aida?", "Where was #1 born?"))
    assert [text for text, _ in solver.asked] == ["Who composed Aida?"]
    assert solver.concluded == [([("Who composed Aida?", "Verdi")], ("Where was Verdi born?",))]
    assert last.record.subanswers == ("Verdi", "rest Where was Verdi born?")
    solver = Oracle()
    run(graph(solver, "Who composed Aida?", "Who composed Norma?"))
    # One round of two is what `static` does.
    assert solver.asked == [] and solver.concluded == [([], ("Who composed Aida?", "Who composed Norma?"))]


def test_auto_takes_graph_for_wide_plans_alone() -> None:
    wide = ("Who composed Aida?", "Who composed Norma?", "Who composed Carmen?", "Who of #1, #2 and #3 lived longest?")
    for plan, strategy in ((wide, "graph"), ((*wide[:1], "When was #1 born?"), "static")):
        solver = Oracle()
        _, last = run(graph(solver, *plan, strategy="auto"))
        assert last.record.strategy == strategy and last.record.answer == "Verdi"
        assert bool(solver.asked) == (strategy == "graph")
    small = Oracle()
    small.small = True
    assert run(graph(small, *wide, strategy="auto"))[1].record.strategy == "static"


def test_a_plan_for_nothing_asks_the_question_alone() -> None:
    solver = Oracle()
    _, last = run(graph(solver))
    assert last.record.subquestions == () and solver.concluded == [([], ())] and last.record.answer == "Verdi"


def test_a_failed_sub_question_loses_nothing_of_the_others() -> None:
    error = SolverServerError("no luck")
    error.usage = Usage(requests=4, unaccounted=4, cost_usd=None)
    solver = Oracle({"Aida": "Verdi", "Norma": error, "Carmen": "Bizet"})
    _, last = run(
        graph(solver, "Who composed Aida?", "Who composed Norma?", "Who composed Carmen?", "Is it #1, #2 or #3?")
    )
    record = last.record
    assert record.error and record.error.code == "solver_server" and record.error.stage == "solve"
    assert record.subanswers == ("Verdi", "", "Bizet", "") and not solver.concluded
    assert record.usage["solve"].requests == 6 and record.cost_usd is None


def test_a_decomposer_that_fails_halfway_leaves_what_was_paid_in_the_record() -> None:
    class Failing(GivenDecomposer):
        def decompose(self, question: Question) -> Planning:
            yield SubQuestion(1, "Who composed Aida?")
            yield PlanDelta("Who")
            raise NoPlan("nothing more")

    solver = Oracle()
    _, last = run(Pipeline("graph", Failing("failing", lambda _: ()), solver))
    assert last.record.error and (last.record.error.code, last.record.error.stage) == ("no_plan", "decompose")
    assert last.record.usage["solve"].requests == len(solver.asked) == 1


def test_a_sub_question_is_sent_while_the_rest_is_decoded() -> None:
    class Slow(GivenDecomposer):
        def decompose(self, question: Question) -> Planning:
            for number, text in enumerate(DIAMOND, start=1):
                yield PlanDelta(text)
                time.sleep(0.1)
                decoded.append(time.perf_counter())
                yield SubQuestion(number, text)
            return Plan(DIAMOND)

    decoded: list[float] = []
    solver = Oracle({"Aida": "Verdi", "Norma": "Bellini", "born": "1801"})
    _, last = run(Pipeline("graph", Slow("slow", lambda _: ()), solver))
    assert last.record.answer == "Verdi" and len(solver.asked) == 4
    assert sorted(solver.spans)[0][0] < decoded[1], "the first sub-question waited for the plan"
    assert sorted(solver.spans)[2][0] < decoded[4], "an answered reference waited for the plan"


def test_a_problem_goes_step_by_step() -> None:
    plan = "How many rolls does Lea bake?\nHow many rolls does she sell?\nHow much does she earn?"
    solver = Oracle()
    _, last = run(Pipeline("graph", StudentDecomposer(scripted_student(plan)), solver), PROBLEM)
    assert last.error is None
    # In a row: each gets all that was answered before, and the last is answered with the question.
    assert [len(history) for _, history in solver.asked] == [0, 1]
    assert len(solver.concluded[0][0]) == 2 and solver.concluded[0][1] == ("How much does she earn?",)


def test_streams_run_side_by_side_and_are_closed_if_nobody_waits() -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, str]:
        try:
            for number in itertools.count():
                time.sleep(0.005)
                yield number
        finally:
            closed.set()
        return ""

    def short() -> Generator[int, None, str]:
        yield 1
        return "done"

    together: Together[str, int, str] = Together()
    with together:
        together.start("endless", endless())
        together.start("short", short())
        ended = together.ended(wait=True)
        assert ended and (ended.key, ended.items, ended.result, ended.error) == ("short", [1], "done", None)
        assert together.ended(wait=False) is None and together.running == 1
    assert closed.wait(timeout=5)


def replying(seconds: float) -> LoopbackSolver:
    """A server that answers a sub-question by its own words, and a question with a number."""

    def reply(body: Mapping[str, Any]) -> Reply:
        asked = body["messages"][-1]["content"].splitlines()[-1]
        step = body["messages"][0]["content"] == prompts.step("", None, [], "")[0]["content"]
        return Reply(f"It is {len(asked)} km." if step else "The answer is: 7", seconds)

    return LoopbackSolver(reply)


def test_over_http_a_round_takes_as_long_as_one_request() -> None:
    wide = (*(f"How far is it to stop {letter}?" for letter in "ABCDEF"), "Which of #1, #2, #3, #4, #5, #6 is it?")
    with replying(0.5) as server:
        address, _, model = server.address.partition("#")
        solver = ChatSolver(Endpoint(model, address))
        solver.prepare()
        decomposer = GivenDecomposer("given", lambda _: wide)
        record = run(Pipeline("graph", decomposer, solver), Question("Where is the bus?"))[1].record
        assert record.error is None and record.answer == "7" and record.subanswers and len(record.subanswers) == 7
        assert server.requests == 7 and server.most_at_once == 6
        assert 1.0 <= record.seconds < 3, "seven requests one after another take 3.5 s"


def _plans(path: Path, count: int) -> tuple[Path, Path]:
    """Questions, and plans for them: three sub-questions to ask at once, three that need them."""
    questions, plans = path / "q.jsonl", path / "plans.jsonl"
    with questions.open("w") as asked, plans.open("w") as planned:
        for number in range(count):
            text = f"Which of the three towers of town {number} is tallest?"
            lines = [f"How tall is tower {letter} of town {number}?" for letter in "ABC"]
            lines += [f"Where in town {number} is what is {reference} tall?" for reference in ("#1", "#2", "#3")]
            asked.write(json.dumps({"id": f"t-{number}", "question": text}) + "\n")
            record = {
                "schema": 1, "id": f"t-{number}", "question": text, "key": "k", "strategy": "static",
                "prompt_version": "2", "subquestions": lines,
            }  # fmt: skip
            planned.write(json.dumps(record) + "\n")
    return questions, plans


def test_killed_and_resumed_no_complete_reply_is_bought_twice(tmp_path: Path) -> None:
    questions, plans = _plans(tmp_path, 40)
    rng = random.Random(0)
    jobs, widest, kills = 3, 3, 6
    bought: Counter[str] = Counter()
    complete: set[str] = set()

    def reply(body: Mapping[str, Any]) -> Reply:
        key = record_key({**identity, "messages": body["messages"]})
        assert key not in complete, "a request was sent again whose reply is in the store"
        bought[key] += 1
        return Reply("It is 12 m.\nThe answer is: 12 m", 0.02)

    with LoopbackSolver(reply) as server:
        with Edge(solver=server.address) as edge:
            assert isinstance(edge.solver, ChatSolver) and edge.solver.chat
            identity = edge.solver.chat.identity
        line = [sys.executable, "-m", "dnc_edge", "batch", str(questions), "-o", str(tmp_path / "out.jsonl")]
        line += ["--solver", server.address, "--decomposer", f"recorded:{plans}", "--strategy", "graph"]
        line += ["--jobs", str(jobs)]
        for _ in range(kills):
            before = server.requests
            process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
            while server.requests < before + 5 and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.random() * 0.3)
            process.kill()
            process.wait(timeout=60)
            with sqlite3.connect(tmp_path / "out.jsonl.replies") as database:
                complete |= {key for (key,) in database.execute("SELECT request FROM replies")}
        assert complete and complete <= bought.keys()
        assert subprocess.run(line, stderr=subprocess.DEVNULL, check=False, timeout=120).returncode == 0
    records = read_records(tmp_path / "out.jsonl")
    assert len(records) == 40 and all(len(record["subanswers"]) == 6 and not record["error"] for record in records)
    # Only what was in flight at a kill is bought again.
    again = sum(count - 1 for count in bought.values())
    assert len(bought) == 40 * 7 and again <= kills * jobs * widest
