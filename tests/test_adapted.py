"""Students that are adapters on a base: one base in memory, an adapter for each role, on both engines."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dnc_edge import files
from dnc_edge.cli.students import verify
from dnc_edge.convert.built import build
from dnc_edge.convert.merged import build_merged
from dnc_edge.edge import Edge
from dnc_edge.engines import Request
from dnc_edge.errors import InputError, StudentError
from dnc_edge.solvers import LocalSolver
from dnc_edge.students import adapted, manifest, resolve
from dnc_edge.students.student import Student
from dnc_edge.types import Question
from tests import tiny_base

QUESTIONS = ("How many pens are left?", "Is the café older than #1?", "in the other box, how many?")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("students") / "root"
    tiny_base.write_students(root)
    return root


@pytest.fixture
def root(made: Path) -> Path:
    """The place of local students, with a base and a student on it."""
    return Path(shutil.copytree(made, os.environ["DNC_EDGE_STUDENTS"]))


def said(student: Student, role: str, question: str, *, most: int = 12) -> list[int]:
    generation = student.generate(student.prompt(role, question), max_tokens=most, role=role)
    list(generation)
    return generation.tokens


def test_a_role_s_adapter_is_over_the_base_for_its_own_requests_alone(root: Path) -> None:
    with Student.open("on-tiny") as student, Student.open("tiny") as base:
        assert student.engine.name == "llama.cpp" and student.weights.file == "decompose.gguf"
        for question in QUESTIONS:
            assert said(student, "solve", question) == said(base, "solve", question)
            assert said(student, "decompose", question) != said(base, "decompose", question)
            assert said(student, "solve", question) == said(base, "solve", question)


def test_both_engines_say_the_same(root: Path) -> None:
    build(root / "on-tiny")
    with Student.open("on-tiny", engine="onnxruntime") as graph, Student.open("on-tiny") as llama:
        assert graph.engine.name == "onnxruntime" and graph.weights.level == "int8"
        equal = 0
        for question in QUESTIONS:
            prompt = llama.prompt("decompose", question)
            assert graph.prompt("decompose", question) == prompt
            for role in ("decompose", "solve"):
                wanted = said(llama, role, question)
                equal += said(graph, role, question) == wanted
                rows = [
                    student.engine.logits(prompt, wanted, adapter=student.manifest.roles[role].adapter)  # type: ignore[attr-defined]
                    for student in (llama, graph)
                ]
                # Both round what they multiply to eight bits; random weights make the most of it.
                assert np.corrcoef(rows[0].ravel(), rows[1].ravel())[0, 1] > 0.97
                assert (rows[0].argmax(axis=1) == rows[1].argmax(axis=1)).mean() >= 0.8
        assert equal >= len(QUESTIONS)


def test_merged_weights_serve_where_one_role_is_asked_for(root: Path) -> None:
    built = build_merged(root / "on-tiny")
    assert built is not None and [path.suffix for path in sorted(built.iterdir())] == [".gguf", ".json"]
    with Student.open("on-tiny") as applied, Student.open("on-tiny", role="decompose") as merged:
        assert (applied.weights.level, merged.weights.level) == ("f32", "q8_0")
        assert list(merged.manifest.roles) == ["decompose"] and merged.engine.name == "llama.cpp"
        for question in QUESTIONS:
            prompt = applied.prompt("decompose", question)
            assert merged.prompt("decompose", question) == prompt
            wanted = said(applied, "decompose", question)
            rows = [
                student.engine.logits(prompt, wanted, adapter=student.manifest.roles["decompose"].adapter)  # type: ignore[attr-defined]
                for student in (applied, merged)
            ]
            assert np.corrcoef(rows[0].ravel(), rows[1].ravel())[0, 1] > 0.98
    for settings in ({"level": "f32", "role": "decompose"}, {"role": "solve"}):
        with Student.open("on-tiny", **settings) as student:  # type: ignore[arg-type]
            assert student.weights.file == "decompose.gguf" and "solve" in student.manifest.roles


def test_an_edge_takes_merged_weights_for_plans_alone(root: Path) -> None:
    build_merged(root / "on-tiny")
    with Edge(student="on-tiny") as edge:
        assert edge.pipeline(solve=False).decomposer.level == "q8_0"  # type: ignore[union-attr]
        # Whoever answers, too, is another student: its own role needs the base.
        assert edge.student("on-tiny") is edge.student("on-tiny", "solve")
    with Edge(student="on-tiny") as edge:
        pipeline = edge.pipeline()
        assert pipeline.decomposer.student is pipeline.solver.student  # type: ignore[union-attr]
        assert pipeline.decomposer.level == "f32"  # type: ignore[union-attr]


def test_a_graph_whose_cache_is_copied_takes_an_adapter_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where the cache is not written in place."""
    from dnc_edge.engines import onnx

    built = build(root / "on-tiny")
    graph, adapters = {"model": next(built.glob("*.onnx"))}, {"plan": next(built.glob("*.npz"))}
    shared = onnx.OnnxEngine(graph, context=64, adapters=adapters)
    monkeypatch.setattr(onnx, "SharedCache", onnx.CopiedCache)
    copied = onnx.OnnxEngine(graph, context=64, adapters=adapters)
    for adapter in (None, "plan"):
        wanted = shared.logits([5, 6, 7], [8, 9], adapter=adapter)
        assert np.abs(copied.logits([5, 6, 7], [8, 9], adapter=adapter) - wanted).max() < 1e-3
    with pytest.raises(StudentError, match="no adapter other"):
        copied.logits([5], [6], adapter="other")


def test_slots_of_different_adapters_do_not_mix(root: Path) -> None:
    build(root / "on-tiny")
    for engine in ("llama.cpp", "onnxruntime"):
        with Student.open("on-tiny", engine=engine, slots=3) as student:
            adapter = student.manifest.roles["decompose"].adapter
            prompt = student.prompt("decompose", QUESTIONS[0])

            def tokens(requests: list[Request], student: Student = student) -> dict[str, list[int | None]]:
                found: dict[str, list[int | None]] = {request.id: [] for request in requests}
                for step in student.engine.run(requests):
                    found[step.id].append(step.token)
                return found

            alone = {name: tokens([Request("r", prompt, 8, adapter=name)])["r"] for name in (adapter, None)}
            assert alone[adapter] != alone[None]
            mixed = [Request(f"{n}", prompt, 8, adapter=adapter if n % 2 else None) for n in range(6)]
            for id, found in tokens(mixed).items():
                assert found == alone[adapter if int(id) % 2 else None]


def test_the_default_student_is_the_one_whose_base_is_here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "DEFAULTS", ("on-tiny", resolve.BUNDLED))
    assert resolve.resolve() == root / "on-tiny"
    shutil.rmtree(root / "tiny")
    assert resolve.resolve().name == resolve.BUNDLED
    tiny_base.write_students(root / "elsewhere")
    shutil.copytree(root / "elsewhere" / "tiny", root / "tiny")
    tiny_base.edit(root / "on-tiny", base={"name": "tiny", "sha256": "0" * 64})
    assert resolve.resolve().name == resolve.BUNDLED


def test_what_does_not_fit_together_is_refused_in_one_line(root: Path, tmp_path: Path) -> None:
    student = root / "on-tiny"
    with pytest.raises(StudentError, match="no graph for onnxruntime yet") as caught:
        Student.open("on-tiny", engine="onnxruntime")
    assert "students pull tiny" in str(caught.value.hint)
    tiny_base.write_adapter(student / "decompose.gguf", width=64)
    tiny_base.edit(student, files=[tiny_base.entry(student / "decompose.gguf", "adapter")])
    with pytest.raises(StudentError, match="cannot use .*decompose.gguf with tiny.gguf"):
        Student.open("on-tiny")
    with pytest.raises(StudentError, match="does not fit the base: blk.1.attn_v differs"):
        build(student)
    tiny_base.edit(student, base={"name": "tiny", "sha256": "0" * 64})
    with pytest.raises(StudentError, match="another file than the student on-tiny was trained on"):
        Student.open("on-tiny")
    shutil.rmtree(root / "tiny")
    with pytest.raises(StudentError, match="needs its base tiny, which is not here") as caught:
        Student.open("on-tiny")
    assert caught.value.hint == "dnc-edge students pull tiny"
    other = (student / "decompose.gguf").rename(student / "other.gguf")
    tiny_base.edit(student, files=[tiny_base.entry(other, "adapter")])
    with pytest.raises(StudentError, match="not a valid manifest: the adapter 'decompose.gguf' is none of its files"):
        Student.open("on-tiny")


def test_a_damaged_base_is_refused(root: Path) -> None:
    file = root / "tiny" / "tiny.gguf"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(StudentError, match="checksum differs"):
        Student.open("on-tiny")
    with pytest.raises(StudentError, match="checksum differs"):
        verify("on-tiny")


def test_a_build_appears_whole_and_once_for_each_adapter(root: Path) -> None:
    student = root / "on-tiny"
    first = build(student)
    before = (first / manifest.FILENAME).stat().st_mtime_ns
    assert build(student) == first and (first / manifest.FILENAME).stat().st_mtime_ns == before
    tiny_base.write_adapter(student / "decompose.gguf", seed=9)
    tiny_base.edit(student, files=[tiny_base.entry(student / "decompose.gguf", "adapter")])
    assert build(student) != first
    made = {name for name, directory in resolve.known().items() if not resolve.is_bundled(directory)}
    assert made == {"tiny", "on-tiny"}


def test_an_architecture_without_a_graph_is_refused(root: Path) -> None:
    file = tiny_base.write_base(root / "tiny" / "tiny.gguf", architecture="gemma")
    tiny_base.edit(root / "tiny", files=[tiny_base.entry(file, "model")])
    tiny_base.edit(root / "on-tiny", base={"name": "tiny", "sha256": files.sha256_of(file)})
    with pytest.raises(InputError, match="architecture gemma, for which no graph is known"):
        build(root / "on-tiny")
    assert not adapted.built_directory(manifest.load(root / "on-tiny"), "onnxruntime").exists()


def test_a_file_on_which_llama_cpp_dies_is_one_line(tmp_path: Path) -> None:
    """Byte-level pieces written as sentencepiece's: there is no token for a byte."""
    from dnc_edge.convert.loads import check_loads

    check_loads(tiny_base.write_base(tmp_path / "good.gguf"))
    broken = tiny_base.write_base(tmp_path / "broken.gguf", vocabulary="llama")
    with pytest.raises(StudentError, match=r"broken.gguf was written, but llama.cpp died of SIGABRT"):
        check_loads(broken)


def test_a_solver_s_adapter_answers_the_kinds_it_was_trained_on_and_the_base_the_others(root: Path) -> None:
    """One base in memory: a plan by one adapter, its answer by another, an open question by neither."""
    student = root / "on-tiny"
    solve = tiny_base.write_adapter(student / "solve.gguf", seed=5)
    values = json.loads((student / manifest.FILENAME).read_text("utf-8"))
    plain = values["roles"]["solve"]
    roles = {**values["roles"], "solve": {**plain, "adapter": solve.name, "kinds": ["problem"]}, "chat": plain}
    tiny_base.edit(student, roles=roles, files=[*values["files"], tiny_base.entry(solve, "adapter")])
    build(student)
    for engine in ("llama.cpp", "onnxruntime"):
        with Student.open("on-tiny", engine=engine) as opened:
            solver = LocalSolver(opened)
            for text, role in (("How many pens are in 2 boxes of 3?", "solve"), ("Tell me about the sea.", "chat")):
                generation = solver.begin(Question(text), (), "cot")
                list(generation)
                assert generation.request.adapter == opened.manifest.roles[role].adapter
                assert generation.tokens == said(opened, role, text, most=24)
            assert said(opened, "solve", "How many?") != said(opened, "chat", "How many?")


def test_a_role_for_some_kinds_needs_one_for_the_others(root: Path) -> None:
    roles = json.loads((root / "on-tiny" / manifest.FILENAME).read_text("utf-8"))["roles"]
    roles["solve"]["kinds"] = ["problem"]
    tiny_base.edit(root / "on-tiny", roles=roles)
    with pytest.raises(StudentError, match="no role chat is there for the others"):
        Student.open("on-tiny")
