"""Intervals: Wilson's for shares, the percentile bootstrap for means, the paired one for differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnc_edge.errors import ExtraMissing
from dnc_edge.types import Estimate as Estimate

# Quantile of the normal distribution of a one-sided 95 % bound.
ONE_SIDED = 1.644854


def wilson(successes: int, n: int, z: float = 1.959964) -> Estimate:
    """Return a share with Wilson's score interval (Wilson 1927); n = 0 gives NaN and [0, 1].

    Args:
        successes: 0 to `n`.
        z: quantile of the normal distribution; the default is that of 95 %.
    """
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    low, high = _wilson_bounds(successes / n, n, z)
    return Estimate(successes / n, max(0.0, low), min(1.0, high), n)


def _wilson_bounds(share: float, n: float, z: float) -> tuple[float, float]:
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def bootstrap(
    values: Sequence[float], *, clusters: Sequence[int] | None = None, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Return a mean with its 95 % percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The same seed gives the same interval; no values give NaN.

    Args:
        clusters: for each value the number of its cluster (questions over one passage), drawn whole; None draws
            each value by itself.
        resamples, seed: of the bootstrap.
    """
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    means = resampled_ratios(values, None, clusters=clusters, resamples=resamples, seed=seed)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(np.mean(np.asarray(values, dtype=float))), float(low), float(high), len(values))


def resampled_ratios(
    numerators: Sequence[float],
    denominators: Sequence[float] | None,
    *,
    clusters: Sequence[int] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return sum of numerators / sum of denominators of each resample: [resamples]; see `bootstrap`.

    Args:
        denominators: None is 1 for each, so that the ratio is the mean. A sum below 1 counts as 1.
    """
    above = np.asarray(numerators, dtype=float)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, dtype=float)
    if clusters is not None:
        # Numbers that no value has are no clusters.
        _, numbers = np.unique(clusters, return_inverse=True)
        above, below = np.bincount(numbers, above), np.bincount(numbers, below)
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, above.size, above.size) for _ in range(resamples))
    return np.fromiter((above[rows].sum() / max(1.0, below[rows].sum()) for rows in drawn), float)


def at_most(values: Sequence[float], *, clusters: Sequence[int] | None = None) -> float:
    """Return the one-sided 95 % upper bound of a mean, by the same resamples as `bootstrap`."""
    return float(np.quantile(resampled_ratios(values, None, clusters=clusters), 0.95))


def share_at_most(hits: Sequence[bool], *, clusters: Sequence[int] | None = None) -> float:
    """Return the one-sided 95 % upper bound of a share: Wilson's, which is above 0 even without a hit.

    With clusters n is divided by the design effect: the variance with clusters over that without (Kish 1965).
    """
    share, n = float(np.mean(hits)), float(len(hits))
    if clusters is not None and 0 < share < 1:
        residuals = np.asarray(hits, dtype=float) - share
        n /= max(1.0, float((np.bincount(clusters, residuals) ** 2).sum() / (residuals**2).sum()))
    return _wilson_bounds(share, n, ONE_SIDED)[1]


def mean(values: Sequence[float], *, clusters: Sequence[int] | None = None) -> Estimate:
    """Return a mean with its interval: Wilson's if all values are 0 or 1 and none are clustered, else the bootstrap."""
    if clusters is None and set(values) <= {0.0, 1.0}:
        return wilson(int(sum(values)), len(values))
    return bootstrap(values, clusters=clusters)


@dataclass(frozen=True)
class RetainedGain:
    """The share of gold plans' gain in accuracy that a decomposer's plans reach through the same solver.

    Attributes:
        gain, gold_gain: accuracy with the decomposer's plans, and with gold plans, less that without plans.
        ratio: gain / gold_gain; None if the interval of `gold_gain` reaches down to 0.
        n_needed: questions at which the half-width of that interval would be half of `gold_gain`; None if it is 0.
    """

    gain: Estimate
    gold_gain: Estimate
    ratio: Estimate | None
    n_needed: int | None


def retained_gain(
    plans: Sequence[float],
    gold: Sequence[float],
    none: Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> RetainedGain:
    """Compute (accuracy with its plans - with none) / (with gold plans - with none), with a bootstrap interval.

    Args:
        plans, gold, none: the score of every question, in the same order in all three.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: the three differ in length.
    """
    gain, gold_gain = paired(plans, none), paired(gold, none)
    half = (gold_gain.high - gold_gain.low) / 2
    needed = math.ceil(gold_gain.n * (2 * half / gold_gain.value) ** 2) if gold_gain.value else None
    if gold_gain.low <= 0:
        return RetainedGain(gain, gold_gain, None, needed)
    ours, best = (np.asarray(values, float) - np.asarray(none, float) for values in (plans, gold))
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, ours.size, ours.size) for _ in range(resamples))
    ratios = [ours[rows].sum() / best[rows].sum() for rows in drawn if best[rows].sum()]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return RetainedGain(
        gain, gold_gain, Estimate(float(ours.sum() / best.sum()), float(low), float(high), gain.n), needed
    )


def paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[int] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Return the mean difference first - second with its bootstrap interval, question by question in the same order.

    Args:
        clusters, resamples, seed: see `bootstrap`.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores cannot be paired")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return bootstrap(differences, clusters=clusters, resamples=resamples, seed=seed)


def ratio(first: Sequence[float], second: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the ratio of two means, first / second, with its bootstrap interval over the questions that both share.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values cannot be paired")
    above, below = np.asarray(first, float), np.asarray(second, float)
    return resampled(lambda rows: above[rows].sum() / below[rows].sum(), above.size, resamples=resamples, seed=seed)


def resampled(statistic: Callable[[Any], float], n: int, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return a statistic of `n` questions with its 95 % percentile bootstrap interval.

    Args:
        statistic: its value for an array of question indices, in which some may occur several times.
        n: questions, at least 1.
    """
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(0, n, n)) for _ in range(resamples)]
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(statistic(np.arange(n))), float(low), float(high), n)


def logistic(inputs: Any, targets: Any, *, weights: Any = None, ridge: float = 1.0) -> list[float]:
    """Fit a logistic regression.

    Args:
        inputs: features, (rows, features). targets: true or false for each row, (rows,).
        weights: how much each row counts, (rows,); None counts all alike.
        ridge: keeps the weights of features that say little near 0.

    Returns:
        a weight for each feature, and the bias.

    Raises:
        ExtraMissing: the extra `eval` is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ExtraMissing("scipy", "eval") from error
    rows = np.column_stack([np.asarray(inputs, float), np.ones(len(inputs))])
    wanted = np.asarray(targets, float)
    counts = np.ones(len(rows)) if weights is None else np.asarray(weights, float)

    def loss(beta: Any) -> float:
        z = rows @ beta
        return float((counts * (np.logaddexp(0, z) - wanted * z)).sum() + ridge * (beta[:-1] ** 2).sum())

    return [float(value) for value in minimize(loss, np.zeros(rows.shape[1]), method="L-BFGS-B").x]
