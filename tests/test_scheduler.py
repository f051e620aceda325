"""The scheduler over a fake cache: nothing lost, doubled or mixed, slots never leak, order is kept."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.engines import Observer, Request, Sampling, Step
from dnc_edge.engines.scheduler import MOST_UNREAD, Scheduler
from dnc_edge.engines.slots import LEAST_SHARED, Entry
from dnc_edge.errors import StudentError

VOCABULARY = 32
END = 0


def continuation(adapter: str | None, tokens: Sequence[int]) -> int:
    """The fake model: a next token that depends on everything the slot holds."""
    return zlib.crc32(repr((adapter, *tokens)).encode()) % VOCABULARY


class FakeCache:
    """A cache of token lists; it refuses what a real one could not do."""

    resumes = True

    def __init__(self, slots: int, context: int, batch: int, *, guesses: bool = True) -> None:
        self.slots, self.context, self.batch = slots, context, batch
        self.guesses = self.looks_up = guesses
        self.held: list[list[tuple[str | None, int]]] = [[] for _ in range(slots)]
        self.adapter: str | None = None
        self.model = continuation
        self.rounds = self.decoded = 0
        self.fail_at: int | None = None

    def decode(self, entries: Sequence[Entry]) -> Any:
        assert 0 < len(entries) <= self.batch
        self.rounds += 1
        self.decoded += len(entries)
        if self.fail_at is not None and self.decoded >= self.fail_at:
            self.fail_at = None
            raise RuntimeError("no more")
        rows = []
        for entry in entries:
            held = self.held[entry.slot]
            assert entry.position == len(held) < self.context
            held.append((self.adapter, entry.token))
            if entry.wanted:
                assert len({adapter for adapter, _ in held}) == 1, "tokens of two adapters in one sequence"
                row = np.zeros(VOCABULARY, np.float32)
                row[self.model(self.adapter, [token for _, token in held])] = 5
                rows.append(row)
        return np.stack(rows) if rows else None

    def trim(self, slot: int, length: int) -> None:
        del self.held[slot][length:]

    def copy(self, source: int, target: int) -> None:
        self.held[target] = list(self.held[source])

    def use(self, adapter: str | None) -> None:
        if adapter == "unusable":
            raise StudentError("there is no adapter unusable")
        self.adapter = adapter

    def free(self) -> None:
        self.held.clear()


class EncoderCache(FakeCache):
    """A prompt goes in whole, what follows it one token a round."""

    resumes = False

    def decode(self, entries: Sequence[Entry]) -> Any:
        for slot in {entry.slot for entry in entries}:
            positions = [entry.position for entry in entries if entry.slot == slot]
            assert positions[0] == 0 or len(positions) == 1
        return super().decode(entries)


def alone(request: Request, context: int) -> list[int]:
    """What a request gives when nothing else is about."""
    tokens = list(request.tokens)
    made: list[int] = []
    coming: list[int] = []
    while len(made) < min(request.max_tokens, context - len(request.tokens)):
        if coming:
            made.append(coming.pop(0))
        else:
            made.append(continuation(request.adapter, tokens + made))
            coming = list(AFTER.get(made[-1], ())) if request.observers else []
        if made[-1] in request.stop_ids:
            break
    return made


# Some tokens are followed by one or two that the model did not choose, or by the end.
AFTER: dict[int, Sequence[int]] = {5: (6,), 10: (3, 4), 15: (END,)}


class Inserting(Observer):
    def add(self, token: int) -> Sequence[int]:
        return AFTER.get(token, ())


@st.composite
def workloads(draw: st.DrawFn) -> tuple[list[Request], int, int, int]:
    slots = draw(st.integers(1, 5))
    instruction = draw(st.lists(st.integers(1, 31), min_size=LEAST_SHARED, max_size=LEAST_SHARED + 4))
    requests = []
    for number in range(draw(st.integers(0, 12))):
        own = draw(st.lists(st.integers(1, 31), min_size=1, max_size=30))
        with_instruction = draw(st.booleans())
        requests.append(
            Request(
                id=str(number),
                tokens=[*instruction, *own] if with_instruction else own,
                max_tokens=draw(st.integers(1, 12)),
                stop_ids=frozenset({END}),
                adapter=draw(st.sampled_from([None, None, "a", "b"])),
                shared=len(instruction) if with_instruction else 0,
                observers=(Inserting(),) if draw(st.booleans()) else (),
            )
        )
    return requests, slots, draw(st.integers(20, 60)), draw(st.integers(slots, 40))


def collect(steps: Iterator[Step]) -> tuple[dict[str, list[int]], dict[str, str], list[str]]:
    tokens: dict[str, list[int]] = {}
    ends: dict[str, str] = {}
    order = []
    for step in steps:
        assert step.id not in ends, "a step after the last one"
        tokens.setdefault(step.id, [])
        if step.token is not None:
            tokens[step.id].append(step.token)
        if step.finish:
            ends[step.id] = step.finish
            order.append(step.id)
    return tokens, ends, order


@given(workloads())
def test_every_request_gets_the_tokens_it_would_get_alone(work: tuple[list[Request], int, int, int]) -> None:
    requests, slots, context, batch = work
    tokens, ends, _ = collect(Scheduler(FakeCache(slots, context, batch)).run(requests))
    assert set(ends) == {request.id for request in requests}
    for request in requests:
        if len(request.tokens) >= context:
            assert ends[request.id] == "too_long" and not tokens[request.id]
        else:
            assert tokens[request.id] == alone(request, context)
            assert (ends[request.id] == "stop") == (tokens[request.id][-1] == END)


@pytest.mark.parametrize("kinds", [(), (Inserting,)])
def test_what_was_there_before_is_guessed_and_changes_nothing(kinds: tuple[type[Observer], ...]) -> None:
    """A model that counts to eight, and is interrupted after every five."""
    made, rounds = [], []
    for guesses in (True, False):
        observers = [kind() for kind in kinds]
        request = Request("0", [*range(1, 9), *range(1, 9)], max_tokens=60, observers=observers)
        cache = FakeCache(1, 200, 64, guesses=guesses)
        cache.model = lambda _, tokens: tokens[-1] % 8 + 1
        made.append(collect(Scheduler(cache).run([request]))[0]["0"])
        rounds.append(cache.rounds)
    assert made[0] == made[1] and len(made[0]) == 60
    assert rounds[0] < rounds[1] * 0.7


@given(workloads())
def test_an_encoder_reads_a_prompt_whole_and_its_decoder_writes_one_token_a_round(
    work: tuple[list[Request], int, int, int],
) -> None:
    requests, slots, context, _ = work
    cache = EncoderCache(slots, context, slots * context, guesses=False)
    tokens, _, _ = collect(Scheduler(cache).run(requests))
    for request in requests:
        if len(request.tokens) < context:
            assert tokens[request.id] == alone(request, context)


@given(workloads(), st.data())
def test_cancelling_any_requests_disturbs_no_other(
    work: tuple[list[Request], int, int, int], data: st.DataObject
) -> None:
    requests, slots, context, batch = work
    scheduler = Scheduler(FakeCache(slots, context, batch))
    doomed = {request.id for request in requests if data.draw(st.booleans())}
    seen: list[Step] = []

    def steps() -> Iterator[Step]:
        for number, step in enumerate(scheduler.run(requests)):
            if number == 3:
                for id in doomed:
                    scheduler.cancel(id)
            seen.append(step)
            yield step

    tokens, ends, _ = collect(steps())
    assert set(ends) == {request.id for request in requests}
    for request in requests:
        expected = alone(request, context) if len(request.tokens) < context else []
        if ends[request.id] == "cancelled":
            assert request.id in doomed and tokens[request.id] == expected[: len(tokens[request.id])]
        else:
            assert tokens[request.id] == expected


@given(workloads(), st.integers(0, 20), st.booleans())
def test_an_abandoned_or_failed_run_leaves_every_slot_free(
    work: tuple[list[Request], int, int, int], after: int, fails: bool
) -> None:
    requests, slots, context, batch = work
    cache = FakeCache(slots, context, batch)
    scheduler = Scheduler(cache)
    if fails:
        cache.fail_at = after + 1
        try:
            collect(scheduler.run(requests))
        except RuntimeError:
            pass
        cache.fail_at = None
    else:
        run = scheduler.run(requests)
        for _, _ in zip(range(after), run, strict=False):
            pass
        run.close()
    tokens, _, _ = collect(scheduler.run(requests))
    for request in requests:
        if len(request.tokens) < context:
            assert tokens[request.id] == alone(request, context)


@given(workloads(), workloads(), st.data())
def test_runs_that_are_read_in_any_order_disturb_no_other(
    one: tuple[list[Request], int, int, int], other: tuple[list[Request], int, int, int], data: st.DataObject
) -> None:
    """Two readers take turns as they like, one of them perhaps leaves: each request is as if it were alone."""
    first, slots, context, batch = one
    second = [replace(request, id=f"other-{request.id}") for request in other[0]]
    scheduler = Scheduler(FakeCache(slots, context, batch))
    runs = {"first": scheduler.run(first), "second": scheduler.run(second)}
    steps: dict[str, list[Step]] = {"first": [], "second": []}
    leaves = data.draw(st.booleans())
    while runs:
        name = data.draw(st.sampled_from(sorted(runs)))
        if leaves and name == "first" and len(steps["first"]) == 5:
            runs.pop(name).close()
        elif (step := next(runs[name], None)) is None:
            del runs[name]
        else:
            steps[name].append(step)
    for name, requests in (("first", first), ("second", second)):
        tokens, ends, _ = collect(iter(steps[name]))
        for request in requests:
            expected = alone(request, context) if len(request.tokens) < context else []
            if leaves and name == "first":
                assert tokens.get(request.id, []) == expected[: len(tokens.get(request.id, []))]
            else:
                assert tokens[request.id] == expected and request.id in ends


def test_a_prompt_that_goes_on_from_what_was_read_is_decoded_only_from_there() -> None:
    """The one that was left had got further than its reader: others had it decoded with theirs."""
    cache = FakeCache(2, 100, 32)
    scheduler = Scheduler(cache)
    left, other = scheduler.run([Request("left", [7] * 20, 50)]), scheduler.run([Request("other", [8], 10)])
    read = [next(left).token for _ in range(3)]
    list(other)
    left.close()
    before = cache.decoded
    longer = Request("longer", [*[7] * 20, *(token or 0 for token in read), 9], 4)
    tokens, _, _ = collect(scheduler.run([longer]))
    assert tokens["longer"] == alone(longer, 100)
    # The last token that was read, the one that follows it, and three of the four new ones.
    assert cache.decoded - before == 5


def test_many_threads_share_the_slots() -> None:
    scheduler = Scheduler(FakeCache(4, 60, 32))
    asked = {n: [Request(f"{n}-{m}", [n + 1, m + 1], 9, frozenset({END})) for m in range(20)] for n in range(8)}
    got: dict[int, dict[str, list[int]]] = {}

    def reader(n: int) -> None:
        got[n] = collect(scheduler.run(asked[n]))[0]

    threads = [threading.Thread(target=reader, args=(n,)) for n in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert got == {n: {r.id: alone(r, 60) for r in requests} for n, requests in asked.items()}


def test_a_run_that_nobody_reads_takes_no_more_than_its_share() -> None:
    taken = []

    def endless() -> Iterator[Request]:
        while True:
            taken.append(1)
            yield Request(f"a{len(taken)}", [1], 50)

    scheduler = Scheduler(FakeCache(2, 60, 8))
    unread = scheduler.run(endless())
    next(unread)
    tokens, _, _ = collect(scheduler.run([Request(f"b{n}", [2], 50) for n in range(1000)]))
    assert len(tokens) == 1000 and len(taken) <= MOST_UNREAD / 50 + 4
    unread.close()


def test_a_failed_decode_ends_every_run_that_was_in_it_and_a_bad_iterable_only_its_own() -> None:
    cache = FakeCache(4, 60, 8)
    scheduler = Scheduler(cache)
    one, other = scheduler.run([Request("a", [1], 30)]), scheduler.run([Request("b", [2], 30)])
    next(one)
    next(other)
    cache.fail_at = cache.decoded + 4
    for run in (one, other):
        with pytest.raises(RuntimeError, match="no more"):
            list(run)

    def broken() -> Iterator[Request]:
        yield Request("c", [3], 3)
        raise ValueError("this one")

    bad, good = scheduler.run(broken()), scheduler.run([Request("d", [4], 20)])
    with pytest.raises(ValueError, match="this one"):
        list(bad)
    assert len(list(good)) == 20


def test_an_adapter_that_cannot_be_used_fails_its_own_run_and_no_other() -> None:
    cache = FakeCache(2, 60, 8)
    scheduler = Scheduler(cache)
    good = scheduler.run([Request("good", [1], 20, adapter="a")])
    next(good)
    with pytest.raises(StudentError, match="no adapter"):
        list(scheduler.run([Request("bad", [2], 20, adapter="unusable")]))
    assert len(list(good)) == 19
    with pytest.raises(StudentError, match="no adapter"), scheduler.alone("unusable"):
        pass
    assert cache.adapter == "a"
    after = Request("after", [3], 20)
    assert collect(scheduler.run([after]))[0]["after"] == alone(after, 60)


def test_requests_are_taken_only_as_slots_become_free() -> None:
    taken = []

    def requests() -> Iterator[Request]:
        for number in range(100):
            taken.append(number)
            yield Request(str(number), [number % 31 + 1], 5)

    run = Scheduler(FakeCache(2, 50, 8)).run(requests())
    next(run)
    assert len(taken) <= 3
    run.close()


def test_requests_of_equal_length_end_in_the_order_in_which_they_came() -> None:
    requests = [Request(str(number), [number + 1], 6) for number in range(20)]
    _, _, order = collect(Scheduler(FakeCache(3, 50, 8)).run(requests))
    assert order == [request.id for request in requests]


def test_an_instruction_is_decoded_once_for_all_slots() -> None:
    instruction = list(range(1, LEAST_SHARED + 1))
    requests = [Request(str(n), [*instruction, n + 1], 1, shared=len(instruction)) for n in range(10)]
    cache = FakeCache(4, 64, 64)
    collect(Scheduler(cache).run(requests))
    # The four that start together find nobody to copy from but the first of them.
    assert cache.decoded <= 4 * len(instruction) + 10
    again = cache.decoded
    collect(Scheduler(cache).run([]))
    assert cache.decoded == again


def test_a_long_prompt_does_not_hold_up_those_that_are_decoding() -> None:
    """A prompt of fifty batches goes in piece by piece; the other slot gets a token in every round."""
    requests = [Request("short", [1], 40), Request("long", list(range(1, 31)) * 10, 1)]
    cache = FakeCache(2, 400, 8)
    before = {"short": 0, "long": 0}
    for step in Scheduler(cache).run(requests):
        before[step.id] += 1
        if step.id == "long":
            break
    assert before["short"] >= 30


@pytest.mark.parametrize("seed", [0, 1])
def test_sampling_in_a_batch_follows_each_request_s_own_seed(seed: int) -> None:
    def sampled(*ids: str) -> dict[str, list[int]]:
        requests = [Request(id, [int(id) + 1], 8, sampling=Sampling(5.0, 1.0, seed + int(id))) for id in ids]
        return collect(Scheduler(FakeCache(4, 50, 8)).run(requests))[0]

    together = sampled("0", "1", "2", "3")
    for id in together:
        assert sampled(id)[id] == together[id]
