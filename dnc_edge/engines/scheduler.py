"""Continuous batching: many requests through the few sequences of one key-value cache.

A slot is one sequence of the cache. Every round, each slot that is decoding gets its next token into the
batch, prompts fill what room is left, in the order in which they came, and a slot is taken again the moment
its request ends. A slot keeps the tokens of its last request: a prompt that continues them, or begins with
the same instruction (`Request.shared`), is decoded only from there on.

Pure Python over `Backend`, so that a fake one can prove its invariants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dnc_edge.engines.distinct import DistinctSegments
from dnc_edge.engines.lookup import PromptLookup
from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.sampling import Sampler, greedy

# A shorter instruction is decoded again sooner than it is looked up and copied.
LEAST_SHARED = 16


class Backend(Protocol):
    """A key-value cache of `slots` sequences, each of at most `context` tokens.

    Attributes:
        batch: most tokens of one decode, at least `slots`.
        resumes: whether a prompt may go on from what a slot holds; an encoder reads it whole or not at all.
        guesses: whether to verify guessed tokens (`lookup`) where a greedy sequence is alone.
    """

    slots: int
    context: int
    batch: int
    resumes: bool
    guesses: bool

    def decode(self, entries: Sequence[Entry]) -> Any:
        """Append tokens to slots; logits of the wanted ones, in order: float32, [wanted, vocabulary]."""
        ...

    def trim(self, slot: int, length: int) -> None:
        """Forget what a slot holds from position `length` on."""
        ...

    def copy(self, source: int, target: int) -> None:
        """Let `target` hold what `source` holds."""
        ...

    def use(self, adapter: str | None) -> None:
        """Decode with this adapter from now on; None is the base."""
        ...


class Entry(NamedTuple):
    """One token for one slot, at a position; `wanted` if its logits are."""

    slot: int
    position: int
    token: int
    wanted: bool


@dataclass
class _Sequence:
    """One request in a slot."""

    request: Request
    sampler: Sampler
    watch: DistinctSegments | None
    room: int
    pending: deque[int]
    lookup: PromptLookup | None = None
    made: int = 0
    held: list[Step] = field(default_factory=list)


@dataclass
class _Slot:
    index: int
    cached: list[int] = field(default_factory=list)
    adapter: str | None = None  # under which `cached` was decoded
    sequence: _Sequence | None = None


class Scheduler:
    """Runs requests on a backend. One `run` at a time; `cancel` from any thread.

    Attributes:
        adapter: the one that the backend uses now; None is the base.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots = [_Slot(index) for index in range(backend.slots)]
        self._cancelled: set[str] = set()
        self.adapter: str | None = None

    def cancel(self, id: str) -> None:
        self._cancelled.add(id)

    def run(self, requests: Iterable[Request]) -> Generator[Step]:
        """Decode all requests; they are taken from the iterable as slots become free."""
        waiting = _Waiting(iter(requests))
        active: list[_Slot] = []
        try:
            while True:
                while len(active) < len(self._slots) and (request := waiting.first()):
                    if active and request.adapter != self.adapter:
                        break  # the batch has one adapter; those before it end first
                    waiting.take()
                    refused = self._refused(request)
                    if refused:
                        yield refused
                    else:
                        active.append(self._place(request))
                if not active:
                    return
                yield from self._round(active)
        finally:
            # Whoever stops listening frees the slots; what they hold stays for who comes next.
            for slot in self._slots:
                slot.sequence = None
            self._cancelled.clear()

    def reset(self) -> None:
        """Forget what the slots hold: something else has used the cache."""
        for slot in self._slots:
            slot.cached.clear()
            self._backend.trim(slot.index, 0)

    def _refused(self, request: Request) -> Step | None:
        if len(request.tokens) >= self._backend.context:
            return Step(request.id, None, finish="too_long")
        if request.id in self._cancelled:
            return self._end_cancelled(request.id)
        return None

    def _end_cancelled(self, id: str) -> Step:
        self._cancelled.discard(id)
        return Step(id, None, finish="cancelled")

    def _place(self, request: Request) -> _Slot:
        """Give a request the free slot that spares it most, and note what is left to decode."""
        if request.adapter != self.adapter:
            self._backend.use(request.adapter)
            self.adapter = request.adapter
        tokens = list(request.tokens)
        free = [slot for slot in self._slots if slot.sequence is None]
        slot = max(free, key=lambda slot: self._reusable(slot, request, tokens))
        kept = self._reusable(slot, request, tokens)
        if not kept and self._backend.resumes and request.shared >= LEAST_SHARED:
            source = next((other for other in self._slots if self._holds_shared(other, request, tokens)), None)
            if source:
                self._backend.copy(source.index, slot.index)
                slot.cached = list(source.cached)
                kept = request.shared
        self._backend.trim(slot.index, kept)
        del slot.cached[kept:]
        slot.adapter = request.adapter
        slot.sequence = _Sequence(
            request,
            Sampler(request.sampling),
            DistinctSegments(request.distinct, request.stop_ids) if request.distinct else None,
            room=min(request.max_tokens, self._backend.context - len(tokens)),
            pending=deque(tokens[kept:]),
            # Only one sequence alone leaves a decode room for guesses.
            lookup=PromptLookup(tokens) if self._backend.guesses and request.sampling.temperature == 0 else None,
        )
        return slot

    def _reusable(self, slot: _Slot, request: Request, tokens: list[int]) -> int:
        """How many tokens of a prompt a slot holds already and may keep.

        Not just any common beginning: kernels round differently by batch size, so that would let earlier
        requests change an answer. The instruction is always decoded up to the same place.
        """
        length = len(slot.cached)
        if not self._backend.resumes:
            return 0
        if slot.adapter == request.adapter and 0 < length < len(tokens) and tokens[:length] == slot.cached:
            return length
        return request.shared if self._holds_shared(slot, request, tokens) else 0

    def _holds_shared(self, slot: _Slot, request: Request, tokens: list[int]) -> bool:
        shared = request.shared
        return (
            LEAST_SHARED <= shared < len(tokens)
            and slot.adapter == request.adapter
            and slot.cached[:shared] == tokens[:shared]
        )

    def _round(self, active: list[_Slot]) -> Iterator[Step]:
        """One decode, and what every slot makes of it."""
        if self._cancelled:
            for slot in [slot for slot in active if slot.sequence and slot.sequence.request.id in self._cancelled]:
                assert slot.sequence is not None
                yield self._end_cancelled(slot.sequence.request.id)
                slot.sequence = None
                active.remove(slot)
        if len(active) == 1 and (guessed := self._guess(active[0])):
            yield from self._verify(active, guessed)
            return
        entries, wanted = self._compose(active)
        if not entries:
            return
        logits = self._decode(entries)
        if wanted:
            tokens, logprobs = greedy(logits)
            for row, slot in enumerate(list(wanted)):
                yield from self._advance(slot, logits[row], int(tokens[row]), float(logprobs[row]))
                if slot.sequence is None:
                    active.remove(slot)

    def _decode(self, entries: list[Entry]) -> Any:
        try:
            return self._backend.decode(entries)
        except BaseException:
            self.reset()  # how much of the batch arrived is not known
            raise

    def _guess(self, slot: _Slot) -> list[int]:
        """Tokens to try after the next one of a sequence that is decoding alone."""
        sequence = slot.sequence
        if sequence is None or sequence.lookup is None or len(sequence.pending) != 1:
            return []
        room = min(sequence.room - sequence.made - 1, self._backend.batch - 1)
        return sequence.lookup.guesses()[: max(0, room)]

    def _verify(self, active: list[_Slot], guessed: list[int]) -> Iterator[Step]:
        """Decode the next token and the guesses after it at once; keep as many as are what is likeliest."""
        (slot,) = active
        sequence = slot.sequence
        assert sequence is not None
        start = len(slot.cached)
        tokens = [sequence.pending.popleft(), *guessed]
        logits = self._decode([Entry(slot.index, start + place, token, True) for place, token in enumerate(tokens)])
        likeliest, logprobs = greedy(logits)
        for place, token in enumerate(tokens):
            slot.cached.append(token)
            held = len(slot.cached)
            yield from self._advance(slot, logits[place], int(likeliest[place]), float(logprobs[place]))
            if slot.sequence is None:
                active.clear()
                break
            right = place < len(guessed) and len(slot.cached) == held and sequence.pending[0] == guessed[place]
            if not right or sequence.request.id in self._cancelled:
                break
            sequence.pending.popleft()
        self._backend.trim(slot.index, len(slot.cached))

    def _compose(self, active: list[_Slot]) -> tuple[list[Entry], list[_Slot]]:
        """The next batch: a token of every decoding slot first, then prompts in the order of arrival."""
        if len(active) == 1 and (sequence := active[0].sequence) and len(sequence.pending) == 1:
            # One sequence, decoding: most tokens of a person's single question.
            slot = active[0]
            entry = Entry(slot.index, len(slot.cached), sequence.pending.popleft(), True)
            slot.cached.append(entry.token)
            return [entry], active
        entries: list[Entry] = []
        wanted: list[_Slot] = []
        room = self._backend.batch
        for slot in sorted(active, key=lambda slot: len(slot.sequence.pending) > 1 if slot.sequence else False):
            sequence = slot.sequence
            assert sequence is not None
            count = min(len(sequence.pending), room, self._until_shared(slot))
            for _ in range(count):
                token = sequence.pending.popleft()
                last = not sequence.pending
                entries.append(Entry(slot.index, len(slot.cached), token, last))
                slot.cached.append(token)
            room -= count
            if count and not sequence.pending:
                wanted.append(slot)
        # In the order of the slots, which is the order of the cache: llama.cpp cuts a batch wherever it is left.
        entries.sort(key=lambda entry: entry.slot)
        wanted.sort(key=lambda slot: slot.index)
        return entries, wanted

    def _until_shared(self, slot: _Slot) -> int:
        """An instruction is decoded by itself, so that it is the same whoever decoded it."""
        sequence = slot.sequence
        assert sequence is not None
        shared = sequence.request.shared
        at = len(slot.cached)
        return shared - at if shared >= LEAST_SHARED and at < shared else self._backend.context

    def _advance(self, slot: _Slot, logits: Any, token: int, logprob: float) -> Iterator[Step]:
        """Take a slot's next token, the likeliest one given, and pass on what is certain."""
        sequence = slot.sequence
        assert sequence is not None
        request = sequence.request
        if not sequence.sampler.greedy:
            token, logprob = sequence.sampler.choose(logits)
        if sequence.watch and (rewind := sequence.watch.add(token, logprob, logits)):
            token, logprob = rewind.token, rewind.logprob
            del sequence.held[len(sequence.held) - rewind.drop :]
            sequence.made -= rewind.drop
            if rewind.drop:
                if sequence.lookup:
                    sequence.lookup.drop(rewind.drop)
                del slot.cached[-rewind.drop :]
                self._backend.trim(slot.index, len(slot.cached))
        if sequence.lookup:
            sequence.lookup.add(token)
        sequence.made += 1
        ended = token in request.stop_ids
        finish = "stop" if ended else "length" if sequence.made == sequence.room else None
        step = Step(request.id, token, logprob, finish)  # type: ignore[arg-type]
        if finish:
            slot.sequence = None
        else:
            sequence.pending.append(token)
        if not sequence.watch:
            yield step
            return
        sequence.held.append(step)
        if finish or not sequence.watch.holding:
            held, sequence.held = sequence.held, []
            yield from held


class _Waiting:
    """The next request, looked at before it is taken."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests
        self._first: Request | None = None

    def first(self) -> Request | None:
        if self._first is None:
            self._first = next(self._requests, None)
        return self._first

    def take(self) -> None:
        self._first = None
