"""Continuous batching: many requests through the few sequences of one key-value cache.

A slot is one sequence of the cache. Every round, each slot that is decoding gets its next token into the
batch, prompts fill what room is left, in the order in which they came, and a slot is taken again the moment
its request ends. A slot keeps the tokens of its last request: a prompt that continues them, or begins with
the same instruction (`Request.shared`), is decoded only from there on.

Several runs share the slots: whichever of their readers needs a step decodes the next round, for all of them. So
a run that nobody reads just now holds nobody up, and questions that many threads ask are decoded together.

Pure Python over `Backend`, so that a fake one can prove its invariants.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dnc_edge.engines.distinct import DistinctSegments
from dnc_edge.engines.lookup import PromptLookup
from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.sampling import Sampler, greedy
from dnc_edge.errors import StudentError

# A shorter instruction is decoded again sooner than it is looked up and copied.
LEAST_SHARED = 16
# Steps that a run may be behind in reading before no more of its requests are taken.
MOST_UNREAD = 4096


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


class _Run:
    """The requests of one caller, and the steps that it has not read yet."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests
        self._first: Request | None = None
        self._exhausted = False
        self.steps: deque[Step] = deque()
        self.active = 0
        self.served = 0  # when a request of it was last taken
        self.error: BaseException | None = None
        self.closed = False

    def first(self) -> Request | None:
        """The next request, looked at before it is taken."""
        if self._first is None and not self._exhausted:
            self._first = next(self._requests, None)
            self._exhausted = self._first is None
        return self._first

    def take(self, turn: int) -> None:
        self._first, self.served = None, turn

    @property
    def ended(self) -> bool:
        """Whether no step will be added any more."""
        return self.error is not None or (self._exhausted and not self.active)


@dataclass
class _Sequence:
    """One request in a slot."""

    run: _Run
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
    """Runs requests on a backend, from any threads.

    Attributes:
        adapter: the one that the backend uses now; None is the base.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots = [_Slot(index) for index in range(backend.slots)]
        self._active: list[_Slot] = []  # in the order in which their requests came
        self._cancelled: set[str] = set()
        self._runs: list[_Run] = []
        self._taken = 0
        self._changed = threading.Condition()
        self._turning: int | None = None  # the thread that is decoding a round
        self._closed = self._released = False
        self.adapter: str | None = None

    def cancel(self, id: str) -> None:
        self._cancelled.add(id)

    def run(self, requests: Iterable[Request]) -> Generator[Step]:
        """Decode all requests; they are taken from the iterable as slots become free.

        Raises:
            StudentError: the scheduler is closed, or the iterable itself asks it for something.
        """
        run = _Run(iter(requests))
        with self._changed:
            if self._closed:
                raise StudentError("the engine is closed")
            self._runs.append(run)
        try:
            while True:
                ended = run.ended
                while run.steps:
                    yield run.steps.popleft()
                if run.error:
                    raise run.error
                if ended:
                    return
                if self._begin_turn(run):
                    try:
                        self._turn()
                    finally:
                        self._end_turn()
        finally:
            # Whoever stops listening frees the slots, in the next turn; what they hold stays for who comes next.
            run.closed = True

    def close(self) -> None:
        """Take no new runs."""
        with self._changed:
            self._closed = True

    def released(self) -> bool:
        """Whether the backend may be freed: closed, and all runs at their end. True once."""
        with self._changed:
            if self._released or not self._closed or self._turning is not None:
                return False
            self._released = all(run.closed for run in self._runs)
            return self._released

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The backend to oneself: what is in flight ends first, and the slots are empty before and after."""
        self._begin_turn(None)
        try:
            if self._closed:
                raise StudentError("the engine is closed")
            while self._active:
                self._round()
            self.reset()
            yield
            self.reset()
        finally:
            self._end_turn()

    def _begin_turn(self, run: _Run | None) -> bool:
        """Wait until nobody is decoding; False where a run has something to read or has ended meanwhile."""
        thread = threading.get_ident()
        with self._changed:
            if self._turning == thread:
                raise StudentError(
                    "this thread is in the middle of a request to the same engine",
                    hint="requests cannot be made out of what the engine itself is to decode",
                )
            while self._turning is not None and not (run and (run.steps or run.ended)):
                self._changed.wait()
            if run and (run.steps or run.ended):
                return False
            self._turning = thread
            return True

    def _end_turn(self) -> None:
        with self._changed:
            self._turning = None
            self._changed.notify_all()

    def _turn(self) -> None:
        """Take what requests there is room for, and decode a round."""
        with self._changed:
            self._runs = [run for run in self._runs if not run.closed]
            runs = list(self._runs)
        for slot in [slot for slot in self._active if slot.sequence and slot.sequence.run.closed]:
            self._take_back(slot)
            self._leave(slot)
        try:
            self._admit(runs)
            if self._active:
                self._round()
        except BaseException as error:
            # The cache is as good as lost, and with it whatever was in it.
            for slot in list(self._active):
                assert slot.sequence is not None
                slot.sequence.run.error = error
                self._leave(slot)
            raise
        if not self._active and all(run.ended for run in runs):
            self._cancelled.clear()

    def _admit(self, runs: list[_Run]) -> None:
        """Give free slots to requests; of several runs the one that has waited longest comes first."""
        while len(self._active) < len(self._slots):
            ready = [run for run in runs if len(run.steps) <= MOST_UNREAD and self._first(run)]
            if not ready:
                return
            run = min(ready, key=lambda run: run.served)
            request = run.first()
            assert request is not None
            if self._active and request.adapter != self.adapter:
                return  # the batch has one adapter; those before it end first
            self._taken += 1
            run.take(self._taken)
            refused = self._refused(request)
            if refused:
                run.steps.append(refused)
            else:
                self._active.append(self._place(run, request))

    def _first(self, run: _Run) -> bool:
        """Whether a run has a request; what its iterable raises is its own."""
        try:
            return run.error is None and run.first() is not None
        except Exception as error:
            run.error = error
            return False

    def _take_back(self, slot: _Slot) -> None:
        """Forget what nobody has read: a prompt that goes on from what was read then finds its beginning."""
        sequence = slot.sequence
        assert sequence is not None
        unread = len(sequence.held) + sum(step.id == sequence.request.id for step in sequence.run.steps)
        if sequence.made > unread:
            # The last token that was read is not in the cache: it was to be decoded next.
            length = len(sequence.request.tokens) + sequence.made - unread - 1
            self._backend.trim(slot.index, length)
            del slot.cached[length:]

    def _leave(self, slot: _Slot) -> None:
        """A slot's sequence has ended."""
        assert slot.sequence is not None
        slot.sequence.run.active -= 1
        slot.sequence = None
        self._active.remove(slot)

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

    def _place(self, run: _Run, request: Request) -> _Slot:
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
        run.active += 1
        slot.sequence = _Sequence(
            run,
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

    def _round(self) -> None:
        """One decode, and what every slot makes of it."""
        if self._cancelled:
            for slot in list(self._active):
                sequence = slot.sequence
                if sequence and sequence.request.id in self._cancelled:
                    sequence.run.steps.append(self._end_cancelled(sequence.request.id))
                    self._leave(slot)
        if len(self._active) == 1 and (guessed := self._guess(self._active[0])):
            self._verify(self._active[0], guessed)
            return
        entries, wanted = self._compose()
        if not entries:
            return
        logits = self._decode(entries)
        if wanted:
            tokens, logprobs = greedy(logits)
            for row, slot in enumerate(wanted):
                self._advance(slot, logits[row], int(tokens[row]), float(logprobs[row]))

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

    def _verify(self, slot: _Slot, guessed: list[int]) -> None:
        """Decode the next token and the guesses after it at once; keep as many as are what is likeliest."""
        sequence = slot.sequence
        assert sequence is not None
        start = len(slot.cached)
        tokens = [sequence.pending.popleft(), *guessed]
        logits = self._decode([Entry(slot.index, start + place, token, True) for place, token in enumerate(tokens)])
        likeliest, logprobs = greedy(logits)
        for place, token in enumerate(tokens):
            slot.cached.append(token)
            held = len(slot.cached)
            self._advance(slot, logits[place], int(likeliest[place]), float(logprobs[place]))
            if slot.sequence is None:
                break
            right = place < len(guessed) and len(slot.cached) == held and sequence.pending[0] == guessed[place]
            if not right or sequence.request.id in self._cancelled:
                break
            sequence.pending.popleft()
        self._backend.trim(slot.index, len(slot.cached))

    def _compose(self) -> tuple[list[Entry], list[_Slot]]:
        """The next batch: a token of every decoding slot first, then prompts in the order of arrival."""
        active = self._active
        if len(active) == 1 and (sequence := active[0].sequence) and len(sequence.pending) == 1:
            # One sequence, decoding: most tokens of a person's single question.
            slot = active[0]
            entry = Entry(slot.index, len(slot.cached), sequence.pending.popleft(), True)
            slot.cached.append(entry.token)
            return [entry], [slot]
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

    def _advance(self, slot: _Slot, logits: Any, token: int, logprob: float) -> None:
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
        if not finish:
            sequence.pending.append(token)
        sequence.held.append(step)
        if finish or not sequence.watch or not sequence.watch.holding:
            sequence.run.steps.extend(sequence.held)
            sequence.held.clear()
        if finish:
            self._cancelled.discard(request.id)
            self._leave(slot)
