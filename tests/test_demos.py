"""A teacher over real HTTP: demonstrations, feedback from a solver, and the whole of a local adaptation."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.batch.paid import PaidRun
from dnc_edge.remote.pricing import Prices
from dnc_edge.students import manifest, resolve
from dnc_edge.train import demonstrations as records
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.demos import demos
from dnc_edge.train.feedback import feedback, preferences
from dnc_edge.train.leakage import FrozenSides
from dnc_edge.train.screen import screen
from dnc_edge.train.sources import gsm8k
from dnc_edge.types import Question
from tests.servers import Counting, llama_server

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def teacher() -> Iterator[str]:
    """The bundled file behind llama-cpp-python's server, which answers one request at a time: small, but real."""
    directory = resolve.resolve()
    with llama_server(directory / manifest.load(directory).file().file) as address:
        yield f"{address}#dnc"


@pytest.fixture(scope="module")
def questions(data: Path) -> list[Demonstration]:
    return list(itertools.islice(gsm8k(), 8))


def test_a_teacher_shows_plans_and_solutions(teacher: str, questions: list[Demonstration], tmp_path: Path) -> None:
    out = tmp_path / "demos.jsonl"
    run = PaidRun(Prices())
    count = demos(questions, teacher, out, run=run, samples=2, jobs=1, settings={"temperature": 0.7})
    shown = list(records.read(out))
    assert count == len(shown) >= 12
    for one in shown:
        question = next(q for q in questions if q.id == one.id.partition("~")[0])
        assert (one.question, one.answer, one.teacher) == (question.question, question.answer, teacher)
        assert one.subquestions is not None and one.solution and "The answer is:" in one.solution.split("\n")[-1]
    assert {one.id.partition("~")[2] for one in shown} == {"", "2"}
    everything, report = screen(shown, keep="S_D-T", sides=FrozenSides([]))
    assert report.counts["read"] == count and everything


class PlanningAndSolving(Counting):
    """Counts, and answers as a teacher does: with a plan where one is asked for."""

    def choose(self, body: dict[str, Any]) -> str | int:
        return "plan" if body["messages"][0]["content"].startswith("Decompose") else super().choose(body)


def test_nothing_is_asked_twice_and_the_cap_holds(questions: list[Demonstration], tmp_path: Path) -> None:
    with PlanningAndSolving() as server:
        address = f"{server.address}#m"
        run = PaidRun(Prices((1.0, 1.0)))
        settings = {"max_tokens": 50}
        demos(questions[:4], address, tmp_path / "d.jsonl", run=run, settings=settings)
        asked = len(server.requests)
        assert asked == 8
        demos(questions, address, tmp_path / "d.jsonl", run=run, settings=settings)
        assert len(server.requests) == asked + 8


def test_plans_through_which_a_solver_succeeds_are_told_apart(questions: list[Demonstration], tmp_path: Path) -> None:
    tried = feedback(questions[:4], None, ["local"], tmp_path / "f.jsonl", run=PaidRun(Prices()), samples=2)
    assert len(tried) >= 6 and {one.id for one in tried} <= {q.id for q in questions[:4]}
    solved = {one.subquestions for one in tried if one.solved}
    assert all(pair.chosen in solved and pair.rejected not in solved for pair in preferences(tried))
    crossed = feedback(questions[:4], None, ["local", "local"], tmp_path / "x.jsonl", run=PaidRun(Prices()), samples=1)
    # Either solver judges the half that it was not trained on; together they judge each question once.
    assert sorted(one.id for one in crossed) == sorted({one.id for one in crossed})


def test_a_student_is_adapted_to_ones_own_questions(teacher: str, checkpoint: Path, tmp_path: Path, data: Path) -> None:
    from dnc_edge.train.adapt import adapt
    from dnc_edge.train.sft import SftConfig

    asked = [Question(d.question, None, d.id) for d in itertools.islice(gsm8k(), 300, 330)]
    config = SftConfig(rank=16, epochs=20, batch=8, micro_batch=8, learning_rate=5e-3, held_out=0, max_length=400)
    made = adapt(
        asked, teacher, str(checkpoint), tmp_path / "mine", config,
        run=PaidRun(Prices()), sides=FrozenSides([]), levels=["q8_0"], jobs=1,
    )  # fmt: skip
    assert made["trained_on"] > 15 and made["held_out"] >= 2
    assert 0 <= made["plan_f1_before"] < made["plan_f1_after"] <= 1
    student = manifest.load(tmp_path / "mine" / "student")
    assert student.levels == [("q8_0", "llama.cpp")]
    facts = json.loads((tmp_path / "mine" / "adapter" / "train.json").read_text("utf-8"))
    assert facts["training"]["data"] == {"own questions": made["trained_on"]}
