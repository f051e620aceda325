"""Which questions need the strong solver: a route fitted on recorded answers of both, judged on questions left out.

Half of the questions calibrate the weights and the threshold of `solvers/routing.py`, the other half tests them beside
always asking one of the two, asking by chance, and an oracle that knows both answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnc_edge.bench.answers import Answered
from dnc_edge.bench.confidence import auroc
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import RoutePoint, RouteResult
from dnc_edge.errors import InputError
from dnc_edge.solvers.routing import FEATURES, Route, features
from dnc_edge.tasks import Task, stats
from dnc_edge.types import Plan, Question

# So many questions are needed in each half.
LEAST = 40
# Points of each line.
POINTS = 41


@dataclass(frozen=True)
class Half:
    """Some questions, answered by both: arrays of (questions,), and the features of (questions, features)."""

    inputs: Any
    cheap: Any
    strong: Any
    cheap_usd: Any
    strong_usd: Any

    @property
    def enough(self) -> Any:
        """Whether the strong solver is no better than the cheap one."""
        return self.cheap >= self.strong

    def taken(self, strong: Any, rows: Any = slice(None)) -> tuple[float, float]:
        """(accuracy, dollars for 1,000 questions) if the strong solver is asked where `strong` says so."""
        score = np.where(strong, self.strong, self.cheap)[rows].mean()
        usd = np.where(strong, self.strong_usd, self.cheap_usd)[rows].mean()
        return float(score), float(1000 * usd)


def route(
    task: Task,
    cheap: Mapping[str, Answered],
    strong: Mapping[str, Answered],
    plans: Mapping[str, Plan] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> RouteResult:
    """Fit a route and test it.

    Args:
        task: what was asked.
        cheap, strong: the answers of the two solvers, by id; questions that one of them lacks are left out.
        plans: by id, in place of those that the cheap side's records hold.
        settings: kept with the result.

    Returns:
        the route, and what it comes to on the half that did not fit it.

    Raises:
        InputError: too few questions were answered by both. ExtraMissing: the extra `eval` is not installed.
    """
    shared = [problem for problem in task.problems if problem.id in cheap and problem.id in strong]
    by_half: tuple[list[Any], list[Any]] = ([], [])
    for problem in shared:
        by_half[hashlib.sha256(problem.id.encode()).digest()[0] % 2].append(problem)
    if min(map(len, by_half)) < LEAST:
        raise InputError(f"{len(shared)} questions were answered by both; at least {3 * LEAST} are needed")

    def half(problems: Sequence[Any]) -> Half:
        rows = []
        for problem in problems:
            plan = (plans or {}).get(problem.id, cheap[problem.id].plan)
            values = features(Question(problem.question, problem.context), plan)
            rows.append([values[name] for name in FEATURES])
        ids = [problem.id for problem in problems]
        return Half(
            np.array(rows),
            np.array([cheap[id].score for id in ids]),
            np.array([strong[id].score for id in ids]),
            np.array([cheap[id].usd for id in ids]),
            np.array([strong[id].usd for id in ids]),
        )

    fitted, tested = half(by_half[0]), half(by_half[1])
    weights = stats.logistic(fitted.inputs, fitted.enough)
    named = {name: round(weight, 4) for name, weight in zip((*FEATURES, "bias"), weights, strict=True)}
    threshold = _threshold(fitted, _chances(fitted, weights))
    chances = _chances(tested, weights)
    chosen = chances < threshold
    n = len(chosen)
    everything, nothing = np.ones(n, bool), np.zeros(n, bool)

    def saved(rows: Any) -> float:
        return 1 - tested.taken(chosen, rows)[1] / tested.taken(everything, rows)[1]

    def over_chance(strong: Any, rows: Any) -> float:
        ours, paid = tested.taken(strong, rows)
        low, high = tested.taken(nothing, rows), tested.taken(everything, rows)
        share = (paid - low[1]) / (high[1] - low[1]) if high[1] != low[1] else 0.0
        return ours - (low[0] + share * (high[0] - low[0]))

    line = [chances < at for at in np.quantile(chances, np.linspace(0, 1, POINTS))] + [everything]

    return RouteResult(
        task=task.name,
        fitted=len(fitted.cheap),
        n=n,
        route=Route(round(threshold, 4), named).to_dict(),
        cheap=_point(tested, nothing),
        strong=_point(tested, everything),
        oracle=_point(tested, ~tested.enough),
        chosen=_point(tested, chosen),
        difference=stats.paired(np.where(chosen, tested.strong, tested.cheap), tested.strong),
        saved=stats.resampled(saved, n),
        over_chance=stats.resampled(lambda rows: over_chance(chosen, rows), n),
        line_over_chance=stats.resampled(
            lambda rows: float(np.mean([over_chance(strong, rows) for strong in line])), n, resamples=500
        ),
        auroc=auroc(list(chances), list(tested.enough)),
        line=[_point(tested, strong) for strong in line],
        oracle_line=_oracle(tested),
        settings=dict(settings or {}),
        machine=machine(),
    )


def _chances(half: Half, weights: Sequence[float]) -> Any:
    return 1 / (1 + np.exp(-(half.inputs @ np.array(weights[:-1]) + weights[-1])))


def _threshold(half: Half, chances: Any) -> float:
    """The threshold that costs least of those that are as accurate as always asking the strong solver."""
    wanted, _ = half.taken(np.ones(len(chances), bool))
    found = [(half.taken(chances < at), at) for at in [0.0, *np.unique(chances), 1.0]]
    good = [(usd, at) for (accuracy, usd), at in found if accuracy >= wanted - 1e-9]
    return float(min(good)[1])


def _point(half: Half, strong: Any) -> RoutePoint:
    _, usd = half.taken(strong)
    scores = np.where(strong, half.strong, half.cheap)
    return RoutePoint(strong=float(strong.mean()), accuracy=stats.mean(list(map(float, scores))), usd_per_1000=usd)


def _oracle(half: Half) -> list[RoutePoint]:
    """The most accurate choices at each cost: first the questions that only the strong solver gets right."""
    gain, extra = half.strong - half.cheap, np.maximum(half.strong_usd - half.cheap_usd, 1e-12)
    order = np.argsort(-gain / extra, kind="stable")
    points = []
    for count in np.linspace(0, len(order), POINTS).astype(int):
        strong = np.zeros(len(order), bool)
        strong[order[:count]] = True
        points.append(_point(half, strong))
    return points
