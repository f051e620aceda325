"""Servers that say wait or no to a batch, and bugs that must not take other questions along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnc_edge.batch.batch import batch
from dnc_edge.batch.paid import PaidRun
from dnc_edge.errors import RecordsFailed, SolverAuth, SolverNotFound, SolverQuota, SolverWait
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.retry import Retry
from tests.batches import PRICED, questions, read_records
from tests.fakes import Reports
from tests.quirks import QUIRKS, QuirkServer

MESSAGES = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "How many?"}]


@pytest.mark.parametrize(
    ("quirk", "kind"),
    [("quota-429", SolverQuota), ("balance-402", SolverQuota), ("model-404", SolverNotFound), ("key-401", SolverAuth),
     ("wait-hour", SolverWait)],
)  # fmt: skip
def test_a_no_ends_a_batch_at_once_with_the_providers_words(quirk: str, kind: type[Exception], tmp_path: Path) -> None:
    with QuirkServer(lambda body: quirk) as server, PaidRun(PRICED) as run:
        with run.edge(solver=f"{server.address}#m", decomposer="trivial") as edge, pytest.raises(kind) as caught:
            batch(questions(200), tmp_path / "out.jsonl", edge, jobs=4)
        assert server.asked[quirk] <= 4, "only what was in flight already was asked"
    assert QUIRKS[quirk].quotes in str(caught.value)
    # What was refused stays pending; a question that was in flight beside it may have its answer.
    records = read_records(tmp_path / "out.jsonl")
    assert len(records) < 4 and all(record["error"] is None for record in records)


def test_a_line_says_so_while_a_server_makes_us_wait() -> None:
    reports = Reports()
    slept: list[float] = []
    with QuirkServer() as server:
        endpoint = Endpoint("wait-30s", server.address, retry=Retry(sleep=slept.append), progress=reports)
        list(endpoint.stream(MESSAGES))
    assert slept == [30.0]
    (line,) = reports.notes
    assert "slow down" in line and "trying again at" in line


def test_what_a_model_does_not_take_is_learned_once() -> None:
    with QuirkServer() as server:
        endpoint = Endpoint("max-completion-tokens", server.address)
        for _ in range(3):
            list(endpoint.stream(MESSAGES))
        assert server.asked["max-completion-tokens"] == 3 + 2
        body = endpoint.request(MESSAGES)
    assert body["max_completion_tokens"] == 1024 and "temperature" not in body


def test_an_instruction_can_stand_before_the_users_text() -> None:
    with QuirkServer() as server:
        endpoint = Endpoint("no-system-role", server.address, instruction="user")
        assert "".join(endpoint.stream(MESSAGES))
        (message,) = endpoint.request(MESSAGES)["messages"]
    assert message == {"role": "user", "content": "Solve.\n\nHow many?"}


def test_a_bug_is_one_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Endpoint.request

    def request(self: Endpoint, messages: Any) -> dict[str, Any]:
        if "packs 4 boxes" in str(messages):
            raise ZeroDivisionError("a bug")
        return whole(self, messages)

    monkeypatch.setattr(Endpoint, "request", request)
    with (
        QuirkServer(lambda body: "document") as server,
        PaidRun(PRICED) as run,
        run.edge(solver=f"{server.address}#m", decomposer="trivial") as edge,
        pytest.raises(RecordsFailed),
    ):
        batch(questions(6), tmp_path / "out.jsonl", edge, jobs=2)
    records = read_records(tmp_path / "out.jsonl")
    (failed,) = [record for record in records if record["error"]]
    assert (
        len(records) == 6
        and failed["error"]["code"] == "unexpected"
        and "ZeroDivisionError" in failed["error"]["message"]
    )
