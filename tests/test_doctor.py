"""`doctor` finds what was broken on purpose, and names the command that repairs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnc_edge import doctor, installer
from dnc_edge.remote import keys
from dnc_edge.students import resolve
from tests.servers import Misbehaving, llama_server
from tests.test_cli import dnc_edge
from tests.test_loading import WITHOUT


def findings(*arguments: str, code: int = 0, **environment: str) -> dict[str, dict[str, Any]]:
    result = dnc_edge("doctor", "--json", *arguments, **environment)
    assert result.returncode == code, result.stderr
    return {finding["about"]: finding for finding in json.loads(result.stdout)}


def test_a_machine_in_order_has_no_error_and_decodes_a_plan() -> None:
    found = findings()
    assert {finding["state"] for finding in found.values()} <= {"ok", "note"}
    assert "cores" in found["machine"]["text"] and "checksums hold" in found["student dnc-11m"]["text"]
    assert "tokens/s" in found["decoding"]["text"]
    assert found["keys"] == {
        "about": "keys", "state": "note", "text": "none; a cloud solver needs one", "repair": "dnc-edge keys set openai"
    }  # fmt: skip


def test_a_damaged_student_an_open_key_file_and_a_bad_setting_are_found(tmp_path: Path) -> None:
    copy = tmp_path / "students" / "mine"
    shutil.copytree(resolve.resolve("dnc-11m"), copy)
    (weights,) = copy.glob("*q8_0*.gguf")
    weights.write_bytes(weights.read_bytes()[:-1])
    keys.set_key("https://a.example/v1", "sk-never-shown-1")
    keys.keys_path().chmod(0o644)
    config = tmp_path / "config.toml"
    config.write_text("theme = 'dark'", encoding="utf-8")
    found = findings(code=4, DNC_EDGE_STUDENTS=str(copy.parent), DNC_EDGE_CONFIG=str(config))
    assert found["student mine"]["state"] == "warning"
    assert found["keys"]["repair"] == f"chmod 600 {keys.keys_path()}"
    assert found["settings"]["state"] == "error" and "theme" in found["settings"]["text"]
    assert "never-shown" not in json.dumps(found)


def test_a_missing_engine_comes_with_its_command() -> None:
    made = subprocess.run(
        [sys.executable, "-c", WITHOUT, "llama_cpp", "doctor", "--json"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = {finding["about"]: finding for finding in json.loads(made.stdout)}
    assert found["llama.cpp"]["state"] == "note" and "[gguf]'" in found["llama.cpp"]["repair"]


def test_an_engine_that_does_not_load_is_an_error_that_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.abort()\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    found = {finding.about: finding for finding in doctor.engines()}
    assert found["onnxruntime"].state == "error" and "does not load" in found["onnxruntime"].text
    assert "--force-reinstall" in str(found["onnxruntime"].repair)


def test_a_solver_is_asked_only_online(student_file: Path) -> None:
    with llama_server(student_file) as address:
        solver = f"{address}#model"
        assert "not asked" in findings(DNC_EDGE_SOLVER=solver)["solver"]["text"]
        online = findings("--online", DNC_EDGE_SOLVER=solver)["solver"]
    assert (online["state"], online["text"]) == ("warning", f"{solver} answers and lists no such model")
    assert "choose from: " in online["repair"] or "did you mean" in online["repair"]


def test_a_solver_that_is_not_there_is_an_error() -> None:
    with Misbehaving("good") as server:
        address = server.address
    found = findings("--online", code=4, DNC_EDGE_SOLVER=f"{address}#m")["solver"]
    assert "cannot reach" in found["text"]


@pytest.fixture
def student_file() -> Path:
    (weights,) = resolve.resolve("dnc-11m").glob("*q8_0*.gguf")
    return weights


@pytest.mark.parametrize(
    ("marker", "text", "start"),
    [
        ("uv-receipt.toml", "", "uv tool install --force "),
        ("pipx_metadata.json", "{}", "pipx install --force "),
        ("pyvenv.cfg", "home = x\nuv = 0.9\n", "uv pip install "),
        ("pyvenv.cfg", "home = x\n", "pip install "),
    ],
)
def test_an_extra_is_installed_as_dnc_edge_was(
    marker: str, text: str, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / marker).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    command = installer.command("hub")
    assert command.startswith(start) and "hub" in command
    # A tool's environment is replaced: what is there has to be named again.
    assert ("[gguf,cpu" in command) == ("--force" in command)
