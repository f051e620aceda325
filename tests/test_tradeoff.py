"""Strategies, decomposers and solvers compared: nothing bought twice, failures counted, the papers' tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dnc_edge import tasks
from dnc_edge.batch.paid import PaidRun
from dnc_edge.bench.fractions import fractions
from dnc_edge.bench.papers import CONFIGS, Models
from dnc_edge.bench.report import report, section
from dnc_edge.bench.results import Latency, SystemFigures, Totals
from dnc_edge.bench.tradeoff import System, dry_run, pareto, systems, tradeoff
from dnc_edge.errors import BudgetReached, UsageError
from dnc_edge.remote.pricing import Prices
from dnc_edge.tasks.stats import Estimate
from dnc_edge.train.stepwise import StepwiseConfig
from tests.servers import Counting

PRICED = Prices((1.0, 2.0))


def rows(address: str, *strategies: str) -> list[System]:
    return systems(strategies or ("single", "static", "dynamic"), ["gold"], [f"{address}#m"], max_tokens=100)


def test_every_combination_is_a_row() -> None:
    made = systems(["single", "static", "dynamic"], ["student:", "gold"], ["local", "openai:x"])
    assert len(made) == 12 and len({row.label for row in made}) == 12
    assert made[0].label == "single direct / local" and made[2].settings["decomposer"] == "student:"
    with pytest.raises(UsageError, match="unknown strategy 'both'"):
        systems(["both"], [], ["local"])


def test_a_table_is_made_and_a_rerun_costs_nothing(data: Path, tmp_path: Path) -> None:
    task = tasks.load("gsm8k", limit=6)
    with Counting() as server:
        run = PaidRun(PRICED)
        made = tradeoff(task, rows(server.address), tmp_path, run=run, jobs=3)
        asked = len(server.requests)
        again = tradeoff(task, rows(server.address), tmp_path, run=run, jobs=3)
        # What one row was told another is not told again: `static` on a plan of none asks what `single cot` asked.
        assert len(server.requests) == asked and again.rows == made.rows
        (tmp_path / "rows" / "03.json").unlink()
        replayed = tradeoff(task, rows(server.address), tmp_path, run=run, jobs=3)
        assert len(server.requests) == asked
    steady = ("accuracy", "stages", "usd_per_1000", "scores", "difference")
    for first, other in zip(made.rows, replayed.rows, strict=True):
        assert {name: getattr(first, name) for name in steady if name != "stages"} == {
            name: getattr(other, name) for name in steady if name != "stages"
        }
    direct, cot, static, dynamic = made.rows
    assert direct.stages["decompose"].requests == 0 and cot.stages["solve"].requests == 6
    steps = sum(len(problem.plan or ()) for problem in task.problems)
    assert dynamic.stages["solve"].requests == steps + 6
    assert (
        static.usd_per_1000 is not None and static.usd_per_1000 > 0 and made.dynamic_over_static["gold"]["solve"] > 1.5
    )
    assert any(row.pareto for row in made.rows)
    with pytest.raises(UsageError, match="made with other settings"):
        tradeoff(tasks.load("gsm8k", limit=5), rows("http://x/v1"), tmp_path, run=run)


def test_failures_stay_in_the_denominator(data: Path, tmp_path: Path) -> None:
    with Counting(odds={400: 0.5}, seed=1) as server:
        made = tradeoff(
            tasks.load("gsm8k", limit=12), rows(server.address, "static"), tmp_path, run=PaidRun(PRICED), jobs=1
        )
    (row,) = made.rows
    assert row.accuracy.n == 12 and 0 < row.failed < 12 and row.errors == ["solver_rejected"]


def test_the_cap_ends_a_run_that_goes_on_later(data: Path, tmp_path: Path) -> None:
    task = tasks.load("gsm8k", limit=8)
    with Counting() as server:
        with pytest.raises(BudgetReached):
            tradeoff(task, rows(server.address, "static"), tmp_path, run=PaidRun(PRICED, max_cost=0.0015), jobs=2)
        bought = len(server.requests)
        assert 0 < bought < 8
        made = tradeoff(task, rows(server.address, "static"), tmp_path, run=PaidRun(PRICED), jobs=2)
        assert len(server.requests) == 8 and made.rows[0].failed == 0


def test_killed_and_resumed_the_table_is_the_same_and_no_request_is_made_twice(data: Path, tmp_path: Path) -> None:
    def run(out: str, address: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dnc_edge", "bench", "tradeoff", "-o", str(tmp_path / out), "--jobs", "3"]
        command += ["--solver", f"{address}#m", "--limit", "12", "--decomposer", "gold", "--price", "1", "2"]
        environment = {**os.environ, "OPENAI_API_KEY": "x"}
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)

    def table(out: str) -> list[Any]:
        values = json.loads((tmp_path / out / "tradeoff.json").read_text("utf-8"))
        return [
            (r["label"], r["accuracy"], r["usd_per_1000"], r["stages"]["solve"]["input_tokens"]) for r in values["rows"]
        ]

    with Counting(delay=0.03) as server:
        whole = run("whole", server.address)
        assert whole.wait(timeout=120) == 0, whole.stderr
        sent = len(server.requests)
    with Counting(delay=0.03) as server:
        kills = 0
        for moment in (1.5, 2.5, 3.5):
            process = run("cut", server.address)
            begun = time.monotonic()
            while process.poll() is None and time.monotonic() - begun < moment:
                time.sleep(0.02)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
        assert run("cut", server.address).wait(timeout=120) == 0
        times = Counter(json.dumps(body["messages"]) for body in server.requests)
    assert kills >= 1 and len(times) == sent
    # Only what was in flight at a kill, three at a time, may be asked again.
    assert sum(times.values()) - sent <= 3 * kills
    assert table("cut") == [
        (label, accuracy, pytest.approx(usd), tokens) for label, accuracy, usd, tokens in table("whole")
    ]


def test_a_dry_run_sends_nothing(data: Path) -> None:
    with Counting() as server:
        made = dry_run(tasks.load("gsm8k", limit=10), rows(server.address), PaidRun(PRICED))
        assert not server.requests
    static, dynamic = made["rows"]["static gold"], made["rows"]["dynamic gold"]
    assert made["expected_usd"] > 0 and static["requests"] == 10 < dynamic["requests"]
    assert 1.5 < dynamic["input_tokens"] / static["input_tokens"] < 5


@pytest.mark.parametrize("name", CONFIGS)
def test_the_papers_tables_have_their_published_figures(name: str) -> None:
    config = CONFIGS[name]
    made = config.rows(Models(solvers=("openai:a", "openai:b", "openai:c")), config.task)
    assert len({row.label for row in made}) == len(made) >= 2 and config.claim
    assert any(row.published for row in made) or name == "paper-grid"


def test_gold_plans_are_left_out_of_a_table_on_a_task_that_has_none() -> None:
    """Every decomposer meets every solver, the base that nobody trained among both."""
    grid = CONFIGS["paper-grid"]
    labels = [row.label for row in grid.rows(Models(), "gsm8k")]
    assert labels == [
        f"{decomposer} / {solver}"
        for solver in ("untrained base", "S_E")
        for decomposer in ("-", "untrained base", "S_D of 11 M", "S_D", "teacher")
    ]
    assert [row.label for row in grid.rows(Models(), "svamp")] == [x for x in labels if not x.startswith("teacher")]
    own = grid.rows(Models(teacher="recorded:plans.jsonl"), "svamp")
    assert [row.label for row in own] == labels


def test_what_a_decomposer_keeps_is_told_where_gold_plans_gain(data: Path, tmp_path: Path) -> None:
    task = tasks.load("gsm8k", limit=40)
    with Counting() as server:
        made = systems(["single", "static"], ["gold", "trivial"], [f"{server.address}#m"], max_tokens=100)
        tradeoff(task, made, tmp_path, run=PaidRun(PRICED), jobs=8)
        for number, share in ((2, 0.1), (3, 0.6), (4, 0.35)):
            place = tmp_path / "rows" / f"{number:02}.json"
            row = json.loads(place.read_text("utf-8"))
            right = [float(n < share * 40) for n in range(40)]
            place.write_text(json.dumps(row | {"scores": {"accuracy": right}}), encoding="utf-8")
        told = tradeoff(task, made, tmp_path, run=PaidRun(PRICED), jobs=8)
    assert list(told.kept) == ["static trivial"]
    kept = told.kept["static trivial"]
    assert (
        kept.ratio is not None and abs(kept.ratio.value - 0.5) < 1e-9 and 0 < kept.ratio.low < 0.5 < kept.ratio.high < 1
    )
    assert any("it keeps 0.50 [" in note for note in section(told).notes)


def test_a_table_of_the_paper_is_reported_beside_ours(data: Path, tmp_path: Path) -> None:
    task = tasks.load("gsm8k", limit=4)
    config = CONFIGS["paper-solves-itself"]
    made = tradeoff(
        task,
        config.rows(Models(), "gsm8k"),
        tmp_path,
        run=PaidRun(Prices()),
        name="paper-solves-itself",
        claimed=config.claim,
    )
    one = section(made)
    assert "published" in one.tables[0].columns and "The claim: A student" in one.notes[0]
    html = report([made], tmp_path).read_text("utf-8")
    assert "0.060" in html and html.count("<svg") == 2


@pytest.mark.filterwarnings("default")
def test_shares_of_the_data_are_compared_for_three_methods(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    config = StepwiseConfig(epochs=2, batch=8, micro_batch=8, max_length=400, learning_rate=1e-3)
    made = fractions("svamp", str(checkpoint), tmp_path, shares=(0.02, 0.04), limit=3, config=config)
    assert [(row.method, row.share) for row in made.rows[:3]] == [
        ("finetuning", 0.02), ("finetuning", 0.04), ("distillation", 0.02),
    ]  # fmt: skip
    assert len(made.rows) == 6 and all(row.accuracy.n == 3 for row in made.rows)
    by_method = {row.method: row.examples for row in made.rows if row.share == 0.04}
    assert by_method["stepwise"] <= by_method["finetuning"] == 32
    again = fractions("svamp", str(checkpoint), tmp_path, shares=(0.02, 0.04), limit=3, config=config)
    assert again.rows == made.rows
    assert report([made], tmp_path).read_text("utf-8").count("<svg") == 1


def test_an_unknown_cost_is_on_no_side_of_the_front() -> None:
    def row(accuracy: float, usd: float | None, seconds: float = 1.0) -> SystemFigures:
        none = Totals(0, 0, 0, 0, estimated=False, seconds=0.0, cost_usd=0.0)
        return SystemFigures(
            label="", strategy="static", accuracy=Estimate(accuracy, 0, 1, 1), metrics={}, scores={}, published={}, failed=0,
            errors=[], left_whole=0, stages={"decompose": none, "solve": none}, input_tokens_per_question=0, usd_per_1000=usd,
            seconds=[seconds], latency=Latency(seconds, seconds), settings={},
        )  # fmt: skip

    assert pareto([row(0.9, 2.0), row(0.8, 1.0), row(0.7, 1.5)]) == [True, True, False]
    # The second could cost anything: it neither beats the others nor is beaten.
    assert pareto([row(0.8, 1.0), row(0.9, None), row(0.7, 1.5)]) == [True, None, False]
    assert pareto([row(0.9, None), row(0.8, None)]) == [True, False]


def test_a_row_of_unknown_cost_is_reported_as_such(data: Path, tmp_path: Path) -> None:
    task = tasks.load("gsm8k", limit=3)
    with Counting(odds={"torn": 1.0}) as torn, Counting() as good:
        made = tradeoff(
            task, rows(torn.address, "static") + rows(good.address, "static"), tmp_path, run=PaidRun(PRICED), jobs=3
        )
    unknown, known = made.rows
    assert unknown.usd_per_1000 is None and unknown.stages["solve"].unaccounted >= 3
    assert unknown.pareto is None and known.pareto is True and known.usd_per_1000 is not None and known.usd_per_1000 > 0
    made_section = section(made)
    assert any("their cost is not known" in note for note in made_section.notes)
    assert "unknown" in report([made], tmp_path).read_text("utf-8")
