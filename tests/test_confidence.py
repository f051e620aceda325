"""The gate: plans that a student does not trust are withheld, and the question goes whole to the solver."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import PromptTooLong, StudentError
from dnc_edge.streams import result_of
from dnc_edge.students import manifest
from dnc_edge.students.confidence import FEATURES, Confidence, features
from dnc_edge.students.resolve import resolve
from dnc_edge.students.student import Student
from dnc_edge.types import Finished, Notice, Question, SubQuestion

QUESTION = Question("Mia bakes 5 trays of 12 muffins and sells them for 2 dollars each. How much money does Mia make?")
PLAIN = dict.fromkeys(FEATURES, 0.0)
DOUBTFUL = Confidence({**PLAIN, "bias": -2.0}, {"": 0.5})


def with_confidence(student: Student, confidence: Confidence | None) -> Student:
    """The same open student with another judgement of its plans."""
    changed = object.__new__(Student)
    changed.__dict__.update(student.__dict__)
    changed.manifest = replace(student.manifest, confidence=confidence)
    return changed


def test_a_doubtful_plan_is_withheld_and_said(student: Student) -> None:
    doubting = with_confidence(student, DOUBTFUL)
    events: list[object] = []
    planning = StudentDecomposer(doubting, gated=True).decompose(QUESTION)
    while True:
        try:
            events.append(next(planning))
        except StopIteration as stop:
            plan = stop.value
            break
    assert plan.subquestions == () and len(plan.withheld) >= 2
    assert plan.confidence == pytest.approx(0.1192, abs=1e-4)
    assert "left whole" in plan.note and "--plan always" in plan.note
    # What is withheld was never told as a sub-question.
    assert not any(isinstance(event, SubQuestion) for event in events)


def test_without_a_gate_every_plan_is_delivered_with_its_confidence(student: Student) -> None:
    plan = result_of(StudentDecomposer(with_confidence(student, DOUBTFUL)).decompose(QUESTION))
    assert len(plan.subquestions) >= 2 and plan.withheld == () and plan.confidence is not None


def test_plans_decoded_together_pass_the_same_gate(student: Student) -> None:
    gated = StudentDecomposer(with_confidence(student, DOUBTFUL), gated=True)
    ((_, plan),) = gated.decompose_many([QUESTION])
    alone = result_of(gated.decompose(QUESTION))
    assert (plan.subquestions, plan.withheld) == (alone.subquestions, alone.withheld)  # type: ignore[union-attr]


def test_the_threshold_is_part_of_what_identifies_a_plan(student: Student) -> None:
    doubting = with_confidence(student, DOUBTFUL)
    keys = {json.dumps(StudentDecomposer(doubting, gated=gated).identity(QUESTION)) for gated in (True, False)}
    assert len(keys) == 2


def test_a_question_longer_than_the_context_is_left_whole_and_said(student: Student) -> None:
    passage = Question("How many years passed?", context="The mill was built in 1820. " * 900)
    plan = result_of(StudentDecomposer(student, gated=True).decompose(passage))
    assert plan.subquestions == () and "left whole" in (plan.note or "")
    with pytest.raises(PromptTooLong):
        result_of(StudentDecomposer(student).decompose(passage))


@pytest.mark.parametrize(("policy", "planned"), [("always", True), ("auto", False), ("never", False)])
def test_the_setting_decides_and_the_record_tells(
    policy: str, planned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNC_EDGE_STUDENTS", str(tmp_path))
    shutil.copytree(resolve("dnc-11m"), tmp_path / "doubting")
    path = tmp_path / "doubting" / manifest.FILENAME
    values = json.loads(path.read_text("utf-8"))
    values |= {"name": "doubting", "confidence": {"weights": dict(DOUBTFUL.weights), "thresholds": {"": 0.5}}}
    path.write_text(json.dumps(values), "utf-8")
    with Edge(student="doubting", plan=policy) as edge:
        *others, last = edge.stream(QUESTION)
    assert isinstance(last, Finished) and last.error is None
    assert bool(last.record.subquestions) == planned
    assert any(isinstance(event, Notice) for event in others) == (policy == "auto")
    assert bool(last.record.withheld) == (policy == "auto")
    assert last.record.strategy == ("single" if policy == "never" else "static")


@pytest.mark.parametrize(
    "confidence",
    [
        {"weights": {"bias": 0.0}, "thresholds": {}},
        {"weights": {**PLAIN, "bias": 1.0}, "thresholds": {"q8_0": 1.5}},
        {"weights": {**PLAIN, "bias": "high"}, "thresholds": {}},
        {"weights": [], "thresholds": {}},
    ],
)
def test_a_confidence_that_cannot_be_is_refused(confidence: object, tmp_path: Path) -> None:
    values = json.loads((resolve("dnc-11m") / manifest.FILENAME).read_text("utf-8"))
    (tmp_path / manifest.FILENAME).write_text(json.dumps({**values, "confidence": confidence}), "utf-8")
    with pytest.raises(StudentError, match="not a valid manifest"):
        manifest.load(tmp_path)


@given(
    st.text(max_size=60), st.none() | st.text(max_size=60), st.lists(st.text(max_size=40), max_size=8),
    st.lists(st.floats(-60, 0), max_size=30),
)  # fmt: skip
def test_features_of_anything_are_small_numbers(
    question: str, context: str | None, plan: list[str], logprobs: list[float]
) -> None:
    values = features(question, context, plan, logprobs)
    assert tuple(values) == FEATURES
    assert all(-6 <= value <= 6 for value in values.values())
    assert 0 <= Confidence({**PLAIN, "bias": 0.3}, {}).of(question, context, plan, logprobs) <= 1


def test_words_that_the_question_lacks_and_lines_alike_are_seen() -> None:
    asked = "How old is the bridge of Ansbach?"
    near = features(asked, None, ["When was the bridge of Ansbach built?", "What is #1 minus 1?"], [-0.1])
    far = features(asked, None, ["When was the tower of London sold?", "When was the tower of London built?"], [-0.1])
    assert near["foreign"] < far["foreign"] and near["alike"] < far["alike"]
