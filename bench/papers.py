"""The papers' tables as named configurations: the published figures beside what one's own models do.

Divide-or-Conquer (arXiv 2402.15000v3), tables 1, 3, 4, 6, 7 and 10. Roles that nobody names are played by what comes
along: the bundled student, as decomposer and as solver, and gold plans in place of a teacher's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dnc_edge.bench.tradeoff import System
from dnc_edge.models import ModelSpec

GSM, DROP, BAMB = "gsm8k", "drop", "bamboogle"
# Prompted with instructions in both roles.
UNTRAINED_BASE = "student:smollm2-135m"


@dataclass(frozen=True)
class Models:
    """Who plays which role.

    Attributes:
        teacher: decomposer that the student learned from. untrained: a decomposer that was not distilled.
        student: S_D. solvers: large ones, the first the default. student_solver: S_E.
    """

    teacher: str = "gold"
    untrained: str = "trivial"
    student: str = "student:"
    solvers: tuple[str, ...] = ("local",)
    student_solver: str = "local"


@dataclass(frozen=True)
class Config:
    """A table: its task unless another is named, its rows for some models, and what it claims."""

    task: str
    claim: str
    table: Callable[[Models], list[System]]

    def rows(self, models: Models, task: str) -> list[System]:
        """Return the rows for some models; gold plans are GSM8K's, so rows that need them are left out elsewhere."""
        made = self.table(models)
        return made if task == GSM else [row for row in made if row.settings.get("decomposer") != "gold"]


def _static(label: str, decomposer: str, solver: str, published: Mapping[str, float], **more: Any) -> System:
    return System(label, {"strategy": "static", "decomposer": decomposer, "solver": solver, **more}, published)


def _single(label: str, mode: str, solver: str, published: Mapping[str, float] | None = None) -> System:
    return System(label, {"strategy": "single", "mode": mode, "solver": solver}, published or {})


def _main(m: Models) -> list[System]:
    solver = m.solvers[0]
    return [
        _single("- / solver, direct", "direct", solver, {GSM: 20.32, DROP: 46.51, BAMB: 49.6}),
        _single("- / solver, chain of thought", "cot", solver),
        _static("teacher / solver", m.teacher, solver, {GSM: 65.13, DROP: 55.73, BAMB: 54.4}),
        _static("untrained / solver", m.untrained, solver, {GSM: 62.93, DROP: 47.13, BAMB: 48.8}),
        _static("S_D / solver", m.student, solver, {GSM: 67.78, DROP: 57.97, BAMB: 52.0}),
        _static("teacher / S_E", m.teacher, m.student_solver, {GSM: 51.55, DROP: 20.34, BAMB: 40.8}),
    ]


def _cross_domain(m: Models) -> list[System]:
    solver = m.solvers[0]
    return [
        _static("teacher / solver", m.teacher, solver, {DROP: 55.73, GSM: 65.13}),
        _static("S_D / solver", m.student, solver, {DROP: 51.05, GSM: 63.15}),
        _static("teacher / S_E", m.teacher, m.student_solver, {DROP: 7.98, GSM: 11.30}),
        _static("S_D / S_E", m.student, m.student_solver, {DROP: 17.22, GSM: 3.41}),
    ]


def _solvers(m: Models) -> list[System]:
    published = {"teacher": (28.0, 66.0, 90.5), "untrained": (29.5, 57.0, 88.5), "S_D": (31.5, 66.5, 91.5)}
    decomposers = {"teacher": m.teacher, "untrained": m.untrained, "S_D": m.student}
    rows = []
    for number, solver in enumerate(m.solvers):
        for name, decomposer in decomposers.items():
            figure = {GSM: published[name][number]} if len(m.solvers) == 3 else {}
            rows.append(_static(f"{name} / solver {number + 1}", decomposer, solver, figure))
    return rows


def _dynamic(m: Models) -> list[System]:
    solver = m.solvers[0]
    rows = []
    for name, decomposer in (("teacher", m.teacher), ("S_D", m.student)):
        ours = {GSM: 65.13, BAMB: 54.4} if name == "teacher" else {}
        turns = {GSM: 62.92, BAMB: 53.6} if name == "teacher" else {}
        rows.append(_static(f"static {name}", decomposer, solver, ours))
        rows.append(
            System(f"dynamic {name}", {"strategy": "dynamic", "decomposer": decomposer, "solver": solver}, turns)
        )
    return rows


def _solves_itself(m: Models) -> list[System]:
    return [
        _static("S_D / solver", m.student, m.solvers[0], {GSM: 28.35, DROP: 26.63, BAMB: 32.8}),
        _static("S_D / itself", m.student, m.student_solver, {GSM: 5.99, DROP: 7.87, BAMB: 17.6}),
    ]


def _cap(m: Models) -> list[System]:
    published = {None: 56.63, 4: 57.19, 3: 59.88, 2: 58.47}
    return [
        _static(
            "no cap" if cap is None else f"at most {cap}", m.student, m.solvers[0], {DROP: figure}, max_subquestions=cap
        )
        for cap, figure in published.items()
    ]


def _grid(m: Models) -> list[System]:
    """Return every decomposer with every solver, no decomposer first: the rows that retained gains are made of."""
    decomposers = {
        "untrained base": UNTRAINED_BASE,
        "S_D of 11 M": "student:dnc-11m",
        "S_D": m.student,
        "teacher": m.teacher,
    }
    rows = []
    for solver in dict.fromkeys((UNTRAINED_BASE, *m.solvers)):
        name = "untrained base" if solver == UNTRAINED_BASE else ModelSpec.parse(solver).name or "S_E"
        rows.append(_single(f"- / {name}", "cot", solver))
        rows += [_static(f"{label} / {name}", decomposer, solver, {}) for label, decomposer in decomposers.items()]
    return rows


CONFIGS: dict[str, Config] = {
    "paper-main": Config(GSM, "Two stages beat one; S_D comes close to the teacher; S_E falls far behind.", _main),
    "paper-cross-domain": Config(
        "multiarith", "On a set that neither learned from, S_D carries over and S_E does not.", _cross_domain
    ),
    "paper-solvers": Config(
        GSM, "S_D carries over to other solvers; a weak plan hurts a strong solver more.", _solvers
    ),
    "paper-dynamic": Config(GSM, "Taking turns costs x2.32 (GSM8K) to x3.96 (Bamboogle) and gains nothing.", _dynamic),
    "paper-solves-itself": Config(GSM, "A student fine-tuned to decompose no longer solves.", _solves_itself),
    "paper-grid": Config(
        GSM, "A distilled decomposer keeps more of its teacher's gain than a distilled solver of its teacher's.", _grid
    ),
    "paper-cap": Config(GSM, "A cap on sub-questions helps; three were best on DROP.", _cap),
}
