"""Intervals: Wilson's for shares, the percentile bootstrap for means, the paired one for differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the number of questions behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: int, n: int, z: float = 1.959964) -> Estimate:
    """Wilson's score interval of a share (Wilson 1927); n = 0 is all ignorance, [0, 1]."""
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), n)


def bootstrap(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Percentile bootstrap of a mean (Efron and Tibshirani 1993, chapter 13)."""
    sample = np.asarray(values, dtype=float)
    if sample.size == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    means = np.fromiter((sample[rng.integers(0, sample.size, sample.size)].mean() for _ in range(resamples)), float)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(sample.mean()), float(low), float(high), int(sample.size))


def mean(values: Sequence[float]) -> Estimate:
    """A mean with its interval: Wilson's where all values are 0 or 1, else the bootstrap."""
    if set(values) <= {0.0, 1.0}:
        return wilson(int(sum(values)), len(values))
    return bootstrap(values)


@dataclass(frozen=True)
class Kept:
    """What a decomposer keeps of gold plans through one solver.

    `ratio` is None where gold plans are not known to help; `n_needed` is how many questions would bring the interval
    of what they gain down to half of it.
    """

    gain: Estimate
    gold_gain: Estimate
    ratio: Estimate | None
    n_needed: int | None


def kept(
    plans: Sequence[float],
    gold: Sequence[float],
    none: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Kept:
    """(accuracy with its plans - with none) / (with gold plans - with none), on the same questions in the same order.

    Raises:
        ValueError: the three differ in length.
    """
    gain, gold_gain = paired(plans, none), paired(gold, none)
    half = (gold_gain.high - gold_gain.low) / 2
    needed = math.ceil(gold_gain.n * (2 * half / gold_gain.value) ** 2) if gold_gain.value else None
    if gold_gain.low <= 0:
        return Kept(gain, gold_gain, None, needed)
    ours, best = (np.asarray(values, float) - np.asarray(none, float) for values in (plans, gold))
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, ours.size, ours.size) for _ in range(resamples))
    ratios = [ours[rows].sum() / best[rows].sum() for rows in drawn if best[rows].sum()]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Kept(gain, gold_gain, Estimate(float(ours.sum() / best.sum()), float(low), float(high), gain.n), needed)


def paired(first: Sequence[float], second: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Bootstrap of the mean difference first - second on the same questions, in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores cannot be paired")
    return bootstrap([a - b for a, b in zip(first, second, strict=True)], resamples=resamples, seed=seed)
