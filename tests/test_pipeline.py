"""The strategies as streams of events, with scripted parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dnc_edge.decomposers import GivenDecomposer, StudentDecomposer, recorded, trivial
from dnc_edge.pipeline import Pipeline
from dnc_edge.solvers import FallbackSolver, LocalSolver
from dnc_edge.types import AnswerDelta, Event, Finished, Notice, PlanDelta, Question, Record, SubAnswer, SubQuestion
from tests.fakes import ScriptedSolver, scripted_student

QUESTION = Question("Tom has 3 boxes of 12 eggs and uses 7. How many are left?")
PLAN = "How many eggs does Tom have?\nHow many are left?"


def run(pipeline: Pipeline, question: Question = QUESTION, **given: list[str]) -> tuple[list[Event], Finished]:
    events = list(pipeline.stream(question, **given))  # type: ignore[arg-type]
    last = events.pop()
    assert isinstance(last, Finished)
    return events, last


def static(*texts: str, replies: tuple[str | None, ...] = ("It is 29",), cap: int | None = None) -> Pipeline:
    return Pipeline("static", StudentDecomposer(scripted_student(*texts), cap=cap), ScriptedSolver(*replies))


def test_static_tells_the_plan_then_the_answer_then_the_record() -> None:
    events, last = run(static(PLAN))
    kinds = [type(event) for event in events]
    assert kinds.index(AnswerDelta) > max(i for i, kind in enumerate(kinds) if kind in (PlanDelta, SubQuestion))
    assert [e.text for e in events if isinstance(e, SubQuestion)] == PLAN.split("\n")
    assert "".join(e.text for e in events if isinstance(e, PlanDelta)) == PLAN
    record = last.record
    assert record.subquestions == tuple(PLAN.split("\n")) and record.answer == "29" and record.error is None
    assert set(record.usage) == {"decompose", "solve"} and record.cost_usd is None


def test_a_sub_question_is_told_as_soon_as_it_is_whole() -> None:
    events, _ = run(static(PLAN))
    first = next(i for i, e in enumerate(events) if isinstance(e, SubQuestion))
    assert any(isinstance(e, PlanDelta) for e in events[first:])


def test_decoding_stops_once_the_cap_is_reached() -> None:
    pipeline = static("A?\nB?\nC?\nD?", cap=2)
    _, last = run(pipeline)
    assert last.record.subquestions == ("A?", "B?")
    # "A?\nB?\n" are six tokens; nothing behind them was decoded.
    assert last.record.usage["decompose"].output_tokens == 6


def test_no_decomposition_sends_the_question_alone() -> None:
    pipeline = static("No decomposition")
    _, last = run(pipeline)
    assert last.record.subquestions == ()
    assert pipeline.solver.asked == [("cot", ())]  # type: ignore[union-attr]


def test_single_has_no_decomposition_stage() -> None:
    _, last = run(Pipeline("single", None, ScriptedSolver("It is 29"), mode="direct"))
    assert last.record.subquestions is None and set(last.record.usage) == {"solve"}
    assert last.record.decomposer is None


def test_a_given_plan_is_solved_as_it_is() -> None:
    pipeline = static(PLAN)
    _, last = run(pipeline, plan=["Only this?"])
    assert last.record.subquestions == ("Only this?",) and last.record.decomposer is None
    assert pipeline.solver.asked == [("cot", ("Only this?",))]  # type: ignore[union-attr]


def test_dynamic_takes_turns_and_substitutes_earlier_answers() -> None:
    solver = ScriptedSolver("36.", "So 29", "The answer is: 29")
    decomposer = StudentDecomposer(
        scripted_student("How many eggs?\nx?", "How many of #1 are left?\ny?", "No decomposition")
    )
    _, last = run(Pipeline("dynamic", decomposer, solver))
    assert solver.asked == [
        ("step", ("How many eggs?",)),
        ("step", ("How many of 36 are left?",)),
        ("conclude", ("36.", "So 29")),
    ]
    record = last.record
    assert record.subquestions == ("How many eggs?", "How many of #1 are left?")
    assert record.subanswers == ("36.", "So 29") and record.answer == "29"
    assert record.usage["decompose"].requests == 3 and record.usage["solve"].requests == 3


def test_dynamic_pays_nobody_for_arithmetic() -> None:
    solver = ScriptedSolver("36 eggs.", "The answer is: 29")
    decomposer = StudentDecomposer(scripted_student("How many eggs?", "What is #1 less 7?", "No decomposition"))
    events, last = run(Pipeline("dynamic", decomposer, solver))
    assert [kind for kind, _ in solver.asked] == ["step", "conclude"]
    record = last.record
    assert record.subanswers == ("36 eggs.", "36 - 7 = 29") and record.worked_out == (2,)
    assert SubAnswer(2, "36 - 7 = 29", worked_out=True) in events and SubAnswer(1, "36 eggs.") in events
    assert Record.from_json(record.to_json()) == record


def test_dynamic_never_asks_the_same_twice() -> None:
    solver = ScriptedSolver("36", "The answer is: 36")
    decomposer = StudentDecomposer(scripted_student("How many eggs?", "How many eggs?"))
    _, last = run(Pipeline("dynamic", decomposer, solver))
    assert last.record.subquestions == ("How many eggs?",)


def test_a_failed_solver_loses_nothing_of_the_plan() -> None:
    _, last = run(static(PLAN, replies=(None,)))
    assert last.error is not None and last.error.code == "solver_server"
    assert last.record.subquestions == tuple(PLAN.split("\n"))
    assert last.record.error is not None and last.record.error.stage == "solve" and last.record.error.retryable
    assert Record.from_json(last.record.to_json()) == last.record


def test_a_prompt_that_does_not_fit_is_an_error_of_its_stage() -> None:
    _, last = run(Pipeline("static", StudentDecomposer(scripted_student("x", context=20)), ScriptedSolver("y")))
    assert last.record.error is not None
    assert (last.record.error.code, last.record.error.stage) == ("prompt_too_long", "decompose")


def test_a_fallback_says_so_and_the_record_names_who_answered() -> None:
    local = LocalSolver(scripted_student("The answer is: 5"))
    solver = FallbackSolver(ScriptedSolver(None), lambda: local)
    events, last = run(Pipeline("static", StudentDecomposer(scripted_student(PLAN)), solver))
    assert any(isinstance(e, Notice) and "answered by student:scripted instead" in e.text for e in events)
    assert last.record.answer == "5" and last.record.solver == "student:scripted"


def test_the_calculator_works_out_what_the_student_opens() -> None:
    student = scripted_student("1. 48/2 = <<48/2=24 clips, <<1/0=?>>? <<1e999=>>? <<, <<x=y>>z.\nThe answer is: 24")
    _, last = run(Pipeline("single", None, LocalSolver(student)))
    assert last.record.text == "1. 48/2 = 24 clips, ? ? <<, z.\nThe answer is: 24"
    assert last.record.usage["solve"].requests == 1


def test_the_small_solver_ends_when_it_says_a_sentence_again() -> None:
    said = "Mia has 3 of the 4 apples.\n"
    student = scripted_student(f"x = 1\nx = 1\n{said}So be it.\n{said}" + "And so on.\n" * 20)
    _, last = run(Pipeline("single", None, LocalSolver(student)))
    assert last.record.text == f"x = 1\nx = 1\n{said}So be it.\n{said}".rstrip()


def test_marks_never_show_in_the_stream() -> None:
    student = scripted_student("a <<1+1=2 b\nThe answer is: 2")
    events, _ = run(Pipeline("single", None, LocalSolver(student)))
    shown = "".join(e.text for e in events if isinstance(e, AnswerDelta))
    assert shown == "a 2 b\nThe answer is: 2"


def test_the_trivial_plan_is_the_last_sentence() -> None:
    _, last = run(Pipeline("static", trivial()))
    assert last.record.subquestions == ("How many are left?",) and last.record.answer is None


@pytest.mark.parametrize(
    "other",
    [
        Pipeline("single", None, ScriptedSolver("x")),
        Pipeline("static", StudentDecomposer(scripted_student(), cap=3), ScriptedSolver("x")),
        Pipeline("static", GivenDecomposer("gold", lambda _: ["A?"]), ScriptedSolver("x")),
        Pipeline("static", StudentDecomposer(scripted_student()), None),
        Pipeline("static", StudentDecomposer(scripted_student()), ScriptedSolver("x"), mode="direct"),
        Pipeline("dynamic", StudentDecomposer(scripted_student()), ScriptedSolver("x")),
    ],
)
def test_a_key_changes_with_everything_that_changes_the_answer(other: Pipeline) -> None:
    pipeline = Pipeline("static", StudentDecomposer(scripted_student()), ScriptedSolver("x"))
    again = Pipeline("static", StudentDecomposer(scripted_student()), ScriptedSolver("y"))
    assert pipeline.key(QUESTION) == again.key(QUESTION)
    assert pipeline.key(QUESTION) != other.key(QUESTION)
    assert pipeline.key(QUESTION) != pipeline.key(Question(QUESTION.text, context="A passage."))
    assert pipeline.key(QUESTION) != pipeline.key(QUESTION, plan=["A?"])


def test_a_reply_without_a_plan_is_an_error_and_not_a_question_that_needs_none() -> None:
    pipeline = static("I am glad to help you with that.")
    _, last = run(pipeline)
    assert last.record.error and last.record.error.code == "no_plan" and last.record.error.stage == "decompose"
    assert "glad to help" in last.record.error.message
    assert last.record.subquestions is None
    assert pipeline.solver.asked == []  # type: ignore[union-attr]


def test_prose_ends_the_turns_of_dynamic_once_something_was_asked() -> None:
    pipeline = Pipeline(
        "dynamic", StudentDecomposer(scripted_student("A?", "That is all we need.")), ScriptedSolver("one", "It is 29")
    )
    _, last = run(pipeline)
    assert last.record.error is None and last.record.subquestions == ("A?",)
    _, last = run(Pipeline("dynamic", StudentDecomposer(scripted_student("Well, now.")), ScriptedSolver()))
    assert last.record.error and last.record.error.code == "no_plan"


def test_a_question_without_a_recorded_plan_is_an_error_of_that_question_alone(tmp_path: Path) -> None:
    planned = replace(
        Record(id="a", question="How many?", key="k", strategy="static", prompt_version="1"), subquestions=("A?", "B?")
    )
    unplanned = replace(planned, question="Why?", subquestions=None)
    (tmp_path / "plans.jsonl").write_text(f"{planned.to_json()}\n{unplanned.to_json()}\n", encoding="utf-8")
    pipeline = Pipeline("static", recorded(tmp_path / "plans.jsonl"))
    assert run(pipeline, Question("How many?"))[1].record.subquestions == ("A?", "B?")
    keys = {pipeline.key(Question(text)) for text in ("How many?", "Why?", "When?")}
    assert len(keys) == 3
    for text in ("Why?", "When?"):
        error = run(pipeline, Question(text))[1].record.error
        assert error and error.code == "no_recorded_plan" and text in error.message
