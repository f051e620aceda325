"""The log: one row a question, from any number of processes, with texts only if they are turned on."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dnc_edge import log as logs
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, UsageError
from dnc_edge.log import Log
from dnc_edge.types import Record, RecordError, Usage
from tests.fakes import Reports
from tests.servers import Misbehaving
from tests.test_cli import dnc_edge, refused

QUESTION = "How many eggs are in four nests of three?"
NOON = 1_700_000_000.0


def record(**fields: object) -> Record:
    return Record(id="q", question=QUESTION, key="k", strategy="static", prompt_version="2", **fields)  # type: ignore[arg-type]


def in_file(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


def test_a_row_holds_figures_and_no_word_of_the_question(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.db")
    used = {"decompose": Usage(1, 0, 40, 0, 9), "solve": Usage(1, 0, 60, 30, 20, cost_usd=0.002)}
    log.add(
        record(solver="openai:m", decomposer="student:s", subquestions=("How?",), usage=used, cost_usd=0.002, seconds=2)
    )
    row = log.entry()
    assert (row.strategy, row.decomposer, row.solver, row.subquestions) == ("static", "student:s", "openai:m", 1)
    assert (row.input_tokens, row.cached_tokens, row.output_tokens) == (100, 30, 29)
    assert (row.cost_usd, row.seconds, row.error, row.record) == (0.002, 2, None, None)
    assert b"eggs" not in in_file(log.path) and b"How?" not in in_file(log.path)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_with_texts_the_record_comes_back_as_it_was_and_is_gone_when_cleared(tmp_path: Path) -> None:
    log, kept = Log(tmp_path / "log.db"), record(answer="12", text="The answer is: 12", subquestions=())
    log.add(kept, texts=True)
    log.add(record())
    assert list(log.records()) == [kept] and log.entry(1).record == kept and log.entry(2).record is None
    assert b"eggs" in in_file(log.path)
    assert log.clear() == 2 and log.entries() == []
    assert b"eggs" not in in_file(log.path)
    log.add(record())
    assert log.entry().id == 3  # numbers are not given twice


def test_the_last_rows_come_in_their_order(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.db")
    for number in range(5):
        log.add(record(seconds=float(number)))
    assert [entry.seconds for entry in log.entries(limit=2)] == [3.0, 4.0]
    with pytest.raises(UsageError, match="the log has no row 9"):
        log.entry(9)


def test_costs_add_up_by_day_solver_and_student_and_count_what_is_unknown(tmp_path: Path) -> None:
    log, failed = Log(tmp_path / "log.db"), RecordError("solver_cut", "solve", "cut", False)
    log.add(record(solver="openai:a", cost_usd=0.25), now=lambda: NOON)
    log.add(record(solver="openai:a", cost_usd=None, error=failed), now=lambda: NOON)
    log.add(record(solver="local", decomposer="student:s"), now=lambda: NOON + 2 * 86_400)
    by_solver = {cost.group: cost for cost in log.costs("solver")}
    assert (by_solver["openai:a"].questions, by_solver["openai:a"].failed) == (2, 1)
    assert (by_solver["openai:a"].cost_usd, by_solver["openai:a"].unknown) == (0.25, 1)
    assert [cost.questions for cost in log.costs("day")] == [2, 1]
    assert {cost.group for cost in log.costs("student")} == {"none", "student:s"}


def test_processes_that_start_at_once_make_one_log_and_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    code = (
        "import sys; from pathlib import Path; from dnc_edge.log import Log; from dnc_edge.types import Record\n"
        "log = Log(Path(sys.argv[1])); sys.stdin.read()\n"
        "for _ in range(100): log.add(Record('q', 'Why?', 'k', 'static', '2'), texts=True)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.close()
    for process in processes:
        assert process.stderr
        assert (process.wait(timeout=120), process.stderr.read()) == (0, b"")
        process.stderr.close()
    assert len(Log(path).entries()) == len(list(Log(path).records())) == 400


def test_a_log_is_migrated_once_and_one_from_the_future_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    Log(path).add(record())

    def m999_mood(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE log ADD COLUMN mood TEXT")

    with monkeypatch.context() as later:
        later.setattr(logs, "MIGRATIONS", [*logs.MIGRATIONS, m999_mood])
        for _ in range(2):
            Log(path).add(record())
    with pytest.raises(InputError, match=r"a later dnc-edge \(m999_mood\)"):
        Log(path).add(record())
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM log").fetchone() == (3,)
        assert [name for (name,) in database.execute("SELECT name FROM migrations")] == ["m001_log", "m999_mood"]
    database.close()


def test_a_log_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("no database, and long enough to be seen to be none" * 10)
    reports = Reports()
    with Misbehaving("usage") as server, Edge(
        solver=f"{server.address}#m", plan="never", log=Log(tmp_path / "log.db"), progress=reports
    ) as edge:  # fmt: skip
        assert edge.ask(QUESTION).answer == edge.ask(QUESTION).answer == "72"
    (note,) = reports.notes
    assert "not a database" in note and "logging off" in note


def test_commands_log_figures_texts_or_nothing_as_the_setting_says(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    (tmp_path / "questions.txt").write_text("How many hens?\nHow many cows?\n", encoding="utf-8")
    variables = {"DNC_EDGE_LOG": str(path), "DNC_EDGE_STUDENT": "dnc-11m"}
    with Misbehaving("usage") as server:
        solver = ["--solver", f"{server.address}#m", "--price", "1", "2"]
        dnc_edge("ask", *solver, QUESTION, **variables, DNC_EDGE_LOGGING="off")
        assert not path.exists()
        dnc_edge("ask", *solver, QUESTION, **variables)
        out = str(tmp_path / "out.jsonl")
        for _ in range(2):  # the second time all is there, and nothing is logged
            dnc_edge("batch", str(tmp_path / "questions.txt"), "-o", out, *solver, **variables)
        assert b"many" not in in_file(path)
        dnc_edge("ask", *solver, QUESTION, **variables, DNC_EDGE_LOGGING="texts")
    rows = json.loads(dnc_edge("log", "list", "--json", **variables).stdout)
    assert [row["cost_usd"] for row in rows] == [pytest.approx(90e-6)] * 4
    assert [row["record"] is not None for row in rows] == [False] * 3 + [True]
    total = json.loads(dnc_edge("log", "cost", "--by", "solver", "--json", **variables).stdout)
    assert [(row["group"], row["questions"]) for row in total] == [(rows[0]["solver"], 4)]
    assert "$0.00036" in dnc_edge("log", "cost", **variables).stdout.decode()
    shown = dnc_edge("log", "show", **variables).stdout.decode()
    assert shown.startswith(QUESTION) and "The answer is: 72" in shown
    assert dnc_edge("log", "path", **variables).stdout.decode().strip() == str(path)


def test_logged_texts_are_demonstrations_and_questions(tmp_path: Path) -> None:
    from dnc_edge.batch import inputs
    from dnc_edge.train import demonstrations

    path, out = tmp_path / "log.db", tmp_path / "mine.jsonl"
    Log(path).add(
        record(subquestions=("How many nests?",), text="It is 12.", answer="12", solver="openai:m"), texts=True
    )
    Log(path).add(record(error=RecordError("solver_cut", "solve", "cut", False)), texts=True)
    assert dnc_edge("log", "export", "-o", str(out), DNC_EDGE_LOG=str(path)).returncode == 0
    (shown,) = demonstrations.read(out)
    assert (shown.question, shown.subquestions, shown.solution) == (QUESTION, ("How many nests?",), "It is 12.")
    assert [question.text for question in inputs.read(str(out))] == [QUESTION]
    refused(
        dnc_edge("log", "export", "-o", str(out), DNC_EDGE_LOG=str(tmp_path / "none.db")), 2, "no texts were logged"
    )


def test_clearing_asks_first(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    Log(path).add(record())
    assert dnc_edge("log", "clear", stdin=b"n\n", DNC_EDGE_LOG=str(path)).returncode == 1
    assert len(Log(path).entries()) == 1
    assert dnc_edge("log", "clear", "--yes", DNC_EDGE_LOG=str(path)).stdout == b"1 rows deleted\n"
    assert Log(path).entries() == []
