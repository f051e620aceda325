"""Parsers survive what models write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import parse


@pytest.mark.parametrize(
    ("text", "subquestions", "repaired"),
    [
        ("How many?\nWhat is left?", ("How many?", "What is left?"), 0),
        ("1. How many?\n2) What is 3.5 times that?\n(3) Why?", ("How many?", "What is 3.5 times that?", "Why?"), 0),
        ("- **How many?**\n* _Why?_\n• When?", ("How many?", "Why?", "When?"), 0),
        ("Q1: How many?\nQ2: Why?", ("How many?", "Why?"), 0),
        ("Sub-question 1: How many?\nSubquestion 2: Why?\nStep 3 - When?", ("How many?", "Why?", "When?"), 0),
        ("a) How many?\nb) Why?\niii. When?", ("How many?", "Why?", "When?"), 0),
        ("1. How many? 2. Why? Q3: When?", ("How many?", "Why?", "When?"), 0),
        ("Sure! Here are the sub-questions:\n\n1. How many?\nI hope this helps.", ("How many?",), 2),
        ("How many are left?\nHow  many are LEFT?", ("How many are left?",), 1),
        ("How many?\nWhat is the", ("How many?",), 1),
        ("1. Add the eggs\n2. Subtract the broken ones", ("Add the eggs", "Subtract the broken ones"), 0),
        ("“Wie viele?”\n«Combien?»\n1）几个苹果？\n٢. كم؟", ("Wie viele?", "Combien?", "几个苹果？", "كم؟"), 0),
        (
            "5 apples cost how much?\n3.5 kg is how many grams?",
            ("5 apples cost how much?", "3.5 kg is how many grams?"),
            0,
        ),
        ("What is 2,500 plus #1?", ("What is 2,500 plus #1?",), 0),
        ("No decomposition", (), 0),
        ("no decomposition is needed.", (), 0),
        ("", (), 0),
    ],
)
def test_a_plan_is_its_questions_whatever_they_wear(text: str, subquestions: tuple[str, ...], repaired: int) -> None:
    assert parse.plan(text) == parse.ParsedPlan(subquestions, repaired)


def test_a_plan_stops_at_its_cap() -> None:
    assert parse.plan("A?\nB?\nC?", cap=2) == parse.ParsedPlan(("A?", "B?"), 1)


QUESTIONS = st.lists(
    st.from_regex(r"(How|What|Who|When) [a-z]{1,8}( [a-z0-9$%.,']{1,6}){0,5} [a-z]{2,8}\?", fullmatch=True),
    min_size=1,
    max_size=12,
    unique_by=parse.fold,
)


@given(QUESTIONS, st.sampled_from(["{q}", "{n}. {q}", "{n}) {q}", "- {q}", "Q{n}: {q}", "**{n}.** {q}", '{n}. "{q}"']))
def test_every_numbering_style_gives_the_same_plan(questions: list[str], style: str) -> None:
    text = "\n".join(style.format(n=n, q=q) for n, q in enumerate(questions, start=1))
    assert parse.plan(text).subquestions == tuple(questions)


@given(st.text(max_size=400))
def test_any_text_parses_and_what_is_delivered_parses_to_itself(text: str) -> None:
    plan = parse.plan(text)
    assert len({parse.fold(q) for q in plan.subquestions}) == len(plan.subquestions)
    assert plan.repaired >= 0
    assert all(q == " ".join(q.split()) and q for q in plan.subquestions)
    parse.final_answer(text)
    parse.subanswers(text)
    parse.number(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1. 48/2 = 24\nThe answer is: 72", "72"),
        ("The answer is 72.", "72"),
        ("The answer is: 7\nNo, wait. The answer is: 9", "9"),
        ("The answer is:\n\n#### 18", "18"),
        ("**Final Answer:** 42", "42"),
        ("**Answer:** yes", "yes"),
        ("The final answer is: \\boxed{12}", "12"),
        ("She has 5 left. The answer is: 99", "99"),
        ("It costs $18.75.", "It costs $18.75"),
        ("Six boxes hold 72. So 57 are left.", "57 are left"),
        ("No. He died in 1791.", "No"),
        ("Boil 2 eggs for 4 minutes. Then chill them.", None),
        ("1. Grate 3 apples.\n2. Bake for 40 minutes.", None),
        ("The answer is: March 3, 1999", "March 3, 1999"),
        ("The answer is: the Danube", "the Danube"),
        ("It was the Danube", "It was the Danube"),
        ("So 4 are left. The answer is 4.\n\nQ: Ann has 9 hats. How many?\nA: The answer is 9.", "4"),
        ("The answer is: 12\n\nQuestion: What is 3 + 3?\nThe answer is: 6", "12"),
        ("Q1: How many?\nA1: 3\nQ2: And then?\nA2: 5\nFinal answer: 5", "5"),
        ("", None),
        ("  \n ", None),
    ],
)
def test_the_final_answer_follows_the_last_marker_else_it_is_what_the_text_concludes(
    text: str, answer: str | None
) -> None:
    assert parse.final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72), ("1,000", 1000), ("1,234,567.5", 1234567.5), ("$5", 5), ("€ 3.20", 3.2), ("50 %", 50), ("50%", 50),
        ("1/2", 0.5), ("-3", -3), ("−3", -3), ("$-5", -5), ("-$5", -5), ("18.75", 18.75), (".5", 0.5), ("48-2", 2),
        ("３０", 30), ("٣", 3), ("12 apples", 12), ("3.", 3), ("yes", None), ("", None), ("1/0", None),
    ],
)  # fmt: skip
def test_numbers_are_read_without_currency_commas_and_units(text: str, value: float | None) -> None:
    assert parse.number(text) == value


@given(st.integers(-(10**9), 10**9))
def test_a_number_reads_the_same_with_commas(value: int) -> None:
    assert parse.number(f"The total is {value:,} dollars") == parse.number(str(value)) == value


def test_sub_answers_are_the_numbered_lines_up_to_the_final_answer() -> None:
    text = (
        "Let us see.\n1. 48/2 = 24\nclips\n2. That is 3.5 times.\n2.5 is not a line number.\n3) 72\nThe answer is: 72"
    )
    assert parse.subanswers(text) == ("48/2 = 24 clips", "That is 3.5 times. 2.5 is not a line number.", "72")


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Q1: Ann has 15.\nQ2: Ben has 30.\nFinal answer: 45", ("Ann has 15.", "Ben has 30.")),
        ("Q1: How many has Ann?\nA1: 15\nQ2: How many has Ben?\nA2: 30\nFinal answer: 45", ("15", "30")),
        ("**1.** 24\n**2.** 72", ("24", "72")),
        ("The answer is: 3", ()),
        ("", ()),
    ],
)
def test_sub_answers_wear_many_labels(text: str, answers: tuple[str, ...]) -> None:
    assert tuple(a.strip("* ") for a in parse.subanswers(text)) == answers
