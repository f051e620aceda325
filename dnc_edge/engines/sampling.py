"""Choose the next token from logits, with the log-probability it had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnc_edge.engines.protocol import Sampling

Logits = NDArray[np.float32]


def greedy(logits: Logits) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """(likeliest token, its log-probability) of each row of [rows, vocabulary]."""
    tokens = logits.argmax(axis=1)
    # Shifted by the largest, so that exp cannot overflow; its own logit is then 0.
    shifted = logits - logits[np.arange(len(tokens)), tokens, None]
    np.exp(shifted, out=shifted)
    return tokens, -np.log(np.add.reduce(shifted, axis=1))


class Sampler:
    """The sampling of one request: its settings and its own random numbers."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._rng = np.random.default_rng(sampling.seed) if sampling.temperature > 0 else None

    @property
    def greedy(self) -> bool:
        return self._rng is None

    def choose(self, logits: Logits) -> tuple[int, float]:
        """(token id, log-probability under the unchanged model) for logits of shape [vocabulary]."""
        tops, logprobs = greedy(logits[None])
        top = int(tops[0])
        token = top if self._rng is None else self._draw(logits)
        return token, float(logits[token] - logits[top]) + float(logprobs[0])

    def _draw(self, logits: Logits) -> int:
        assert self._rng is not None
        scaled = logits.astype(np.float64) / self.sampling.temperature
        probabilities = np.exp(scaled - scaled.max())
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")
        cumulative = np.cumsum(probabilities[order])
        # The smallest set of likeliest tokens that reaches top_p; always at least one.
        kept = int(np.searchsorted(cumulative, self.sampling.top_p * cumulative[-1])) + 1
        chances = probabilities[order[:kept]]
        return int(order[self._rng.choice(min(kept, len(order)), p=chances / chances.sum())])
