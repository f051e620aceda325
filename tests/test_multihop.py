"""Demonstrations for any question: chained facts put into words, questions that a program writes, those left whole."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnc_edge.errors import InputError
from dnc_edge.tasks import everyday, files
from dnc_edge.train import written
from dnc_edge.train.leakage import FrozenSides, normalise
from dnc_edge.train.multihop import musique, natural_step, two_wiki, two_wiki_plan
from dnc_edge.train.relations import QUESTIONS, question
from dnc_edge.train.sources import gather


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        ("who wrote the red house ?", "Who wrote the red house?"),
        ("#1 >> place of birth", "Where was #1 born?"),
        ("The Red House >> publisher", "Who published The Red House?"),
        ("when did #2 , end", "When did #2, end?"),
        ("#1 >> a relation that nobody listed", None),
    ],
)
def test_steps_of_musique_become_questions(step: str, asked: str | None) -> None:
    assert natural_step(step) == asked


def test_every_relation_has_a_question_about_its_subject() -> None:
    for relation, wording in QUESTIONS.items():
        assert wording.count("{s}") == 1 and wording.endswith("?"), relation
    assert question(" Nora  Holt ", "father") == "Who is the father of Nora Holt?"


@pytest.mark.parametrize(
    ("row", "plan"),
    [
        (
            {"type": "compositional", "question": "Where did the director of Red Rain die?",
             "evidences": [["Red Rain (film)", "director", "Ann Lee"], ["Ann Lee", "place of death", "Rome"]]},
            ("Who directed Red Rain?", "Where did #1 die?"),
        ),
        (
            {"type": "bridge_comparison", "question": "Which film has the director born first, A Day or B Side?",
             "evidences": [["A Day", "director", "X"], ["B Side", "director", "Y"], ["X", "date of birth", "1"], ["Y", "date of birth", "2"]]},
            ("Who directed A Day?", "Who directed B Side?", "When was #1 born?", "When was #2 born?", "Which is earlier, #3 or #4?"),
        ),
        ({"type": "comparison", "question": "Who is taller, X or Y?", "evidences": [["X", "date of birth", "1"], ["Y", "date of birth", "2"]]}, None),
    ],
)  # fmt: skip
def test_plans_of_2wiki_follow_from_its_triples(row: dict[str, object], plan: tuple[str, ...] | None) -> None:
    assert two_wiki_plan(row) == plan


def references_are_earlier(plan: tuple[str, ...]) -> bool:
    return all(
        int(found) < number for number, line in enumerate(plan, start=1) for found in re.findall(r"#(\d+)", line)
    )


def test_chained_facts_come_whole_and_off_the_test_sides(data: Path) -> None:
    shown = [*musique(), *two_wiki()]
    assert Counter(d.teacher for d in shown)["musique"] > 1_500
    assert all(len(d.subquestions or ()) > 1 and references_are_earlier(d.subquestions or ()) for d in shown)
    assert not any(">>" in line for d in shown for line in d.subquestions or ())
    tested = {normalise(row["question"]) for row in files.read_jsonl("musique/test.jsonl")}
    assert not any(normalise(d.question) in tested for d in musique())


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_written_plans_refer_to_earlier_answers_and_repeat_nothing(seed: int) -> None:
    for demonstration in itertools.islice(written.questions(seed), 20):
        plan = demonstration.subquestions
        assert plan is not None and len(plan) != 1 and len(set(plan)) == len(plan)
        assert references_are_earlier(plan)
        assert all(line.endswith("?") and "{" not in line for line in plan)
        assert demonstration.question.strip() and "{" not in demonstration.question


def test_the_same_seed_writes_the_same_questions_of_every_kind() -> None:
    first, second = (list(itertools.islice(written.questions(7), 1_000)) for _ in range(2))
    assert first == second
    kinds = Counter(d.teacher for d in first)
    assert set(kinds) == {"written-facts", "written-sums", "written-passages", "written-whole"}
    assert all(d.subquestions == () for d in first if d.teacher == "written-whole")
    assert len({d.question for d in first}) > 850


def test_a_count_takes_the_same_clean_ones_of_a_source_each_time(data: Path) -> None:
    names = ["strategyqa:50", "written:100"]
    taken = gather(names)
    assert taken == gather(names) and len(taken) == 150
    assert not any(FrozenSides.load().holds(one) for one in taken)
    assert not any(FrozenSides(p.question for p in everyday.load()).leak(one) for one in taken)
    assert len(gather(["svamp:100000"])) <= 800
    with pytest.raises(InputError, match="no demonstrations 'written'"):
        gather(["written"])
