"""A GGUF file as a base: unpacked, trained on, packed again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dnc_edge.convert.assembly import ConversionSettings
from dnc_edge.convert.checkpoint import open_checkpoint
from dnc_edge.convert.decoders import GgufDecoder, TransformersDecoder
from dnc_edge.convert.gguf import gguf, gguf_adapter
from dnc_edge.convert.metadata import read
from dnc_edge.convert.unpack import HEADER, pack, unpack
from dnc_edge.convert.vocabulary import tokenizer_json
from dnc_edge.engines.llama_cpp import GgufModel
from dnc_edge.errors import InputError, MissingError
from dnc_edge.students.tokenizer import GgufTokenizer
from dnc_edge.train.demonstrations import Demonstration
from tests.models import random_model

QUICK = ConversionSettings(questions=1, keep_poor=True)


def file_of(name: str, folder: Path, data: Path) -> Path:
    """A small model of an architecture as a GGUF file that llama.cpp's converter wrote."""
    model = random_model(name, folder / name, data)
    return gguf(model, folder / "student", levels=["f32"], settings=QUICK).out / "student-f32.gguf"


def write_header(architecture: str, file: Path) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(file, arch=architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return file


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return file_of("llama", tmp_path_factory.mktemp("base"), data)


def test_two_processes_of_a_training_unpack_the_same_file(llama: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: unpack(llama, tmp_path / "unpacked"), range(2)))
    assert made == [tmp_path / "unpacked"] * 2 and (tmp_path / "unpacked" / HEADER).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["unpacked"]


TEXTS = (
    "Café Olé sold 1,250 cups at $3.50 each — was that more than #1? 東京",
    "A café's 3 waiters share a tip of $4,500.75 (in €); who'll get the most?\n\n1. How much is #2?",
    "  two\n\n\ttabs 12345 ½ ٣٤ I'll don't <|im_end|> 😀\u00a0end  ",
)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_vocabulary_reads_a_text_as_llama_cpp_does(name: str, llama: Path, tmp_path: Path, data: Path) -> None:
    """Sentencepiece's BPE of Llama 2, and GPT-2's of bytes."""
    file = llama if name == "llama" else file_of(name, tmp_path, data)
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(read(file))))
    tokenizer.encode_special_tokens = True
    wanted = GgufTokenizer(GgufModel(file))
    for text in TEXTS:
        assert tokenizer.encode(text, add_special_tokens=False).ids == wanted.encode(text)


@pytest.mark.parametrize("name", ["llama", *(pytest.param(n, marks=pytest.mark.long) for n in ("qwen2", "qwen3"))])
def test_what_is_unpacked_computes_the_same_and_packs_to_the_same_file(
    name: str, llama: Path, tmp_path: Path, data: Path
) -> None:
    file = llama if name == "llama" else file_of(name, tmp_path, data)
    folder = unpack(file, tmp_path / "unpacked")
    pack(folder, tmp_path / "packed.gguf")
    before, after = read(file), read(tmp_path / "packed.gguf")
    for key, field in before.fields.items():
        assert after.fields[key].contents() == field.contents() or key.startswith("GGUF.")
    kept = {tensor.name: tensor.data for tensor in after.tensors}
    assert set(kept) == {tensor.name for tensor in before.tensors}
    for tensor in before.tensors:
        assert np.array_equal(tensor.data, kept[tensor.name])
    wanted = TransformersDecoder(file.parent.parent / name).logits([1, 50, 60, 70], [80, 90])
    assert np.abs(TransformersDecoder(folder).logits([1, 50, 60, 70], [80, 90]) - wanted).max() < 2e-3
    decoder = GgufDecoder(tmp_path / "packed.gguf", context=256, exact=True)
    assert np.abs(decoder.logits([1, 50, 60, 70], [80, 90]) - wanted).max() < 2e-3


def test_a_base_that_learns_one_role_is_prompted_without_an_instruction(llama: Path, tmp_path: Path) -> None:
    for role, names in (("decompose", ["decompose"]), ("both", ["decompose", "solve"]), (None, ["decompose", "solve"])):
        facts = open_checkpoint(str(llama), role=role, scratch=tmp_path).facts
        assert list(facts.roles) == names
        assert ("sub-questions" in facts.roles["decompose"].template) == (role != "decompose")


def test_an_adapter_on_a_file_becomes_a_student(llama: Path, tmp_path: Path) -> None:
    from dnc_edge.train.sft import SftConfig, sft

    shown = [
        Demonstration(f"p{n}", f"Ada has {n} pens and finds 2. How many?", "us", "own", subquestions=("How many?",))
        for n in range(8)
    ]
    config = SftConfig(rank=4, epochs=1, batch=4, micro_batch=4, held_out=0, precision="fp32")
    sft(shown, str(llama), tmp_path / "run", config)
    assert (tmp_path / "run" / "runs" / "unpacked" / HEADER).is_file()
    made = gguf(llama, tmp_path / "trained", levels=["f32"], adapter=tmp_path / "run", settings=QUICK)
    written = read(made.out / "trained-f32.gguf")
    assert (
        written.get_field("tokenizer.ggml.tokens").contents()
        == read(llama).get_field("tokenizer.ggml.tokens").contents()
    )
    adapter = gguf_adapter(llama, tmp_path / "run", tmp_path / "adapter.gguf", level="f16")
    assert len(read(adapter).tensors) == 2 * 7 * 2
    assert str(tmp_path).encode() not in adapter.read_bytes()


def test_files_that_cannot_be_a_base_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        unpack(tmp_path / "nowhere.gguf", tmp_path / "u")
    damaged = tmp_path / "damaged.gguf"
    for content in (b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 32, b"not a model" * 9):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="no GGUF file, or damaged"):
            unpack(damaged, tmp_path / "u")
    gemma = write_header("gemma", tmp_path / "gemma.gguf")
    with pytest.raises(InputError, match="architecture gemma, which cannot be trained") as caught:
        unpack(gemma, tmp_path / "u")
    assert "llama, qwen2, qwen3" in str(caught.value.hint)
    assert not (tmp_path / "u").exists()
