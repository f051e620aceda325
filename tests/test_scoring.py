"""Scores agree with their definitions, and with figures that others published."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import tasks
from dnc_edge.bench import plans as bench_plans
from dnc_edge.errors import InputError, UsageError
from dnc_edge.parse import without_repeats
from dnc_edge.tasks import bamboogle, commonsenseqa, drop, gsm8k, plans, stats
from dnc_edge.tasks.problem import Problem, same_number


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
        ("18.0", "18", True), ("-3", "3", False), ("2:00 pm", "2", True), ("2:30", "2", False),
    ],
)  # fmt: skip
def test_gsm8k_answers_are_compared_as_numbers(answer: str | None, gold: str, hit: bool) -> None:
    assert same_number(answer, gold) is hit


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


@pytest.mark.parametrize(
    ("name", "count", "metric"),
    [
        ("gsm8k", 1319, "accuracy"), ("gsm8k-hard", 1319, "accuracy"), ("svamp", 200, "accuracy"),
        ("multiarith", 600, "accuracy"), ("bamboogle", 125, "accuracy"), ("strategyqa", 229, "accuracy"),
        ("commonsenseqa", 1221, "accuracy"), ("drop", 2064, "f1"),
    ],
)  # fmt: skip
def test_tasks_load_and_their_gold_scores_full(name: str, count: int, metric: str, data: Path) -> None:
    task = tasks.load(name)
    assert (len(task.problems), task.metric) == (count, metric)
    assert len({problem.id for problem in task.problems}) == count
    assert all(min(task.scores(problem.answer, problem).values()) == 1 for problem in task.problems)
    assert all(task.scores(None, problem)[metric] == 0 for problem in task.problems)


def test_a_seed_draws_the_same_problems_in_the_order_of_the_task(data: Path) -> None:
    drawn = tasks.load("svamp", limit=10, seed=3).problems
    assert drawn == tasks.load("svamp", limit=10, seed=3).problems != tasks.load("svamp", limit=10).problems
    numbers = [int(problem.id.rpartition("-")[2]) for problem in drawn]
    assert numbers == sorted(numbers)


def test_anyones_jsonl_is_a_task(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "How many?", "gold": "1,200"}\n{"prompt": "Who?", "gold": "The Otters"}\n', "utf-8")
    task = tasks.load(str(path), columns={"question": "prompt", "answer": "gold"})
    assert [p.id for p in task.problems] == ["mine-1", "mine-2"]
    first, second = task.problems
    assert task.scores("about 1200", first)["accuracy"] == 1 and task.scores("otters.", second)["accuracy"] == 1
    with pytest.raises(InputError, match="line 1: no 'question'"):
        tasks.load(str(path))
    with pytest.raises(UsageError, match="no task 'gsm9k'") as raised:
        tasks.load("gsm9k")
    assert "gsm8k-hard" in (raised.value.hint or "")


# The official evaluation's rules, a case of each kind: (given, gold, exact match, F1).
@pytest.mark.parametrize(
    ("given", "gold", "exact", "f1"),
    [
        (["the Otters"], ["Otters"], 1, 1),
        (["Otters and a dog"], ["Otters"], 0, 0.5),
        (["5.0"], ["5"], 1, 1),
        (["5 dogs"], ["6 dogs"], 0, 0),
        (["six dogs"], ["6 dogs"], 0, 0),
        (["4 May 1911"], ["May 1911"], 0, 0.8),
        (["12 May 1911"], ["11 May 1912"], 0, 0),
        (["well-known man"], ["well known man"], 1, 1),
        (["Ann", "Ben"], ["Ben", "Ann"], 1, 1),
        (["Ann"], ["Ann", "Ben"], 0, 0.5),
        (["Ann", "Ann"], ["Ann"], 0, 0.5),
        (["Ann Lee", "Ben Ray"], ["Ann", "Ben Ray"], 0, 0.83),
        (["$1,000"], ["1000"], 1, 1),
        ([""], ["Ann"], 0, 0),
        (["the"], [""], 1, 1),
    ],
)
def test_drop_is_scored_by_the_official_rules(given: list[str], gold: list[str], exact: float, f1: float) -> None:
    assert drop.exact_and_f1(given, gold) == (exact, f1)


def test_drop_takes_the_best_of_the_accepted_answers() -> None:
    problem = Problem("d", "Who?", "Ann and Ben", context="...", also=("Ann", "3,500"))
    assert drop.scores("Ben, Ann", problem) == {"f1": 1, "exact": 1}
    assert drop.scores("ann", problem) == {"f1": 1, "exact": 1}
    assert drop.scores("3,500", problem) == {"f1": 1, "exact": 1}


@pytest.mark.parametrize(
    ("answer", "exact", "containment"),
    [("James Madison", 1, 1), ("the james madison.", 1, 1), ("It was James Madison", 0, 1), ("Madison", 0, 0)],
)
def test_bamboogle_tells_a_match_from_containment(answer: str, exact: float, containment: float) -> None:
    problem = Problem("b", "Who?", "james madison")
    assert bamboogle.scores(answer, problem) == {"accuracy": exact, "containment": containment}


@pytest.mark.parametrize(
    ("answer", "hit"),
    [("soft drink", 1), ("(b)", 0), ("c", 1), ("a soft drink", 1), ("drink", 0), ("soft drink or cup", 0), ("", 0)],
)
def test_a_choice_is_one_choice(answer: str, hit: float) -> None:
    problem = Problem("c", "?", "soft drink", choices=("cup", "drink", "soft drink"))
    assert commonsenseqa.scores(answer, problem) == {"accuracy": hit}


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

    problem = Problem("x", "Is it?", gold)
    assert strategyqa.scores(answer, problem) == {"accuracy": float(hit)}


def test_what_is_kept_of_gold_plans_is_a_share_of_what_they_gain() -> None:
    none = [0.0] * 100
    gold = [1.0] * 60 + [0.0] * 40
    half = stats.retained_gain([1.0] * 30 + [0.0] * 70, gold, none)
    assert half.ratio is not None and half.ratio.value == pytest.approx(0.5)
    assert half.ratio.low < 0.5 < half.ratio.high and half.gold_gain.value == pytest.approx(0.6)
    assert half.n_needed is not None and half.n_needed < 100
    # Where gold plans are not known to help there is nothing to keep a share of, only more to ask.
    unknown = stats.retained_gain(gold, [1.0, *none[1:]], none)
    assert unknown.ratio is None and unknown.n_needed is not None and unknown.n_needed > 100
    assert stats.retained_gain(none, none, none).n_needed is None


def test_both_roles_of_a_student_are_measured(data: Path) -> None:
    from dnc_edge.bench import student as bench
    from dnc_edge.edge import Edge

    with Edge() as edge:
        result = bench.student(edge.decomposer, edge.solver, limit=3)
    assert result.drop_plans["student:dnc-11m"].n == 3
    assert set(result.gain) == {
        "gsm8k test, its plans", "gsm8k test, gold plans", "svamp test, its plans", "multiarith, its plans",
    }  # fmt: skip
    assert result.kept is not None and result.accuracy["gsm8k test, gold plans"].n == result.kept.gain.n == 3
    assert result.everyday.kinds["fact"].decided.n == 3
    assert "multiarith, its plans" in bench.table(result) and "| two-hop fact | 3 |" in bench.table(result)
