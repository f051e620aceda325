"""Intervals: Wilson's for shares, the percentile bootstrap for means, the paired one for differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnc_edge.errors import ExtraMissing
from dnc_edge.types import Estimate as Estimate


def wilson(successes: int, n: int, z: float = 1.959964) -> Estimate:
    """Return a share with Wilson's score interval (Wilson 1927); n = 0 gives NaN and [0, 1].

    Args:
        successes: 0 to `n`.
        z: quantile of the normal distribution; the default is that of 95 %.
    """
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), n)


def bootstrap(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return a mean with its 95 % percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The same seed gives the same interval; no values give NaN.
    """
    sample = np.asarray(values, dtype=float)
    if sample.size == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    means = np.fromiter((sample[rng.integers(0, sample.size, sample.size)].mean() for _ in range(resamples)), float)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(sample.mean()), float(low), float(high), int(sample.size))


def mean(values: Sequence[float]) -> Estimate:
    """Return a mean with its interval: Wilson's if all values are 0 or 1, else the bootstrap."""
    if set(values) <= {0.0, 1.0}:
        return wilson(int(sum(values)), len(values))
    return bootstrap(values)


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


def paired(first: Sequence[float], second: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Return the mean difference first - second with its bootstrap interval, question by question in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores cannot be paired")
    return bootstrap([a - b for a, b in zip(first, second, strict=True)], resamples=resamples, seed=seed)


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
