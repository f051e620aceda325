"""What dnc-edge adds: to a cold start above a bare script, and to a plan above its engine."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnc_edge.bench.machine import machine
from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.engines import Request
from dnc_edge.prompts import user_message
from dnc_edge.streams import result_of
from dnc_edge.students import resolve
from dnc_edge.students.student import Student
from dnc_edge.types import Question

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for $2 each. How much money does Mia make?"
QUESTIONS = (
    QUESTION,
    "Ben reads 14 pages a day for 9 days and then 20 pages a day for 4 days. How many pages does Ben read in all?",
    "A jacket costs $80. It is reduced by 25%, and Nora has a coupon for $10. How much does Nora pay?",
    "Ida is 4 years older than Tom, and Tom is twice as old as Eva. If Eva is 7, how old is Ida?",
    "A farm has 36 cows, half as many goats and 12 more hens than goats. How many animals does the farm have?",
)

# Imports the package, loads the same file and decodes the same tokens up to the same token: a newline, or the end.
BARE = """
import sys
from llama_cpp import Llama
path, threads, tokens, end = sys.argv[1], int(sys.argv[2]), eval(sys.argv[3]), int(sys.argv[4])
lora = sys.argv[5] if len(sys.argv) > 5 else None
llama = Llama(path, lora_path=lora, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)
text = b""
for token in llama.generate(tokens, temp=0.0, repeat_penalty=1.0):
    if token == end or token == llama.token_eos():
        break
    text += llama.detokenize([token])
print(text.decode(), flush=True)
"""

BARE_TYPER = [
    sys.executable,
    "-c",
    "import typer\napp = typer.Typer(rich_markup_mode=None)\n@app.command()\ndef ask(question: str): pass\napp()",
]


@dataclass(frozen=True)
class Overhead:
    """Median seconds with dnc-edge and of the bare thing, and the median of their ratios, pair by pair."""

    seconds: float
    bare_seconds: float
    ratio: float


@dataclass(frozen=True)
class OverheadResult:
    """What dnc-edge adds.

    Attributes:
        help: `--help` against that of a bare Typer application.
        cold: from the start of a process to the first sub-question, against a bare script on llama-cpp-python.
        plans: plans of the decomposer against the same requests to its engine.
        runs: pairs of measurements.
    """

    help: Overhead
    cold: Overhead
    plans: Overhead
    runs: int
    machine: Mapping[str, Any]


def overhead(*, runs: int = 9) -> OverheadResult:
    """Measure both, the two sides of each in turn.

    Args:
        runs: pairs of measurements of each; medians are returned.
    """
    with Student.open(resolve.BUNDLED) as student:
        prompt = student.prompt("decompose", user_message(QUESTION))
        (newline,) = student.tokenizer.encode("\n")
        path = resolve.resolve(resolve.BUNDLED) / student.weights.file
        threads = student.engine.threads  # type: ignore[attr-defined]
        plans = [_plans(student, engine_first=bool(run % 2)) for run in range(4 * runs)]
    bare = [sys.executable, "-c", BARE, str(path), str(threads), json.dumps(prompt), str(newline)]
    ours = [sys.executable, "-m", "dnc_edge", "decompose", "--events", QUESTION]
    cold = [(until(ours, b'"subquestion"'), until(bare, b"?")) for _ in range(runs)]
    help_ = [(until([*ours[:3], "--help"], b"Usage"), until([*BARE_TYPER, "--help"], b"Usage")) for _ in range(runs)]
    return OverheadResult(_overhead(help_), _overhead(cold), _overhead(plans), runs, machine())


def _overhead(pairs: list[tuple[float, float]]) -> Overhead:
    return Overhead(
        seconds=round(statistics.median(a for a, _ in pairs), 4),
        bare_seconds=round(statistics.median(b for _, b in pairs), 4),
        ratio=round(statistics.median(a / b for a, b in pairs), 3),
    )


def until(command: list[str], mark: bytes) -> float:
    """Return the seconds from the start of a process to the first line of its output that contains `mark`."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if mark in line:
                seconds = time.perf_counter() - started
                process.stdout.read()
                return seconds
    raise RuntimeError(f"{command[:3]} ended without {mark!r}")


def _plans(student: Student, *, engine_first: bool) -> tuple[float, float]:
    """Return the seconds of all plans through the decomposer, and of the same requests through the engine alone."""
    decomposer = StudentDecomposer(student)

    def pipeline() -> None:
        for question in QUESTIONS:
            result_of(decomposer.decompose(Question(question)))

    def engine() -> None:
        limit = student.manifest.roles["decompose"].max_tokens
        for number, question in enumerate(QUESTIONS):
            prompt = student.prompt("decompose", user_message(question))
            observers = student.plan_observers(decomposer.cap)
            for _ in student.engine.run([Request(str(number), prompt, limit, student.stop_ids, observers=observers)]):
                pass

    seconds = {}
    for side in (engine, pipeline) if engine_first else (pipeline, engine):
        started = time.perf_counter()
        side()
        seconds[side.__name__] = time.perf_counter() - started
    return seconds["pipeline"], seconds["engine"]
