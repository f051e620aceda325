"""The ONNX Runtime engine on real graphs: fused, unfused and encoder-decoder, one at a time and together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dnc_edge import files
from dnc_edge.convert.assembly import ConversionSettings
from dnc_edge.convert.decoders import GgufDecoder, OnnxDecoder, TransformersDecoder
from dnc_edge.convert.gguf import gguf
from dnc_edge.convert.onnx import onnx
from dnc_edge.edge import Edge
from dnc_edge.engines import Request
from dnc_edge.engines.onnx import OnnxEngine
from dnc_edge.errors import StudentError, UsageError
from dnc_edge.students import manifest
from dnc_edge.students.student import Student
from tests.models import random_model

QUESTIONS = [f"Tom has {n} eggs and buys {n * 3} more. How many eggs does Tom have?" for n in range(3, 9)]


@pytest.fixture(scope="module")
def student(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One student for both engines."""
    settings = ConversionSettings("both", questions=1, keep_poor=True)
    out = gguf(checkpoint, tmp_path_factory.mktemp("both") / "both", levels=["f32"], settings=settings).out
    add = ConversionSettings(questions=1, keep_poor=True, add=True)
    return onnx(checkpoint, out, levels=["fp32", "int8"], settings=add).out


def plans(opened: Student) -> list[list[int]]:
    requests = [
        Request(str(n), opened.prompt("decompose", question), 30, frozenset({opened.tokenizer.control("<|end|>")}))
        for n, question in enumerate(QUESTIONS)
    ]
    made: list[list[int]] = [[] for _ in requests]
    for step in opened.engine.run(requests):
        assert step.token is not None and step.logprob <= 0
        made[int(step.id)].append(step.token)
    return made


def test_both_engines_decode_the_same_plans_at_full_precision(student: Path) -> None:
    exact = GgufDecoder(student / "both-f32.gguf", context=512, exact=True)
    end = frozenset({exact.tokenizer.control("<|end|>")})
    with Student.open(str(student), level="f32") as opened:
        wanted = [exact.greedy(opened.prompt("decompose", question), end, 30) for question in QUESTIONS]
    for slots in (1, 4):
        with Student.open(str(student), level="fp32", slots=slots) as onnx_student:
            assert onnx_student.engine.name == "onnxruntime"
            assert plans(onnx_student) == wanted


def test_a_student_is_opened_with_the_engine_that_has_the_level(student: Path) -> None:
    for level, engine, expected in (
        (None, None, ("llama.cpp", "f32")),
        ("int8", None, ("onnxruntime", "int8")),
        (None, "onnxruntime", ("onnxruntime", "int8")),
    ):
        with Student.open(str(student), level=level, engine=engine) as opened:
            assert (opened.engine.name, opened.weights.level) == expected
    with pytest.raises(StudentError, match="has no level q9"):
        Student.open(str(student), level="q9")
    with Edge(student=str(student), engine="onnxruntime") as edge:
        record = edge.decompose(QUESTIONS[0])
    assert (record.engine, record.level) == ("onnxruntime", "int8")


def test_questions_together_get_the_plans_of_questions_alone(student: Path) -> None:
    made = []
    for slots in (1, 3, 8):
        with Student.open(str(student), level="int8", slots=slots) as opened:
            made.append(plans(opened))
    same = sum(one == other for batch in made[1:] for one, other in zip(made[0], batch, strict=True))
    assert same >= 8  # of 12: int8 products round by batch size


def test_refusing_repeats_takes_tokens_back_in_the_cache(student: Path) -> None:
    """What was decoded after a step back has the probability that a fresh cache gives it."""
    with Student.open(str(student), level="fp32") as opened:
        for question in QUESTIONS[:3]:
            tokens = opened.prompt("decompose", question)
            generation = opened.generate(tokens, max_tokens=60, observers=opened.plan_observers(10))
            lines = "".join(generation).split("\n")
            assert len(lines) == len(set(lines))
            fresh = opened.engine.logits(tokens, generation.tokens)  # type: ignore[attr-defined]
            logprobs = fresh - np.log(np.exp(fresh - fresh.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
            logprobs -= fresh.max(axis=1, keepdims=True)
            given = logprobs[np.arange(len(generation.tokens)), generation.tokens].sum()
            # The end, where the plan came to one, is a step without a token.
            assert generation.finish == "stop" or abs(sum(generation.logprobs) - given) < 0.05
            assert sum(generation.logprobs) <= given + 0.05


@pytest.mark.parametrize("name", ["qwen3", "gpt2", "t5"])
def test_other_graphs_run_in_the_engine_as_in_a_plain_loop(name: str, tmp_path: Path) -> None:
    """No fused attention: caches that are copied, and an encoder with its decoder."""
    model = random_model(name, tmp_path / "model", None)
    made = onnx(model, tmp_path / "onnx", levels=["fp32"], settings=ConversionSettings(questions=1, keep_poor=True)).out
    described = manifest.load(made)
    files = {part: made / file.file for part, file in described.parts("fp32", "onnxruntime").items()}
    plain = OnnxDecoder(files, start=described.start)
    reference = TransformersDecoder(model, encoder_decoder=name == "t5")
    prompts = [[300 + 7 * n + k for k in range(5 + 3 * (n % 3))] for n in range(7)]
    wanted = [plain.greedy(prompt, frozenset({2}), 12) for prompt in prompts]
    assert wanted[:2] == [reference.greedy(prompt, frozenset({2}), 12) for prompt in prompts[:2]]
    for slots in (1, 3):
        engine = OnnxEngine(files, context=64, slots=slots, start=described.start)
        got: dict[str, list[int]] = {}
        for step in engine.run(Request(str(n), prompt, 12, frozenset({2})) for n, prompt in enumerate(prompts)):
            assert step.token is not None
            got.setdefault(step.id, []).append(step.token)
        assert [got[str(n)] for n in range(len(prompts))] == wanted
        engine.close()


def test_bad_files_and_settings_are_one_line(student: Path, tmp_path: Path) -> None:
    described = manifest.load(student)
    model = {"model": student / described.file("int8").file}
    with pytest.raises(UsageError, match="has no provider cuda here") as caught:
        OnnxEngine(model, context=64, provider="cuda")
    assert "cpu" in str(caught.value.hint)
    with pytest.raises(UsageError, match="threads must be"):
        OnnxEngine(model, context=64, threads=0)
    with pytest.raises(StudentError, match="no such file"):
        OnnxEngine({"model": tmp_path / "none.onnx"}, context=64)
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07garbage")
    with pytest.raises(StudentError, match="cannot load"):
        OnnxEngine({"model": tmp_path / "bad.onnx"}, context=64)
    with pytest.raises(StudentError, match="no adapter"):
        list(OnnxEngine(model, context=64).run([Request("a", [5], 1, adapter="x")]))


def test_a_tokenizer_of_another_student_is_refused(student: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(student, tmp_path / "copy"))
    values = json.loads((copy / "student.json").read_text("utf-8"))
    (tokens,) = [file for file in values["files"] if file["part"] == "tokenizer"]
    path = copy / tokens["file"]
    vocabulary = json.loads(path.read_text("utf-8"))
    vocabulary["added_tokens"].append({**vocabulary["added_tokens"][-1], "id": 4096, "content": "<|more|>"})
    path.write_text(json.dumps(vocabulary), encoding="utf-8")
    tokens.update(sha256=files.sha256_of(path), bytes=path.stat().st_size)
    (copy / "student.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(StudentError, match="do not belong together|tokenizer 4097"):
        Student.open(str(copy), engine="onnxruntime")


def test_the_engine_needs_neither_torch_nor_llama_cpp(student: Path) -> None:
    code = (
        "import sys\nfrom dnc_edge.edge import Edge\n"
        f"with Edge(student={str(student)!r}, engine='onnxruntime') as edge: edge.decompose({QUESTIONS[0]!r})\n"
        "print(sorted({'torch', 'transformers', 'llama_cpp', 'onnx'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
