"""What a project adds without a change here: a strategy, a task, a kind of model, each in one file of its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from dnc_edge import tasks
from dnc_edge.config import Settings
from dnc_edge.decomposers import trivial
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.record_builder import RecordBuilder
from dnc_edge.settings import known
from dnc_edge.strategies import STRATEGIES, Parts, Strategy
from dnc_edge.types import Event, Finished, Question
from tests.fakes import ScriptedSolver

QUESTION = "Mia packs 6 boxes of 12 pens and gives away 15. How many are left?"


class Checked(Strategy):
    """Solve through the plan, then ask once more about the question alone; the second answer counts."""

    asks_once = False

    def solve(
        self, parts: Parts, question: Question, subquestions: Sequence[str], record: RecordBuilder
    ) -> Generator[Event]:
        yield from super().solve(parts, question, subquestions, record)
        yield from super().solve(parts, question, (), record)


def test_a_new_strategy_is_a_class_and_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "checked", Checked())
    solver = ScriptedSolver("It is 58", "It is 57")
    *_, finished = Pipeline("checked", trivial(), solver).stream(Question(QUESTION))
    assert isinstance(finished, Finished)
    record = finished.record
    assert record.strategy == "checked" and record.answer == "57"
    assert record.usage["solve"].requests == 2 and record.subquestions == ("How many are left?",)
    # Settings and options know it, too.
    with Edge(strategy="checked") as edge:
        assert edge.settings.strategy == "checked"
    with pytest.raises(UsageError) as refused:
        Edge(strategy="unchecked")
    assert "checked" in str(refused.value.hint)


def test_the_help_names_every_strategy_that_comes_along() -> None:
    help = known(Settings)["strategy"].metadata["help"]
    assert all(name in help for name in STRATEGIES)


def test_a_new_task_is_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "river_crossings.py").write_text(
        "from dnc_edge.tasks.problem import Problem, number_scores as scores\n\n\n"
        "def load():\n"
        "    return [Problem('river-1', 'A boat takes 4 of 10 hikers. How many wait?', '6')]\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    assert "river-crossings" in tasks.names()
    task = tasks.load("river-crossings")
    assert task.metric == "accuracy" and task.scores("6", task.problems[0]) == {"accuracy": 1.0}


def test_what_a_task_is_made_of_is_no_task() -> None:
    assert "gsm8k-hard" in tasks.names() and not set(tasks.names()) & tasks.PARTS
    with pytest.raises(UsageError) as refused:
        tasks.load("stats")
    assert "bamboogle" in str(refused.value.hint)
