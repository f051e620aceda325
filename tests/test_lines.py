"""What observers of lines promise: no line repeats, no sub-question refers to one that is not before it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import parse
from dnc_edge.engines import GREEDY, Observer, Request, Sampling
from dnc_edge.engines.detours import likeliest
from dnc_edge.engines.scheduler import Scheduler
from dnc_edge.engines.slots import Entry
from dnc_edge.students.lines import References, Repeats
from dnc_edge.students.student import Student

# Vocabularies in which `#1` is one piece, two or three, and a line ends with its own token or with more.
PIECES = ["#1", "#2", "#3", "#12", "0", "7", "a", "b", " ", "?", "\n"]
DIGITS = ["#", " #", *"0123", "a", " b", "?", "\n"]
MERGED = ["#", "#1", "# ", "2", "12", "a#", "b?\n", "?\n", "A ", "\n\n", "é"]
END = 0


class Vocabulary:
    """Token 0 ends the sequence; the others are the pieces in order."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = ["", *pieces]

    def encode(self, text: str) -> list[int]:
        return [self.pieces.index(character) for character in text]

    def control(self, piece: str) -> int:
        return END

    def bytes_of(self, token: int) -> bytes:
        return self.pieces[token].encode()

    def text(self, tokens: Sequence[int]) -> str:
        return "".join(self.pieces[token] for token in tokens)


class Cache:
    """A cache over a model whose logits depend on the last two tokens; it counts its decodes."""

    resumes, slots, context, batch = True, 4, 400, 64

    def __init__(
        self,
        size: int,
        *,
        seed: int = 0,
        sharpness: float = 3,
        slots: int = 4,
        guesses: bool = True,
        looks_up: bool = True,
    ) -> None:
        self.size, self.seed, self.sharpness, self.slots = size, seed, sharpness, slots
        self.guesses, self.looks_up = guesses, looks_up
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self.decodes = 0
        self.table: dict[tuple[int, ...], np.ndarray] = {}

    def logits(self, last: tuple[int, ...]) -> np.ndarray:
        if last not in self.table:
            rng = np.random.default_rng(zlib.crc32(repr((self.seed, last)).encode()))
            row = rng.normal(size=self.size).astype(np.float32) * self.sharpness
            self.table[last] = row - np.log(np.exp(row).sum())
        return self.table[last]

    def decode(self, entries: Sequence[Entry]) -> np.ndarray | None:
        self.decodes += 1
        rows = []
        for entry in entries:
            held = self.held[entry.slot]
            assert entry.position == len(held) < self.context
            held.append(entry.token)
            if entry.wanted:
                rows.append(self.logits(tuple(held[-2:])))
        return np.stack(rows) if rows else None

    def trim(self, slot: int, length: int) -> None:
        del self.held[slot][length:]

    def copy(self, source: int, target: int) -> None:
        self.held[target] = list(self.held[source])

    def use(self, adapter: str | None) -> None:
        pass

    def free(self) -> None:
        pass


def decode(
    cache: Cache,
    vocabulary: Vocabulary,
    kinds: Sequence[str],
    *,
    count: int = 1,
    first: int = 1,
    sampling: Sampling = GREEDY,
) -> list[list[int]]:
    """Sequences from prompts of one token each, under observers of some kinds."""

    def observers() -> list[Observer]:
        made = {"repeats": lambda: Repeats(vocabulary, frozenset({END})), "references": lambda: References(vocabulary)}
        return [made[kind]() for kind in kinds]

    size = len(vocabulary.pieces)
    requests = [
        Request(str(n), [(first + n - 1) % (size - 1) + 1], 60, frozenset({END}), sampling, observers=observers())
        for n in range(count)
    ]
    tokens: list[list[int]] = [[] for _ in requests]
    for step in Scheduler(cache).run(requests):
        if step.token is not None and step.token != END:
            tokens[int(step.id)].append(step.token)
    return tokens


def references(text: str) -> list[tuple[int, int]]:
    """(number of a line, number that it refers to); lines that do not ask, or ask again, have no number of their own."""
    asked: list[str] = []
    found = []
    for line in text.split("\n"):
        found += [(len(asked) + 1, int(digits)) for digits in re.findall(r"#([0-9]+)", line)]
        if line.rstrip().endswith("?") and parse.fold(line) not in asked:
            asked.append(parse.fold(line))
    return found


models = st.tuples(st.sampled_from([PIECES, DIGITS, MERGED]), st.integers(0, 10_000), st.floats(0.5, 6))
samplings = st.sampled_from([GREEDY, Sampling(1.0, 0.9, 3)])


@given(models, samplings, st.sampled_from([["references"], ["repeats", "references"]]))
def test_a_reference_is_always_to_an_earlier_sub_question(
    model: tuple[list[str], int, float], sampling: Sampling, kinds: list[str]
) -> None:
    pieces, seed, sharpness = model
    vocabulary = Vocabulary(pieces)
    cache = Cache(len(vocabulary.pieces), seed=seed, sharpness=sharpness)
    for tokens in decode(cache, vocabulary, kinds, count=6, sampling=sampling):
        text = vocabulary.text(tokens)
        assert all(0 < referred < number for number, referred in references(text))
        # A plan without numbers and bullets is delivered as it was written.
        delivered = parse.plan(text).subquestions
        if list(delivered) == [line for line in text.split("\n") if line.endswith("?")]:
            assert all(0 < referred < number for number, referred in references("\n".join(delivered)))


@given(models)
def test_a_plan_without_a_wrong_reference_is_what_greedy_decoding_makes(model: tuple[list[str], int, float]) -> None:
    pieces, seed, sharpness = model
    vocabulary = Vocabulary(pieces)
    size = len(vocabulary.pieces)
    plain, watched = (
        decode(Cache(size, seed=seed, sharpness=sharpness), vocabulary, kinds, count=6)
        for kinds in ([], ["references"])
    )
    for one, other in zip(plain, watched, strict=True):
        if not re.search(r"#[0-9]", vocabulary.text(one)):
            assert other == one


@given(models)
def test_no_line_repeats_whatever_the_model_wants(model: tuple[list[str], int, float]) -> None:
    pieces, seed, sharpness = model
    vocabulary = Vocabulary(pieces)
    cache = Cache(len(vocabulary.pieces), seed=seed, sharpness=sharpness)
    for tokens in decode(cache, vocabulary, ["repeats"], count=6):
        whole = [parse.fold(line) for line in vocabulary.text(tokens).split("\n")[:-1] if line.strip()]
        assert len(set(whole)) == len(whole)


@given(models, st.sampled_from([["repeats"], ["references"], ["repeats", "references"]]))
def test_guesses_and_slots_change_no_sequence(model: tuple[list[str], int, float], kinds: list[str]) -> None:
    pieces, seed, sharpness = model
    vocabulary = Vocabulary(pieces)
    size = len(vocabulary.pieces)
    made = [
        decode(
            Cache(size, seed=seed, sharpness=sharpness, slots=slots, guesses=guesses, looks_up=looks_up),
            vocabulary,
            kinds,
            count=6,
        )
        for slots in (1, 2, 4)
        for guesses, looks_up in ((False, False), (True, False), (True, True))
    ]
    assert made[1:] == made[:1] * 8


@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=3000, unique=True), st.integers(1, 16))
def test_the_likeliest_tokens_are_those_of_a_whole_sort(values: list[float], count: int) -> None:
    logits = np.array(values, np.float32)
    assert likeliest(logits, count) == np.argsort(-logits)[:count].tolist()


def test_a_model_that_loops_goes_another_way_at_its_weakest_point() -> None:
    """Wants "a b" for ever; after "a" the next best is "c", with more probability than any other first token."""
    vocabulary = Vocabulary(["\n", "a", "b", "c"])
    newline, a, b, c = 1, 2, 3, 4
    cache = Cache(5)
    table = np.full((5, 5), -20.0, np.float32)
    table[newline, a], table[newline, b] = -0.1, -5.0
    table[a, b], table[a, c] = -0.5, -1.0
    table[b, newline] = table[c, END] = -0.01
    cache.logits = lambda last: table[last[-1]]  # type: ignore[method-assign]
    assert decode(cache, vocabulary, ["repeats"]) == [[a, b, newline, a, c]]


def test_a_model_that_can_only_loop_ends() -> None:
    cache = Cache(3)
    table = np.full((3, 3), -20.0, np.float32)
    table[:, 2], table[2, 1], table[2, 2] = -1.0, -0.1, -30.0
    cache.logits = lambda last: table[last[-1]]  # type: ignore[method-assign]
    (tokens,) = decode(cache, Vocabulary(["\n", "a"]), ["repeats"])
    assert len(tokens) < 60


@pytest.mark.parametrize("slots", [1, 4])
def test_a_repeat_costs_fewer_decodes_than_it_has_tokens(slots: int) -> None:
    """Each line begins like the first; the model would write it again, token by token, to its end."""
    vocabulary = Vocabulary([chr(97 + n) for n in range(20)] + ["?", "\n"])
    size, newline = len(vocabulary.pieces), len(vocabulary.pieces) - 1
    table = np.full((size, size), -30.0, np.float32)
    for token in range(1, newline):
        table[token, token + 1] = -0.01
    table[newline, 1], table[newline, 9] = -0.1, -0.2
    decodes = []
    for guesses in (False, True):
        cache = Cache(size, slots=slots, guesses=guesses)
        cache.logits = lambda last: table[last[-1]]  # type: ignore[method-assign]
        tokens = decode(cache, vocabulary, ["repeats"], first=newline, count=slots)[0]
        lines = vocabulary.text(tokens).split("\n")
        assert lines[1].startswith("ijk") and len(set(lines)) == len(lines)
        decodes.append(cache.decodes)
    assert decodes[1] < decodes[0] - 12


@pytest.mark.parametrize(
    ("written", "token", "allowed"),
    [
        ("", "#1", False), ("", "#", True), ("a?\n", "#1", True), ("a?\n", "#2", False), ("a\n", "#1", False),
        ("a?\n", "#12", False), ("a?\n#", "1", True), ("a?\n#1", "2", False), ("a?\n#", "0", False), ("a?\na", "1", True),
        ("a?\nA? \n", "#2", False), ("a?\nb?\nb #", "2", True), ("a?\nb?\nb#2 ", "#3", False), ("12", "3", True),
    ],
)  # fmt: skip
def test_a_reference_is_judged_by_the_sub_questions_before_it(written: str, token: str, allowed: bool) -> None:
    vocabulary = Vocabulary(sorted({*written, token}))
    observer = References(vocabulary)
    for one in vocabulary.encode(written):
        observer.add(one)
    assert observer.allows(vocabulary.pieces.index(token)) == allowed
    # The same where what was written is in the prompt.
    assert References(vocabulary, written).allows(vocabulary.pieces.index(token)) == allowed


@pytest.mark.parametrize(
    ("written", "token", "allowed"),
    [
        ("a b?\nA  B?", "\n", False), ("a b?\nA  B", "?\n", False), ("a b?\na b", "\n", False), ("a b?\na b?", "c", False),
        ("a b\na b", "c", True), ("a b\na b", "\n", False), ("a?\nb?", "\n", True), ("a?\n", "\n", True), ("a?\n\n", "\n", False), ("a?\na", "?", True),
    ],
)  # fmt: skip
def test_a_line_is_judged_by_the_lines_before_it(written: str, token: str, allowed: bool) -> None:
    vocabulary = Vocabulary(sorted({*written, token}))
    observer = Repeats(vocabulary, frozenset({END}))
    for one in vocabulary.encode(written):
        observer.add(one)
    assert observer.allows(vocabulary.pieces.index(token)) == allowed
    if token == "\n" and not written.endswith("\n\n"):
        assert observer.allows(END) == allowed
    observer.add(vocabulary.pieces.index(token))
    observer.drop(1)
    assert observer.allows(vocabulary.pieces.index(token)) == allowed


def test_a_real_student_that_repeats_itself_does_not_when_observed(student: Student) -> None:
    question = (
        "Anna earns $14 an hour and works 6 hours on each of 5 days. She spends a third of it on rent and $45 on food. "
        "Then she buys two books for $12 each. How much money is left?"
    )

    def lines(*observers: Observer) -> list[str]:
        generation = student.generate(student.prompt("decompose", question), max_tokens=120, observers=observers)
        return [parse.fold(line) for line in "".join(generation).split("\n") if line]

    plain, observed = lines(), lines(Repeats(student.tokenizer, student.stop_ids))
    assert len(set(plain)) < len(plain)
    assert len(set(observed)) == len(observed)


def test_a_real_student_that_refers_to_later_answers_does_not_when_observed() -> None:
    with Student.open(slots=8) as student:
        prompt = student.prompt("decompose", "Could the architect of the Eiffel Tower have met the author of Dracula?")

        def wrong(seeds: Iterable[int], *, observed: bool) -> list[int]:
            sampled = {
                student.generate(
                    prompt,
                    max_tokens=60,
                    sampling=Sampling(1.0, 1.0, seed),
                    observers=student.plan_observers(10) if observed else (),
                ): seed
                for seed in seeds
            }
            return [
                sampled[generation]
                for generation in student.generate_many(sampled)
                if any(not 0 < referred < number for number, referred in references(generation.text))
            ]

        plain = wrong(range(40), observed=False)
        assert plain
        assert wrong(plain, observed=True) == []
