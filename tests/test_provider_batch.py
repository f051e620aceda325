"""There and back through a provider's files and batches endpoints, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dnc_edge.batch import provider
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, MissingError, SolverError, UsageError
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Question
from tests.batches import questions, read_records
from tests.servers import BatchService


def test_there_and_back_with_some_lost_and_some_refused(tmp_path: Path) -> None:
    asked = [
        Question(
            f"Mia bakes {n} trays of 12 muffins and sells them for $2 each. How much money does Mia make?", id=f"t-{n}"
        )
        for n in range(25)
    ]
    with (
        BatchService(lose={"t-3"}, reject={"t-7", "t-8"}) as service,
        Edge(solver=f"{service.address}#m", slots=4, prices=Prices(remote=(1.0, 2.0))) as edge,
    ):
        endpoint = edge.solver.chat  # type: ignore[attr-defined]
        files = provider.export(asked, tmp_path / "job", edge, most_requests=10)
        assert [file.name for file in files] == ["requests-001.jsonl", "requests-002.jsonl", "requests-003.jsonl"]
        lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
        assert [line["custom_id"] for line in lines] == [question.id for question in asked]
        assert any("Sub-questions:" in line["body"]["messages"][-1]["content"] for line in lines)
        first = provider.submit(tmp_path / "job", endpoint)
        assert provider.submit(tmp_path / "job", endpoint) == first and len(service.batches) == 3
        with pytest.raises(UsageError, match="submitted already"):
            provider.export(asked, tmp_path / "job", edge)
        with pytest.raises(MissingError, match="is not finished"):
            provider.collect(tmp_path / "job", tmp_path / "out.jsonl", edge)
        provider.status(tmp_path / "job", endpoint)
        assert [entry.completed for entry in provider.status(tmp_path / "job", endpoint)] == [7, 10, 5]
        counts = provider.collect(tmp_path / "job", tmp_path / "out.jsonl", edge)
    assert counts == {"records": 25, "failed": 3}
    records = {record["id"]: record for record in read_records(tmp_path / "out.jsonl")}
    assert list(records) == [question.id for question in asked]
    assert records["t-3"]["error"]["code"] == "solver_missing" and "too hot" in records["t-7"]["error"]["message"]
    assert records["t-0"]["answer"] == "72" and records["t-0"]["subquestions"] is not None
    assert records["t-0"]["cost_usd"] == pytest.approx(50e-6 + 40e-6)
    assert records["t-0"]["usage"]["solve"]["output_tokens"] == 20


def test_a_submission_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    with BatchService() as service, Edge(solver=f"{service.address}#m", decomposer="trivial") as edge:
        endpoint = edge.solver.chat  # type: ignore[attr-defined]
        provider.export(questions(4), tmp_path / "job", edge)
        service.fail_next = True
        with pytest.raises(SolverError):
            provider.submit(tmp_path / "job", endpoint)
        assert len(provider.submit(tmp_path / "job", endpoint)) == 1 == len(service.batches)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with Edge(solver="http://127.0.0.1:9/v1#m", decomposer="trivial") as edge:
        endpoint = edge.solver.chat  # type: ignore[attr-defined]
        with pytest.raises(InputError, match="no request files"):
            provider.submit(tmp_path, endpoint)
        with pytest.raises(InputError, match="was not submitted"):
            provider.status(tmp_path, endpoint)
        provider.export(questions(2), tmp_path / "job", edge)
        with pytest.raises(SolverError, match="cannot reach"):
            provider.submit(tmp_path / "job", endpoint)
    with Edge(solver="local") as edge, pytest.raises(UsageError, match="needs a remote solver"):
        provider.export(questions(2), tmp_path / "other", edge)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "dnc_edge", "provider-batch", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def test_a_job_remembers_whom_it_asks_for_how_much_and_how_long(tmp_path: Path) -> None:
    source = tmp_path / "q.jsonl"
    source.write_text("".join(json.dumps({"id": q.id, "question": q.text}) + "\n" for q in questions(3)), "utf-8")
    with BatchService() as service:
        solver = f"http://mia:secret@{service.address.removeprefix('http://')}#m"
        export = ("export", source, "-o", tmp_path / "job", "-S", solver, "-d", "trivial")
        assert command(*export, "--price", "1", "2", "--max-tokens", "77").returncode == 0
        kept = provider.job(tmp_path / "job")
        assert kept.price == (1.0, 2.0) and kept.settings["max_tokens"] == 77
        assert "secret" not in (tmp_path / "job" / "job.json").read_text("utf-8")
        for step in (("submit",), ("status",), ("status",), ("collect", "-o", tmp_path / "out.jsonl")):
            done = command(step[0], tmp_path / "job", *step[1:])
            assert done.returncode == 0, done.stderr
    records = read_records(tmp_path / "out.jsonl")
    assert [record["cost_usd"] for record in records] == [pytest.approx(90e-6)] * 3
    (tmp_path / "job" / "job.json").write_text('{"solver": 3', "utf-8")
    damaged = command("status", tmp_path / "job")
    assert damaged.returncode == 3 and "job.json is damaged" in damaged.stderr
