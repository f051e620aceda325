"""Distilling step-by-step's figures 4 and 5: accuracy against the share of the training data, three methods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from dnc_edge.bench.folder import claim, write
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import FractionRow, FractionsResult
from dnc_edge.progress import SILENT, Progress
from dnc_edge.tasks.stats import Estimate
from dnc_edge.train import rationales
from dnc_edge.train.stepwise import StepwiseConfig, stepwise

NAME = "stepwise-fractions"
METHODS = ("finetuning", "distillation", "stepwise")
CLAIM = "Rationales as a second task beat labels alone at every share of the data (arXiv 2305.02301, figures 4 and 5)."


def fractions(
    task: str,
    base: str,
    out: Path,
    *,
    shares: Sequence[float] = (0.25, 1.0),
    limit: int | None = None,
    config: StepwiseConfig | None = None,
    progress: Progress = SILENT,
) -> FractionsResult:
    """Train one model for each method and share, and measure its labels on the test side.

    Args:
        task: of `train.rationales`.
        base: the model that is trained: a directory or a hub repository.
        out: folder for rows and models; a run that was stopped goes on.
        shares: of the training side.
        limit: the first so many test questions.
        config: of the training, without method and share; None takes its defaults with 20 epochs.
        progress: gets notes of what is being done.

    Raises:
        UsageError: there is no such task, or `out` holds another report. InputError: a training was stopped.
    """
    settings = config or StepwiseConfig(epochs=20, learning_rate=5e-4)
    settings = replace(settings, task=task)
    claim(out, {"base": base, "shares": list(shares), "limit": limit, **asdict(settings)})
    training, test = rationales.load(task, "train"), rationales.load(task, "test")[:limit]
    rows = []
    for method in METHODS:
        for share in shares:
            place = out / "rows" / f"{method}-{share:g}.json"
            if not place.is_file():
                progress.note(f"{method} on {share:.0%} of {len(training):,}")
                folder = out / "models" / f"{method}-{share:g}"
                one = replace(settings, method=method, fraction=share)
                figures = stepwise(training, test, base, folder, one, resume=True, progress=progress)
                row = FractionRow(
                    label=f"{method} {share:.0%}",
                    method=method,
                    share=share,
                    examples=figures.pop("examples"),
                    accuracy=Estimate(**figures.pop("accuracy")),
                    training=figures,
                )
                write(place, row.to_dict())
            rows.append(FractionRow.from_dict(json.loads(place.read_text(encoding="utf-8"))))
    result = FractionsResult(
        task=task, n=len(test), claim=CLAIM, rows=rows, settings=asdict(settings), machine=machine()
    )
    write(out / "fractions.json", result.to_dict())
    return result
