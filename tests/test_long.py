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
from dnc_edge.errors import InputError, StudentError
from dnc_edge.streams import result_of
from dnc_edge.students import manifest, resolve
from dnc_edge.students.student import Student
from dnc_edge.types import Question

pytestmark = pytest.mark.long


def test_all_test_questions_decompose_as_well_as_the_documents_say(student: Student, data: Path) -> None:
    result = plans(StudentDecomposer(student))
    ours = result.systems["student:dnc-11m q8_0"]
    assert result.n == 1319
    # docs/students.md; rounding differs a little between processors.
    assert ours.socratic.f1.value == pytest.approx(0.604, abs=0.01)
    assert ours.chatgpt.value == pytest.approx(0.570, abs=0.01)
    assert ours.socratic.repeats.value < 0.01


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


# Trains in one transformers and writes the logits that it gives there.
ELSEWHERE = """
import itertools, sys
from pathlib import Path
import numpy as np, torch, transformers
from dnc_edge.train.checkpoints import load_model, open_base
from dnc_edge.train.sft import SftConfig, sft
from dnc_edge.train.sources import gsm8k

source, out = sys.argv[1], Path(sys.argv[2])
assert transformers.__version__.startswith("5."), transformers.__version__
some = sorted(itertools.islice(gsm8k(), 200), key=lambda d: len(d.question))[:16]
small = dict(rank=8, epochs=2, batch=8, micro_batch=4, learning_rate=5e-3, max_length=400, every=4, held_out=0)
sft(some, source, out / "lora", SftConfig(**small))
sft(some, source, out / "full", SftConfig(method="full", **small))
model = load_model(open_base(str(out / "full"), scratch=out, limit=400), dtype=torch.float32).eval()
tokens = torch.arange(5, 25)[None]
more = {"decoder_input_ids": tokens[:, :4]} if model.config.is_encoder_decoder else {}
np.save(out / "logits.npy", model(input_ids=tokens, **more).logits.detach().numpy())
"""


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2", "t5"])
def test_what_transformers_5_trains_is_equal_under_4_or_refused(name: str, tmp_path: Path, data: Path) -> None:
    import numpy as np
    import torch
    import transformers

    from dnc_edge.train.checkpoints import load_model, open_base
    from tests.models import random_model

    assert transformers.__version__.startswith("4.57")
    target = tmp_path / "packages"
    wanted = ["transformers>=5,<6", "huggingface_hub>=1,<2", "tokenizers>=0.22,<0.24"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, *wanted], check=True)
    source = random_model(name, tmp_path / "base", data)
    environment = {**os.environ, "PYTHONPATH": str(target), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", ELSEWHERE, source, tmp_path], check=True, env=environment)
    assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()
    refused = None
    try:
        base = open_base(str(tmp_path / "full"), scratch=tmp_path, limit=400)
    except InputError as error:
        refused = error
    if refused:
        assert "can read" in refused.message and "saved by transformers 5." in (refused.hint or "")
        return
    model = load_model(base, dtype=torch.float32).eval()
    tokens = torch.arange(5, 25)[None]
    more = {"decoder_input_ids": tokens[:, :4]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        logits = model(input_ids=tokens, **more).logits.numpy()
    np.testing.assert_allclose(logits, np.load(tmp_path / "logits.npy"), atol=1e-4)
