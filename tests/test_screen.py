"""Screening: what is kept, what is dropped and why, and what stops a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dnc_edge.errors import InputError
from dnc_edge.train.demonstrations import Demonstration, half
from dnc_edge.train.feedback import Tried, preferences
from dnc_edge.train.leakage import FrozenSides
from dnc_edge.train.rationales import split_reply
from dnc_edge.train.screen import screen

NOTHING = FrozenSides([])
RIGHT = Demonstration(
    "q1", "Ann has 3 bags of 4 nuts and eats 5. How many are left?", "t", "s",
    subquestions=("How many nuts does Ann have?", "How many are left?"),
    solution="1. 3 * 4 = 12\n2. 12 - 5 = 7\nThe answer is: 7", answer="7",
)  # fmt: skip
WRONG = replace(RIGHT, solution="1. 3 + 4 = 7\n2. 7 - 5 = 2\nThe answer is: 2")


def test_only_solutions_that_reach_the_answer_are_kept() -> None:
    others = [replace(WRONG, id="q2", question="Ben?"), replace(RIGHT, id="q3", question="Cy?", answer=None)]
    kept, report = screen([RIGHT, *others], sides=NOTHING)
    assert kept == [RIGHT]
    assert report.dropped == [("q2", "solution misses the answer"), ("q3", "no gold answer to judge by")]
    everything, _ = screen([RIGHT, *others], keep="S_D-T", sides=NOTHING)
    assert [d.id for d in everything] == ["q1", "q2", "q3"]


def test_a_right_second_sample_rescues_a_wrong_first_one() -> None:
    second = replace(RIGHT, id="q1~2", subquestions=("How many nuts in all?", "How many are left?"))
    kept, report = screen([WRONG, second, replace(second, id="q1~3")], sides=NOTHING)
    assert kept == [second]
    assert report.counts["solution misses the answer"] == 1 and report.counts["duplicate"] == 1


def test_the_gold_number_elsewhere_in_a_solution_is_no_hit() -> None:
    passing = replace(RIGHT, solution="1. 3 * 4 = 12\n2. It is 7 or so\nThe answer is: 12")
    with_more = replace(RIGHT, solution="1. 12\n2. 7\nThe answer is: 7.5")
    assert screen([passing, with_more], sides=NOTHING)[0] == []


def test_targets_are_cleaned_and_counted() -> None:
    plan = ("Define x.", "How many nuts does Ann have?", "how many  nuts does Ann have?", "How many are left?")
    kept, report = screen([replace(RIGHT, subquestions=plan)], keep="S_D-T", sides=NOTHING)
    assert kept[0].subquestions == RIGHT.subquestions
    # Its numbered sub-answers would not fit the plan any more.
    assert kept[0].solution is None
    assert report.counts["lines that ask nothing, cut"] == 1 and report.counts["repeats, cut"] == 1
    rescued, _ = screen([replace(RIGHT, subquestions=plan)], sides=NOTHING)
    assert rescued == kept
    unsolved, report = screen([replace(RIGHT, solution=None)], sides=NOTHING)
    assert unsolved == [] and report.dropped == [("q1", "no solution to judge by")]
    empty, report = screen([replace(RIGHT, subquestions=("Define x.",))], sides=NOTHING)
    assert empty == [] and report.dropped == [("q1", "its plan asks nothing")]


@pytest.mark.parametrize(
    ("question", "leak"),
    [
        ("ann has 3 bags of 4 nuts, and eats 5; how many are left", "exactly"),
        ("Ann has 31 bags of 47 nuts and eats 55. How many are left?", "nearly"),
        ("Ann has 3 bags of 4 nuts and eats 5. How many does Ben have if he finds 2 more than her?", None),
        ("How many are left?", None),
    ],
)
def test_test_questions_are_found_exactly_and_nearly(question: str, leak: str | None) -> None:
    sides = FrozenSides([RIGHT.question, "What is the sum of the first ten odd numbers that are prime?"])
    leaking = replace(RIGHT, question=question)
    assert sides.leak(leaking) == leak
    if leak:
        with pytest.raises(InputError, match="1 demonstrations are on a frozen test side.*q1"):
            screen([leaking], sides=sides)
        kept, report = screen([leaking], sides=sides, drop_leaks=True)
        assert kept == [] and report.counts[f"{leak} on a test side"] == 1
    else:
        assert screen([leaking], sides=sides)[0]


def test_gsm_hard_is_seen_to_be_gsm8k_test(data: Path) -> None:
    from dnc_edge.tasks import gsm8k

    sides = FrozenSides([problem.question for problem in gsm8k.load()])
    from dnc_edge.tasks import gsm8k_hard

    hard = [Demonstration(p.id, p.question, "t", "s") for p in gsm8k_hard.load()[:300]]
    assert sum(sides.leak(d) is not None for d in hard) > 290


def test_pairs_are_the_likeliest_plans_of_either_kind() -> None:
    def tried(id: str, plan: str, logprob: float, solved: bool) -> Tried:
        return Tried(id, "Q?", None, (plan,), logprob, solved)

    pairs = preferences(
        [
            tried("a", "x?", -0.5, True), tried("a", "y?", -0.1, True), tried("a", "z?", -0.9, False),
            tried("a", "w?", -0.2, False), tried("b", "x?", -0.1, True), tried("c", "x?", -0.1, False),
            # The solver is not always of one mind: a plan that succeeded once is not rejected.
            tried("d", "x?", -0.1, True), tried("d", "x?", -0.1, False),
        ]
    )  # fmt: skip
    assert [(pair.id, pair.chosen, pair.rejected) for pair in pairs] == [("a", ("y?",), ("w?",))]


def test_halves_are_halves_by_the_question() -> None:
    questions = [f"How many are {number} and {number}?" for number in range(1000)]
    assert half(questions[0]) == half(f" {questions[0]}\n")
    assert 430 < sum(map(half, questions)) < 570


@pytest.mark.parametrize(
    ("reply", "rationale", "label"),
    [
        (
            "He has 2. 4 / 2 = 2. The answer is (4 / 2).\n\nQ: Another?\nA: No. The answer is (1 + 1).",
            "He has 2. 4 / 2 = 2.",
            "(4 / 2)",
        ),
        ("Only a park has trees. So the answer is (a) park.", "Only a park has trees.", "(a) park"),
        ("They may not be from lunch.\nAnswer: neutral\n\nPremise: Two men.", "They may not be from lunch.", "neutral"),
        ("No end", "No end", ""),
    ],
)
def test_a_teachers_reply_is_split_into_rationale_and_label(reply: str, rationale: str, label: str) -> None:
    assert split_reply(reply) == (rationale, label)
