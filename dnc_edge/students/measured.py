"""What a conversion measured of the weights it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnc_edge.types import Estimate


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A level compared with what was trained, on the same questions.

    Attributes:
        on: name of the questions; n: how many.
        tokens: how many predictions were compared.
        kl: mean KL divergence from the reference to the level, in nats per token.
        top_tokens: share (0 to 1) of predictions whose likeliest token is the reference's.
        largest_difference: between two logits.
        identical: number of plans that equal the reference's token for token.
        ties: number of other plans that first differ where the reference's two logits are equal up to rounding.
        parted: ids of the remaining questions.
        plan_f1: of the level's own plans; None for a solver.
        f1_lost: the reference's plan F1 less the level's, paired by question; None for a solver.
        poor: whether it loses more than a level may; see `convert.fidelity`.
    """

    on: str
    n: int
    tokens: int
    kl: float
    top_tokens: float
    largest_difference: float
    identical: int
    ties: int
    parted: tuple[str, ...] = field(repr=False)
    poor: bool
    plan_f1: Estimate | None = None
    f1_lost: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one level; those that do not apply to its engine are None.

    Attributes:
        bits_per_weight: on average, over all tensors.
        types: number of tensors by type.
        fell_back: tensors whose shape does not allow the level's type.
        fused: whether the graph's attention blocks were fused.
        fidelity: None if it was not compared.
    """

    bits_per_weight: float | None = None
    types: Mapping[str, int] | None = None
    fell_back: tuple[str, ...] | None = None
    fused: bool | None = None
    fidelity: Fidelity | None = None
