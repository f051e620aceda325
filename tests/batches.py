"""Batches of questions for tests: files of them, records, the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Question

PRICED = Prices(remote=(1.0, 1.0))


def questions(count: int, start: int = 0) -> list[Question]:
    return [
        Question(f"Tom packs {n + 2} boxes of {n + 3} pens and gives away {n % 5}. How many are left?", id=f"t-{n}")
        for n in range(start, start + count)
    ]


def write_questions(path: Path, asked: list[Question]) -> Path:
    path.write_text("".join(json.dumps({"id": q.id, "question": q.text}) + "\n" for q in asked), encoding="utf-8")
    return path


def read_records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def command(*arguments: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dnc_edge", "batch", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, **settings)
