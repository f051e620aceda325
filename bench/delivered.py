"""How fast plans are delivered, beside the engine alone and beside what others make of the same files.

What is delivered is what `batch` and `ask` do: prompt, adapter, refusal of repeats and of references, confidence.
Ratios are taken in turn, round by round, so that what slows the machine slows both sides.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnc_edge import prompts, tasks
from dnc_edge.bench.machine import machine, must_be_idle
from dnc_edge.bench.overhead import BARE, QUESTION, until
from dnc_edge.bench.results import Ratio, Speed, SpeedResult, Spread, engine_speed
from dnc_edge.bench.speed import llama_bench_rate, run_probe, speed, spread, student_target
from dnc_edge.engines.loading import installed
from dnc_edge.engines.threads import chosen_threads
from dnc_edge.errors import MissingError
from dnc_edge.students.student import Student
from dnc_edge.tasks import everyday
from dnc_edge.train import written
from dnc_edge.types import Question

OWN = "everyday"
# What a figure must reach and what it aims at; None is only reported.
BARS: Mapping[str, tuple[float | None, float | None]] = {
    "one sequence, base alone, over llama-bench": (0.95, 0.98),
    "one sequence, adapter applied, over without": (0.80, 0.90),
    "one sequence, adapter merged, over without": (0.97, 1.0),
    "delivered over a loop of create_completion": (2.0, 2.6),
    "delivered over the engine alone": (0.90, 0.97),
    "batch --plan-only, whole process, over the engine alone": (0.90, 0.95),
    "ask cold to the first sub-question, seconds over a bare script's": (1.3, 1.15),
    "onnxruntime over llama.cpp, one sequence": (None, 1.0),
    "onnxruntime over llama.cpp, delivered": (None, 1.0),
}


def own_questions(count: int) -> list[Question]:
    """Distinct questions of ours: those of the task `everyday`, mixed, and then those that a program writes."""
    problems = everyday.load()
    random.Random(0).shuffle(problems)
    made = [Question(problem.question, problem.context) for problem in problems[:count]]
    seen = {(question.text, question.context) for question in made}
    for demonstration in written.questions(0):
        if len(made) >= count:
            break
        question = Question(demonstration.question, demonstration.context)
        if (question.text, question.context) not in seen:
            seen.add((question.text, question.context))
            made.append(question)
    return [replace(question, id=str(number)) for number, question in enumerate(made)]


def questions(task: str, count: int) -> list[Question]:
    """The first questions of a task; of `everyday` as many as are wanted, see `own_questions`.

    Raises:
        UsageError: there is no such task. DataMissing: its data is not here.
    """
    if task == OWN:
        return own_questions(count)
    problems = tasks.load(task, limit=count).problems
    return [Question(problem.question, problem.context, id=problem.id) for problem in problems]


def delivered(
    student: str | None = None,
    *,
    level: str | None = None,
    task: str = OWN,
    count: int = 200,
    batch: int = 1000,
    threads: int | None = None,
    slots: int = 8,
    repeat: int = 3,
    busy: bool = False,
    llama_bench: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> SpeedResult:
    """Measure what a student delivers on the engines that are installed.

    Args:
        student, level: see `Student.open`; the level is llama.cpp's.
        task: whose questions are asked; "everyday" are ours. count: how many.
        batch: questions for a whole `dnc-edge batch`; 0 leaves it out.
        threads: compute threads of all; None takes the default.
        slots: sequences at once where there are many.
        repeat: rounds.
        busy: measure although other processes run.
        llama_bench: llama.cpp's own benchmark program, to run beside.
        say: told what is being measured.

    Returns:
        the figures of the engines alone, and the ratios of `BARS` that can be taken here.

    Raises:
        UsageError: the machine is busy, and that was not allowed; or there is no such task.
        MissingError: llama-bench is not where it was said to be, or a measurement failed.
    """
    load = must_be_idle(busy)
    threads = chosen_threads(threads)
    asked = questions(task, count)
    run = _Run(student, level, asked, threads, slots, say, llama_bench)
    for number in range(repeat):
        say(f"round {number + 1} of {repeat}")
        run.round()
    if "llama.cpp" in run.targets:
        run.cold(max(3, repeat))
    if batch:
        run.batch(questions(task, batch))
    return SpeedResult(
        student=run.targets[run.engine].name,
        task=task,
        n=len(asked),
        engines={name: run.alone(name, repeat) for name in run.targets},
        ratios=run.ratios(),
        tokens=run.tokens,
        settings={"threads": threads, "slots": slots, "repeat": repeat, "batch": batch, "busy": busy},
        load=load,
        machine=machine(),
    )


class _Run:
    """The pairs of figures so far, by the name of their ratio.

    Attributes:
        targets: the student as it is run for plans, by engine. engine: the default one.
        tokens: of prompts and plans, and of those that were decoded by the loop, once for all questions.
    """

    def __init__(
        self,
        student: str | None,
        level: str | None,
        asked: Sequence[Question],
        threads: int,
        slots: int,
        say: Callable[[str], None],
        llama_bench: Path | None,
    ) -> None:
        self._student, self._level, self._asked = student, level, asked
        self._threads, self._slots, self._say, self._llama_bench = threads, slots, say, llama_bench
        self._pairs: dict[str, list[tuple[float, float]]] = {}
        self.tokens: dict[str, int] = {}
        texts = [prompts.user_message(question.text, question.context) for question in asked]
        self.targets = {
            name: student_target(student, self._of(name)["level"], name, texts, role="decompose")
            for name in installed()
        }
        self.engine = next(iter(self.targets))
        # As the student's files come: the base, and its adapter beside it.
        self._plain = student_target(student, level, "llama.cpp", texts) if self.engine == "llama.cpp" else None

    def round(self) -> None:
        """Measure every pair once."""
        plain = self._plain
        merged = self.targets[self.engine].files
        ours = self._single(merged)
        if plain and "adapter" in plain.files:
            base = {"model": plain.files["model"]}
            without = self._single(base)
            self._pair("one sequence, adapter applied, over without", self._single(plain.files), without)
            if "adapter" not in merged:
                self._pair("one sequence, adapter merged, over without", ours, without)
        else:
            base, without = dict(merged), ours
        if plain and self._llama_bench:
            self._say("measuring llama-bench")
            peer = llama_bench_rate(self._llama_bench, str(base["model"]), self._threads)
            self._pair("one sequence, base alone, over llama-bench", without, peer)
        made = self._delivered(self.engine)
        self._pair("delivered over the engine alone", made["delivered"], made["alone"])
        self.tokens = {"prompt": sum(map(len, made["prompts"])), "plan": sum(made["lengths"])}
        if plain:
            loop = self._probe(
                "high_level",
                files=_paths(plain.files),
                context=512,
                tokens=1,
                repeat=1,
                prompts=made["prompts"],
                lengths=made["lengths"],
            )
            self.tokens["create_completion"] = loop["decoded_tokens"]
            self._pair("delivered over a loop of create_completion", made["delivered"], loop["questions_per_second"][0])
        if self.engine == "llama.cpp" and "onnxruntime" in self.targets:
            other = self._single(self.targets["onnxruntime"].files)
            self._pair("onnxruntime over llama.cpp, one sequence", other, ours)
            theirs = self._delivered("onnxruntime")
            self._pair("onnxruntime over llama.cpp, delivered", theirs["delivered"], made["delivered"])

    def cold(self, pairs: int) -> None:
        """Time `ask` from its start to the first sub-question, and a bare script that loads and decodes the same."""
        self._say("measuring cold starts")
        with Student.open(self._student, level=self._level, engine="llama.cpp") as student:
            prompt = student.prompt("decompose", prompts.user_message(QUESTION))
            confidence = student.manifest.confidence
            # A plan that may be withheld is shown once it is whole.
            whole = confidence is not None and confidence.threshold(student.weights.level) > 0
            (end,) = student.stop_ids if whole else student.tokenizer.encode("\n")
        assert self._plain
        files = _paths(self._plain.files)
        bare = [sys.executable, "-c", BARE, files["model"], str(self._threads), json.dumps(prompt), str(end)]
        bare += [files["adapter"]] if "adapter" in files else []
        ours = [sys.executable, "-m", "dnc_edge", "ask", "--events", "--threads", str(self._threads)]
        ours += ["--student", self._student] if self._student else []
        for _ in range(pairs):
            first = until([*ours, QUESTION], b'"subquestion"')
            self._pair("ask cold to the first sub-question, seconds over a bare script's", first, until(bare, b"?"))

    def batch(self, asked: Sequence[Question]) -> None:
        """Time a whole `dnc-edge batch --plan-only`, and the engine alone on the same prompts and lengths."""
        self._say(f"measuring batch --plan-only on {len(asked)} questions")
        with tempfile.TemporaryDirectory() as scratch:
            source, out = Path(scratch) / "asked.jsonl", Path(scratch) / "plans.jsonl"
            rows = [{"id": question.id, "question": question.text, "context": question.context} for question in asked]
            source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            command = [sys.executable, "-m", "dnc_edge", "batch", str(source), "-o", str(out), "--plan-only"]
            command += ["--slots", str(self._slots), "--threads", str(self._threads), "--engine", self.engine]
            command += ["--student", self._student] if self._student else []
            started = time.perf_counter()
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - started
            if run.returncode != 0:
                raise MissingError(f"batch failed: {(run.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
            records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        texts = [prompts.user_message(question.text, question.context) for question in asked]
        target = student_target(self._student, self._level, self.engine, texts, role="decompose")
        lengths = [record["usage"]["decompose"]["output_tokens"] for record in records]
        settings = {"student": self._of(self.engine), "prompts": list(target.prompts), "lengths": lengths}
        alone = self._probe("alone", slots=self._slots, **settings)["alone"]
        self._pair("batch --plan-only, whole process, over the engine alone", len(asked) / seconds, alone)

    def alone(self, engine: str, repeat: int) -> Speed:
        """The figures of an engine alone, with what it runs for plans."""
        target = replace(self.targets[engine], prompts=self.targets[engine].prompts[: 4 * self._slots])
        settings: dict[str, Any] = {"threads": self._threads, "slots": self._slots, "repeat": repeat}
        figures = speed(target, busy=True, peers=False, say=self._say, **settings)["figures"]
        return engine_speed(figures)

    def ratios(self) -> dict[str, Ratio]:
        """The ratios that were measured, in the order of `BARS`."""
        made = {}
        for name, (must, aim) in BARS.items():
            if pairs := self._pairs.get(name):
                ours, theirs = zip(*pairs, strict=True)
                ratios = [one / other for one, other in pairs]
                made[name] = Ratio(_spread(ratios), _spread(ours), _spread(theirs), must=must, aim=aim)
        return made

    def _of(self, engine: str) -> dict[str, Any]:
        return {"name": self._student, "level": self._level if engine == "llama.cpp" else None, "engine": engine}

    def _pair(self, name: str, ours: float, theirs: float) -> None:
        self._pairs.setdefault(name, []).append((ours, theirs))

    def _probe(self, name: str, **settings: Any) -> dict[str, Any]:
        self._say(f"measuring {name.replace('_', ' ')}")
        return run_probe(name, threads=self._threads, **settings)

    def _single(self, files: Mapping[str, Path]) -> float:
        """Decoded tokens/s of one sequence after a prompt of 64."""
        made = self._probe("single", files=_paths(files), context=512, tokens=128, repeat=2)
        return float(statistics.median(made["decode_tokens_per_second"]))

    def _delivered(self, engine: str) -> dict[str, Any]:
        asked = [[question.text, question.context] for question in self._asked]
        return self._probe("delivered", student=self._of(engine), questions=asked, slots=self._slots)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(**spread(values))


def _paths(files: Mapping[str, Path]) -> dict[str, str]:
    return {part: str(path.resolve()) for part, path in files.items()}


def table(result: SpeedResult) -> str:
    """The result as Markdown: ratios with their bars, then the engines alone."""
    lines = ["| figure | ratio | ours | theirs | must | aim |", "|---|---|---|---|---|---|"]
    for name, ratio in result.ratios.items():
        bars = ["" if bar is None else f"{bar:g}" for bar in (ratio.must, ratio.aim)]
        value = f"{ratio.ratio.median:.3f} ({ratio.ratio.least:.3f} to {ratio.ratio.most:.3f})"
        lines.append(f"| {name} | {value} | {ratio.ours.median:.4g} | {ratio.theirs.median:.4g} | {' | '.join(bars)} |")
    lines += ["", "| engine alone | decode, one | decode, together | prefill | plans/s together | peak MB |"]
    lines.append("|---|---|---|---|---|---|")
    for name, figures in result.engines.items():
        cells = (
            figures.decode_tokens_per_second,
            figures.decode_tokens_per_second_together,
            figures.prefill_tokens_per_second,
            figures.questions_per_second_together,
        )
        rates = " | ".join(f"{cell.median:.4g}" for cell in cells)
        lines.append(f"| {name} | {rates} | {figures.peak_memory_bytes / 1e6:.0f} |")
    return "\n".join([f"{result.student}, {result.n} questions of {result.task}", "", *lines])
