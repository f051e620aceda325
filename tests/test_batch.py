"""A file of questions: asked once, whatever happens on the way."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.batch import inputs, outputs
from dnc_edge.batch.batch import Progress, batch, purse_path, records
from dnc_edge.edge import Edge
from dnc_edge.errors import BudgetReached, DncError, InputError, RecordsFailed, UsageError
from dnc_edge.pricing import Prices
from dnc_edge.runner.gate import Gate
from dnc_edge.runner.store import Store
from dnc_edge.types import RECORD_FIELDS, Question
from tests.servers import Counting, Misbehaving, heeding_interrupts

PRICED = Prices(remote=(1.0, 1.0))


def questions(count: int, start: int = 0) -> list[Question]:
    return [
        Question(f"Tom packs {n + 2} boxes of {n + 3} pens and gives away {n % 5}. How many are left?", id=f"t-{n}")
        for n in range(start, start + count)
    ]


def write_questions(path: Path, asked: list[Question]) -> Path:
    path.write_text("".join(json.dumps({"id": q.id, "question": q.text}) + "\n" for q in asked), encoding="utf-8")
    return path


def read_records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def command(*arguments: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dnc_edge", "batch", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, **settings)


# Input


def test_every_format_gives_the_same_questions(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"key": "a", "prompt": "How many?\nReally?", "text": "A passage."}, {"key": "b", "prompt": 'Why "x"?'}]
    (tmp_path / "q.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\r\n\n" for row in rows), encoding="utf-8")
    with (tmp_path / "q.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["key", "prompt", "text"], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "q.parquet")
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress((tmp_path / "q.jsonl").read_bytes()))
    columns = inputs.column_map(["question=prompt", "id=key", "context=text"])
    wanted = [Question(row["prompt"], row.get("text"), row["key"]) for row in rows]
    for name in ("q.jsonl", "q.csv", "q.parquet", "q.jsonl.gz"):
        assert list(inputs.read(str(tmp_path / name), columns=columns)) == wanted, name
    (tmp_path / "q.txt").write_bytes(b"One?\r\n\r\n  Two? \n")
    assert list(inputs.read(str(tmp_path / "q.txt"))) == [Question("One?"), Question("Two?")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"question": "a?"}\n{oops\n', "line 2: not JSON"),
        (b'{"question": "a?"}\n[1]\n', "line 2: not a JSON object"),
        (b'{"question": "a?"}\n{"text": "b?"}\n', "line 2: no text in 'question'"),
        (b'{"question": "a?"}\n{"question": " "}\n', "line 2: no text in 'question'"),
        (b'{"question": "a?"}\n{"question": "caf\xe9"}\n', "line 2: not UTF-8 .byte 1"),
        (b'{"question": "a?"}\n{"question": "' + b"x" * 70_000 + b'"}\n', "line 2: the question has 70,000 characters"),
        (b'{"question": "a?"}\n{"question": "' + b"x" * 10_000_000 + b'"}\n', "line 2: longer than"),
        (b'{"question": "a?"}\n{"question": "b?", "context": 7}\n', "line 2: 'context' is no text"),
        (b'{"question": "a?"}\n' + b"[" * 100_000 + b"\n", "line 2: (not JSON|nested)"),
    ],
)
def test_a_bad_line_is_named_and_passed_over_if_wished(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content + b'{"question": "last?"}\n')
    with pytest.raises(InputError, match=complaint):
        list(inputs.read(str(path)))
    told: list[InputError] = []
    assert [q.text for q in inputs.read(str(path), bad=told.append)] == ["a?", "last?"]
    assert len(told) == 1


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(b'{"question": "a?"}\n' * 50_000)[:-200])
    (tmp_path / "q.parquet").write_bytes(b"PAR1 not")
    (tmp_path / "q.csv").write_text('question\n"never closed\n', encoding="utf-8")
    for name in ("q.jsonl.gz", "q.parquet", "q.csv", "missing.jsonl"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            list(inputs.read(str(tmp_path / name)))
    with pytest.raises(UsageError, match="cannot tell the format"):
        list(inputs.read(str(tmp_path / "q.xml")))
    with pytest.raises(UsageError, match="write one of question"):
        inputs.column_map(["prompt"])


@given(st.binary(max_size=400))
def test_any_bytes_are_questions_or_bad_lines_and_never_a_crash(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name in ("q.jsonl", "q.txt", "q.csv", "q.jsonl.gz", "q.parquet"):
            Path(folder, name).write_bytes(data)
            try:
                for question in inputs.read(f"{folder}/{name}", bad=lambda _: None):
                    assert question.text.strip()
            except InputError:
                pass


# The run


def test_plans_of_a_file_are_those_of_each_question_alone(tmp_path: Path) -> None:
    asked = questions(30)
    with Edge(slots=4) as edge:
        progress = batch(asked, tmp_path / "out.jsonl", edge, solve=False)
        written = read_records(tmp_path / "out.jsonl")
        assert [record["id"] for record in written] == [q.id for q in asked]
        assert progress.done == 30 and progress.failed == 0 and progress.output_tokens > 100
        assert all(list(record) == list(RECORD_FIELDS) for record in written)
        alone = [edge.decompose(question) for question in asked]
    same = sum(tuple(record["subquestions"]) == one.subquestions for record, one in zip(written, alone, strict=True))
    # Kernels round by batch size: a plan in some dozens may part at two tokens that are all but tied.
    assert same >= 28
    assert {record["key"] for record in written} == {one.key for one in alone}


def test_what_is_done_is_kept_and_what_has_changed_is_done_again(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Counting() as server:

        def run(asked: list[Question], **settings: Any) -> Progress:
            with Edge(solver=f"{server.address}#m", decomposer="trivial", **settings) as edge:
                return batch(asked, out, edge, jobs=4)

        first = run(questions(20))
        assert (first.done, first.kept, len(server.requests)) == (20, 0, 20)
        again = run(questions(20))
        assert (again.done, again.kept, len(server.requests)) == (0, 20, 20)
        changed = questions(20)
        changed[3] = Question(changed[3].text + " Say so.", id=changed[3].id)
        assert run([*changed, *questions(2, start=20)]).done == 3
        assert [record["id"] for record in read_records(out)] == [f"t-{n}" for n in range(22)]
        assert read_records(out)[3]["question"].endswith("Say so.")
        assert run(changed, max_tokens=77).done == 20, "another setting is another answer"
        assert run(questions(5), max_tokens=77).done == 1
        assert len(read_records(out)) == 5, "the output is what was asked for, the journal what was ever done"


def test_failures_are_records_and_are_asked_again_when_wished(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Counting(odds={"refusal": 0.4}) as server:

        def run(**settings: Any) -> Progress:
            with Edge(solver=f"{server.address}#m", decomposer="trivial") as edge:
                return batch(questions(20), out, edge, jobs=2, **settings)

        with pytest.raises(RecordsFailed, match="of 20 questions failed"):
            run()
        failed = {record["id"] for record in read_records(out) if record["error"]}
        assert 2 <= len(failed) <= 15 and read_records(out)[0]["error"] in (None, read_records(out)[0]["error"])
        with pytest.raises(RecordsFailed):
            run()
        assert len(server.requests) == 20
        server.odds = {}
        assert run(retry_failed=True).done == len(failed)
        assert not any(record["error"] for record in read_records(out))


def test_one_id_for_two_questions_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    asked = [*questions(3), Question("Something else?", id="t-1")]
    with Counting() as server, Edge(solver=f"{server.address}#m", decomposer="trivial") as edge:
        with pytest.raises(InputError, match="'t-1' stands for two different questions"):
            batch(asked, tmp_path / "out.jsonl", edge)
        assert not server.requests
        assert batch([*questions(3), *questions(3)], tmp_path / "out.jsonl", edge).done == 3


def test_a_question_that_is_too_long_fails_alone(tmp_path: Path) -> None:
    asked = [*questions(2), Question("How many? " * 3000, id="long"), *questions(2, start=2)]
    with Edge(slots=2) as edge, pytest.raises(RecordsFailed, match="1 of 5"):
        batch(asked, tmp_path / "out.jsonl", edge, solve=False)
    by_id = {record["id"]: record for record in read_records(tmp_path / "out.jsonl")}
    assert by_id["long"]["error"]["code"] == "prompt_too_long"
    assert all(by_id[f"t-{n}"]["subquestions"] is not None for n in range(4))


def test_plans_are_decoded_while_others_are_being_solved() -> None:
    """A solver that takes 0.2 s: 24 questions with 8 jobs take three turns of it, not 24."""
    with Counting(delay=0.2) as server, Edge(solver=f"{server.address}#m", slots=4) as edge:
        started = time.perf_counter()
        done = list(records(iter(questions(24)), edge, jobs=8))
        seconds = time.perf_counter() - started
    assert len(done) == 24 and all(record.answer == "72" for record in done)
    assert seconds < 24 * 0.2 * 0.75


def test_the_cap_stops_the_run_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Counting() as server:

        def run(cap: float) -> Progress:
            with (
                Gate(PRICED, max_cost=cap, purse=purse_path(out)) as gate,
                Edge(
                    solver=f"{server.address}#m", decomposer="trivial", prices=PRICED, gate=gate, max_tokens=100
                ) as edge,
            ):
                return batch(questions(30), out, edge, jobs=3)

        with pytest.raises(BudgetReached):
            run(0.002)
        some = len(read_records(out))
        assert 3 <= some < 30 and sum(record["cost_usd"] for record in read_records(out)) <= 0.002
        with pytest.raises(BudgetReached):
            run(0.0021)
        progress = run(1.0)
        assert progress.kept >= some and progress.before > 0
        assert len(read_records(out)) == 30 and len(server.requests) == 30


def test_the_cap_counts_what_was_in_flight_at_every_kill(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(700))
    cap, charge = 0.04, 70 / 1e6
    with Counting(delay=0.05) as server:
        line = [sys.executable, "-m", "dnc_edge", "batch", str(source), "-o", str(tmp_path / "out.jsonl")]
        line += ["--decomposer", "trivial", "--solver", f"{server.address}#m", "--jobs", "8"]
        line += ["--price", "1", "1", "--max-tokens", "64", "--max-cost", str(cap)]
        before = 0
        for _ in range(8):
            process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
            while len(server.requests) == before and process.poll() is None:
                time.sleep(0.002)
            # The first requests are with the server, and no reply is there yet.
            process.kill()
            process.wait(timeout=60)
            before = len(server.requests)
        lost = server.charged
        assert subprocess.run(line, stderr=subprocess.DEVNULL, check=False).returncode == BudgetReached.exit_code
        assert server.charged * charge <= cap
        assert lost >= 8 and server.charged > lost


def test_a_server_that_goes_down_leaves_what_was_done(tmp_path: Path) -> None:
    with (
        Counting(odds={401: 1.0}) as server,
        Edge(solver=f"{server.address}#m", decomposer="trivial", gate=Gate()) as edge,
    ):
        with pytest.raises(DncError) as caught:
            batch(questions(50), tmp_path / "out.jsonl", edge, jobs=4)
        assert caught.value.code in ("solver_auth", "solver_down") and len(server.requests) <= 8
    assert read_records(tmp_path / "out.jsonl") == []


def test_an_unreliable_server_is_asked_until_everything_is_answered(tmp_path: Path) -> None:
    odds: dict[str | int, float] = {429: 0.33, 500: 0.1, "torn": 0.05, "garbage": 0.05, "hang": 0.02}
    out = tmp_path / "out.jsonl"
    with Counting(odds=odds) as server:
        for _ in range(5):
            with Edge(solver=f"{server.address}#m", decomposer="trivial", gate=Gate(), timeout=1) as edge:
                edge.solver.chat.retry = type(edge.solver.chat.retry)(attempts=8, first=0.01)  # type: ignore[attr-defined]
                try:
                    batch(questions(60), out, edge, jobs=8, retry_failed=True)
                    break
                except RecordsFailed:
                    continue
    written = read_records(out)
    assert [record["id"] for record in written] == [q.id for q in questions(60)]
    assert all(record["answer"] == "72" and record["error"] is None for record in written)


def test_dynamic_asks_nothing_twice_after_a_stop(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    asked = [
        Question(f"Mia bakes {n} trays of 12 muffins and sells them for $2 each. How much money does Mia make?")
        for n in range(5, 11)
    ]
    with Counting() as server:

        def run(cap: float) -> None:
            store = Store(tmp_path / "replies")
            gate = Gate(PRICED, max_cost=cap)
            with Edge(
                solver=f"{server.address}#m", strategy="dynamic", prices=PRICED, gate=gate, store=store, max_tokens=100
            ) as edge:
                try:
                    batch(asked, out, edge, jobs=1)
                finally:
                    store.close()

        with pytest.raises(BudgetReached):
            run(0.0012)
        before = len(server.requests)
        run(1.0)
        bodies = [json.dumps(body["messages"]) for body in server.requests]
        assert 2 <= before < len(bodies) == len(set(bodies)) >= 12


# Output


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.csv", "out.csv.gz", "out.parquet"])
def test_every_output_format_holds_the_records(name: str, tmp_path: Path) -> None:
    import pyarrow.parquet

    with Edge(decomposer="trivial") as edge:
        batch(questions(5), tmp_path / name, edge, solve=False)
    if name.endswith(".parquet"):
        rows = pyarrow.parquet.read_table(tmp_path / name).to_pylist()
        assert rows[0]["subquestions"] == ["How many are left?"]
    else:
        raw = (tmp_path / name).read_bytes()
        text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
        rows = list(csv.DictReader(text.splitlines())) if "csv" in name else list(map(json.loads, text.splitlines()))
    assert [row["id"] for row in rows] == [f"t-{n}" for n in range(5)]
    with pytest.raises(UsageError, match="cannot write records"):
        outputs.check_format(tmp_path / "out.txt")


# The command


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(3))
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    for arguments, code, complaint in (
        ([source, "-o", source], 2, "is the input too"),
        ([source, "-o", tmp_path / "no" / "out.jsonl"], 3, "there is no folder"),
        ([source, "-o", tmp_path / "out.xml"], 2, "cannot tell the format"),
        ([tmp_path / "missing.jsonl", "-o", tmp_path / "out.jsonl"], 3, "cannot read"),
        (
            [source, "-o", tmp_path / "out.jsonl", "--solver", "http://127.0.0.1:9/v1#m", "--max-cost", "1"],
            2,
            "no price",
        ),
        ([source, "-o", tmp_path / "out.jsonl", "--order", "random"], 2, "unknown order"),
    ):
        result = command(*arguments)
        assert (result.returncode, complaint in result.stderr) == (code, True), result.stderr
        assert "Traceback" not in result.stderr
    assert command(tmp_path / "empty.jsonl", "-o", tmp_path / "none.jsonl", "--plan-only").returncode == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_stdin_to_stdout(tmp_path: Path) -> None:
    text = "".join(json.dumps({"question": q.text}) + "\n" for q in questions(4))
    result = command("-", "-o", "-", "--plan-only", "--decomposer", "trivial", input=text)
    assert result.returncode == 0, result.stderr
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 4
    assert "4 done" in result.stderr


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(60))
    with Counting() as server:
        solver = ["--solver", f"{server.address}#m", "--price", "1", "2"]
        result = command(source, "-o", tmp_path / "out.jsonl", "--dry-run", *solver)
        assert not server.requests
    told = json.loads(result.stdout)
    assert told["questions"] == 60 and told["sampled"] == 20
    assert 0 < told["expected_usd"] < told["most_usd"]
    assert not (tmp_path / "out.jsonl").exists()


def test_a_second_process_on_the_same_output_is_refused(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(30))
    with Counting(delay=0.3) as server:
        line = [sys.executable, "-m", "dnc_edge", "batch", str(source), "-o", str(tmp_path / "out.jsonl")]
        line += ["--solver", f"{server.address}#m", "--decomposer", "trivial", "--jobs", "1"]
        first = subprocess.Popen(line, stderr=subprocess.DEVNULL, preexec_fn=heeding_interrupts)
        while len(server.requests) < 3:
            time.sleep(0.05)
        second = command(source, "-o", tmp_path / "out.jsonl", "--plan-only")
        assert second.returncode == 2 and "another process is writing" in second.stderr
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=20) == 130
    assert 1 <= len(read_records(tmp_path / "out.jsonl")) < 30


def test_a_disk_that_fills_up_keeps_everything_finished(tmp_path: Path) -> None:
    import resource

    source = write_questions(tmp_path / "q.jsonl", questions(60))

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    line = (source, "-o", tmp_path / "out.jsonl", "--plan-only", "--decomposer", "trivial")
    result = command(*line, preexec_fn=small_files)
    assert result.returncode == 3 and "make room and run the same command again" in result.stderr, result.stderr
    kept = len(read_records(tmp_path / "out.jsonl.journal"))
    assert kept >= 10
    again = command(*line, "--json")
    assert again.returncode == 0 and json.loads(again.stdout)["kept"] == kept
    assert len(read_records(tmp_path / "out.jsonl")) == 60


def killed_and_resumed(tmp_path: Path, kills: int, count: int) -> None:
    """Kill at random moments, look at what is on the disk, run again, until so many kills are done."""
    rng = random.Random(0)
    asked = questions(count)
    by_text = {question.text: question.id for question in asked}
    source = write_questions(tmp_path / "q.jsonl", asked)
    jobs = 6
    done = 0
    for turn in range(kills + 1):
        out = tmp_path / f"out-{turn}.jsonl"
        with Counting(delay=0.01) as server:
            line = [sys.executable, "-m", "dnc_edge", "batch", str(source), "-o", str(out)]
            line += ["--solver", f"{server.address}#m", "--jobs", str(jobs), "--slots", "4"]
            before = 0
            known: set[str] = set()
            while True:
                process = subprocess.Popen(line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                if done < kills:
                    # Not before it has begun to ask: most moments are then in the middle of the work.
                    while len(server.requests) == before and process.poll() is None:
                        time.sleep(0.005)
                    time.sleep(rng.random() * 0.8)
                    if process.poll() is None:
                        os.kill(process.pid, signal.SIGKILL)
                        done += 1
                process.wait(timeout=120)
                recorded = {record["id"] for record in map(json.loads, _whole_lines(Path(f"{out}.journal")))}
                new = [by_text[text] for text in server.asked()[before:]]
                assert len(new) == len(set(new)), "a question was asked twice in one run"
                assert not set(new) & known, "a recorded question was asked again"
                in_flight = {by_text[text] for text in server.asked()} - recorded
                assert len(in_flight) <= jobs
                known, before = recorded, len(server.asked())
                if process.returncode == 0:
                    break
        written = read_records(out)
        assert [record["id"] for record in written] == [question.id for question in asked]
        assert all(record["answer"] == "72" for record in written)
        if done >= kills:
            return


def _whole_lines(path: Path) -> list[str]:
    text = path.read_text("utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def test_a_student_that_answers_too_is_not_waited_for_by_itself() -> None:
    """Many more questions than jobs and queues hold, planned and solved by one engine."""
    asked = [Question(f"Tom has {n} boxes of 12 eggs and sells 5. How many are left?", id=str(n)) for n in range(70)]
    with Edge(slots=2) as edge:
        made = list(records(asked, edge, jobs=2))
    assert sorted(int(record.id) for record in made) == list(range(70))
    with Misbehaving(*[400] * 200) as server, Edge(solver=f"{server.address}#m", fallback="local", slots=2) as edge:
        fallen = list(records(asked[:40], edge, jobs=2))
    assert len(fallen) == 40 and {record.solver for record in fallen} == {"student:dnc-11m"}


def test_killed_and_resumed_nothing_is_lost_or_asked_twice(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=5, count=60)


@pytest.mark.long
def test_a_hundred_kills(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=100, count=300)


@pytest.mark.long
def test_two_ray_workers_make_the_same_records_and_resume(tmp_path: Path) -> None:
    from dnc_edge.batch.ray import written

    source = write_questions(tmp_path / "q.jsonl", questions(80))
    line = (source, "-o", tmp_path / "ray", "--plan-only", "--runner", "ray", "--workers", "2", "--threads", "1")
    first = command(*line)
    assert first.returncode == 0 and "80 records made" in first.stderr, first.stderr[-2000:]
    assert "0 records made" in command(*line).stderr
    assert command(source, "-o", tmp_path / "local.jsonl", "--plan-only", "--threads", "1").returncode == 0
    by_id = {record["id"]: record for record in written(tmp_path / "ray")}
    local = read_records(tmp_path / "local.jsonl")
    assert [by_id[record["id"]]["key"] for record in local] == [record["key"] for record in local]
    assert sum(by_id[record["id"]]["subquestions"] == record["subquestions"] for record in local) >= 76
    write_questions(source, questions(90))
    assert "10 records made" in command(*line).stderr
    refused = command(*line, "--max-cost", "1")
    assert refused.returncode == 2 and "keeps no cap" in refused.stderr
