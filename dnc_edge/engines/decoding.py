"""One request while it is decoded: what came so far, what is held back, and what its observers make of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from dnc_edge.engines.detours import Choice, Trail, alternatives
from dnc_edge.engines.lookup import PromptLookup
from dnc_edge.engines.protocol import Finish, Request, Step
from dnc_edge.engines.sampling import Sampler


class Caller:
    """Who asked: the steps that it has not read yet, and how many slots are at work for it."""

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()
        self.active = 0


class Decoding:
    """Takes tokens as the model chooses them; steps that are certain go to the caller.

    Args:
        pending: tokens of the prompt that are still to be decoded.
        room: most tokens after the prompt.
        guesses: whether tokens may be guessed and verified. looks_up: whether prompt lookup guesses, too.

    Attributes:
        pending: tokens still to be decoded: of the prompt, then the one that was chosen and what was inserted.
        made: tokens after the prompt so far.
        ended: whether nothing more comes.
    """

    def __init__(
        self,
        caller: Caller,
        request: Request,
        *,
        pending: Iterable[int],
        room: int,
        guesses: bool,
        looks_up: bool,
    ) -> None:
        self.caller, self.request = caller, request
        self.pending = deque(pending)
        self.made = 0
        self.ended = False
        self._room = room
        self._sampler = Sampler(request.sampling)
        self._guesses = guesses and self._sampler.greedy
        self._lookup = PromptLookup(request.tokens) if self._guesses and looks_up else None
        self._observers = (*request.observers, *([self._lookup] if self._lookup else []))
        self._trail = Trail()
        self._held: list[Step] = []

    @property
    def unread(self) -> int:
        """How many of the tokens the caller has not read."""
        return len(self._held) + sum(step.id == self.request.id for step in self.caller.steps)

    def guesses(self, *, alone: bool) -> Sequence[int]:
        """Tokens to verify after the one that is pending; prompt lookup pays only where no other sequence decodes."""
        if not self._guesses or len(self.pending) != 1:
            return ()
        for observer in self._observers:
            if (alone or observer is not self._lookup) and (guessed := observer.guesses()):
                return guessed[: max(0, self._room - self.made - 1)]
        return ()

    def take(self, logits: Any, token: int, logprob: float) -> int:
        """Go on with the next token, or another way where an observer refuses it.

        Args:
            logits: of every token, (vocabulary,).
            token, logprob: the likeliest, and its log-probability.

        Returns:
            how many of the last tokens were taken back.
        """
        if not self._sampler.greedy:
            token, logprob = self._sampler.choose(logits)
        dropped = 0
        if allowed := self._allowed(token):
            pass
        elif detour := self._trail.detour(self._others(logits, token, logprob)):
            dropped, token, logprob = detour.drop, detour.token, detour.logprob
            self._drop(dropped)
        else:
            dropped = len(self._trail)
            self._drop(dropped)
            self._end(Step(self.request.id, None, finish="stop"))
            return dropped
        if not any(observer.holds(token) for observer in self._observers):
            self._trail.clear()
        elif allowed:
            self._trail.add(logprob, self._others(logits, token, logprob))
        self._add(token, logprob)
        return dropped

    def _allowed(self, token: int) -> bool:
        return all(observer.allows(token) for observer in self._observers)

    def _others(self, logits: Any, token: int, logprob: float) -> list[Choice]:
        # The end is no way out: a plan that ends where it would repeat itself lacks what was to come.
        stops = self.request.stop_ids
        return alternatives(logits, token, logprob, lambda other: other not in stops and self._allowed(other))

    def _drop(self, count: int) -> None:
        if count:
            del self._held[-count:]
            self.made -= count
            for observer in self._observers:
                observer.drop(count)

    def _add(self, token: int, logprob: float) -> None:
        """Take a token and what is inserted after it; pass on what is certain."""
        coming = deque([(token, logprob)])
        while coming:
            token, logprob = coming.popleft()
            self.made += 1
            for observer in self._observers:
                for inserted in observer.add(token):
                    coming.append((inserted, 0.0))
                    self._trail.clear()  # what was inserted stays, and so does what it was inserted after
            finish = self._finish(token)
            step = Step(self.request.id, token, logprob, finish)
            if finish:
                self._end(step)
                return
            self._held.append(step)
            self.pending.append(token)
        if not len(self._trail):
            self._release()

    def _finish(self, token: int) -> Finish | None:
        if token in self.request.stop_ids or any(observer.done for observer in self._observers):
            return "stop"
        return "length" if self.made == self._room else None

    def _end(self, step: Step) -> None:
        self._held.append(step)
        self._release()
        self.ended = True

    def _release(self) -> None:
        self.caller.steps.extend(self._held)
        self._held.clear()
