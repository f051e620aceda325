"""Calibrate a student's confidence in its plans, on questions that trained nothing.

The features of `students/confidence.py` are weighed by logistic regression over plans for all held-out questions. The
threshold of the level is where most everyday questions come out right and fewest plans useless. Both go into
`student.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from dnc_edge.bench.decisions import decision
from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.errors import DncError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import manifest as manifests
from dnc_edge.students.confidence import FEATURES, Confidence, features
from dnc_edge.students.student import Generation, Student
from dnc_edge.tasks import everyday, stats
from dnc_edge.tasks.plans import plan_f1
from dnc_edge.tasks.problem import Problem
from dnc_edge.train.base import held_out
from dnc_edge.train.sources import IMPORTERS
from dnc_edge.types import Plan, Question

# A plan from here on counts as a good one.
GOOD = 0.5
# How many held-out questions of each source are asked.
HELD_OUT = {"gsm8k": 150, "strategyqa": 60, "musique": 40, "2wiki": 30, "svamp": 20, "mawps": 40}
# Questions of every kind are what a threshold is for: each counts as much as three of the sources.
EVERYDAY_WEIGHT = 3.0
FOLDS = 5
# Keeps the weights of features that say little near 0.
RIDGE = 1.0


@dataclass(frozen=True)
class Judged:
    """A question with what was planned for it: the features of the plan, and its plan F1."""

    problem: Problem
    plan: tuple[str, ...]
    features: dict[str, float]
    f1: float
    weight: float


@dataclass(frozen=True)
class Outcome:
    """Shares (0 to 1) of questions whose plan, or decision to make none, was right, and was useless."""

    right: float
    useless: float


@dataclass(frozen=True)
class Risk:
    """The share of plans that are not good among the most confident ones; `coverage` is the share these make up."""

    coverage: float
    risk: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted confidence and how well it separates good plans from others.

    Attributes:
        confidence: as `student.json` holds it.
        questions, plans: how many were asked, and how many of them got a plan.
        auroc: over plans of questions that were left out of the fit; None if all are alike.
        everyday: of everyday questions, with every plan delivered ("always") and with the threshold ("auto").
    """

    confidence: Confidence
    questions: int
    plans: int
    auroc: float | None
    everyday: Mapping[str, Outcome]
    risk_coverage: tuple[Risk, ...]


def questions() -> list[Problem]:
    """Return the problems to calibrate on: the side "dev" of `everyday`, and those that training held out.

    Raises:
        DataMissing: a source is not there.
    """
    found: list[Problem] = list(everyday.load("dev"))
    for name, count in HELD_OUT.items():
        shown = (d for d in IMPORTERS[name]() if held_out(d) and d.subquestions is not None)
        found += [Problem(d.id, d.question, "", d.subquestions, d.context) for d in islice(shown, count)]
    return found


def judged(student: Student, problems: Sequence[Problem], progress: Progress = SILENT) -> list[Judged]:
    """Decode plans for the problems, and judge them."""
    decomposer = StudentDecomposer(student)
    asked: dict[Generation, Problem] = {}

    def generations() -> Iterator[Generation]:
        for problem in problems:
            asked[generation := decomposer.begin(Question(problem.question, problem.context))] = problem
            yield generation

    found = []
    for generation in student.generate_many(generations()):
        problem = asked[generation]
        made = decomposer.planned(Question(problem.question, problem.context), generation)
        plan = made.subquestions if isinstance(made, Plan) else ()
        values = features(problem.question, problem.context, plan, generation.logprobs)
        f1 = plan_f1(plan, problem.plan) if problem.plan else 0.0
        weight = EVERYDAY_WEIGHT if isinstance(problem, everyday.EverydayProblem) else 1.0
        found.append(Judged(problem, plan, values, f1, weight))
        progress.step("judging plans", len(found), len(problems))
    return found


def fit(rows: Sequence[Judged]) -> dict[str, float]:
    """Fit weights of the features by ridge logistic regression over rows with a plan."""
    inputs = [[row.features[name] for name in FEATURES] for row in rows]
    weights = stats.logistic(
        inputs, [row.f1 >= GOOD for row in rows], weights=[row.weight for row in rows], ridge=RIDGE
    )
    return {name: round(value, 4) for name, value in zip((*FEATURES, "bias"), weights, strict=True)}


def auroc(confidences: Sequence[float], good: Sequence[bool]) -> float | None:
    """Return the probability that a good plan has more confidence than another one; None if all are equally good."""
    from scipy.stats import rankdata

    positive = np.array(good)
    count = int(positive.sum())
    if count in (0, len(good)):
        return None
    ranks = rankdata(confidences)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(good) - count)))


def confidence(student: Student, *, progress: Progress = SILENT) -> Calibration:
    """Calibrate a student at the level that is open.

    Args:
        student: with as many slots as decode fast.
        progress: gets the number of questions that are done.

    Raises:
        DataMissing: a source is not there. ExtraMissing: the extra `eval` is not installed.
        DncError: too few plans to fit.
    """
    rows = judged(student, questions(), progress)
    planned = [row for row in rows if row.plan]
    if len(planned) < 10 * FOLDS:
        raise DncError(f"student {student.name} made {len(planned)} plans; too few to calibrate its confidence on")
    fold = np.random.default_rng(0).integers(0, FOLDS, len(planned))
    unseen = np.zeros(len(planned))
    for number in range(FOLDS):
        model = Confidence(fit([row for row, at in zip(planned, fold, strict=True) if at != number]), {})
        for index in np.flatnonzero(fold == number):
            unseen[index] = model.probability(planned[index].features)
    good = [row.f1 >= GOOD for row in planned]
    sure = dict(zip(map(id, planned), unseen, strict=True))

    def outcome(threshold: float, weighed: Sequence[Judged]) -> Outcome:
        judgements = [
            (row.weight, decision(row.plan if sure.get(id(row), 1.0) >= threshold else (), row.problem.plan or ()))
            for row in weighed
        ]
        total = sum(weight for weight, _ in judgements)
        return Outcome(
            right=round(sum(weight * one.right for weight, one in judgements) / total, 4),
            useless=round(sum(weight * one.useless for weight, one in judgements) / total, 4),
        )

    kinds = [row for row in rows if isinstance(row.problem, everyday.EverydayProblem)]

    def value(threshold: float) -> float:
        found = outcome(threshold, kinds)
        return found.right - found.useless

    # Of thresholds that are as good to a hundredth, the lowest keeps most plans.
    threshold = max((step / 100 for step in range(0, 96, 5)), key=lambda t: (round(value(t), 2), -t))
    order = np.argsort(-unseen)
    risk = [
        Risk(share, round(1 - float(np.mean([good[i] for i in order[: int(len(order) * share)]])), 4))
        for share in (0.25, 0.5, 0.75, 1.0)
    ]
    thresholds = dict(student.manifest.confidence.thresholds) if student.manifest.confidence else {}
    return Calibration(
        confidence=Confidence(fit(planned), {**thresholds, student.weights.level: threshold}),
        questions=len(rows),
        plans=len(planned),
        auroc=auroc(list(unseen), good),
        everyday={"always": outcome(0.0, kinds), "auto": outcome(threshold, kinds)},
        risk_coverage=tuple(risk),
    )


def keep(directory: Path, made: Confidence) -> None:
    """Write a calibrated confidence into the manifest of a student's directory."""
    manifests.write(directory, replace(manifests.load(directory), confidence=made))
