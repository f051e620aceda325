"""What models are asked: one text for students and endpoints, a hint for each kind, examples if wanted."""

from __future__ import annotations

import pytest

from dnc_edge import parse, prompts
from dnc_edge.tasks import everyday

HISTORY = [("Who composed The Magic Flute?", "Mozart")]


@pytest.mark.parametrize(
    ("question", "context", "kind"),
    [
        ("Tom has 3 eggs. How many?", None, "problem"),
        ("How much is a dozen pens at a dollar each?", None, "problem"),
        ("Did Mozart meet Bell?", None, "fact"),
        ("Who won?", "The Otters won.", "passage"),
        ("Summarise it in 3 lines.", "The Otters won.", "passage"),
        ("How do I sharpen 2 kitchen knives?", None, "open"),
        ("Write a haiku about rain.", None, "open"),
        ("Should I learn the piano or the cello?", None, "open"),
        ("Wer hat die Glühbirne erfunden?", None, "open"),
        ("Which of those is older?", None, "open"),
        ("hello again", None, "open"),
        ("Was Galileo older than Kepler?", None, "fact"),
        ("What is the longest bone of the body?", None, "fact"),
        ("9 miles in kilometres?", None, "problem"),
        ("", None, "fact"),
    ],
)
def test_the_kind_of_a_question_is_seen_from_it(question: str, context: str | None, kind: prompts.Kind) -> None:
    assert prompts.kind_of(question, context) == kind


def test_the_kinds_agree_with_people_on_which_everyday_questions_are_open() -> None:
    open_ones = {
        "how-to", "coding", "writing", "opinion and advice", "trip or project plan", "explanation", "translation",
        "unclear reference", "other language", "small talk",
    }  # fmt: skip
    problems = everyday.load("dev")
    agree = [
        (prompts.kind_of(problem.question, problem.context) == "open") == (problem.kind in open_ones)
        for problem in problems
    ]
    assert sum(agree) >= 0.95 * len(problems)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("plan", [(), ("Which bulbs grow in shade?",)])
def test_open_questions_are_asked_for_no_form_and_no_final_line(direct: bool, plan: tuple[str, ...]) -> None:
    question = "How do I plant bulbs?"
    asked = [prompts.solve(question, None, plan, direct=direct), prompts.conclude(question, None, HISTORY)]
    for messages in asked:
        instruction = messages[0]["content"]
        assert instruction.startswith("Solve ")
        assert prompts.FINAL_ANSWER not in instruction and "a name, a date" not in instruction
    shown = prompts.solve(question, None, plan, direct=direct, shots=2)
    assert all(prompts.FINAL_ANSWER not in message["content"] for message in shown)
    assert prompts.decompose(question, None, cap=3, shots=1)[2]["content"] == prompts.NO_DECOMPOSITION


def test_a_request_is_passage_question_and_numbered_sub_questions() -> None:
    assert prompts.user_message("Q?") == "Q?"
    assert prompts.user_message("Q?", "P.", ["A?", "B?"]) == "P.\n\nQuestion: Q?\n\nSub-questions:\n1. A?\n2. B?"


def test_the_cap_and_the_references_are_explained() -> None:
    asked = prompts.decompose("Q?", None, cap=3)[0]["content"]
    assert "at most 3" in asked and "#1, #2" in asked and prompts.NO_DECOMPOSITION in asked
    assert "#1, #2" in prompts.solve("Q?", None, ["A?"])[0]["content"]


def test_direct_asks_for_the_answer_alone_only_where_there_is_no_plan() -> None:
    assert "without showing any work" in prompts.solve("Q?", None, [], direct=True)[0]["content"]
    assert "one at a time" in prompts.solve("Q?", None, ["A?"], direct=True)[0]["content"]


@pytest.mark.parametrize("kind", ["problem", "passage", "fact", "open"])
def test_examples_say_what_the_parsers_read(kind: prompts.Kind) -> None:
    for example in prompts.EXAMPLES[kind]:
        assert prompts.kind_of(example.question, example.context) == kind
        assert parse.plan("\n".join(example.plan) or prompts.NO_DECOMPOSITION) == parse.ParsedPlan(example.plan, 0)
        assert len(parse.subanswers(example.solution)) == len(example.plan)
        assert (parse.final_answer(example.solution) is None) == (kind == "open")


@pytest.mark.parametrize("shots", [0, 1, 2])
def test_shots_are_exchanges_before_the_question(shots: int) -> None:
    for messages in (
        prompts.decompose("Tom has 3?", None, cap=5, shots=shots),
        prompts.solve("Tom has 3?", None, ["A?"], shots=shots),
        prompts.solve("Tom has 3?", None, [], shots=shots),
        prompts.solve("Tom has 3?", None, [], direct=True, shots=shots),
    ):
        roles = [message["role"] for message in messages]
        assert roles == ["system", *["user", "assistant"] * shots, "user"]
        assert all(message["content"].strip() for message in messages)


def test_a_turn_shows_what_was_answered() -> None:
    message = prompts.step("Did they meet?", None, HISTORY, "When did Mozart die?")[-1]["content"]
    assert message.endswith("1. Who composed The Magic Flute?\n   Mozart\n2. When did Mozart die?")
    assert prompts.next_subquestion("Did they meet?", None, [])[-1]["content"] == "Did they meet?"


def test_references_are_substituted_where_there_is_an_answer() -> None:
    assert (
        prompts.substitute("When did #1 die, and #2? Item #10.", ["Mozart."])
        == "When did Mozart die, and #2? Item #10."
    )
