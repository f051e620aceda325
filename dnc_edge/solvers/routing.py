"""A cheap solver if it is enough, a strong one if it is not: chosen for each question before anything is paid.

What decides is known for free: the plan's confidence and length, the kind and length of the question. A logistic model
over it gives the chance that the cheap solver is enough: that it is right, or the strong one is wrong too.
`dnc-edge bench route` fits the model on recorded answers of both, and finds the threshold (compare RouteLLM,
arXiv 2406.18665).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import prompts
from dnc_edge.errors import InputError, UsageError
from dnc_edge.solvers.protocol import Solver
from dnc_edge.types import Plan, Question, Routed

# Names of the features, in order; see `features`.
FEATURES = ("confidence", "unsure", "logprob", "steps", "whole", "words", "numbers", "problem", "passage", "open")
# Stands for a plan's confidence if the student tells none.
UNKNOWN = 0.5
# A mean log-probability below this says no more than this does.
_LOWEST = -3.0


def features(question: Question, plan: Plan | None) -> dict[str, float]:
    """What can be known of a question before it is answered, each from about 0 to 1.

    Args:
        question: what was asked.
        plan: its plan; None if the strategy makes none before the solver is asked.
    """
    kind = prompts.kind_of(question.text, question.context)
    confidence = plan.confidence if plan else None
    steps = (plan.subquestions or plan.withheld) if plan else ()
    logprob = plan.logprob if plan and plan.logprob is not None else 0.0
    return {
        "confidence": UNKNOWN if confidence is None else confidence,
        "unsure": float(bool(plan and plan.withheld)),
        "logprob": max(_LOWEST, logprob) / -_LOWEST,
        "steps": len(steps) / 10,
        "whole": float(not steps),
        "words": math.log1p(len(question.text.split())) / 5,
        "numbers": min(1.0, sum(word.strip("$.,?%").replace(",", "").isdigit() for word in question.text.split()) / 10),
        "problem": float(kind == "problem"),
        "passage": float(kind == "passage"),
        "open": float(kind == "open"),
    }


@dataclass(frozen=True)
class Route:
    """When the cheap solver is asked.

    Attributes:
        weights: of the features by name, and "bias"; without any, the plan's confidence is the chance.
        threshold: from 0 to 1; at a chance below it the strong solver is asked.
    """

    threshold: float
    weights: Mapping[str, float] | None = None

    def chance(self, question: Question, plan: Plan | None) -> float:
        """The chance, from 0 to 1, that the cheap solver is enough."""
        values = features(question, plan)
        if self.weights is None:
            return values["confidence"]
        z = self.weights["bias"] + sum(self.weights.get(name, 0.0) * value for name, value in values.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))

    @classmethod
    def of(cls, setting: str, kept: Path) -> Route:
        """Read the setting `route`.

        Args:
            setting: "auto" or a threshold from 0 to 1.
            kept: file of the calibration that `bench route` keeps.

        Raises:
            UsageError: it is neither, or "auto" and there is no calibration. InputError: the file cannot be read.
        """
        calibrated = cls.read(kept) if kept.is_file() else None
        if setting == "auto":
            if calibrated is None:
                raise UsageError(
                    "there is no calibration for --route auto",
                    hint="make one with: dnc-edge bench route CHEAP STRONG --write; or give a threshold from 0 to 1",
                )
            return calibrated
        try:
            threshold = float(setting)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1:
            raise UsageError(f"--route: {setting!r} is neither auto nor a threshold", hint="give a number from 0 to 1")
        return cls(threshold, calibrated.weights if calibrated else None)

    @classmethod
    def read(cls, path: Path) -> Route:
        """Read a calibration.

        Raises:
            InputError: it is none.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            weights = {name: float(values["weights"][name]) for name in (*FEATURES, "bias")}
            return cls(float(values["threshold"]), weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is no calibration of a route ({error})",
                hint="make it again with: dnc-edge bench route --write",
            ) from error

    def to_dict(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "weights": dict(self.weights) if self.weights else None}


@dataclass(frozen=True)
class Router:
    """Two solvers, and what decides between them."""

    cheap: Solver
    strong: Solver
    route: Route

    @property
    def identity(self) -> dict[str, Any]:
        """What of it changes an answer; part of a record's key."""
        return {"cheap": self.cheap.identity, "strong": self.strong.identity, "route": self.route.to_dict()}

    @property
    def name(self) -> str:
        return f"{self.cheap.name} or {self.strong.name}"

    def choose(self, question: Question, plan: Plan | None) -> tuple[Solver, Routed]:
        """The solver for a question with its plan, and why it is that one."""
        chance = round(self.route.chance(question, plan), 4)
        if chance < self.route.threshold:
            return self.strong, Routed("strong", chance, self.route.threshold)
        return self.cheap, Routed("cheap", chance, self.route.threshold)
