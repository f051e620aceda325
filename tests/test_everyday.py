"""The task `everyday`: what its file must hold, and how decisions on it are judged."""

from __future__ import annotations

import pytest

from dnc_edge import decomposers, tasks
from dnc_edge.bench import decisions as bench
from dnc_edge.errors import UsageError
from dnc_edge.parse import fold
from dnc_edge.tasks import everyday
from dnc_edge.tasks.plans import refers_ahead

PROBLEMS = everyday.load()
ALWAYS_WHOLE = {
    "fact", "sum", "passage, one look-up", "how-to", "coding", "writing", "opinion and advice", "trip or project plan",
    "explanation", "translation", "unclear reference", "other language", "small talk",
}  # fmt: skip


def test_every_kind_stands_on_both_sides() -> None:
    assert (
        len({problem.id for problem in PROBLEMS}) == len({fold(p.question) for p in PROBLEMS}) == len(PROBLEMS) >= 300
    )
    sides = {side: [problem.kind for problem in everyday.load(side)] for side in ("dev", "test")}
    for kind in {problem.kind for problem in PROBLEMS}:
        assert sides["dev"].count(kind) == sides["test"].count(kind) >= 4, kind
    side_of = {problem.context: problem.split for problem in PROBLEMS if problem.context}
    assert all(side_of[problem.context] == problem.split for problem in PROBLEMS if problem.context)


def test_gold_plans_can_be_asked_line_by_line() -> None:
    for problem in PROBLEMS:
        plan = problem.plan or ()
        assert problem.kind not in ALWAYS_WHOLE or not plan, problem.id
        assert len(plan) != 1 and len({fold(line) for line in plan}) == len(plan), problem.id
        assert all(line.endswith("?") and line[0].isupper() for line in plan), problem.id
        assert not refers_ahead(plan), problem.id


def test_gold_makes_every_decision_right_and_planning_nothing_makes_no_plan_useless() -> None:
    gold = bench.decisions(decomposers.gold({p.question: p.plan or () for p in PROBLEMS}), PROBLEMS)
    assert set(gold.kinds) >= ALWAYS_WHOLE
    for row in (gold.all, *gold.kinds.values()):
        assert (row.decided.value, row.right.value, row.useless.value) == (1, 1, 0)
        assert row.plan_f1 is None or row.plan_f1.value == pytest.approx(1)
    silent = bench.decisions(decomposers.gold({p.question: () for p in PROBLEMS}), PROBLEMS)
    assert silent.all.plan_f1 is not None and silent.all.useless.value == silent.all.plan_f1.value == 0
    assert silent.kinds["fact"].right.value == 1 and silent.kinds["two-hop fact"].right.value == 0
    assert "| fact | 12 | 100% | 100% |  | 0% |" in bench.table(silent)


GOLD = ("Who wrote Emma?", "Where was #1 born?")


@pytest.mark.parametrize(
    ("plan", "gold", "decided", "right", "useless"),
    [
        (GOLD, GOLD, True, True, False),
        ((*GOLD, GOLD[0]), GOLD, True, True, False),  # an exact repeat is not delivered
        ((), (), True, True, False),
        ((), GOLD, False, False, False),
        (GOLD, (), False, False, True),
        (("What is a carrot?", "Why?"), GOLD, True, False, True),
        (("Who wrote Emma?", "Where was #2 born?"), GOLD, True, False, True),
        (("Where was #2 born?", "Who wrote Emma?"), GOLD, True, False, True),
        (("Who wrote it?", "When was #1 born?", "Is #2 late?"), GOLD, True, False, False),  # neither good nor useless
    ],
)
def test_decisions(plan: tuple[str, ...], gold: tuple[str, ...], decided: bool, right: bool, useless: bool) -> None:
    made = bench.decision(plan, gold)
    assert (made.decided, made.right, made.useless) == (decided, right, useless)
    assert (made.f1 is None) == (not gold)


def test_open_questions_are_not_scored() -> None:
    task = tasks.load("everyday")
    answered = task.answered
    assert 150 < len(answered.problems) < len(task.problems) == len(PROBLEMS) and answered.metric == "accuracy"
    for problem in answered.problems:
        assert set(task.scores(problem.answer, problem).values()) == {1}, problem.id
        assert set(task.scores(None, problem).values()) == {0}, problem.id
    canal = next(problem for problem in answered.problems if "Suez" in problem.answer)
    assert task.scores("It is the Suez Canal.", canal) == {"accuracy": 0, "containment": 1}
    nothing = tasks.Task("mine", [problem for problem in task.problems if not problem.answer], task.scores)
    with pytest.raises(UsageError, match="no question taken from mine has a gold answer"):
        _ = nothing.answered
