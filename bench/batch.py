"""What a batch adds: to the engine's own speed, to a slow solver's, and to memory as files grow."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge.bench.loopback import LoopbackSolver, Reply
from dnc_edge.bench.machine import machine, peak_memory
from dnc_edge.engines import Request
from dnc_edge.engines.threads import cores
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import user_message
from dnc_edge.students.resolve import BUNDLED
from dnc_edge.students.student import Student
from dnc_edge.tasks import gsm8k
from dnc_edge.types import Question

ROUNDS = 3
REPLY = "1. 24\n2. 72\nThe answer is: 72"


@dataclass(frozen=True)
class PlanOnly:
    """Questions per second of the engine alone and of the command, and the ratio of the command to the engine."""

    questions: int
    engine_questions_per_second: float
    batch_questions_per_second: float
    ratio: float


@dataclass(frozen=True)
class Overlap:
    """How far planning here and solving elsewhere overlap.

    Attributes:
        threads: of the engine.
        local_seconds: of planning alone; remote_seconds: of solving alone; both_seconds: of the whole; medians.
        ratios: of the whole to the longer of the two, round by round; ratio: their median.
        server_cpu_share: share (0 to 1) of the whole in which the loopback solver computed.
    """

    threads: int
    questions: int
    local_seconds: float
    remote_seconds: float
    both_seconds: float
    ratio: float
    ratios: tuple[float, ...]
    server_cpu_share: float


@dataclass(frozen=True)
class Memory:
    """Peak memory in bytes by number of questions, and by which share it grows from the first to the last."""

    peak_bytes: Mapping[str, int]
    growth: float


@dataclass(frozen=True)
class BatchResult:
    """What a batch adds to its parts; `overlap` has an entry for each number of threads."""

    plan_only: PlanOnly
    overlap: tuple[Overlap, ...]
    memory: Memory
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


def batch(
    *,
    questions: int = 1000,
    many: int = 20_000,
    slots: int = 8,
    jobs: int = 16,
    delay: float = 0.3,
    progress: Progress = SILENT,
) -> BatchResult:
    """Measure plan-only throughput, the overlap with a solver that waits, and memory.

    Args:
        questions: of GSM8K test, for speed.
        many: short questions of ours, for memory; a twentieth of them is measured too.
        slots: plans decoded at once.
        jobs: requests at once.
        delay: seconds that the loopback solver waits.
        progress: gets a note of what is being measured.

    Raises:
        DataMissing: GSM8K is not there.
    """
    asked = [Question(problem.question, id=problem.id) for problem in gsm8k.load(questions)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = _write(folder / "asked.jsonl", asked)
        progress.note("engine alone")
        engine = _engine(asked, slots)
        progress.note("plan-only")
        ours = _command(source, folder / "plans.jsonl", "--plan-only", "--slots", str(slots))
        progress.note("overlap")
        # With a thread on every core the engine and the requests take turns; with one less each has its own.
        overlap = [
            _overlap(asked[:640], folder / str(threads), slots, jobs, delay, threads)
            for threads in sorted({max(1, cores() - 1), cores()})
        ]
        progress.note("memory")
        memory = {}
        for count in (many // 20, many):
            short = [
                Question(f"Tom packs {n} boxes of {n % 90 + 3} pens. How many pens is that?", id=str(n))
                for n in range(2, count + 2)
            ]
            path = _write(folder / f"{count}.jsonl", short)
            made = _command(path, folder / f"{count}-out.jsonl", "--plan-only", "--slots", str(slots))
            memory[str(count)] = made["peak_memory_bytes"]
    first, last = memory.values()
    rate = ours["questions_per_second"]
    return BatchResult(
        plan_only=PlanOnly(len(asked), round(engine, 2), rate, round(rate / engine, 3)),
        overlap=tuple(overlap),
        memory=Memory(memory, round(last / first - 1, 4)),
        settings={"slots": slots, "jobs": jobs, "delay": delay},
        machine=machine(),
    )


def _write(path: Path, asked: Sequence[Question]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": question.id, "question": question.text}) + "\n" for question in asked)
    return path


def _engine(asked: Sequence[Question], slots: int) -> float:
    """Return the questions/s of the engine alone on the same prompts, with the same settings."""
    with Student.open(BUNDLED, slots=slots) as student:
        limit = student.manifest.roles["decompose"].max_tokens
        requests: list[Request] = [
            student.generate(
                student.prompt("decompose", user_message(question.text)),
                max_tokens=limit,
                observers=student.plan_observers(student.manifest.max_subquestions),
            ).request
            for question in asked
        ]
        started = time.perf_counter()
        for _ in student.engine.run(requests):
            pass
        return len(asked) / (time.perf_counter() - started)


def _command(source: Path, out: Path, *arguments: str) -> dict[str, Any]:
    """Run the command in a process of its own; its summary and peak memory."""
    line = [sys.executable, "-m", "dnc_edge.bench.batch", str(source), "-o", str(out), "--json", *arguments]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    summary, memory = (json.loads(line) for line in run.stdout.splitlines()[-2:])
    return {**summary, **memory}


def _overlap(asked: Sequence[Question], folder: Path, slots: int, jobs: int, delay: float, threads: int) -> Overlap:
    """Measure planning alone, solving alone and both in turn, so that other load slows all of them alike."""
    folder.mkdir()
    source = _write(folder / "some.jsonl", asked)
    settings = ["--slots", str(slots), "--jobs", str(jobs), "--threads", str(threads)]
    seconds: dict[str, list[float]] = {"local": [], "remote": [], "both": []}
    ratios, shares = [], []
    with LoopbackSolver(lambda _: Reply(REPLY, delay)) as solver:
        remote = ["--solver", solver.address]
        for number in range(ROUNDS):
            for name, arguments in (
                ("local", ["--plan-only"]),
                ("remote", [*remote, "--decomposer", "trivial"]),
                ("both", remote),
            ):
                used = time.process_time()
                made = _command(source, folder / f"{name}-{number}.jsonl", *arguments, *settings)["seconds"]
                seconds[name].append(made)
            # Of the last, which is both.
            shares.append((time.process_time() - used) / made)
            ratios.append(made / max(seconds["local"][-1], seconds["remote"][-1]))
    return Overlap(
        threads=threads,
        questions=len(asked),
        local_seconds=statistics.median(seconds["local"]),
        remote_seconds=statistics.median(seconds["remote"]),
        both_seconds=statistics.median(seconds["both"]),
        ratio=round(statistics.median(ratios), 3),
        ratios=tuple(round(ratio, 3) for ratio in ratios),
        server_cpu_share=round(statistics.median(shares), 3),
    )


if __name__ == "__main__":
    # The command itself, and then what memory its process took.
    import runpy

    sys.argv = ["dnc-edge", "batch", *sys.argv[1:]]
    try:
        runpy.run_module("dnc_edge", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    print(json.dumps({"peak_memory_bytes": peak_memory()}))
