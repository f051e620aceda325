"""Scores agree with their definitions, and with figures that others published."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.bench import plans as bench_plans
from dnc_edge.parse import without_repeats
from dnc_edge.tasks import gsm8k, plans, stats


def test_wilson_agrees_with_the_textbook() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    some, none = stats.wilson(81, 263), stats.wilson(0, 20)
    assert (round(some.low, 4), round(some.high, 4)) == (0.2553, 0.3662)
    assert (none.low, round(none.high, 4)) == (0.0, 0.1611)
    assert math.isnan(stats.wilson(0, 0).value)


def test_the_bootstrap_covers_what_theory_says() -> None:
    values = [0.0] * 500 + [1.0] * 500
    estimate = stats.bootstrap(values)
    half = 1.96 * 0.5 / math.sqrt(1000)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 - half, abs=0.006) and estimate.high == pytest.approx(
        0.5 + half, abs=0.006
    )


def test_pairing_sees_what_two_intervals_hide() -> None:
    first = [index % 10 / 10 for index in range(200)]
    second = [value - 0.01 for value in first]
    difference = stats.paired(first, second)
    assert difference.low > 0 and difference.value == pytest.approx(0.01)
    with pytest.raises(ValueError, match="cannot be paired"):
        stats.paired([1.0], [])


PLANS = st.lists(
    st.sampled_from(["How many apples?", "What is the total cost?", "How old is Ann?", "Why?"]), max_size=4
)


@given(PLANS, PLANS)
def test_plan_f1_is_a_symmetric_share_and_one_for_the_same_plan(first: list[str], second: list[str]) -> None:
    value = plans.plan_f1(first, second)
    assert 0 <= value <= 1
    assert value == pytest.approx(plans.plan_f1(second, first))
    assert plans.plan_f1(first, first) == pytest.approx(1.0)


def test_plan_f1_matches_each_sub_question_once() -> None:
    gold = ["How many red pens does Ann have?", "How many pens are there in total?"]
    assert plans.plan_f1(gold[::-1], gold) == 1.0
    assert plans.plan_f1(gold[:1], gold) == pytest.approx(2 / 3)
    assert plans.plan_f1([gold[0]] * 5, gold) == pytest.approx(2 / 3)
    assert plans.plan_f1([], gold) == 0.0 and plans.plan_f1([], []) == 1.0


def test_an_invented_thing_is_an_unsupported_word() -> None:
    score = plans.score(
        ["How many pastries did Toula buy?", "How many dragons are there?"], ["x?"], "Toula wants to buy 3 pastries."
    )
    assert (score.unsupported, score.content_words, score.repeats) == (1, 4, False)
    assert plans.score(["Why?", "why?"], ["x?"], "").repeats


@pytest.mark.parametrize(
    ("answer", "gold", "hit"),
    [
        ("18", "18", True), ("18.75", "18", False), ("$1,000", "1000", True), ("1,000", "1,000", True),
        ("5 apples", "5", True), ("50 %", "50", True), ("99", "5", False), (None, "5", False), ("none", "5", False),
        ("18.0", "18", True), ("-3", "3", False),
    ],
)  # fmt: skip
def test_gsm8k_answers_are_compared_as_numbers(answer: str | None, gold: str, hit: bool) -> None:
    assert gsm8k.correct(answer, gold) is hit


def test_published_decomposers_score_as_published(data: Path) -> None:
    """docs/method.md's table: ChatGPT, the two GPT-2 small decomposers and the trivial plan."""
    problems, systems = gsm8k.load(), bench_plans.published()
    assert len(problems) == 1319 and all(len(plans_) == 1319 for plans_ in systems.values())
    published = {
        "ChatGPT (teacher)": 0.626,
        "trivial: last sentence": 0.353,
        "GPT-2 small, filtered": 0.585,
        "GPT-2 small, cloned": 0.580,
    }
    for name, delivered in systems.items():
        scores = [plans.plan_f1(plan, p.plan) for plan, p in zip(delivered, problems, strict=True)]
        assert sum(scores) / len(scores) == pytest.approx(published[name], abs=0.0015), name
        assert all(len(without_repeats(p.plan)) == len(p.plan) for p in problems)


def test_tasks_load_with_their_gold(data: Path) -> None:
    from dnc_edge.tasks import multiarith, strategyqa, svamp

    assert [len(task.load()) for task in (gsm8k, svamp, multiarith, strategyqa)] == [1319, 200, 600, 229]
    assert multiarith.load(1)[0].answer == "39" and svamp.load(1)[0].answer == "450"
    assert svamp.load(1)[0].plan == () and strategyqa.load(1)[0].plan
    for task in (gsm8k, svamp, multiarith, strategyqa):
        assert all(task.correct(problem.answer, problem.answer) for problem in task.load())


@pytest.mark.parametrize(
    ("answer", "gold", "hit"),
    [
        ("yes", "yes", True),
        ("No.", "no", True),
        ("**Yes**, it is", "yes", True),
        ("false", "no", True),
        ("perhaps", "no", False),
        (None, "no", False),
        ("yes", "no", False),
    ],
)
def test_yes_and_no_are_told_apart(answer: str | None, gold: str, hit: bool) -> None:
    from dnc_edge.tasks import strategyqa

    assert strategyqa.correct(answer, gold) is hit
