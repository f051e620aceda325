"""A command in any process: streams of every state and encoding, arguments that are no text, signals that end it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.batches import questions, read_records, write_questions
from tests.servers import UNICODE, Counting, Misbehaving, heeding_interrupts


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving("unicode") as running:
        yield running


def shell(line: str, *, directory: Path, **environment: str) -> tuple[int, bytes, str]:
    """(exit code, stdout, stderr) of `dnc-edge` and the rest of a line in a shell, which may redirect."""
    command = f"{shlex.quote(sys.executable)} -m dnc_edge {line}"
    run = subprocess.run(
        ["bash", "-c", command], cwd=directory, env={**os.environ, **environment}, capture_output=True, timeout=120
    )
    told = run.stderr.decode("utf-8", errors="replace")
    assert "Traceback" not in told and "Exception ignored" not in told
    return run.returncode, run.stdout, told


def ask(server: Misbehaving) -> str:
    return f"ask -d trivial -S {server.address}#m"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_answer_survives_a_narrow_encoding(encoding: str, server: Misbehaving, tmp_path: Path) -> None:
    code, out, _ = shell(f'{ask(server)} "How many?"', directory=tmp_path, PYTHONIOENCODING=encoding)
    assert code == 0 and b"The answer is: 120" in out and b"\\U0001f9c1" in out
    code, out, _ = shell(f'{ask(server)} --json "How many?"', directory=tmp_path, PYTHONIOENCODING=encoding)
    assert code == 0 and json.loads(out.decode(encoding))["text"].strip() == UNICODE


@pytest.mark.parametrize("option", ["", "--json", "--events"])
def test_an_answer_that_stdout_does_not_take_is_on_stderr(option: str, server: Misbehaving, tmp_path: Path) -> None:
    code, _, told = shell(f'{ask(server)} {option} "How many?" > /dev/full', directory=tmp_path)
    record, complaint = told.strip().splitlines()[-2:]
    assert code == 3 and json.loads(record)["text"].strip() == UNICODE
    assert complaint == "dnc-edge: cannot write to stdout: No space left on device"
    assert len(server.requests) == 1


def test_nothing_is_asked_if_stdout_is_closed(server: Misbehaving, tmp_path: Path) -> None:
    code, _, told = shell(f'{ask(server)} "How many?" >&-', directory=tmp_path)
    assert code == 2 and "stdout is closed; nothing was asked" in told
    assert server.requests == []


@pytest.mark.parametrize("redirected", ["<&-", "< /dev/null"])
def test_a_closed_or_empty_stdin_is_no_question(redirected: str, server: Misbehaving, tmp_path: Path) -> None:
    code, _, told = shell(f"{ask(server)} {redirected}", directory=tmp_path)
    assert code in (2, 3) and len(told.strip().splitlines()) == 1


def test_a_batch_needs_no_streams(tmp_path: Path) -> None:
    write_questions(tmp_path / "q.jsonl", questions(3))
    code, _, _ = shell("batch q.jsonl -d trivial --plan-only -o x.jsonl <&- >&- 2>&-", directory=tmp_path)
    assert code == 0
    assert len(read_records(tmp_path / "x.jsonl")) == len(read_records(tmp_path / "x.jsonl.journal")) == 3


def test_an_argument_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    code, out, told = shell("decompose -d trivial $'M\\xe4dchen?'", directory=tmp_path)
    assert code == 3 and out == b"" and "no text at character 2" in told


@pytest.mark.parametrize("length", [250, 246])
def test_a_name_that_is_too_long_is_one_line(length: int, tmp_path: Path) -> None:
    write_questions(tmp_path / "q.jsonl", questions(1))
    code, _, told = shell(f"batch q.jsonl -d trivial --plan-only -o {'x' * length}.jsonl", directory=tmp_path)
    assert code == 3 and "File name too long" in told and len(told.strip().splitlines()) == 1


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    write_questions(tmp_path / "q.jsonl", questions(2))
    real = tmp_path / "results" / "real.jsonl"
    real.parent.mkdir()
    real.write_text("old\n", encoding="utf-8")
    real.chmod(0o664)
    (tmp_path / "out.jsonl").symlink_to(real)
    assert shell("batch q.jsonl -d trivial --plan-only -o out.jsonl", directory=tmp_path)[0] == 0
    assert (tmp_path / "out.jsonl").is_symlink()
    assert len(read_records(real)) == 2 and real.stat().st_mode & 0o777 == 0o664


def test_rows_that_repeat_a_question_are_told(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "How many?"}\n' * 3, encoding="utf-8")
    code, out, told = shell("batch q.jsonl -d trivial --plan-only -o o.jsonl --json", directory=tmp_path)
    assert code == 0 and json.loads(out)["repeated"] == 2 and "2 rows repeat a question" in told


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_batch_with_a_line_and_the_output(ending: signal.Signals, tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(40))
    with Counting(delay=0.2) as server:
        command = [sys.executable, "-m", "dnc_edge", "batch", source, "-o", tmp_path / "o.jsonl", "-j", "2"]
        command += ["-d", "trivial", "-S", f"{server.address}#m"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heeding_interrupts)
        while len(server.requests) < 6:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(ending)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and told.decode().strip().endswith("dnc-edge: interrupted")
    assert 4 <= len(read_records(tmp_path / "o.jsonl")) < 40


def test_a_hang_up_that_nohup_ignores_is_ignored(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(6))
    with Counting(delay=0.3) as server:
        line = [sys.executable, "-m", "dnc_edge", "batch", source, "-o", tmp_path / "o.jsonl", "-j", "1"]
        line += ["-d", "trivial", "-S", f"{server.address}#m"]

        def as_nohup() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        process = subprocess.Popen(line, stderr=subprocess.DEVNULL, preexec_fn=as_nohup)
        while not server.requests:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 0
    assert len(read_records(tmp_path / "o.jsonl")) == 6
