"""Every way in which servers were seen to differ, over HTTP; docs/reliability.md is checked to say the same."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dnc_edge.batch import provider
from dnc_edge.edge import Edge
from dnc_edge.errors import SolverError
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.reply import Reply
from dnc_edge.remote.retry import Retry
from dnc_edge.remote.transport import Deadlines
from dnc_edge.streams import mapped, result_of
from tests.batch_quirks import BATCH_QUIRKS, BatchQuirk, OddBatchService
from tests.batches import PRICED, questions, read_records
from tests.quirks import ANSWER, QUIRKS, Quirk, QuirkServer

MESSAGES = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "How many muffins? " * 8}]
PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"


@pytest.fixture(scope="module")
def server() -> Iterator[QuirkServer]:
    with QuirkServer() as running:
        yield running


def seen(server: QuirkServer, name: str) -> str:
    """What comes of asking a quirk, as the page says it."""
    quirk = QUIRKS[name]
    before = server.asked[name]
    endless = quirk.promise == "solver_timeout" or name == "finish-then-silence"
    deadlines = Deadlines(connect=2, read=1, total=1) if endless else Deadlines(connect=10, read=30, total=30)
    endpoint = Endpoint(name, server.address, deadlines=deadlines, retry=Retry(sleep=lambda _: None))
    pieces: list[str] = []
    outcome: Reply | SolverError
    try:
        outcome = result_of(mapped(endpoint.stream(MESSAGES), pieces.append))
    except SolverError as error:
        outcome = error
    if isinstance(outcome, SolverError):
        assert "\n" not in outcome.message and quirk.quotes in outcome.message
        what = f"`{outcome.code}`{', counted' if outcome.complete else ''}"
    else:
        assert outcome.text == quirk.text
        # Thinking that is never opened is known for what it is only at its end.
        assert outcome.text in "".join(pieces)
        assert outcome.usage.estimated == quirk.estimated
        what = f"{ANSWER}{', estimated' if quirk.estimated else ''}"
    count = server.asked[name] - before
    assert outcome.usage is not None and outcome.usage.requests == count == quirk.requests
    return f"{what}, {count} request{'s' if count > 1 else ''}"


def batch_seen(name: str, folder: Path) -> str:
    """What comes of a batch whose service has a quirk."""
    quirk = BATCH_QUIRKS[name]
    with (
        OddBatchService(quirk) as service,
        Edge(solver=f"{service.address}#m", decomposer="trivial", prices=PRICED) as edge,
    ):
        endpoint = edge.solver.chat  # type: ignore[attr-defined]
        provider.export(questions(1), folder / "job", edge)
        provider.submit(folder / "job", endpoint)
        while provider.status(folder / "job", endpoint)[0].status not in provider.ENDED:
            pass
        (entry,) = provider.status(folder / "job", endpoint)
        provider.collect(folder / "job", folder / "out.jsonl", edge)
    (record,) = read_records(folder / "out.jsonl")
    if record["error"]:
        assert quirk.quotes in record["error"]["message"] and (quirk.output or quirk.quotes in entry.reason)
        used = record["usage"].get("solve")
        paid = bool(used and not used["unaccounted"])
        assert record["cost_usd"] > 0 if paid else used is None or record["cost_usd"] is None
        return f"`{record['error']['code']}`{', counted' if paid else ''}"
    assert (record["text"], record["answer"]) == (quirk.text, "12")
    assert record["usage"]["solve"]["estimated"] == quirk.estimated and record["cost_usd"] > 0
    return f"{ANSWER}{', estimated' if quirk.estimated else ''}"


def row(name: str, found: str, table: Mapping[str, Quirk | BatchQuirk] = QUIRKS) -> str:
    quirk = table[name]
    promise = quirk.promise if quirk.promise == ANSWER else f"`{quirk.promise}`"
    return f"| `{name}` | {quirk.sent} | {promise} | {found} |"


def listed(heading: str) -> list[str]:
    """Names in the table below a heading of the page."""
    section = PAGE.read_text("utf-8").split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("name", QUIRKS)
def test_what_is_seen_is_what_is_promised_and_what_the_page_says(server: QuirkServer, name: str) -> None:
    found = seen(server, name)
    assert found.strip("`").startswith(QUIRKS[name].promise)
    assert row(name, found) in PAGE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", BATCH_QUIRKS)
def test_a_batch_is_read_as_promised_and_as_the_page_says(name: str, tmp_path: Path) -> None:
    found = batch_seen(name, tmp_path)
    assert found.strip("`").startswith(BATCH_QUIRKS[name].promise)
    assert row(name, found, BATCH_QUIRKS) in PAGE.read_text("utf-8").splitlines()


def test_the_page_holds_nothing_else() -> None:
    assert listed("Replies") == list(QUIRKS)
    assert listed("Results of batches") == list(BATCH_QUIRKS)


if __name__ == "__main__":  # prints the tables for the page
    with QuirkServer() as running:
        for each in QUIRKS:
            print(row(each, seen(running, each)), flush=True)
    for each in BATCH_QUIRKS:
        with tempfile.TemporaryDirectory() as place:
            print(row(each, batch_seen(each, Path(place)), BATCH_QUIRKS), flush=True)
