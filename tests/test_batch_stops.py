"""A batch that is stopped, by a cap, a kill, a full disk, goes on where it was; nothing is asked twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnc_edge.batch.batch import batch, purse_path
from dnc_edge.edge import Edge
from dnc_edge.errors import BudgetReached, DncError
from dnc_edge.progress import RunStatus
from dnc_edge.remote.gate import Gate
from dnc_edge.remote.store import Store
from dnc_edge.types import Question
from tests.batches import PRICED, command, questions, read_records, write_questions
from tests.servers import Counting, heeding_interrupts


def test_the_cap_stops_the_run_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Counting() as server:

        def run(cap: float) -> RunStatus:
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


def test_killed_and_resumed_nothing_is_lost_or_asked_twice(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=5, count=60)


@pytest.mark.long
def test_a_hundred_kills(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, kills=100, count=300)
