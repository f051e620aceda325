"""Paid runs: what is bought is in the records at its cost, once, and whatever cannot be written ends the run in a line."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.batch.batch import batch, journal_path, purse_path, store_path
from dnc_edge.batch.paid import PaidRun
from dnc_edge.edge import Edge
from dnc_edge.errors import BudgetReached, InputError, RecordsFailed
from dnc_edge.remote.gate import MOST_FAILURES
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Question
from tests.batches import command, questions, read_records, write_questions
from tests.quirks import QUIRKS, QuirkServer

PRICED = Prices(remote=(1.0, 10.0))
# What the quirks say of themselves: 100 tokens in, 20 out.
COST = 0.0003


def run(out: Path, server: QuirkServer, quirk: str, asked: list[Question], **settings: Any) -> list[dict[str, Any]]:
    """Records of a batch against one quirk."""
    cap = {"max_cost": settings.pop("max_cost", None)}
    parts = {"decomposer": "trivial", "solver": f"{server.address}#{quirk}", "max_tokens": 100, **settings}
    with (
        PaidRun(PRICED, purse=purse_path(out), **cap) as paid,
        paid.edge(replies=store_path(out), **parts) as edge,
    ):
        try:
            batch(asked, out, edge, jobs=4)
        except RecordsFailed:
            pass
    return read_records(out)


@pytest.mark.parametrize(
    "quirk", ["reasoning-only", "empty", "finish-length", "finish-content-filter", "think-unclosed", "finish-refusal"]
)
def test_a_reply_that_is_no_answer_is_bought_once_at_its_cost(quirk: str, tmp_path: Path) -> None:
    count = 2 * MOST_FAILURES
    with QuirkServer() as server:
        records = run(tmp_path / "out.jsonl", server, quirk, questions(count))
        assert server.asked[quirk] == count, "neither asked again nor taken for a server that is down"
        again = run(tmp_path / "out.jsonl", server, quirk, questions(count))
        # Without the journal the store still knows the replies.
        journal_path(tmp_path / "out.jsonl").unlink()
        anew = run(tmp_path / "out.jsonl", server, quirk, questions(count))
        assert server.asked[quirk] == count
    assert records == again and [one["error"] for one in anew] == [one["error"] for one in records]
    for record in records:
        assert record["error"]["code"] == QUIRKS[quirk].promise
        assert record["cost_usd"] == record["usage"]["solve"]["cost_usd"] == pytest.approx(COST)


@pytest.mark.parametrize("quirk", ["usage-missing", "usage-zero", "usage-negative", "usage-too-small", "usage-list"])
def test_counts_that_cannot_be_true_let_no_cap_be_passed(quirk: str, tmp_path: Path) -> None:
    with QuirkServer() as server:
        with pytest.raises(BudgetReached):
            run(tmp_path / "out.jsonl", server, quirk, questions(50), max_cost=20 * COST)
        # Each could have cost its 100 tokens of output, and some input.
        assert 1 <= server.asked[quirk] <= 20 * COST / (100 * 10e-6)
    for record in read_records(tmp_path / "out.jsonl"):
        assert record["usage"]["solve"]["estimated"] and record["cost_usd"] > 0


def test_a_cost_that_nobody_knows_is_null_in_record_and_summary(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(3))
    with QuirkServer() as server:
        solver = ("--solver", f"{server.address}#cut-midway", "--decomposer", "trivial", "--price", "1", "10")
        result = command(source, "-o", tmp_path / "out.jsonl", *solver, "--json")
    assert result.returncode == 7 and json.loads(result.stdout)["cost_usd"] is None
    for record in read_records(tmp_path / "out.jsonl"):
        assert record["usage"]["solve"]["unaccounted"] == 1 and record["cost_usd"] is None
    # It stays unknown when the run goes on.
    with QuirkServer() as server:
        again = command(source, "-o", tmp_path / "out.jsonl", "--plan-only", "--decomposer", "trivial", "--json")
    assert json.loads(again.stdout)["cost_usd"] is None


@pytest.mark.parametrize("quirk", ["overloaded-529", "loading-503", "wait-ms", "temperature"])
def test_an_error_status_before_the_reply_leaves_the_cost_known(quirk: str, tmp_path: Path) -> None:
    with QuirkServer() as server:
        (record,) = run(tmp_path / "out.jsonl", server, quirk, questions(1))
    assert record["error"] is None and record["usage"]["solve"]["requests"] > 1
    assert record["usage"]["solve"]["unaccounted"] == 0 and record["cost_usd"] == pytest.approx(COST)


@pytest.mark.parametrize("quirk", ["error-midway", "cut-midway", "finish-nothing"])
def test_what_broke_off_after_some_text_has_an_unknown_cost(quirk: str, tmp_path: Path) -> None:
    with QuirkServer() as server:
        (record,) = run(tmp_path / "out.jsonl", server, quirk, questions(1), max_cost=1.0)
    assert record["cost_usd"] is None and record["usage"]["solve"]["unaccounted"] == 1
    lines = [json.loads(line) for line in purse_path(tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [list(line) for line in lines] == [["attempt", "reserved"]], "the reservation stands"


# A fallback


def test_a_fallback_is_part_of_the_key_and_what_it_replaced_is_paid_for(tmp_path: Path) -> None:
    with QuirkServer() as server:
        asked = questions(3)
        (first, *_) = run(tmp_path / "out.jsonl", server, "finish-length", asked, fallback="local")
        assert first["solver"].startswith("student:") and first["error"] is None
        assert first["usage"]["solve"]["requests"] == 2 and first["cost_usd"] == pytest.approx(COST)
        keys = set()
        for settings in ({}, {"fallback": "local"}, {"fallback": "local", "temperature": 0.5, "seed": 1}):
            with Edge(solver=f"{server.address}#finish-length", decomposer="trivial", **settings) as edge:
                keys.add(edge.pipeline().key(asked[0]))
    assert len(keys) == 3 and first["key"] not in keys - {first["key"]}


# Disks and files


def small_files(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.mark.parametrize("limit", [2_000, 40_000])
def test_a_disk_that_fills_up_in_a_paid_run_ends_it_in_one_line(limit: int, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    source = write_questions(tmp_path / "q.jsonl", questions(80))
    with QuirkServer() as server:
        line = (source, "-o", out, "--solver", f"{server.address}#crlf", "--decomposer", "trivial", "--jobs", "8")
        line += ("--price", "1", "10", "--max-cost", "5", "--max-tokens", "100")
        result = command(*line, preexec_fn=small_files(limit))
        assert result.returncode == 3 and "Traceback" not in result.stderr, result.stderr
        assert sum("cannot write" in told for told in result.stderr.splitlines()) == 1
        kept = len(read_records(journal_path(out)))
        again = command(*line, "--json")
        assert again.returncode == 0 and json.loads(again.stdout)["kept"] == kept
        assert len(read_records(out)) == 80
        # What was in flight, or could not be written any more, is all that was bought again.
        assert server.asked["crlf"] <= 80 + 2 * 8


def test_a_damaged_purse_or_journal_ends_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with QuirkServer() as server:
        run(out, server, "crlf", questions(4))
        for path in (purse_path(out), journal_path(out)):
            whole = path.read_bytes()
            lines = whole.splitlines(keepends=True)
            path.write_bytes(b"".join([lines[0], b"\0\0\0\n", *lines[1:]]))
            damaged = path.read_bytes()
            with pytest.raises(InputError, match=f"{path.name}, line 2 is unreadable"):
                run(out, server, "crlf", questions(8))
            assert path.read_bytes() == damaged
            path.write_bytes(whole)
        assert server.asked["crlf"] == 4
        assert len(run(out, server, "crlf", questions(8))) == 8 and server.asked["crlf"] == 8


def test_a_damaged_store_is_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(20))
    store_path(tmp_path / "out.jsonl").write_bytes(b"damaged store\n")
    with QuirkServer() as server:
        solver = ("--solver", f"{server.address}#crlf", "--decomposer", "trivial")
        result = command(source, "-o", tmp_path / "out.jsonl", *solver)
    assert result.returncode == 0 and "Traceback" not in result.stderr
    assert sum("keeps no replies" in told for told in result.stderr.splitlines()) == 1
    assert store_path(tmp_path / "out.jsonl").read_bytes() == b"damaged store\n"
    assert len(read_records(tmp_path / "out.jsonl")) == 20


def test_a_remote_decomposer_is_under_the_same_cap(tmp_path: Path) -> None:
    with QuirkServer() as server:
        with pytest.raises(BudgetReached):
            run(
                tmp_path / "out.jsonl", server, "crlf", questions(40), max_cost=10 * COST,
                decomposer=f"{server.address}#cr",
            )  # fmt: skip
        assert server.asked["cr"] >= 1 and (server.asked["cr"] + server.asked["crlf"]) * COST <= 10 * COST
