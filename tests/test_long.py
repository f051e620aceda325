"""What takes long: every test question, a soak, kills, random bytes. Run by `make test-long`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnc_edge.bench.plans import plans
from dnc_edge.decomposers import StudentDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import StudentError
from dnc_edge.streams import result_of
from dnc_edge.students import manifest, resolve
from dnc_edge.students.student import Student
from dnc_edge.types import Question

pytestmark = pytest.mark.long


def test_all_test_questions_decompose_as_well_as_the_documents_say(student: Student, data: Path) -> None:
    result = plans(StudentDecomposer(student))
    ours = result["systems"]["student:dnc-11m q8_0"]
    assert result["n"] == 1319
    # docs/students.md; rounding differs a little between processors.
    assert ours["socratic"]["f1"]["value"] == pytest.approx(0.604, abs=0.01)
    assert ours["chatgpt"]["value"] == pytest.approx(0.570, abs=0.01)
    assert ours["socratic"]["repeats"]["value"] < 0.01


def test_a_thousand_questions_leave_the_memory_as_it_was() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1])

    with Edge() as edge:
        rng = random.Random(0)

        def ask(times: int) -> None:
            for _ in range(times):
                number = rng.randint(2, 99)
                edge.decompose(f"Tom has {number} boxes of {number + 3} eggs and uses {number}. How many are left?")

        ask(100)
        before = resident()
        ask(1000)
        assert resident() < before * 1.05


def test_a_conversion_killed_at_any_moment_leaves_no_student(tmp_path: Path, data: Path) -> None:
    from dnc_edge.train.base import BaseConfig, base
    from dnc_edge.train.sources import gsm8k
    from dnc_edge.train.tokenizer import load_tokenizer

    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    demonstrations = [demonstration for demonstration, _ in zip(gsm8k(), range(20), strict=False)]
    config = BaseConfig(layers=1, feed_forward=256, epochs=1, synthetic_first=10, synthetic_last=10)
    base(demonstrations, load_tokenizer(), checkpoint, config)
    out = tmp_path / "student"
    command = [
        sys.executable, "-m", "dnc_edge", "convert", "gguf", str(checkpoint), "-o", str(out), "--levels", "f16,q8_0,q4_k_m",
        "--questions", "3", "--keep-poor",
    ]  # fmt: skip
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - started
    shutil.rmtree(out)
    rng = random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(rng.random() * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if out.exists():
            # It had just become whole.
            Student.open(str(out)).close()
            shutil.rmtree(out)
    subprocess.run(command, check=True, capture_output=True)
    Student.open(str(out)).close()


def test_a_file_changed_anywhere_is_refused(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(resolve.resolve(), tmp_path / "copy"))
    path = copy / manifest.load(copy).file().file
    original = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        data = bytearray(original)
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
        with pytest.raises(StudentError, match="checksum differs"):
            Student.open(str(copy))


def test_random_plans_and_manifests_are_refused_or_read_never_crash(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(resolve.resolve(), tmp_path / "copy"))
    path = copy / manifest.FILENAME
    text = path.read_text("utf-8")
    rng = random.Random(0)
    for _ in range(500):
        values = json.loads(text)
        name = rng.choice(list(values))
        values[name] = rng.choice([None, 0, -1, "", "x", [], {}, [[]], {"x": 1}, [None], 1e300, True])
        path.write_text(json.dumps(values), encoding="utf-8")
        # Anything else than this error is a bug; a change that does not matter may load.
        with contextlib.suppress(StudentError):
            Student.open(str(copy)).close()


def test_interleaved_decomposers_of_many_questions_agree_with_each_alone(student: Student) -> None:
    decomposer = StudentDecomposer(student)
    questions = [
        Question(f"Ann has {n} pens and buys {n + 2} packs of {n + 5} pens. How many pens?") for n in range(2, 60)
    ]
    first = [result_of(decomposer.decompose(question)).subquestions for question in questions]
    order = list(range(len(questions)))
    random.Random(1).shuffle(order)
    again = {index: result_of(decomposer.decompose(questions[index])).subquestions for index in order}
    assert [again[index] for index in range(len(questions))] == first
