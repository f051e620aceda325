"""What trains the students: sources, screening against the test sides, augmentation, written problems, token ids."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.calculator import evaluate
from dnc_edge.errors import InputError
from dnc_edge.parse import final_answer, fold, number
from dnc_edge.prompts import NO_DECOMPOSITION
from dnc_edge.students.student import Student
from dnc_edge.tasks import everyday
from dnc_edge.train import demonstrations as records
from dnc_edge.train.augment import Augmenter
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.examples import Encoder, pair
from dnc_edge.train.leakage import FrozenSides, normalise
from dnc_edge.train.sft import SftConfig, shown, solved_kinds
from dnc_edge.train.sources import bundled, qdmr_question
from dnc_edge.train.synthetic import problems
from dnc_edge.train.tokenizer import control_pieces, load_tokenizer


@pytest.fixture(scope="module")
def demonstrations(data: Path) -> list[Demonstration]:
    return bundled()[0]


def test_only_the_training_side_is_left(demonstrations: list[Demonstration]) -> None:
    sides = FrozenSides.load()
    assert not any(sides.holds(d) for d in demonstrations)
    sides.refuse(demonstrations)
    assert sum(d.source.startswith("gsm8k") for d in demonstrations) > 7_400


def test_a_test_question_stops_a_run_however_it_is_written(demonstrations: list[Demonstration]) -> None:
    from dnc_edge.tasks import gsm8k

    leak = gsm8k.load(1)[0].question.upper().replace(",", " ; ")
    leaking = [*demonstrations[:3], replace(demonstrations[0], id="leak", question=leak)]
    with pytest.raises(InputError, match="1 demonstrations are on a frozen test side.*leak"):
        FrozenSides.load().refuse(leaking)


def test_everyday_questions_train_nothing(demonstrations: list[Demonstration]) -> None:
    problems = everyday.load()
    sides = FrozenSides(problem.question for problem in problems)
    assert [d.id for d in demonstrations if sides.leak(d)] == []
    leaking = [replace(demonstrations[0], id=problem.id, question=f" {problem.question}!") for problem in problems]
    with pytest.raises(InputError, match=f"{len(problems)} demonstrations are on a frozen test side"):
        FrozenSides.load().refuse(leaking)


def test_plans_are_clean(demonstrations: list[Demonstration]) -> None:
    for d in demonstrations:
        plan = d.subquestions or ()
        assert len({fold(q) for q in plan}) == len(plan)
        if d.teacher == "gsm8k-socratic":
            assert plan and all(q.endswith("?") for q in plan)


def test_solutions_end_in_their_answers(demonstrations: list[Demonstration]) -> None:
    solved = [d for d in demonstrations if d.solution]
    assert len(solved) > 8_000
    for d in solved:
        assert number(final_answer(d.solution or "") or "") == number(d.answer or "")


def test_normalising_folds_case_punctuation_and_spacing_but_keeps_digits() -> None:
    assert normalise("How  many, 3.5 Pens?") == normalise("how many 3 5 pens") != normalise("how many 4 5 pens")


@pytest.mark.parametrize(
    ("step", "question"),
    [
        ("return the  country that uses Tibetan", "What is the country that uses Tibetan?"),
        ("return what  is the  most common language in  #1", "What is the most common language in #1?"),
        ("return #1 that have a  port", "Which of #1 have a port?"),
        ("return #1 from  denver", "Which of #1 are from denver?"),
        ("return number of  #1", "What is the number of #1?"),
        ("return which is more of #5 ,  #6", "Which is more of #5, #6?"),
        ("return if  both  #11 and #18 are true", "Is it true that #11 and #18 are true?"),
        ("return who composed Parsifal", "Who composed Parsifal?"),
    ],
)
def test_qdmr_steps_become_questions(step: str, question: str) -> None:
    assert qdmr_question(step) == question


@given(st.integers(0, 10_000))
def test_written_problems_are_solved_by_their_own_steps(seed: int) -> None:
    for problem in itertools.islice(problems(seed), 5):
        solution = problem.solution or ""
        for line in solution.split("\n")[:-1]:
            expression, _, result = line.partition("<<")[2].partition(">>")[0].rpartition("=")
            assert evaluate(expression) == pytest.approx(float(result), abs=0.006)
        plan = problem.subquestions or ()
        assert (len(plan) != 1 and problem.question.endswith(plan[-1] if plan else "?")) or ", " in problem.question
        assert len(solution.split("\n")) == max(1, len(plan)) + 1


def test_the_same_seed_writes_the_same_problems() -> None:
    assert list(itertools.islice(problems(7), 20)) == list(itertools.islice(problems(7), 20))


def test_names_and_numbers_are_swapped_alike_in_question_and_plan(demonstrations: list[Demonstration]) -> None:
    augmenter, rng = Augmenter(d for d in demonstrations if d.context is None), Random(0)
    asked = Demonstration(
        id="x", question="In May, Natalia sold 48 clips for $3.50 each.", teacher="t", source="s",
        subquestions=("How many of the 48 clips did Natalia sell?",), solution="1. 48\nThe answer is: 48", answer="48",
    )  # fmt: skip
    for _ in range(50):
        named = augmenter.names_swapped(asked, rng)
        name = named.question.split("May, ")[1].split(" sold")[0]
        assert named.subquestions == (f"How many of the 48 clips did {name} sell?",)
        assert named.solution == asked.solution
        swapped = augmenter.numbers_swapped(asked, rng)
        count = swapped.question.split("sold ")[1].split(" clips")[0]
        assert swapped.subquestions == (f"How many of the {count} clips did Natalia sell?",)
        assert "$3.50" in swapped.question and swapped.solution is None


def test_demonstrations_survive_their_file_and_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "demos.jsonl"
    written = list(itertools.islice(problems(1), 5))
    assert records.write(path, written) == 5
    assert list(records.read(path)) == written
    path.write_text(path.read_text("utf-8") + '{"id": "x"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 6: not a demonstration"):
        list(records.read(path))


def test_completions_are_what_the_parsers_read() -> None:
    plan = Demonstration("x", "Q?", "t", "s", subquestions=("A?", "B?"), solution="1. a\n2. b\nThe answer is: 3")
    assert pair(plan, "decompose") == ("Q?", "A?\nB?")
    assert pair(replace(plan, subquestions=()), "decompose") == ("Q?", NO_DECOMPOSITION)
    assert pair(replace(plan, subquestions=None), "decompose") is None
    assert pair(plan, "solve") == ("Q?\n\nSub-questions:\n1. A?\n2. B?", "1. a\n2. b\nThe answer is: 3")
    assert pair(plan, "solve", with_plan=False) == ("Q?", "a\nb\nThe answer is: 3")
    assert pair(replace(plan, solution=None), "solve") is None


def test_a_solver_is_shown_a_share_of_its_problems_without_their_plans() -> None:
    """The same ones in every run; what it is shown without a plan has no numbered steps."""
    plan = Demonstration("x", "Q?", "t", "s", subquestions=("A?", "B?"), solution="1. a\n2. b\nThe answer is: 3")
    solved = [replace(plan, id=f"{n}") for n in range(500)]

    def without(share: float) -> list[str]:
        config = SftConfig(role="solve", without_plan=share)
        told = {one.id: shown(one, config)[0] for one in solved}
        return [id for id, (_, user, solution) in told.items() if (user, solution[0]) == ("Q?", "a")]

    assert (without(0), len(without(1))) == ([], 500)
    assert 0.3 < len(without(0.4)) / 500 < 0.5 and without(0.4) == without(0.4)


def test_a_solver_is_for_the_kinds_of_question_that_it_saw_often() -> None:
    problem = Demonstration("x", "How many are 2 boxes of 3?", "t", "s", solution="6")
    fact = replace(problem, question="Who wrote the letter to the mayor?")
    assert solved_kinds([problem] * 30 + [fact]) == ["problem"]
    assert solved_kinds([problem] * 30 + [fact] * 3) == ["fact", "problem"]
    assert solved_kinds([problem, *[replace(fact, solution=None)] * 9]) == ["problem"]


def test_training_and_running_see_the_same_tokens(student: Student, demonstrations: list[Demonstration]) -> None:
    """transformers' tokenizer, which trains, and the vocabulary inside the GGUF file, which runs."""
    encoder = Encoder(load_tokenizer())
    for d in demonstrations[::25]:
        for role in ("decompose", "solve"):
            if shown := pair(d, role):
                assert encoder.prompt(role, shown[0]) == student.prompt(role, shown[0]), d.id


@given(st.text(max_size=200))
def test_any_text_has_the_same_tokens_in_training_and_running(text: str) -> None:
    encoder, student = _shared()
    assert encoder.text(text) == student.tokenizer.encode(text)


_cache: list[tuple[Encoder, Student]] = []


def _shared() -> tuple[Encoder, Student]:
    if not _cache:
        _cache.append((Encoder(load_tokenizer()), Student.open()))
    return _cache[0]


def test_the_tokenizer_holds_64_reserved_pieces_and_single_digits() -> None:
    tokenizer = load_tokenizer()
    assert len(tokenizer) == 4096
    assert len(control_pieces()) + 9 + 2 + 1 == 64
    assert len(tokenizer.backend_tokenizer.encode("2048", add_special_tokens=False).ids) == 4


def test_loss_falls_on_completions_fully_and_on_prompts_a_little() -> None:
    example = Encoder(load_tokenizer()).example("decompose", "How many?", "Why?", prompt_weight=0.2)
    assert example is not None
    assert example.weights[0] == 0 and set(example.weights[1:]) == {0.2, 1.0}
    assert example.weights[-1] == 1.0 and len(example.tokens) == len(example.weights)
    assert Encoder(load_tokenizer(), limit=3).example("decompose", "How many?", "Why?", prompt_weight=0) is None
