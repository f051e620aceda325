"""What a batch adds: to the engine's own speed, to a slow solver's, and to memory as files grow."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dnc_edge.bench.machine import machine, peak_memory
from dnc_edge.engines import Request
from dnc_edge.engines.threads import cores
from dnc_edge.prompts import user_message
from dnc_edge.students.student import Student
from dnc_edge.tasks import gsm8k
from dnc_edge.types import Question

REPLY = "1. 24\n2. 72\nThe answer is: 72"


def batch(
    *,
    questions: int = 1000,
    many: int = 20_000,
    slots: int = 8,
    jobs: int = 16,
    delay: float = 0.3,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure plan-only throughput, the overlap with a solver that waits, and memory.

    Args:
        questions: of GSM8K test, for speed. many: short ones of ours, for memory.
        slots: plans decoded at once. jobs: requests at once. delay: seconds that the loopback solver waits.

    Returns:
        questions/s of the command and of the engine, and their ratio; seconds of local only, remote only and both;
        peak memory at a twentieth of `many` and at `many`.

    Raises:
        DataMissing: GSM8K is not there.
    """
    asked = [Question(problem.question, id=problem.id) for problem in gsm8k.load(questions)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = _write(folder / "asked.jsonl", asked)
        say("engine alone")
        engine = _engine(asked, slots)
        say("plan-only")
        ours = _command(source, folder / "plans.jsonl", "--plan-only", "--slots", str(slots))
        say("overlap")
        # With a thread on every core the engine and the requests take turns; with one less each has its own.
        overlap = [
            _overlap(asked[:320], folder / str(threads), slots, jobs, delay, threads)
            for threads in sorted({max(1, cores() - 1), cores()})
        ]
        say("memory")
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
    return {
        "plan_only": {
            "questions": len(asked),
            "engine_questions_per_second": round(engine, 2),
            "batch_questions_per_second": ours["questions_per_second"],
            "ratio": round(ours["questions_per_second"] / engine, 3),
        },
        "overlap": overlap,
        "memory": {"peak_bytes": memory, "growth": round(last / first - 1, 4)},
        "settings": {"slots": slots, "jobs": jobs, "delay": delay},
        "machine": machine(),
    }


def _write(path: Path, asked: Sequence[Question]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": question.id, "question": question.text}) + "\n" for question in asked)
    return path


def _engine(asked: Sequence[Question], slots: int) -> float:
    """Questions/s of the engine alone on the same prompts, with the same settings."""
    with Student.open(slots=slots) as student:
        limit = student.manifest.roles["decompose"].max_tokens
        requests: list[Request] = [
            student.generate(
                student.prompt("decompose", user_message(question.text)), max_tokens=limit, distinct_lines=True
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


def _overlap(
    asked: Sequence[Question], folder: Path, slots: int, jobs: int, delay: float, threads: int
) -> dict[str, Any]:
    folder.mkdir()
    source = _write(folder / "some.jsonl", asked)
    with _Solver(delay) as solver:
        settings = ["--slots", str(slots), "--jobs", str(jobs), "--threads", str(threads)]
        local = _command(source, folder / "local.jsonl", "--plan-only", *settings)["seconds"]
        remote_only = ["--solver", solver.address, "--decomposer", "trivial", *settings]
        remote = _command(source, folder / "remote.jsonl", *remote_only)["seconds"]
        used = time.process_time()
        both = _command(source, folder / "both.jsonl", "--solver", solver.address, *settings)["seconds"]
        share = (time.process_time() - used) / both
    return {
        "threads": threads,
        "questions": len(asked),
        "local_seconds": local,
        "remote_seconds": remote,
        "both_seconds": both,
        "ratio": round(both / max(local, remote), 3),
        "server_cpu_share": round(share, 3),
    }


class _Solver(ThreadingHTTPServer):
    """An OpenAI-compatible server on loopback that waits and then gives the same answer."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), _Reply)
        self.delay = delay
        self.address = f"http://127.0.0.1:{self.server_address[1]}/v1#loopback"

    def __enter__(self) -> _Solver:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Reply(BaseHTTPRequestHandler):
    server: _Solver
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.delay)
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "loopback"}
        usage = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": REPLY}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        body = "".join(f"data: {json.dumps({**head, **event})}\n\n" for event in events) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


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
