"""Arithmetic that is worked out here: only what can be read in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.strategies.local_steps import work_out


@pytest.mark.parametrize(
    ("subquestion", "answers", "worked_out"),
    [
        ("What is #2 minus #1?", ("1911", "1954"), "1954 - 1911 = 43"),
        ("What is 12 * 5?", (), "12 * 5 = 60"),
        ("How much is #1 times 2.5?", ("4 * 15 = 60 rolls",), "60 * 2.5 = 150"),
        ("What is #1 plus #2 plus 3?", ("$4", "$5"), "4 + 5 + 3 = $12"),
        ("Calculate 1,200 divided by 4.", (), "1200 / 4 = 300"),
        ("What is (#1 + 12) * 3?", ("4 hens",), "(4 + 12) * 3 = 48"),
        ("What is 20/100*(#1 - 5)?", ("$45",), "20/100*(45 - 5) = 8"),
        ("What is the sum of #1, #2 and #3?", ("3 hens", "4 hens", "5"), "3 + 4 + 5 = 12"),
        ("What is the difference between #1 and #2?", ("20 km", "25 km"), "25 - 20 = 5"),
        ("What is the average of #1 and #2?", ("10", "20"), "(10 + 20) / 2 = 15"),
        ("How many years are between #1 and #2?", ("In 1990.", "It opened in 1964"), "1990 - 1964 = 26"),
        ("How many more is #1 than #2?", ("24", "9"), "24 - 9 = 15"),
        ("What is 25% of #1?", ("80",), "25/100 * 80 = 20"),
        ("What is 25 percent of 60?", (), "25/100 * 60 = 15"),
        ("How much is half of #1?", ("$90",), "1/2 * 90 = $45"),
        ("What is twice #1?", ("21",), "2 * 21 = 42"),
        ("Is #1 greater than #2?", ("12", "7"), "yes"),
        ("Is #1 before #2?", ("1954", "1911"), "no"),
        ("Is #1 the same as #2?", ("5", "5.0"), "yes"),
        ("Which is larger, #1 or #2?", ("7 boats", "12 boats"), "12 boats"),
    ],
)  # fmt: skip
def test_arithmetic_over_what_is_known_is_worked_out(
    subquestion: str, answers: tuple[str, ...], worked_out: str
) -> None:
    assert work_out(subquestion, answers) == worked_out


@pytest.mark.parametrize(
    ("subquestion", "answers"),
    [
        ("How many goats does the farm have?", ()),
        ("What is the population of #1?", ("12",)),
        ("What is #1 minus #2?", ("1911",)),
        ("What is #1 minus #2?", ("1911", "")),
        ("What is #1 minus #2?", ("5 March 1955", "1954")),
        ("What is #1 minus #2?", ("about 3 or 4", "1")),
        ("What is #1 plus #2?", ("45 liters", "20 minutes")),
        ("What is #1 plus #2?", ("50%", "3")),
        ("Is #1 more than #2?", ("5 feet", "50 inches")),
        ("What is #1 divided by #2?", ("5", "0")),
        ("What is 3 of 10?", ()),
        ("How many more is #1 than #2?", ("4", "9")),
        ("How many years are between #1 and #2?", ("30", "12")),
        ("Is #1 older than #2?", ("1900", "1920")),
        ("Which is larger, #1 or #2?", ("7", "7")),
        ("What is #1 and #2?", ("1", "2")),
        ("What is (#1 + 2?", ("1",)),
        ("What is 5 (3)?", ()),
        ("What is 2 - + * 3?", ()),
        ("What is #1 minus #2?", ("The mayor", "4")),
    ],
)  # fmt: skip
def test_whatever_can_be_doubted_is_left_to_the_solver(subquestion: str, answers: tuple[str, ...]) -> None:
    assert work_out(subquestion, answers) is None


@given(st.text(max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_any_text_is_an_answer_or_none(subquestion: str, answers: list[str]) -> None:
    found = work_out(subquestion, answers)
    assert found is None or found


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_sums_and_differences_of_any_numbers_are_right(first: int, second: int) -> None:
    assert (
        work_out("What is #1 plus #2?", [str(first), f"It is {second:,}."]) == f"{first} + {second} = {first + second}"
    )
    low, high = sorted((first, second))
    assert (
        work_out("What is the difference between #1 and #2?", [str(first), str(second)])
        == f"{high} - {low} = {high - low}"
    )
