"""Which quantization level: size, speed, memory and plans of each on one task, ending in a recommendation.

Each row is kept as it is measured, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dnc_edge.bench.folder import claim, write
from dnc_edge.bench.levels import full_precision, with_levels
from dnc_edge.bench.machine import machine, must_be_idle
from dnc_edge.bench.plans import raw_lines
from dnc_edge.bench.results import LevelFigures, LevelRow, QuantResult, Solved
from dnc_edge.bench.speed import speed, student_target
from dnc_edge.convert import fidelity
from dnc_edge.convert.decoders import Decoder, GgufDecoder, OnnxDecoder
from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.engines.loading import installed
from dnc_edge.errors import UsageError
from dnc_edge.models import shown
from dnc_edge.streams import result_of
from dnc_edge.students import manifest as manifests
from dnc_edge.students.manifest import Manifest
from dnc_edge.students.resolve import BUNDLED, resolve
from dnc_edge.students.student import Student
from dnc_edge.tasks import Task, stats
from dnc_edge.tasks.plans import figures, score
from dnc_edge.types import Question, record_key

# Questions on which logits are compared and speed is measured.
COMPARED = 200


def quant(
    student: str | None,
    task: Task,
    out: Path,
    *,
    levels: Sequence[str] | None = None,
    slots: int = 8,
    threads: int | None = None,
    repeat: int = 3,
    solver: str | None = None,
    solve: Callable[[str, str, str], Solved] | None = None,
    busy: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> QuantResult:
    """Measure the levels of a student.

    Args:
        student: name or directory; None is the bundled one.
        task: whose questions; its gold plans judge the levels' plans.
        out: folder for the student with its levels, the rows and, at the end, `quant.json`.
        levels: which; None is all GGUF levels and the ONNX levels that the student has, if their engine is installed.
        slots: plans at once where questions/s are measured.
        threads: compute threads; None takes the default.
        repeat: measurements of each speed.
        solver: name of the solver, where `solve` is given.
        solve: answers the task through a student's plans, given (directory, level, engine); None measures plans alone.
        busy: measure although other processes run.
        say: told what is being done.

    Returns:
        rows from the largest to the smallest, recommendation, settings and machine, as docs/bench.md explains them.

    Raises:
        UsageError: the machine is busy, a level is unknown, the task has no gold plans, or `out` holds another report.
        StudentError: the student has no unquantized GGUF file.
    """
    if not task.has_plans:
        raise UsageError(f"the task {task.name} has no gold plans to judge levels by", hint="gsm8k and strategyqa do")
    must_be_idle(busy)
    directory = resolve(student or BUNDLED)
    settings = {
        "student": {file.file: file.sha256 for file in manifests.load(directory).files},
        "questions": record_key({problem.id: problem.question for problem in task.problems}),
        "slots": slots,
        "threads": threads,
        "repeat": repeat,
        "solver": solver and shown(solver),
    }
    claim(out, settings)
    manifest = with_levels(directory, out / "student", levels, say)
    measured = []
    timed = [problem.question for problem in task.problems[:COMPARED]]
    with tempfile.TemporaryDirectory(dir=out, prefix=".reference-") as scratch:
        judge = _Judge(out / "student", manifest, task, Path(scratch), say)
        for level, engine in manifest.levels:
            if levels is not None and level not in (*levels, judge.full):
                continue
            if engine not in installed():
                say(f"{level} is left out: {engine} is not installed")
                continue
            place = out / "rows" / f"{engine}-{level}.json"
            if not place.is_file():
                say(f"{level} on {engine}")
                # Judged first: what is wrong with a level is known before it is timed.
                row = {"level": level, "engine": engine, **judge.judged(level, engine)}
                target = student_target(str(out / "student"), level, engine, timed)
                row["bytes"] = sum(path.stat().st_size for part, path in target.files.items() if part != "tokenizer")
                row["speed"] = speed(
                    target, threads=threads, slots=slots, repeat=repeat, busy=True, peers=False, say=say
                )["figures"]
                if solve:
                    say(f"{level} on {engine}: solving")
                    row["solved"] = solve(str(out / "student"), level, engine)
                write(place, LevelFigures.from_dict(row).to_dict())
            measured.append(LevelFigures.from_dict(json.loads(place.read_text(encoding="utf-8"))))
    measured.sort(key=lambda row: -row.bytes)
    reference = next(row for row in measured if (row.level, row.engine) == (judge.full, "llama.cpp"))
    rows = [LevelRow(**vars(row), lost=stats.paired(reference.scores["f1"], row.scores["f1"])) for row in measured]
    result = QuantResult(
        student=manifest.name,
        task=task.name,
        n=len(task.problems),
        ids=[problem.id for problem in task.problems],
        reference=judge.full,
        recommendation=recommendation(rows, judge.full),
        rows=rows,
        settings=settings,
        machine=machine(),
    )
    write(out / "quant.json", result.to_dict())
    return result


class _Judge:
    """Judges levels: their logits against full precision, their plans against gold."""

    def __init__(
        self, directory: Path, manifest: Manifest, task: Task, scratch: Path, say: Callable[[str], None]
    ) -> None:
        self.directory, self.manifest, self.task, self.scratch, self.say = directory, manifest, task, scratch, say
        self.full = full_precision(manifest)
        self._reference: fidelity.Reference | None = None

    def judged(self, level: str, engine: str) -> dict[str, Any]:
        compared = fidelity.rounded(fidelity.compare(self.reference, self._decoder(level, engine)))
        problems, scores, seconds = self.task.problems, [], []
        with Student.open(str(self.directory), level=level, engine=engine) as student:
            decomposer = StudentDecomposer(student)
            for number, problem in enumerate(problems, start=1):
                plan = result_of(decomposer.decompose(Question(problem.question, problem.context)))
                source = f"{problem.context or ''} {problem.question}"
                scores.append(score(raw_lines(plan), problem.plan or (), source))
                seconds.append(round(plan.usage.seconds, 5))
                if number % 500 == 0:
                    self.say(f"{number} plans")
        return {
            "plans": {name: asdict(value) for name, value in vars(figures(scores)).items()},
            "scores": {
                "f1": [round(one.f1, 4) for one in scores],
                "count_difference": [one.count_difference for one in scores],
                "unsupported": [round(one.unsupported / max(1, one.content_words), 4) for one in scores],
            },
            "plan_seconds": seconds,
            "fidelity": {name: getattr(compared, name) for name in ("n", "tokens", "kl", "top_tokens", "identical")},
        }

    def _decoder(self, level: str, engine: str) -> Decoder:
        files = {part: self.directory / file.file for part, file in self.manifest.parts(level, engine).items()}
        if engine == "llama.cpp":
            return GgufDecoder(files["model"], context=self.manifest.context)
        return OnnxDecoder(files, start=self.manifest.start)

    @property
    def reference(self) -> fidelity.Reference:
        """Full precision's own plans and logits, worked out when first needed."""
        if self._reference is None:
            self.say(f"{self.full}: the reference's logits")
            decoder = GgufDecoder(
                self.directory / self.manifest.file(self.full, "llama.cpp").file, context=self.manifest.context
            )
            role = self.manifest.roles["decompose"]
            stop = frozenset(decoder.tokenizer.control(piece) for piece in self.manifest.stop)
            chosen = self.task.problems[:COMPARED]
            self._reference = fidelity.Reference(
                decoder, decoder.tokenizer, role.template, stop, chosen, scratch=self.scratch
            )
        return self._reference


def recommended(rows: Sequence[LevelRow]) -> LevelRow:
    """Return the smallest level whose loss of plan F1 is within noise: the interval of the loss reaches down to 0."""
    return min((row for row in rows if row.lost.low <= 0), key=lambda row: row.bytes)


def recommendation(rows: Sequence[LevelRow], full: str) -> str:
    """Return one sentence about the recommended level and the next smaller one; `full` is the reference level."""

    def loss(row: LevelRow) -> str:
        return f"{row.lost.value:+.4f} [{row.lost.low:+.4f}, {row.lost.high:+.4f}]"

    def description(row: LevelRow) -> str:
        return f"{row.level} on {row.engine} ({row.bytes / 1e6:.1f} MB)"

    best = recommended(rows)
    reason = f"the smallest level whose plan F1 cannot be told from {full}'s: it loses {loss(best)}"
    text = f"Take {description(best)}, {reason}"
    smaller = [row for row in rows if row.bytes < best.bytes]
    if smaller:
        following = max(smaller, key=lambda row: row.bytes)
        return f"{text}; {description(following)}, the next smaller one, loses {loss(following)}."
    return f"{text}; none measured is smaller."
