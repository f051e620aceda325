"""The tasks that a student claims: one for each kind of question that it was trained on, with gold plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from dnc_edge import tasks
from dnc_edge.errors import UsageError
from dnc_edge.students.manifest import Manifest
from dnc_edge.tasks import Task, drop, everyday, files
from dnc_edge.tasks.own import scores as same_answer_scores
from dnc_edge.tasks.problem import Problem
from dnc_edge.train.multihop import natural_step
from dnc_edge.train.sources import break_drop


def passages() -> list[Problem]:
    """Questions over DROP's held-out passages that Break has a plan for; those that need one."""
    return [
        Problem(row.id, row.question, row.answer or "", row.subquestions, context=row.context)
        for row in break_drop(held_out=True)
        if row.subquestions
    ]


def musique() -> list[Problem]:
    """Questions of MuSiQue's test side whose steps are all questions, not relations."""
    found = []
    for row in files.read_jsonl("musique/test.jsonl"):
        steps = [step["question"] for step in row["question_decomposition"]]
        if not any(">>" in step for step in steps):
            plan = tuple(step for step in map(natural_step, steps) if step)
            found.append(Problem(f"musique-{row['id']}", row["question"], row["answer"], plan))
    return found


_OWN: dict[str, Callable[[], Task]] = {
    "passages": lambda: Task("passages", passages(), drop.scores),
    "musique": lambda: Task("musique", musique(), same_answer_scores),
    # The other side is what thresholds are chosen on.
    "everyday": lambda: Task("everyday", list(everyday.load("test")), everyday.scores),
}
# What a student must have been trained on to claim a task.
CLAIMS = {
    "gsm8k": "gsm8k/",
    "strategyqa": "strategyqa/",
    "passages": "break/",
    "musique": "musique/",
    "everyday": "train/written",
}


def claimed(manifest: Manifest) -> list[str]:
    """Return the names of the tasks that a student claims, by the data that it was trained on.

    One that says nothing of its data claims "everyday", which has questions of every kind.
    """
    data = manifest.about.training.get("data", {})
    return [task for task, source in CLAIMS.items() if any(file.startswith(source) for file in data)] or ["everyday"]


def load(
    name: str, *, limit: int | None = None, seed: int | None = None, columns: Mapping[str, str] | None = None
) -> Task:
    """Load a task with gold plans: one of `CLAIMS`, or whatever `tasks.load` knows.

    Args:
        name: "passages" and "musique" are the questions that have gold plans, "everyday" is its test side.
        limit, seed, columns: see `tasks.load`.

    Raises:
        UsageError: there is no such task, or it has no gold plans.
        DataMissing: its data set is not there. InputError: a file of one's own cannot be used.
    """
    if name in _OWN:
        task = _OWN[name]()
        return replace(task, problems=tasks.taken(task.problems, limit, seed))
    task = tasks.load(name, limit=limit, seed=seed, columns=columns)
    if not task.has_plans:
        raise UsageError(f"the task {name} has no gold plans to judge levels by", hint=f"{', '.join(CLAIMS)} do")
    return task
