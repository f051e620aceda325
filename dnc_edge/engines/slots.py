"""The sequences of one key-value cache, and what a round decodes for them.

Every round, each slot that is decoding gets its next token into the batch, and prompts fill what room is left, in
the order in which they came. A slot keeps the tokens of its last request: a prompt that continues them, or begins
with the same instruction (`Request.shared`), is decoded only from there on.

Pure Python over `Backend`, so that a fake one can prove its invariants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dnc_edge.engines.decoding import Caller, Decoding
from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.sampling import greedy

# A shorter instruction is decoded again sooner than it is looked up and copied.
LEAST_SHARED = 16


class Backend(Protocol):
    """A key-value cache of `slots` sequences, each of at most `context` tokens.

    Attributes:
        batch: most tokens of one decode, at least `slots`.
        resumes: whether a prompt may go on from what a slot holds; an encoder reads it whole or not at all.
        guesses: whether guessed tokens are verified; more than one token after a prompt is then decoded at once.
        looks_up: whether prompt lookup pays: several tokens of one sequence cost little more than one.
    """

    slots: int
    context: int
    batch: int
    resumes: bool
    guesses: bool
    looks_up: bool

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
        """Decode with this adapter from now on; None is the base.

        Raises:
            StudentError: it cannot be used, and nothing has changed.
        """
        ...

    def free(self) -> None:
        """Give back what it holds; nothing is asked of it afterwards."""
        ...


class Entry(NamedTuple):
    """One token for one slot, at a position; `wanted` if its logits are."""

    slot: int
    position: int
    token: int
    wanted: bool


@dataclass
class _Slot:
    index: int
    cached: list[int] = field(default_factory=list)
    adapter: str | None = None  # under which `cached` was decoded
    decoding: Decoding | None = None


class Slots:
    """The slots of a backend, decoded by one thread at a time.

    Attributes:
        adapter: the one that the backend uses now; None is the base.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._all = [_Slot(index) for index in range(backend.slots)]
        self._active: list[_Slot] = []  # in the order in which their requests came
        self._cancelled: set[str] = set()
        self.adapter: str | None = None

    @property
    def active(self) -> int:
        """How many slots have a request."""
        return len(self._active)

    @property
    def full(self) -> bool:
        return len(self._active) == len(self._all)

    def cancel(self, id: str) -> None:
        """End a request, in a slot or to come."""
        self._cancelled.add(id)

    def forget_cancelled(self) -> None:
        """Whatever was cancelled is not to come any more."""
        self._cancelled.clear()

    def add(self, caller: Caller, request: Request) -> None:
        """Give a request a slot, one being free; or end it at once if it is too long or cancelled.

        Raises:
            StudentError: its adapter cannot be used.
        """
        if len(request.tokens) >= self._backend.context:
            caller.steps.append(Step(request.id, None, finish="too_long"))
        elif request.id in self._cancelled:
            caller.steps.append(self._end_cancelled(request.id))
        else:
            self._active.append(self._place(caller, request))

    def use(self, adapter: str | None) -> None:
        """Decode with this adapter from now on; nothing may be in flight under another one.

        Raises:
            StudentError: it cannot be used; the one before it stays.
        """
        if adapter != self.adapter:
            self._backend.use(adapter)
            self.adapter = adapter

    def drop(self, caller: Caller) -> None:
        """Free the slots of a caller that has left; they hold what it has read."""
        for slot in [slot for slot in self._active if slot.decoding and slot.decoding.caller is caller]:
            self._take_back(slot)
            self._leave(slot)

    def free_all(self) -> None:
        """Free all slots after a failed round; what their caches hold is not known."""
        for slot in list(self._active):
            self._leave(slot)

    def round(self) -> None:
        """One decode, and what every slot makes of it; steps go to the callers."""
        if self._cancelled:
            for slot in list(self._active):
                decoding = slot.decoding
                if decoding and decoding.request.id in self._cancelled:
                    decoding.caller.steps.append(self._end_cancelled(decoding.request.id))
                    self._leave(slot)
        entries, wanted = self._compose()
        if not entries:
            return
        logits = self._decode(entries)  # (wanted, vocabulary)
        if wanted:
            tokens, logprobs = greedy(logits)
            first = 0
            for slot, guessed in wanted:
                rows = slice(first, first := first + 1 + len(guessed))
                self._advance(slot, guessed, logits[rows], tokens[rows], logprobs[rows])

    def reset(self) -> None:
        """Forget what the slots hold: something else has used the cache."""
        for slot in self._all:
            slot.cached.clear()
            self._backend.trim(slot.index, 0)

    def _end_cancelled(self, id: str) -> Step:
        self._cancelled.discard(id)
        return Step(id, None, finish="cancelled")

    def _place(self, caller: Caller, request: Request) -> _Slot:
        """Give a request the free slot that spares it most, and note what is left to decode."""
        self.use(request.adapter)
        tokens = list(request.tokens)
        free = [slot for slot in self._all if slot.decoding is None]
        slot = max(free, key=lambda slot: self._reusable(slot, request, tokens))
        kept = self._reusable(slot, request, tokens)
        if not kept and self._backend.resumes and request.shared >= LEAST_SHARED:
            source = next((other for other in self._all if self._holds_shared(other, request, tokens)), None)
            if source:
                self._backend.copy(source.index, slot.index)
                slot.cached = list(source.cached)
                kept = request.shared
        self._backend.trim(slot.index, kept)
        del slot.cached[kept:]
        slot.adapter = request.adapter
        caller.active += 1
        slot.decoding = Decoding(
            caller,
            request,
            pending=tokens[kept:],
            room=min(request.max_tokens, self._backend.context - len(tokens)),
            guesses=self._backend.guesses,
            looks_up=self._backend.looks_up,
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

    def _take_back(self, slot: _Slot) -> None:
        """Forget what nobody has read: a prompt that goes on from what was read then finds its beginning."""
        decoding = slot.decoding
        assert decoding is not None
        if decoding.made > decoding.unread:
            # The last token that was read is not in the cache: it was to be decoded next.
            length = len(decoding.request.tokens) + decoding.made - decoding.unread - 1
            self._backend.trim(slot.index, length)
            del slot.cached[length:]

    def _leave(self, slot: _Slot) -> None:
        """A slot's request has ended."""
        assert slot.decoding is not None
        slot.decoding.caller.active -= 1
        slot.decoding = None
        self._active.remove(slot)

    def _decode(self, entries: list[Entry]) -> Any:
        try:
            return self._backend.decode(entries)
        except BaseException:
            self.reset()  # how much of the batch arrived is not known
            raise

    def _compose(self) -> tuple[list[Entry], list[tuple[_Slot, Sequence[int]]]]:
        """The next batch, and the slots whose logits it gives, each with the tokens that are guessed for it.

        A token of every decoding slot comes first, then prompts in the order of arrival, then guesses.
        """
        entries: list[Entry] = []
        wanted: list[tuple[_Slot, Sequence[int]]] = []
        room = self._backend.batch
        alone = len(self._active) == 1
        for slot in sorted(self._active, key=lambda slot: len(slot.decoding.pending) > 1 if slot.decoding else False):
            decoding = slot.decoding
            assert decoding is not None
            guessed = decoding.guesses(alone=alone)
            count = min(len(decoding.pending), room, self._most_at_once(slot))
            for _ in range(count):
                token = decoding.pending.popleft()
                last = not decoding.pending
                entries.append(Entry(slot.index, len(slot.cached), token, last))
                slot.cached.append(token)
            room -= count
            if count and not decoding.pending:
                wanted.append((slot, guessed))
        for place, (slot, guessed) in enumerate(wanted):
            guessed = guessed[:room]
            room -= len(guessed)
            wanted[place] = slot, guessed
            entries += (Entry(slot.index, at, token, True) for at, token in enumerate(guessed, len(slot.cached)))
        # In the order of the slots, which is the order of the cache: llama.cpp cuts a batch wherever it is left.
        entries.sort(key=lambda entry: entry.slot)
        wanted.sort(key=lambda pair: pair[0].index)
        return entries, wanted

    def _most_at_once(self, slot: _Slot) -> int:
        decoding = slot.decoding
        assert decoding is not None
        request, at = decoding.request, len(slot.cached)
        if not self._backend.resumes:
            # An encoder reads the prompt whole; the decoder beside it writes token by token, what is inserted too.
            return 1 if at >= len(request.tokens) else len(request.tokens)
        # An instruction is decoded by itself, so that it is the same whoever decoded it.
        return request.shared - at if request.shared >= LEAST_SHARED and at < request.shared else self._backend.context

    def _advance(self, slot: _Slot, guessed: Sequence[int], logits: Any, tokens: Any, logprobs: Any) -> None:
        """Take a slot's next token, and those after it for as long as the guesses are right.

        Args:
            guessed: tokens that were decoded after the last one of the slot.
            logits: after that one and after each guess, (1 + guesses, vocabulary); the next call is free to change it.
            tokens, logprobs: the likeliest of each, (1 + guesses,).
        """
        decoding = slot.decoding
        assert decoding is not None
        for place in range(1 + len(guessed)):
            dropped = decoding.take(logits[place], int(tokens[place]), float(logprobs[place]))
            if dropped:
                del slot.cached[-dropped:]
            if decoding.ended or dropped or place == len(guessed) or decoding.request.id in self._cancelled:
                break
            if list(decoding.pending) != [guessed[place]]:
                break
            slot.cached.append(decoding.pending.popleft())
        if guessed or dropped:
            self._backend.trim(slot.index, len(slot.cached))
        if decoding.ended:
            self._cancelled.discard(decoding.request.id)
            self._leave(slot)
