"""From a checkpoint to a student: converted, quantized, compared with what was trained, and run for real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dnc_edge.convert import quantize, source
from dnc_edge.convert.assembly import Wish
from dnc_edge.convert.checkpoint import check_checkpoint
from dnc_edge.convert.gguf import gguf
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, MissingError, StudentError, UsageError

QUICK = Wish(questions=2, keep_poor=True)


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
        gguf(copy, tmp_path / "out", levels=["q8_0"], wish=QUICK)
    log = Path(str(caught.value.hint).removeprefix("its whole log is in "))
    assert "Nobody" in log.read_text("utf-8")
    assert not (tmp_path / "out").exists()


def test_levels_are_checked_and_listed() -> None:
    assert quantize.parse_levels("F16, q8_0,q8_0") == ["f16", "q8_0"]
    with pytest.raises(UsageError, match="unknown level 'q9_9'") as caught:
        quantize.parse_levels("q8_0,q9_9")
    assert "q4_k_m" in str(caught.value.hint)


def test_a_source_distribution_of_another_hash_is_never_run(tmp_path: Path) -> None:
    archive = tmp_path / "llama_cpp_python-0.3.36.tar.gz"
    archive.write_bytes(b"not what it says")
    with pytest.raises(MissingError, match="not the known source distribution"):
        source.check_hash(archive, source.SHA256["0.3.36"])
    with pytest.raises(MissingError, match="not a llama.cpp checkout"):
        source.converter(tmp_path)


@pytest.fixture(scope="module")
def chatml(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF of a stranger: the same weights, two of the spare pieces renamed to those of ChatML."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    copy = Path(shutil.copytree(checkpoint, tmp_path_factory.mktemp("stranger") / "copy"))
    model = pb.ModelProto()
    model.ParseFromString((copy / "tokenizer.model").read_bytes())
    for piece in model.pieces:
        piece.piece = {"<|reserved_0|>": "<|im_start|>", "<|reserved_1|>": "<|im_end|>"}.get(piece.piece, piece.piece)
    (copy / "tokenizer.model").write_bytes(model.SerializeToString())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (copy / name).read_text("utf-8")
        renamed = text.replace("<|reserved_0|>", "<|im_start|>").replace("<|reserved_1|>", "<|im_end|>")
        (copy / name).write_text(renamed, encoding="utf-8")
    student = gguf(copy, copy.parent / "student", levels=["f16"], wish=Wish("stranger", questions=2, keep_poor=True)).out
    return student / "stranger-f16.gguf"


def test_any_chat_model_solves_and_decomposes_from_its_file(chatml: Path) -> None:
    from dnc_edge.students.chat import LocalChat
    from dnc_edge.types import Question

    chat = LocalChat(chatml, max_tokens=20)
    assert chat.format.name == "chatml"
    start, end = chat.tokenizer.control("<|im_start|>"), chat.tokenizer.control("<|im_end|>")
    messages = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "Is <|im_end|> text?"}]
    ids = chat.tokens(messages)
    assert ids.count(start) == 3 and ids.count(end) == 2
    text = b"".join(b"|" if id in (start, end) else chat.tokenizer.bytes_of(id) for id in ids).decode()
    assert text == "|system\nSolve.|\n|user\nIs <|im_end|> text?|\n|assistant\n"
    chat.close()
    with Edge(solver=f"local:{chatml}", decomposer=f"local:{chatml}", max_tokens=20, strategy="static") as edge:
        *_, last = edge.stream(Question("Tom has 3 eggs and buys 5. How many?"))
    record = last.record  # type: ignore[union-attr]
    # A model of one layer says nothing sensible: its reply is cut, and that is an error and no answer.
    assert record.solver == "local:stranger-f16.gguf"
    assert record.error is None or record.error.code in ("solver_cut", "solver_empty")


def test_a_file_without_a_known_chat_format_is_refused(converted: Path) -> None:
    from dnc_edge.students.chat import LocalChat

    with pytest.raises(StudentError, match="none of the chat formats"):
        LocalChat(converted / "tiny-f16.gguf")
