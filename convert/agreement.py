"""How near a level's predictions are to the reference's, token by token of the reference's own plans.

Means hide what a reader notices: a level may agree on average and differ much at a few tokens ("Accuracy is not all
you need", arXiv 2407.09141), so percentiles stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnc_edge.convert.decoders import Decoder
from dnc_edge.convert.fidelity import Reference, divergence, four_digits, log_softmax


@dataclass(frozen=True)
class Agreement:
    """A level's predictions against the reference's.

    Attributes:
        n: questions; tokens: how many predictions were compared.
        kl: mean KL divergence, reference to level, in nats a token.
        kl_percentiles: of the tokens, by "p50", "p95", "p99" and "max".
        probability_change: by how much more probability the level gives to the plan's token than the reference does,
            -1 to 1, by "mean", "p1", "p5", "p50", "p95" and "p99".
        top_tokens: share of predictions whose likeliest token is the reference's.
    """

    n: int
    tokens: int
    kl: float
    kl_percentiles: Mapping[str, float]
    probability_change: Mapping[str, float]
    top_tokens: float


def agreement(reference: Reference, decoder: Decoder) -> Agreement:
    """Compare a level's logits with the reference's, question by question."""
    divergences, changes, agreements = [], [], []
    for number, (prompt, plan) in enumerate(zip(reference.prompts, reference.decoded, strict=True)):
        wanted, given = reference.logits(number), decoder.logits(prompt, plan)  # (tokens of the plan, vocabulary)
        p, q = log_softmax(wanted), log_softmax(given)
        divergences.append(divergence(p, q))
        places = np.arange(len(plan)), np.asarray(plan)
        changes.append(np.exp(q[places]) - np.exp(p[places]))
        agreements.append(wanted.argmax(axis=1) == given.argmax(axis=1))
    kl, change = np.concatenate(divergences), np.concatenate(changes)  # (tokens of all plans,)
    return Agreement(
        n=len(reference.decoded),
        tokens=int(kl.size),
        kl=four_digits(kl.mean()),
        kl_percentiles={**_percentiles(kl, 50, 95, 99), "max": four_digits(kl.max())},
        probability_change={"mean": four_digits(change.mean()), **_percentiles(change, 1, 5, 50, 95, 99)},
        top_tokens=four_digits(np.concatenate(agreements).mean()),
    )


def _percentiles(values: Any, *wanted: int) -> dict[str, float]:
    return {f"p{one}": four_digits(value) for one, value in zip(wanted, np.percentile(values, wanted), strict=True)}
