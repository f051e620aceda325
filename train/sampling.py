"""Questions answered several times over, each sample a batch of its own: on the shared journal, cap and store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dnc_edge.batch.batch import batch, store_path
from dnc_edge.batch.paid import PaidRun
from dnc_edge.errors import RecordsFailed
from dnc_edge.progress import SILENT, Progress
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.types import Question, Record


def sampled(
    questions: Sequence[Demonstration],
    out: Path,
    settings: dict[str, Any],
    *,
    samples: int,
    run: PaidRun,
    solve: bool = True,
    jobs: int = 8,
    slots: int = 8,
    progress: Progress = SILENT,
) -> Iterator[tuple[int, Record]]:
    """Records of every question, `samples` times, each with a seed of its own; failed ones are left out.

    Stopped at any moment, the same call goes on where it was. Equal requests of two samples are not taken for one.

    Args:
        questions: what is asked, by their ids.
        out: names the files that are kept: OUT.sample-1.jsonl with its journal and replies, and so on.
        settings: of the `Edge`.
        samples: how often each question is asked.
        run: cap and rates over all samples.
        solve: plan and solve, or plan alone.
        jobs, slots: questions being solved, and plans decoded, at a time.
        progress: gets the counts of each sample's run.

    Raises:
        BudgetReached, SolverError: the run cannot go on. InputError: the files cannot be written.
    """
    rows = [Question(question.question, question.context, question.id) for question in questions]
    for sample in range(1, samples + 1):
        part = out.with_name(f"{out.stem}.sample-{sample}.jsonl")
        # A failed question is left out here and asked again next time.
        with (
            contextlib.suppress(RecordsFailed),
            run.edge(replies=store_path(part), retry_failed=True, slots=slots, seed=sample, **settings) as edge,
        ):
            batch(rows, part, edge, solve=solve, jobs=jobs, retry_failed=True, progress=progress)
        with part.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                record = Record.from_json(line, where=f"{part}, line {number}")
                if record.error is None and record.subquestions is not None:
                    yield sample, record
