"""Reports of long-running work, as they are shown: lines without a terminal, bars in one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from dnc_edge.cli import terminal
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import InputError
from dnc_edge.progress import RunStatus


def test_without_a_terminal_a_step_is_named_once_and_counted_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with TerminalProgress() as progress:
        for done in range(3):
            progress.step("comparing", done, 2)
        monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
        progress.step("comparing", 2, 2)
        progress.step("checking")
    assert capsys.readouterr().err.splitlines() == ["comparing", "comparing: 2 of 2", "checking"]


def test_a_run_is_counted_now_and_then_and_its_last_counts_are_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    status, progress = RunStatus(4, spent=0.5), TerminalProgress()
    progress.run(status)
    status.done, status.failed = 2, 1
    progress.run(status)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("2/4 | 1 failed | ") and "$0.5000 of $1.0000" in line and line.endswith("left")
    assert progress.status is status


def test_skipped_rows_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    progress.skipped(InputError("a.csv, line 3: no text"))
    assert progress.skipped_rows == 1 and capsys.readouterr().err == "passed over: a.csv, line 3: no text\n"


def test_in_a_terminal_work_has_bars_and_notes_stand_above_them() -> None:
    code = (
        "from dnc_edge.cli.terminal import TerminalProgress\n"
        "from dnc_edge.progress import RunStatus\n"
        "with TerminalProgress() as progress:\n"
        "    progress.step('merging')\n"
        "    for done in range(51): progress.step('comparing', done, 50)\n"
        "    progress.note('a server makes us wait')\n"
        "    progress.run(RunStatus(7, kept=7))\n"
    )
    reader, writer = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stderr=writer, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(writer)
        shown = b""
        try:
            while piece := os.read(reader, 4096):
                shown += piece
        except OSError:  # the other end is closed
            pass
    os.close(reader)
    assert process.returncode == 0
    for part in (b"merging", b"comparing", b"50/50", b"a server makes us wait", b"7/7 | 0.0 questions/s"):
        assert part in shown, shown.decode()
