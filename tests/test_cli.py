"""The command line as a person uses it: real processes, the real bundled student, real exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnc_edge.types import Record
from tests.servers import Misbehaving, heeding_interrupts

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for $2 each. How much money does Mia make?"


def dnc_edge(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dnc_edge", *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def refused(result: subprocess.CompletedProcess[bytes], code: int, complaint: str) -> None:
    """One line on stderr, the documented exit code, no traceback, nothing on stdout."""
    lines = result.stderr.decode().strip().splitlines()
    assert (result.returncode, result.stdout) == (code, b""), (lines, result.stdout)
    assert complaint in lines[-1] and "Traceback" not in result.stderr.decode()


def test_ask_answers_offline_and_says_that_the_solver_is_small() -> None:
    result = dnc_edge("ask", QUESTION)
    assert result.returncode == 0
    assert "small local model" in result.stderr.decode()
    assert "student:dnc-11m q8_0" in result.stderr.decode()
    assert result.stdout.strip()


def test_json_is_one_record_on_stdout() -> None:
    result = dnc_edge("ask", "--json", QUESTION)
    record = Record.from_json(result.stdout.decode())
    assert result.stdout.count(b"\n") == 1
    assert record.question == QUESTION and record.answer is not None and record.engine == "llama.cpp"


def test_events_are_json_lines_that_end_with_the_record() -> None:
    lines = [json.loads(line) for line in dnc_edge("ask", "--events", QUESTION).stdout.splitlines()]
    assert lines[-1]["event"] == "finished"
    assert {"plan_delta", "answer_delta"} <= {line["event"] for line in lines}


def test_a_plan_goes_through_a_file_and_back(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(dnc_edge("decompose", QUESTION).stdout)
    record = json.loads(plan.read_text("utf-8"))
    record["subquestions"] = ["How many pens does Mia pack?", "How many pens are left?"]
    plan.write_text(json.dumps(record, indent=2), encoding="utf-8")
    solved = Record.from_json(dnc_edge("solve", str(plan), "--json").stdout.decode())
    assert solved.subquestions == tuple(record["subquestions"]) and solved.answer is not None


def test_the_question_comes_from_an_argument_a_file_or_stdin(tmp_path: Path) -> None:
    file = tmp_path / "question.txt"
    file.write_text(QUESTION + "\n", encoding="utf-8")
    by_file = dnc_edge("decompose", "--json", "--file", str(file))
    by_stdin = dnc_edge("decompose", "--json", "-", stdin=QUESTION.encode())
    by_argument = dnc_edge("decompose", "--json", QUESTION)
    keys = {json.loads(result.stdout)["key"] for result in (by_file, by_stdin, by_argument)}
    assert len(keys) == 1


def in_a_terminal(*arguments: str) -> list[str]:
    """What a command shows under a real pseudo-terminal, in the pieces in which it came."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dnc_edge", *arguments],
        stdout=follower, stderr=follower, stdin=follower, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(follower)
    pieces = []
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece.decode().replace("\r", ""))
    os.close(leader)
    assert process.wait(timeout=30) == 0
    return pieces


def test_in_a_terminal_the_plan_and_the_answer_stream() -> None:
    pieces = in_a_terminal("ask", QUESTION)
    record = json.loads(dnc_edge("ask", "--json", QUESTION).stdout)
    numbered = "".join(f"  {number}. {text}\n" for number, text in enumerate(record["subquestions"], start=1))
    assert len(pieces) > 3
    assert "".join(pieces).startswith(numbered + "\n" + record["text"] + "\n")


def test_in_a_terminal_no_decomposition_is_no_sub_question() -> None:
    assert "".join(
        in_a_terminal("decompose", "Tom has 3 apples and buys 5 more. How many apples does Tom have?")
    ).startswith("No decomposition\n")


def test_in_a_terminal_an_endpoints_own_numbers_are_not_shown_twice() -> None:
    with Misbehaving("plan") as server:
        shown = "".join(in_a_terminal("decompose", "--decomposer", f"{server.address}#m", QUESTION))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[:2] == ["  1. How many trays are there?", "  2. How many muffins in all?"]


def test_in_a_terminal_dynamic_alternates() -> None:
    shown = "".join(in_a_terminal("ask", "--strategy", "dynamic", QUESTION))
    record = json.loads(dnc_edge("ask", "--strategy", "dynamic", "--json", QUESTION).stdout)
    asked = zip(record["subquestions"], record["subanswers"], strict=True)
    places = [shown.index(f"  {n}. {question}\n\n{answer}\n") for n, (question, answer) in enumerate(asked, start=1)]
    assert places and places == sorted(places)
    assert f"The answer is: {record['answer']}" in shown


def test_edit_opens_the_plan_before_anything_is_sent(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "How many pens?\\n" > "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    with Misbehaving("usage") as server:
        result = dnc_edge("ask", "--json", "--edit", "--solver", f"{server.address}#m", QUESTION, EDITOR=str(editor))
        assert "1. How many pens?" in server.requests[0]["messages"][1]["content"]
    assert json.loads(result.stdout)["subquestions"] == ["How many pens?"]


def test_no_line_of_a_question_becomes_a_sub_question_when_its_plan_is_edited(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    editor.chmod(0o755)
    question = "Mia has 5 trays.\nEach holds 12 muffins.\n\nHow many muffins has Mia?"
    with Misbehaving("usage") as server:
        arguments = ("ask", "--json", "--edit", "-d", "trivial", "--solver", f"{server.address}#m")
        result = dnc_edge(*arguments, question, EDITOR=str(editor))
    assert json.loads(result.stdout)["subquestions"] == ["How many muffins has Mia?"]


def test_an_edited_plan_that_is_empty_or_no_text_sends_nothing(tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    for script, complaint in (
        ('printf "" > "$1"', "is empty"),
        (r'printf "\377\376" > "$1"', "not UTF-8"),
        ("exit 3", "failed"),
    ):
        editor.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        editor.chmod(0o755)
        result = dnc_edge("ask", "--edit", QUESTION, EDITOR=str(editor))
        refused(result, 2 if complaint == "failed" else 3, complaint)


def test_prices_are_given_or_unknown_never_zero() -> None:
    with Misbehaving("usage") as server:
        solver = f"{server.address}#m"
        unknown = json.loads(dnc_edge("ask", "--json", "-S", solver, QUESTION).stdout)
        given = json.loads(dnc_edge("ask", "--json", "-S", solver, "--price", "1", "10", QUESTION).stdout)
        paper = json.loads(dnc_edge("ask", "--json", "--price", "paper", QUESTION).stdout)
    assert unknown["usage"]["solve"]["cost_usd"] is None and unknown["cost_usd"] is None
    assert given["usage"]["solve"]["cost_usd"] == pytest.approx((50 * 1 + 20 * 10) / 1e6)
    assert paper["usage"]["decompose"]["cost_usd"] > 0


def test_a_failed_solver_keeps_the_plan_and_exits_with_5() -> None:
    with Misbehaving(401) as server:
        result = dnc_edge("ask", "--json", "--solver", f"{server.address}#m", QUESTION)
    record = Record.from_json(result.stdout.decode())
    assert result.returncode == 5 and record.error is not None and record.error.code == "solver_auth"
    assert record.subquestions is not None
    assert "refused the key" in result.stderr.decode().strip().splitlines()[-1]


def test_fallback_answers_locally_when_the_solver_fails() -> None:
    with Misbehaving(401) as server:
        result = dnc_edge("ask", "--json", "--fallback", "local", "--solver", f"{server.address}#m", QUESTION)
    record = Record.from_json(result.stdout.decode())
    assert result.returncode == 0 and record.solver == "student:dnc-11m"


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "complaint"),
    [
        (["ask", "  "], b"", 3, "the question is empty"),
        (["ask"], b"", 3, "the question is empty"),
        (["ask", "-"], b"What \xff is this?", 3, "stdin is not UTF-8 (byte 5)"),
        (["ask", "-"], b"why " * 50_000, 3, "at most 65,536"),
        (["ask", "--file", "/nowhere/q.txt"], b"", 3, "cannot read /nowhere/q.txt"),
        (["ask", "--file", "q", "text"], b"", 2, "given twice"),
        (["ask", "--student", "nobody", "q?"], b"", 4, "no student named nobody"),
        (["ask", "--student", "./nowhere", "q?"], b"", 4, "is not a student"),
        (["ask", "--level", "q9_9", "q?"], b"", 4, "has no level q9_9"),
        (["ask", "--strategy", "magic", "q?"], b"", 2, "unknown strategy 'magic'"),
        (["ask", "--mode", "magic", "q?"], b"", 2, "unknown mode 'magic'"),
        (["ask", "--solver", "magic", "q?"], b"", 2, "unknown solver 'magic'"),
        (["ask", "--decomposer", "magic", "q?"], b"", 2, "unknown decomposer 'magic'"),
        (
            ["ask", "--strategy", "single", "--solver", "local:/nowhere/model.gguf", "q?"],
            b"",
            4,
            "cannot read /nowhere/model.gguf",
        ),
        (["ask", "--solver-option", "novalue", "q?"], b"", 2, "write key=value"),
        (["ask", "--threads", "0", "q?"], b"", 2, "out of range"),
        (["ask", "--solver", "openai:gpt-4o-mini", "--strategy", "single", "q?"], b"", 5, "OPENAI_API_KEY is not set"),
        (["ask", "--strategy", "single", "--solver", "http://127.0.0.1:9/v1#m", "q?"], b"", 5, "cannot reach"),
        (["solve", "/nowhere/plan.json"], b"", 3, "cannot read /nowhere/plan.json"),
        (["solve", "-"], b"this is no plan", 3, "stdin: not JSON"),
        (["solve", "-"], b"{}", 3, "not a dnc-edge record"),
        (["decompose", "--decomposer", "recorded:/nowhere", "q?"], b"", 3, "cannot read /nowhere"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(arguments: list[str], stdin: bytes, code: int, complaint: str) -> None:
    refused(dnc_edge(*arguments, stdin=stdin), code, complaint)


def test_a_passage_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    passage = tmp_path / "passage.txt"
    passage.write_text("The river is long. " * 2000, encoding="utf-8")
    result = dnc_edge("ask", "--context", str(passage), "How long is the river?")
    assert result.returncode == 3
    assert "the student's context is 2048" in result.stderr.decode().splitlines()[-1]


def test_ctrl_c_in_mid_stream_exits_with_130_and_what_was_shown_stays() -> None:
    with Misbehaving("trickle") as server:
        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "dnc_edge", "ask", "--strategy", "single", "-S", f"{server.address}#m", "q?"]
        process = subprocess.Popen(command, stdout=follower, stderr=subprocess.PIPE, preexec_fn=heeding_interrupts)
        os.close(follower)
        shown = b""
        while b"and and" not in shown:
            shown += os.read(leader, 1000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        os.close(leader)
    assert process.returncode == 130
    assert errors.decode().strip() == "dnc-edge: interrupted"


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dnc_edge", "ask", "--events", QUESTION], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=30) in (0, 1)
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_control_characters_of_a_model_never_reach_the_terminal() -> None:
    from dnc_edge.output import safe

    assert safe("a\x1b[2Jb\x07\u009bc\td\n") == "a[2Jbc\td\n"


def test_help_loads_nothing_heavy_and_starts_fast() -> None:
    code = (
        "import sys; sys.argv = ['dnc-edge', '--help']\n"
        "from dnc_edge.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'llama_cpp', 'onnxruntime', 'httpx2', 'numpy', 'torch', 'transformers', 'genai_prices', 'platformdirs'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Usage: dnc-edge" in result.stdout
    assert result.stderr.strip() == "[]"


def test_time_is_not_lost_when_the_solver_is_remote() -> None:
    """The HTTP library is imported while the student decodes, not before and not after."""
    from dnc_edge.edge import Edge

    with Misbehaving("usage") as server, Edge(solver=f"{server.address}#m") as edge:
        events = edge.stream(QUESTION)
        next(events)
        deadline = time.monotonic() + 10
        while edge.solver.chat._transport._client is None and time.monotonic() < deadline:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert edge.solver.chat._transport._client is not None  # type: ignore[attr-defined]
        assert server.requests == []
        list(events)


def test_gold_plans_are_those_of_the_test_set(data: Path) -> None:
    from dnc_edge.tasks import gsm8k

    problem = gsm8k.load(1)[0]
    result = dnc_edge("decompose", "--json", "--decomposer", "gold", problem.question)
    assert tuple(json.loads(result.stdout)["subquestions"]) == problem.plan
    unknown = dnc_edge("decompose", "--decomposer", "gold", "How many?")
    assert unknown.returncode == 3 and "no gold plan" in unknown.stderr.decode()


def test_recorded_plans_are_replayed(tmp_path: Path) -> None:
    recorded = tmp_path / "plans.jsonl"
    recorded.write_bytes(dnc_edge("decompose", "--json", QUESTION).stdout)
    again = json.loads(dnc_edge("decompose", "--json", "--decomposer", f"recorded:{recorded}", QUESTION).stdout)
    assert again["subquestions"] == json.loads(recorded.read_text("utf-8"))["subquestions"]
    assert again["decomposer"] == "recorded:plans.jsonl"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["train", "sft", "out"], 2, "no base to train on"),
        (["train", "sft", "out", "--recipe", "none"], 3, "no recipe none"),
        (["train", "sft", "out", "--recipe", "qwen-0.5b", "--set", "rank"], 2, "--set 'rank': write NAME=VALUE"),
        (["train", "sft", "out", "--recipe", "qwen-0.5b", "--set", "rank=x"], 2, "sft.rank = 'x' is not a whole"),
        (["train", "sft", "out", "--recipe", "qwen-0.5b", "--set", "method=magic"], 2, "sft.method = 'magic'"),
        (["train", "base", "out", "--set", "layers=-1"], 2, "--set: base.layers = -1 is out of range"),
        (["train", "sft", "out", "--base", "b", "--data", "none"], 3, "no demonstrations 'none'"),
        (["train", "sft", "out", "--base", "b", "--data", "missing.jsonl"], 3, "cannot read missing.jsonl"),
        (["train", "sft", "out", "--base", "no-such-folder", "--data", "gsm8k"], 3, "no-such-folder is no directory"),
        (["train", "screen", "missing.jsonl", "-o", "out"], 3, "cannot read missing.jsonl"),
        (["train", "screen", "gsm8k", "-o", "out", "--keep", "S_X"], 2, "--keep 'S_X'"),
        (["train", "demos", "out", "--teacher", "openai:x", "--samples", "2"], 2, "all alike without a temperature"),
        (["train", "stepwise", "out", "--base", "b", "--set", "task=none"], 2, "no task 'none' with rationales"),
        (["train", "prefer", "out", "--base", "b"], 2, "prefer needs one --solver"),
        (["bench", "quant", "-o", "out", "--task", "none"], 2, "no task 'none'"),
        (["bench", "quant", "-o", "out", "--task", "multiarith"], 2, "no gold plans to judge levels by"),
        (["bench", "quant", "-o", "out", "--levels", "q9", "--busy", "--limit", "1"], 2, "no level 'q9'"),
        (["bench", "tradeoff", "-o", "out", "--config", "none"], 2, "no configuration 'none'"),
        (["bench", "tradeoff", "-o", "out", "--config", "stepwise-fractions"], 2, "needs a model to train"),
        (["bench", "tradeoff", "-o", "out", "--strategy", "both"], 2, "unknown strategy 'both'"),
        (["bench", "replay", "missing.jsonl"], 3, "cannot read missing.jsonl"),
        (["bench", "compare", "a.json", "b.json"], 3, "cannot read a.json"),
    ],
)
def test_what_trains_and_measures_refuses_in_one_line(
    arguments: list[str], code: int, complaint: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = dnc_edge(*arguments)
    assert (result.returncode, result.stdout) == (code, b""), result.stderr.decode()
    assert complaint in result.stderr.decode() and "Traceback" not in result.stderr.decode()
