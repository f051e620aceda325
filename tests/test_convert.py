"""From a checkpoint to a student: converted, quantized, compared with what was trained, and run for real."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnc_edge.convert import quantize
from dnc_edge.convert.assembly import ConversionSettings
from dnc_edge.convert.checkpoint import check_checkpoint
from dnc_edge.convert.decoders import GgufDecoder
from dnc_edge.convert.gguf import adapter_student, gguf, gguf_adapter
from dnc_edge.convert.metadata import read
from dnc_edge.convert.onnx import onnx
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, StudentError, UsageError
from dnc_edge.files import sha256_of, write_json
from dnc_edge.students import bases, facts, manifest
from dnc_edge.students.chat import CHATML
from dnc_edge.students.facts import About
from dnc_edge.students.student import Student
from dnc_edge.students.table import table as manifest_table
from dnc_edge.train.checkpoints import open_base
from tests import tiny_base
from tests.models import random_model

QUICK = ConversionSettings(questions=2, keep_poor=True)


def test_a_trained_checkpoint_becomes_a_student_that_answers(converted: Path) -> None:
    for level in ("f16", "q8_0"):
        with Edge(student=str(converted), level=level, max_subquestions=2) as edge:
            record = edge.decompose("Tom has 3 eggs and buys 5 more. How many eggs does Tom have?")
            assert record.level == level and record.subquestions is not None


def test_quantizing_in_process_shrinks_the_file(converted: Path) -> None:
    sizes = {f["level"]: f["bytes"] for f in json.loads((converted / "student.json").read_text("utf-8"))["files"]}
    assert sizes["q8_0"] < 0.62 * sizes["f16"]


def test_no_file_of_a_student_names_the_machine(converted: Path) -> None:
    for path in converted.iterdir():
        assert str(converted.parent).encode() not in path.read_bytes()


def test_an_existing_student_is_refused_without_force(checkpoint: Path, converted: Path) -> None:
    before = (converted / "student.json").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        gguf(checkpoint, converted, levels=["q8_0"])
    assert (converted / "student.json").read_bytes() == before


def test_what_is_no_checkpoint_is_refused_before_any_work(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        check_checkpoint(tmp_path)
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        check_checkpoint(copy)
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match="is a pickle"):
        check_checkpoint(copy)


def test_a_converter_that_fails_shows_its_last_lines_and_keeps_its_log(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "architectures": ["NobodyForCausalLM"]}), encoding="utf-8")
    with pytest.raises(InputError, match="converter failed: .*Nobody") as caught:
        gguf(copy, tmp_path / "out", levels=["q8_0"], settings=QUICK)
    log = Path(str(caught.value.hint).removeprefix("its whole log is in "))
    assert "Nobody" in log.read_text("utf-8")
    assert not (tmp_path / "out").exists()


def test_levels_are_checked_and_listed() -> None:
    assert quantize.parse_levels("F16, q8_0,q8_0") == ["f16", "q8_0"]
    with pytest.raises(UsageError, match="unknown level 'q9_9'") as caught:
        quantize.parse_levels("q8_0,q9_9")
    assert "q4_k_m" in str(caught.value.hint)


def test_a_file_without_a_known_chat_format_is_refused(converted: Path) -> None:
    from dnc_edge.students.chat import LocalChat

    with pytest.raises(StudentError, match="none of the chat formats"):
        LocalChat(converted / "tiny-f16.gguf")


def files_of(student: Path) -> dict[str, Any]:
    files = json.loads((student / "student.json").read_text("utf-8"))["files"]
    return {file["level"]: file for file in files}


def test_every_level_says_how_near_it_is_to_what_was_trained(checkpoint: Path, tmp_path: Path) -> None:
    student = gguf(
        checkpoint,
        tmp_path / "s",
        levels=["f32", "q8_0", "q4_k_m"],
        settings=ConversionSettings("s", questions=3, keep_poor=True),
    ).out
    exact, eight, four = (file["measured"]["fidelity"] for file in files_of(student).values())
    assert exact["identical"] == 3 and exact["largest_difference"] < 1e-3 and exact["kl"] < 1e-9
    assert exact["kl"] < eight["kl"] < four["kl"]
    assert (
        files_of(student)["q8_0"]["measured"]["types"]["q8_0"] > files_of(student)["q8_0"]["measured"]["types"]["f32"]
    )
    onnx(
        checkpoint,
        student,
        levels=["fp32", "int8", "int4"],
        settings=ConversionSettings(questions=3, keep_poor=True, add=True),
    )
    files = files_of(student)
    assert list(files) == ["f32", "q8_0", "q4_k_m", "fp32", "int8", "int4", ""]
    assert files["fp32"]["measured"]["fused"] and files["fp32"]["measured"]["fidelity"]["identical"] == 3
    assert files["int8"]["bytes"] < 0.35 * files["fp32"]["bytes"] and files["int4"]["bytes"] < files["int8"]["bytes"]


def test_a_poor_level_is_left_out_unless_it_is_wished_for(tmp_path: Path) -> None:
    """Random weights have no margin: rounding to eight bits changes one token in seven."""
    model = random_model("qwen2", tmp_path / "model", None)
    made = gguf(model, tmp_path / "s", levels=["f32", "q8_0"], settings=ConversionSettings(questions=2))
    assert set(files_of(made.out)) == {"f32"} and not list(made.out.glob("*q8_0*"))
    assert "q8_0 was left out" in made.dropped[0] and "--keep-poor" in made.dropped[0]
    with pytest.raises(InputError, match="no level is left"):
        gguf(model, tmp_path / "none", levels=["q8_0"], settings=ConversionSettings(questions=2))
    kept = gguf(model, tmp_path / "kept", levels=["q8_0"], settings=ConversionSettings(questions=2, keep_poor=True))
    assert files_of(kept.out)["q8_0"]["measured"]["fidelity"]["poor"]


def test_a_tensor_that_could_not_get_the_level_s_type_is_named(tmp_path: Path) -> None:
    """K-quants pack 256 weights; rows of 192 get another type."""
    from tests import models

    architecture, sizes = models.ARCHITECTURES["llama"]
    models.ARCHITECTURES["narrow"] = architecture, {**sizes, "intermediate_size": 192}
    model = random_model("narrow", tmp_path / "model", None)
    student = gguf(model, tmp_path / "s", levels=["q4_k_m"], settings=QUICK).out
    measured = files_of(student)["q4_k_m"]["measured"]
    assert measured["fell_back"] == ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"]
    assert "(2 fell back)" in manifest_table(manifest.load(student).files)


def test_a_file_says_by_itself_what_it_is(converted: Path) -> None:
    reader = read(converted / "tiny-q8_0.gguf")
    facts = json.loads(reader.get_field("dnc_edge.student").contents())
    assert facts["roles"]["decompose"]["template"] == "<|decompose|> {user}<|plan|>"
    assert reader.get_field("general.license").contents() == "Apache-2.0 AND MIT"
    assert reader.get_field("tokenizer.chat_template")


@pytest.fixture(scope="module")
def adapter(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(checkpoint, tmp_path_factory.mktemp("adapter") / "lora")


def random_adapter(checkpoint: Path, out: Path, *, seed: int = 0) -> Path:
    """A LoRA adapter with weights that change what the base says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(checkpoint)
    model = get_peft_model(base, LoraConfig(r=8, target_modules=["q_proj", "v_proj", "down_proj"], lora_alpha=16))
    torch.manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    model.save_pretrained(out)
    return out


def test_an_adapter_beside_the_base_plans_like_the_merged_model(
    checkpoint: Path, adapter: Path, tmp_path: Path
) -> None:
    merged = gguf(checkpoint, tmp_path / "merged", levels=["f32"], adapter=adapter, settings=QUICK).out
    base = gguf(checkpoint, tmp_path / "base", levels=["f32"], settings=QUICK).out
    lora = gguf_adapter(checkpoint, adapter, tmp_path / "lora.gguf", level="f32")
    assert lora.stat().st_size < 0.1 * (base / "base-f32.gguf").stat().st_size
    with_adapter = GgufDecoder(base / "base-f32.gguf", context=512, exact=True, adapter=lora)
    whole = GgufDecoder(merged / "merged-f32.gguf", context=512, exact=True)
    alone = GgufDecoder(base / "base-f32.gguf", context=512, exact=True)
    changed = 0
    for question in ("Tom has 3 eggs and buys 5. How many?", "A box holds 12 pens. How many are in 4 boxes?"):
        prompt = [4, *whole.tokenizer.encode(f" {question}"), 7]
        plans = [decoder.greedy(prompt, frozenset({2}), 40) for decoder in (with_adapter, whole, alone)]
        assert plans[0] == plans[1]
        changed += plans[0] != plans[2]
        assert np.abs(with_adapter.logits(prompt, plans[0]) - whole.logits(prompt, plans[0])).max() < 1e-2
    assert changed, "the adapter changes nothing"
    assert files_of(merged)["f32"]["measured"]["fidelity"]["identical"] == 2


def test_a_solver_s_adapter_joins_a_decomposer_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each role keeps its prompt, its probes and what it was trained on; what is for some kinds alone says so."""
    known = next(iter(bases.BASES.values()))
    folder = tmp_path / "students" / "tiny"
    folder.mkdir(parents=True)
    file = tiny_base.write_base(folder / "tiny.gguf")
    named = replace(known, name="tiny", file=file.name, level="f32", sha256=sha256_of(file))
    monkeypatch.setitem(bases.BASES, "tiny", named)
    monkeypatch.setenv("DNC_EDGE_STUDENTS", str(tmp_path / "students"))
    write_json(folder / manifest.FILENAME, tiny_base.facts("tiny", [tiny_base.entry(file, "model")]))
    student = tmp_path / "students" / "both"
    for seed, role in enumerate(("decompose", "solve")):
        base = open_base("tiny", role=role, scratch=tmp_path / role, limit=64).checkpoint
        lora = random_adapter(base.path, tmp_path / f"lora-{role}", seed=seed)
        training = {"figures": {"steps": seed + 1}} | ({"kinds": ["problem"]} if role == "solve" else {})
        facts.write(lora, replace(base.facts, about=About(training)))
        settings = ConversionSettings(questions=2, keep_poor=True, add=role == "solve")
        adapter_student("tiny", lora, student, level="f32", settings=settings)
    values = json.loads((student / "student.json").read_text("utf-8"))
    asked = CHATML.prompt()
    assert {role: facts["template"] for role, facts in values["roles"].items()} == dict.fromkeys(values["roles"], asked)
    assert values["roles"]["solve"]["kinds"] == ["problem"] and "adapter" not in values["roles"]["chat"]
    assert [probe["role"] for probe in values["probes"]] == [*["decompose"] * 2, *["solve"] * 2, *["chat"] * 2]
    assert (values["about"]["training"], values["about"]["solve"]["training"]) == (
        {"figures": {"steps": 1}}, {"figures": {"steps": 2}, "kinds": ["problem"]}
    )  # fmt: skip
    first, second = (file["measured"]["fidelity"] for file in values["files"])
    assert "plan_f1" in first and "plan_f1" not in second
    assert second["identical"] == 2 and second["top_tokens"] == 1
    with Student.open(str(student)) as opened:
        assert opened.manifest.roles["solve"].adapter == values["files"][1]["file"]


def test_adapters_that_cannot_be_converted_are_refused_before_any_work(
    checkpoint: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    copy = Path(shutil.copytree(adapter, tmp_path / "copy"))
    tensors = load_file(copy / "adapter_model.safetensors")

    def refused(changed: dict[str, Any], complaint: str) -> None:
        save_file(changed, copy / "adapter_model.safetensors")
        with pytest.raises(InputError, match=complaint):
            gguf(checkpoint, tmp_path / "out", levels=["f16"], adapter=copy, settings=QUICK)
        assert not (tmp_path / "out").exists()

    refused(
        {name.replace("layers.0", "layers.7"): value for name, value in tensors.items()}, "does not fit .*not there"
    )
    refused({name: np.zeros((value.shape[0] + 1, value.shape[1] + 1), "f") for name, value in tensors.items()}, "shape")
    head = {"base_model.model.lm_head.lora_A.weight": np.zeros((8, 256), "f")}
    refused(head, "LoRA on embeddings or head")
    (copy / "adapter_model.safetensors").unlink()
    (copy / "adapter_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        gguf(checkpoint, tmp_path / "out", levels=["f16"], adapter=copy, settings=QUICK)
    config = json.loads((copy / "adapter_config.json").read_text("utf-8"))
    (copy / "adapter_model.bin").rename(copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}), encoding="utf-8")
    with pytest.raises(InputError, match="only LoRA"):
        gguf(checkpoint, tmp_path / "out", levels=["f16"], adapter=copy, settings=QUICK)


def test_quantized_and_damaged_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "quantization_config": {"bits": 4}}), encoding="utf-8")
    with pytest.raises(InputError, match="quantized weights"):
        check_checkpoint(copy)
    (copy / "config.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(InputError, match="no JSON object"):
        check_checkpoint(copy)


def test_a_tokenizer_that_reads_otherwise_than_in_training_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    facts = json.loads((copy / "train.json").read_text("utf-8"))
    facts["student"]["probes"][0]["tokens"][3] += 1
    (copy / "train.json").write_text(json.dumps(facts), encoding="utf-8")
    for convert, levels in ((gguf, ["f16"]), (onnx, ["fp32"])):
        with pytest.raises(StudentError, match="otherwise than the trained one"):
            convert(copy, tmp_path / "out", levels=levels, settings=QUICK)
        assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """No file may grow past 2 MB, as on a disk that fills up."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    for engine, level in (("gguf", "f32"), ("onnx", "fp32")):
        line = [sys.executable, "-m", "dnc_edge", "convert", engine, str(checkpoint), "-o", str(tmp_path / "d" / "out")]
        line += ["--levels", level, "--questions", "1"]
        result = subprocess.run(line, preexec_fn=small_files, capture_output=True, text=True, check=False)
        assert result.returncode in (3, 4), result.stderr
        assert "Traceback" not in result.stderr and "dnc-edge: " in result.stderr
        assert [path.name for path in (tmp_path / "d").iterdir() if path.suffix != ".log"] == []


def test_unknown_architectures_and_encoder_decoders_say_what_can_be_converted(tmp_path: Path, data: Path) -> None:
    t5 = random_model("t5", tmp_path / "t5", data)
    with pytest.raises(InputError, match="encoder-decoder") as caught:
        gguf(t5, tmp_path / "out", levels=["f16"], settings=QUICK)
    assert "convert onnx" in str(caught.value.hint)
    with pytest.raises(UsageError, match="unknown level int3"):
        onnx(t5, tmp_path / "out", levels=["int3"], settings=QUICK)
    with pytest.raises(InputError, match="no directory, no GGUF file, and no name of a hub repository"):
        gguf(tmp_path / "nowhere", tmp_path / "out", levels=["f16"], settings=QUICK)


@pytest.mark.long
@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "t5"])
def test_every_architecture_of_the_table_converts_and_computes_the_same(name: str, tmp_path: Path, data: Path) -> None:
    """docs/convert.md, table of architectures."""
    model = random_model(name, tmp_path / "model", data)
    settings = ConversionSettings(questions=3, keep_poor=True)
    made = [onnx(model, tmp_path / "onnx", levels=["fp32", "int8"], settings=settings)]
    made += [gguf(model, tmp_path / "gguf", levels=["f32", "q8_0"], settings=settings)] if name != "t5" else []
    for assembly in made:
        files = list(files_of(assembly.out).values())
        exact = files[0]["measured"]["fidelity"]
        assert exact["identical"] + exact["ties"] == 3
        # llama.cpp reads GELU from a table of 16 bits; the others differ by rounding alone.
        assert exact["largest_difference"] < (2e-2 if name in ("gemma", "gpt2") else 2e-3)
        assert files[0]["measured"].get("fused", True) == (
            name in ("llama", "mistral", "qwen2") or assembly.out.name == "gguf"
        )
        assert files[1]["bytes"] < 0.35 * files[0]["bytes"]
