"""`students`: what is here, and what a hub on loopback has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dnc_edge.errors import UsageError
from dnc_edge.students import manifest, resolve
from dnc_edge.students.hub import pull
from tests.hub import Hub

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs dnc-edge in a process of its own, with a hub cache and students of its own."""

    def run(*arguments: str, hub: str = "http://127.0.0.1:9", **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= {"DNC_EDGE_STUDENTS": str(tmp_path / "students"), "HF_HUB_DISABLE_XET": "1", **settings}
        line = [sys.executable, "-m", "dnc_edge", *arguments]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=120)

    return run


def test_a_student_is_pulled_checked_and_then_known_by_its_name(
    command: Command, converted: Path, tmp_path: Path
) -> None:
    with Hub({"acme/tiny": converted}) as hub:
        pulled = command("students", "pull", "acme/tiny", "--level", "q8_0", hub=hub.address)
        assert pulled.returncode == 0, pulled.stderr
        again = command("students", "pull", "acme/tiny", hub=hub.address)
    assert again.returncode == 2 and "there is a student named tiny" in again.stderr
    assert {file.name for file in (tmp_path / "students" / "tiny").iterdir()} == {"student.json", "tiny-q8_0.gguf"}
    rows = json.loads(command("students", "list", "--json").stdout)
    assert [row["name"] for row in rows if not row["bundled"]] == ["tiny"]
    assert {"dnc-11m", "smollm2-135m-dnc"} <= {row["name"] for row in rows if row["bundled"]}
    asked = command("decompose", "-s", "tiny", "Tom has 3 eggs and buys 5. How many?", "--json")
    assert asked.returncode == 0 and json.loads(asked.stdout)["level"] == "q8_0"


def test_a_pull_that_breaks_off_goes_on_where_it_was(command: Command, tmp_path: Path) -> None:
    # huggingface_hub writes in pieces of 10 MB.
    with Hub({"acme/whole": resolve.resolve()}, cut=11_000_000) as hub:
        line = ("students", "pull", "acme/whole", "--name", "mine", "--level", "q8_0")
        first = command(*line, hub=hub.address)
        # It tries again by itself, or says that another pull goes on.
        if first.returncode:
            assert "what was fetched is kept" in first.stderr and not (tmp_path / "students" / "mine").exists()
            second = command(*line, hub=hub.address)
            assert second.returncode == 0, second.stderr
        starts = [start for name, start in hub.sent if name.endswith(".gguf")]
    assert starts[0] == 0 and starts[1] >= 10_000_000
    assert command("students", "verify", "mine").returncode == 0


def test_a_damaged_file_on_the_hub_is_never_installed(command: Command, converted: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(converted, tmp_path / "damaged"))
    weights = copy / "tiny-q8_0.gguf"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with Hub({"acme/tiny": copy}) as hub:
        result = command("students", "pull", "acme/tiny", "--level", "q8_0", hub=hub.address)
    assert result.returncode == 4 and "checksum differs" in result.stderr
    assert not (tmp_path / "students" / "tiny").exists()


@pytest.mark.parametrize(
    "name", ["tiny", "acme/..", "../tiny", "acme/tiny/x", "acme/ti ny", "acme/a--b", "acme/", "/x"]
)
def test_what_is_no_name_of_a_repository_is_refused_before_anything_is_made(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a hub repository"):
        pull(name)
    assert not resolve.local_root().exists()


def test_a_manifest_without_files_is_one_line(command: Command, converted: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(converted, tmp_path / "hollow"))
    values = json.loads((copy / "student.json").read_text("utf-8"))
    (copy / "student.json").write_text(json.dumps({**values, "files": []}), encoding="utf-8")
    with Hub({"acme/hollow": copy}) as hub:
        result = command("students", "pull", "acme/hollow", hub=hub.address)
    assert result.returncode == 4 and "files names no weights" in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


def test_what_the_hub_refuses_is_one_line(command: Command, converted: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with Hub({"acme/tiny": converted, "acme/gated": None, "acme/empty": tmp_path / "empty"}) as hub:
        for arguments, complaint in (
            (["acme/nobody"], "has no repository acme/nobody, or it is private"),
            (["acme/gated"], "acme/gated is gated"),
            (["acme/tiny", "--revision", "v9"], "has no such revision"),
            (["acme/empty"], "lacks a file"),
            (["acme/tiny", "--level", "q1"], "has no level q1"),
            (["tiny"], "is no name of a hub repository"),
        ):
            result = command("students", "pull", *arguments, hub=hub.address)
            assert result.returncode in (2, 4) and complaint in result.stderr, result.stderr
            assert len(result.stderr.strip().splitlines()) <= 3 and "Traceback" not in result.stderr
        offline = command("students", "pull", "acme/tiny", hub=hub.address, HF_HUB_OFFLINE="1")
    assert offline.returncode == 4 and "cannot be reached" in offline.stderr
    unreachable = command("convert", "gguf", "acme/nothing", "-o", str(tmp_path / "out"))
    assert unreachable.returncode == 4 and "acme/nothing" in unreachable.stderr
    assert "Traceback" not in unreachable.stderr


def test_a_checkpoint_on_the_hub_converts_like_one_on_disk(command: Command, checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"a pickle that is never fetched")
    with Hub({"acme/base": checkpoint}) as hub:
        arguments = ("-o", str(tmp_path / "student"), "--levels", "q8_0", "--questions", "1", "--keep-poor")
        result = command("convert", "gguf", "acme/base", *arguments, hub=hub.address)
        assert result.returncode == 0, result.stderr
        assert not any(name.endswith(".bin") for name, _ in hub.sent)
    (checkpoint / "pytorch_model.bin").unlink()
    assert manifest.load(tmp_path / "student").name == "student"


def test_info_verify_and_path_tell_of_a_student(command: Command, converted: Path, tmp_path: Path) -> None:
    told = command("students", "info").stdout
    assert "dnc-11m: decompose, solve" in told and "limits:" in told and "gsm8k/train_socratic.jsonl (MIT" in told
    assert "| q8_0 | llama.cpp |" in command("students", "info", str(converted)).stdout
    assert "training: steps 356, seconds 2,398.1" in command("students", "info", "smollm2-135m-dnc").stdout
    assert command("students", "path").stdout.strip() == str(resolve.resolve())
    assert command("students", "verify").returncode == 0
    copy = Path(shutil.copytree(converted, tmp_path / "copy"))
    (copy / "tiny-f16.gguf").write_bytes(b"GGUF")
    result = command("students", "verify", str(copy), "--json")
    assert result.returncode == 4 and "checksum differs" in result.stderr
    assert [row["holds"] for row in json.loads(result.stdout)] == [False, True]


def test_a_task_comes_from_the_hub_when_that_is_asked_for(command: Command, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    folder = tmp_path / "repository"
    folder.mkdir()
    answer = "How many nuts are there? ** 3 * 4 = <<3*4=12>>12\n#### 12"
    rows = [{"question": f"Ann has 3 bags of 4 nuts. How many nuts is that? ({n})", "answer": answer} for n in range(3)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    flags = ["bench", "tradeoff", "-o", str(tmp_path / "out"), "--strategy", "static", "-d", "gold", "--dry-run"]
    with Hub({"openai/gsm8k": folder}) as hub:
        made = command(*flags, hub=hub.address, DNC_EDGE_DATA="hub")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["rows"]["static gold"]["questions"] == 3
    other = command(*flags, "--task", "svamp", DNC_EDGE_DATA="hub")
    assert other.returncode == 4 and "is not fetched from the hub" in other.stderr
