"""What one level does on the questions of all tasks: its plans, its predictions, how far its confidence holds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnc_edge.bench.calibration import calibration
from dnc_edge.bench.confidence import GOOD
from dnc_edge.bench.levels import full_precision
from dnc_edge.bench.plans import raw_lines
from dnc_edge.convert.agreement import agreement
from dnc_edge.convert.decoders import Decoder, GgufDecoder, OnnxDecoder
from dnc_edge.convert.fidelity import Reference
from dnc_edge.convert.gguf import tensors
from dnc_edge.convert.metadata import read
from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.streams import result_of
from dnc_edge.students import adapted
from dnc_edge.students import manifest as manifests
from dnc_edge.students.manifest import Manifest
from dnc_edge.students.student import Student
from dnc_edge.tasks import Task
from dnc_edge.tasks.plans import figures, score
from dnc_edge.tasks.problem import Problem
from dnc_edge.types import Plan, Question

# Questions on which logits are compared and single plans are timed, as many of each task.
COMPARED = 100


@dataclass(frozen=True)
class Level:
    """A level of a student: where, at which level, for which engine."""

    directory: Path
    level: str
    engine: str

    @property
    def manifest(self) -> Manifest:
        return manifests.load(self.directory)

    @property
    def name(self) -> str:
        """The level's name in a report: that of a base says that an adapter is over it."""
        return self.level if self.manifest.base is None else f"{self.level}+adapter"

    @property
    def files(self) -> dict[str, Path]:
        """The level's files by part; of a student on a base, the base is its model."""
        manifest = self.manifest
        files = {part: self.directory / file.file for part, file in manifest.parts(self.level, self.engine).items()}
        if manifest.base is not None:
            folder, weights = adapted.base_of(manifest.base, manifest.name)
            files["model"] = folder / weights.file
            if adapter := manifest.roles["decompose"].adapter:
                files["adapter"] = self.directory / adapter
        return files

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for part, path in self.files.items() if part != "tokenizer")

    def decoder(self) -> Decoder:
        """The level for comparing logits."""
        if self.engine == "llama.cpp":
            return GgufDecoder(self.files["model"], context=self.manifest.context, adapter=self.files.get("adapter"))
        return OnnxDecoder(self.files, start=self.manifest.start)


def spread(tasks: Sequence[Task], count: int) -> list[Problem]:
    """Return the first problems of each task, as many of each, up to `count` in all."""
    return [problem for task in tasks for problem in task.problems[: max(1, count // len(tasks))]]


class Judge:
    """Judges levels against gold plans, and their predictions against full precision.

    Args:
        student: a directory with the unquantized GGUF file.
        tasks: whose questions are planned.
        clusters: see `stats.bootstrap`.
        slots: plans decoded at once.
        scratch: folder for logits.
        say: told what is being done.
    """

    def __init__(
        self,
        student: Path,
        tasks: Sequence[Task],
        clusters: Sequence[int] | None,
        *,
        slots: int,
        scratch: Path,
        say: Callable[[str], None],
    ) -> None:
        self.full = full_precision(manifests.load(student))
        self._whole = Level(student, self.full, "llama.cpp")
        self._tasks, self._clusters, self._slots, self._scratch, self._say = tasks, clusters, slots, scratch, say
        self._problems = [problem for task in tasks for problem in task.problems]
        self._reference: Reference | None = None

    def judged(self, level: Level) -> dict[str, Any]:
        """Return the fields of `LevelFigures` that need no clock, and of each plan its digest and confidence."""
        problems, clusters = self._problems, self._clusters
        near = agreement(self.reference, decoder := level.decoder())
        if isinstance(decoder, GgufDecoder):
            decoder.close()
        plans = self._plans(level)
        scores = [
            score(raw_lines(plan), problem.plan or (), f"{problem.context or ''} {problem.question}")
            for plan, problem in zip(plans, problems, strict=True)
        ]
        planned = [number for number, plan in enumerate(plans) if plan.subquestions]
        confidences = [round(confidence(plan), 4) if plan.subquestions else None for plan in plans]
        calibrated = calibration(
            [sure for sure in confidences if sure is not None],
            [scores[number].f1 >= GOOD for number in planned],
            clusters=clusters and [clusters[number] for number in planned],
        )
        return {
            "level": level.name,
            "engine": level.engine,
            "bytes": level.bytes,
            **self._stored(level),
            "plans": {name: asdict(value) for name, value in vars(figures(scores, clusters=clusters)).items()},
            "scores": {
                "f1": [round(one.f1, 4) for one in scores],
                "count_difference": [one.count_difference for one in scores],
                "unsupported": [round(one.unsupported / max(1, one.content_words), 4) for one in scores],
            },
            "digests": [hashlib.sha256("\n".join(raw_lines(plan)).encode()).hexdigest()[:12] for plan in plans],
            "confidences": confidences,
            "agreement": asdict(near),
            "calibration": calibrated and asdict(calibrated),
        }

    def timed(self, level: Level) -> Iterator[float]:
        """Seconds of whole plans, decoded one at a time."""
        with Student.open(str(level.directory), level=level.level, engine=level.engine) as student:
            decomposer = StudentDecomposer(student)
            for problem in spread(self._tasks, COMPARED):
                yield result_of(decomposer.decompose(Question(problem.question, problem.context))).usage.seconds

    def _plans(self, level: Level) -> list[Plan]:
        """Every plan as decoded; an empty one in place of what cannot be read as a plan."""
        found: dict[str | None, Plan] = {}
        with Student.open(str(level.directory), level=level.level, engine=level.engine, slots=self._slots) as student:
            asked = [Question(one.question, one.context, str(at)) for at, one in enumerate(self._problems)]
            for question, plan in StudentDecomposer(student).decompose_many(asked):
                found[question.id] = plan if isinstance(plan, Plan) else Plan(())
                if len(found) % 500 == 0:
                    self._say(f"{len(found)} plans")
        return [found[question.id] for question in asked]

    def _stored(self, level: Level) -> dict[str, Any]:
        """Bits a weight, and tensors that fell back; see `LevelFigures`."""
        _, weights = _size(self._whole.files["model"])
        if level.engine != "llama.cpp":
            return {"bits_per_weight": round(8 * level.bytes / weights, 2), "fell_back": []}
        files = level.files
        stored = sum(_size(path)[0] for path in files.values())
        fell_back = tensors(files["model"], level.level).fell_back or ()
        return {"bits_per_weight": round(8 * stored / weights, 2), "fell_back": list(fell_back)}

    @property
    def reference(self) -> Reference:
        """Full precision's own plans and logits, worked out when first needed."""
        if self._reference is None:
            self._say(f"{self.full}: the reference's logits")
            decoder = self._whole.decoder()
            assert isinstance(decoder, GgufDecoder)
            manifest = self._whole.manifest
            stop = frozenset(decoder.tokenizer.control(piece) for piece in manifest.stop)
            template = manifest.roles["decompose"].template
            chosen = spread(self._tasks, COMPARED)
            self._reference = Reference(decoder, decoder.tokenizer, template, stop, chosen, scratch=self._scratch)
        return self._reference


def _size(file: Path) -> tuple[int, int]:
    """(bytes, elements) of all tensors of a GGUF file."""
    found = read(file).tensors
    return sum(int(tensor.n_bytes) for tensor in found), sum(int(tensor.n_elements) for tensor in found)


def confidence(plan: Plan) -> float:
    """A plan's confidence; the geometric mean of its tokens' probabilities if the student has none."""
    return math.exp(plan.logprob or 0.0) if plan.confidence is None else plan.confidence
