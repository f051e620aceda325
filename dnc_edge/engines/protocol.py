"""What every engine offers, and what goes in and out."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dnc_edge.engines.observer import Observer

Finish = Literal["stop", "length", "cancelled", "too_long"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 is greedy; else logits are divided by it.
        top_p: share of probability kept, (0, 1].
        seed: of the request's own random numbers; same seed, same tokens.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True)
class Request:
    """One sequence to continue.

    Attributes:
        id: chosen by the caller, unique among the requests in flight.
        tokens: the prompt, at least one token id.
        max_tokens: how many to decode at most, at least 1.
        stop_ids: token ids that end the sequence; the ending token is in the last step.
        adapter: name of a LoRA adapter the engine knows, or None for the base.
        shared: how many of the first tokens are an instruction that other requests begin with too; an engine
            may decode it once for all of them.
        observers: see every token after the prompt, and may refuse, insert and end. What they
            insert are steps too, with log-probability 0.
    """

    id: str
    tokens: Sequence[int]
    max_tokens: int
    stop_ids: frozenset[int] = frozenset()
    sampling: Sampling = GREEDY
    adapter: str | None = None
    shared: int = 0
    observers: Sequence[Observer] = ()


@dataclass(frozen=True)
class Step:
    """One decoded token of one request; the last step of a request, and only that one, has `finish`.

    Attributes:
        token: None if the request ended without one (cancelled, too_long, or nothing was left to go on with).
        logprob: natural log-probability of the token under the model, before sampling settings.
        finish: "stop" (token is a stop id, or an observer ended the sequence), "length" (max_tokens or context
            reached), "cancelled", "too_long" (the prompt does not fit the context; nothing was decoded).
    """

    id: str
    token: int | None
    logprob: float = 0.0
    finish: Finish | None = None


class Engine(Protocol):
    """Decodes requests; the one thing of a student that needs a native library.

    Attributes:
        name: "llama.cpp" or "onnxruntime".
        context: longest sequence, prompt and answer together, in tokens.
    """

    name: str
    context: int

    def run(self, requests: Iterable[Request | None]) -> Generator[Step]:
        """Decode all requests; steps come as they are decoded, each request's in order.

        They are taken from the iterable as there is room; None says that there is none now, and it is asked again.
        """
        ...

    def cancel(self, id: str) -> None:
        """End a request at its next step; unknown ids are ignored. May be called from any thread."""
        ...

    def close(self) -> None:
        """Free the model. Calling it twice is harmless."""
        ...
