"""How far a plan's confidence can be trusted: does it rank plans, is it right on average, what does it keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnc_edge.bench.confidence import auroc
from dnc_edge.bench.results import LevelCalibration
from dnc_edge.tasks.stats import Estimate

# Shares of the plans that are delivered, the most trusted first.
COVERAGES = tuple(step / 20 for step in range(1, 21))
BINS = 10
RESAMPLES = 1000


def calibration(
    confidences: Sequence[float], good: Sequence[bool], *, clusters: Sequence[int] | None = None
) -> LevelCalibration | None:
    """Judge the confidences of plans; None if there is no plan.

    Args:
        confidences: of the plans, 0 to 1; good: whether each turned out to be a good one.
        clusters: see `stats.bootstrap`.
    """
    if not confidences:
        return None
    sure, hits = np.asarray(confidences, dtype=float), np.asarray(good, dtype=float)  # (plans,)
    order = np.argsort(-sure, kind="stable")
    counts = [max(1, round(share * sure.size)) for share in COVERAGES]
    return LevelCalibration(
        n=int(sure.size),
        good=float(hits.mean()),
        auroc=_auroc(sure, hits > 0, clusters),
        expected_calibration_error=expected_calibration_error(confidences, good),
        risks=[round(1 - float(hits[order[:count]].mean()), 4) for count in counts],
    )


def expected_calibration_error(confidences: Sequence[float], good: Sequence[bool]) -> float:
    """Return the mean difference of confidence and outcome over ten bins (Guo et al. 2017, section 2)."""
    sure, hits = np.asarray(confidences, dtype=float), np.asarray(good, dtype=float)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, sure - hits)).sum() / sure.size)


def _auroc(sure: np.ndarray, good: np.ndarray, clusters: Sequence[int] | None) -> Estimate | None:
    """AUROC with the interval of a bootstrap over clusters; None if all plans are alike."""
    value = auroc(list(sure), list(good))
    if value is None:
        return None
    _, numbers = np.unique(np.arange(sure.size) if clusters is None else clusters, return_inverse=True)
    members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
    rng = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))])
        if (drawn := auroc(list(sure[rows]), list(good[rows]))) is not None:
            values.append(drawn)
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(value, float(low), float(high), int(sure.size))
