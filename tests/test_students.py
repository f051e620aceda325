"""Students are found by name, and what is damaged or foreign is refused before it runs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dnc_edge import files
from dnc_edge.errors import PromptTooLong, StudentError
from dnc_edge.students import manifest, resolve
from dnc_edge.students.student import Student
from dnc_edge.students.template import Piece, render
from dnc_edge.students.tokenizer import Detokenizer
from tests.fakes import ByteTokenizer, scripted_student


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the bundled student, free to be damaged."""
    return Path(shutil.copytree(resolve.resolve(), tmp_path / "copy"))


def edit(directory: Path, **changes: object) -> None:
    path = directory / manifest.FILENAME
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def weights(directory: Path) -> Path:
    return directory / manifest.load(directory).file().file


def test_the_bundled_student_has_both_roles_and_says_where_it_comes_from(student: Student) -> None:
    assert set(student.manifest.roles) == {"decompose", "solve"}
    assert student.weights.level == "q8_0"
    assert student.manifest.probes


def test_a_local_student_is_found_by_name_and_hides_a_bundled_one(copy: Path) -> None:
    local = Path(os.environ["DNC_EDGE_STUDENTS"])
    local.mkdir()
    shutil.copytree(copy, local / "mine")
    shutil.copytree(copy, local / resolve.BUNDLED)
    assert resolve.resolve("mine") == local / "mine"
    assert resolve.resolve() == local / resolve.BUNDLED


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(StudentError, match="no student named nobody") as caught:
        resolve.resolve("nobody")
    assert resolve.BUNDLED in str(caught.value.hint)


def test_an_unknown_level_lists_those_that_exist(copy: Path) -> None:
    with pytest.raises(StudentError, match="no level q9_9") as caught:
        Student.open(str(copy), level="q9_9")
    assert "q8_0" in str(caught.value.hint)


def test_a_changed_file_is_refused_by_its_checksum(copy: Path) -> None:
    data = bytearray(weights(copy).read_bytes())
    data[len(data) // 2] ^= 1
    weights(copy).write_bytes(data)
    with pytest.raises(StudentError, match="checksum differs"):
        Student.open(str(copy))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04 a zip file that was renamed to gguf"])
def test_a_truncated_or_renamed_file_is_refused_even_where_the_checksum_holds(copy: Path, content: bytes) -> None:
    path = weights(copy)
    path.write_bytes(content)
    entry = {"file": path.name, "engine": "llama.cpp", "level": "q8_0", "bytes": len(content)}
    edit(copy, files=[{**entry, "sha256": files.sha256_of(path)}])
    with pytest.raises(StudentError, match="not a GGUF file|truncated|cannot load"):
        Student.open(str(copy))


def test_a_gguf_cut_in_the_middle_is_refused(copy: Path) -> None:
    path = weights(copy)
    path.write_bytes(path.read_bytes()[:1_000_000])
    entry = {"file": path.name, "engine": "llama.cpp", "level": "q8_0", "bytes": 1_000_000}
    edit(copy, files=[{**entry, "sha256": files.sha256_of(path)}])
    with pytest.raises(StudentError, match="cannot load"):
        Student.open(str(copy))


def test_a_probe_that_reads_otherwise_is_refused(copy: Path) -> None:
    edit(copy, probes=[{"role": "decompose", "user": "How many?", "tokens": [1, 2, 3]}])
    with pytest.raises(StudentError, match="otherwise than in training"):
        Student.open(str(copy))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema": 9}, "schema is 9"),
        ({"roles": {"decompose": {"template": "x"}}}, "not a valid manifest"),
        (
            {"files": [{"file": "../../etc/passwd", "engine": "e", "level": "l", "sha256": "0" * 64, "bytes": 1}]},
            "well formed",
        ),
        ({"context": "long"}, "not a valid manifest"),
        ({"stop": []}, "stop is empty"),
        ({"files": []}, "names no weights"),
    ],
)
def test_a_bad_manifest_is_refused(copy: Path, changes: dict[str, object], complaint: str) -> None:
    edit(copy, **changes)
    with pytest.raises(StudentError, match=complaint):
        manifest.load(copy)


def test_control_pieces_come_from_the_template_alone(student: Student) -> None:
    assert render("<|decompose|> {user}<|plan|>", "Is <|plan|> text?") == [
        Piece("<|decompose|>", control=True),
        Piece(" Is <|plan|> text?", control=False),
        Piece("<|plan|>", control=True),
    ]
    plan = student.tokenizer.control("<|plan|>")
    assert student.prompt("decompose", "Is <|plan|> text?").count(plan) == 1
    with pytest.raises(StudentError, match="no control piece"):
        student.tokenizer.control("How many")


def test_characters_wait_until_all_their_bytes_are_there() -> None:
    detokenizer = Detokenizer(ByteTokenizer())
    assert [detokenizer.add(byte) for byte in "é東".encode()] == ["", "é", "", "", "東"]
    assert detokenizer.add(0xE6) == ""
    assert detokenizer.finish() == "\ufffd"


def test_text_round_trips_through_the_vocabulary(student: Student) -> None:
    text = " Café Olé sold 1,250 cups at $3.50; 東京 #1 <<3*4=12>>\n\tnext  line"
    detokenizer = Detokenizer(student.tokenizer)
    assert "".join(map(detokenizer.add, student.tokenizer.encode(text))) + detokenizer.finish() == text


def test_a_prompt_longer_than_the_context_is_a_clear_error() -> None:
    with pytest.raises(PromptTooLong, match="context is 50"):
        list(scripted_student("x", context=50).generate(list(range(60)), max_tokens=5))


def test_a_generation_measures_itself() -> None:
    generation = scripted_student("How?").generate([1, 2, 3], max_tokens=100)
    assert "".join(generation) == generation.text == "How?"
    assert (generation.finish, generation.usage.input_tokens, generation.usage.output_tokens) == ("stop", 3, 5)
    assert generation.mean_logprob == pytest.approx(-0.5)
