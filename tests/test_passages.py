"""Questions about passages: their order, and what a provider's cache makes of it."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.batch.batch import batch
from dnc_edge.batch.ledger import Ledger
from dnc_edge.batch.passages import leaders_first
from dnc_edge.bench.loopback import LoopbackSolver
from dnc_edge.bench.passages import Biller, Cache
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.remote.pricing import Prices
from dnc_edge.types import Question, Usage
from tests.batches import command, read_records, write_questions

PASSAGES = [f"Town {name} lies on the river Or. " + f"It has {name} mills and a ferry. " * 60 for name in "ABCDEF"]
ASKED = [
    Question(f"What is fact {n} of it?", passage, f"{p}-{n}") for n in range(5) for p, passage in enumerate(PASSAGES)
]


def test_each_passage_is_led_by_one_question() -> None:
    grouped = sorted(ASKED, key=lambda question: question.id or "")
    ids = [question.id for question in leaders_first(grouped, ahead=2)]
    assert ids[:6] == ["0-0", "1-0", "0-1", "0-2", "0-3", "0-4"]
    assert ids[10:12] == ["2-0", "3-0"]


@given(st.lists(st.none() | st.sampled_from("ABC"), max_size=30), st.integers(1, 5))
def test_every_question_is_yielded_once(passages: list[str | None], ahead: int) -> None:
    asked = [Question(str(number), passage) for number, passage in enumerate(passages)]
    assert sorted(leaders_first(asked, ahead=ahead), key=lambda q: int(q.text)) == asked
    if not any(passages):
        assert list(leaders_first(asked, ahead=ahead)) == asked


def test_the_ledger_puts_questions_of_a_passage_where_its_first_one_is() -> None:
    ledger = Ledger()
    asked = [*ASKED[:8], Question("How many?", None, "none-1"), *ASKED[8:12], Question("Why?", None, "none-2")]
    ledger.ask(asked)
    contexts = [question.context for question in ledger.questions()]
    runs = [context for context, _ in itertools.groupby(contexts) if context is not None]
    assert runs == PASSAGES and contexts.count(None) == 2
    ledger.close()
    plain = Ledger()
    plain.ask([Question("b", None, "b"), Question("a", None, "a")])
    assert [question.id for question in plain.questions()] == ["b", "a"]
    plain.close()


def test_a_batch_about_passages_is_billed_from_the_cache_and_written_in_input_order(tmp_path: Path) -> None:
    mixed = random.Random(0).sample(ASKED, len(ASKED))
    biller = Biller(Cache("short", 256, 64, 3, (1.0, 1.0, 0.1)), jobs=1, seconds=0.02)
    with (
        LoopbackSolver(biller) as server,
        Edge(solver=server.address, strategy="single", prices=Prices((1.0, 1.0), cached=0.1)) as edge,
    ):
        batch(mixed, tmp_path / "out.jsonl", edge, jobs=1)
    records = read_records(tmp_path / "out.jsonl")
    assert [record["id"] for record in records] == [question.id for question in mixed]
    cached = [record["usage"]["solve"]["cached_tokens"] for record in records]
    # All but the first question of each passage, though it would be forgotten after three requests.
    assert sum(tokens > 256 for tokens in cached) == len(ASKED) - len(PASSAGES)
    usage = records[-1]["usage"]["solve"]
    fresh = usage["input_tokens"] - usage["cached_tokens"]
    wanted = (fresh + 0.1 * usage["cached_tokens"] + usage["output_tokens"]) / 1e6
    assert records[-1]["cost_usd"] == pytest.approx(wanted)


def test_a_price_of_cached_tokens_is_of_them_alone(tmp_path: Path) -> None:
    usage = Usage(requests=1, input_tokens=1000, cached_tokens=600, output_tokens=100)
    assert Prices((2.0, 4.0)).of("m", None, usage) == pytest.approx(2400e-6)
    assert Prices((2.0, 4.0), cached=0.5).of("m", None, usage) == pytest.approx(1500e-6)
    with pytest.raises(UsageError):
        Prices((2.0, 4.0), cached=-1.0)
    source = write_questions(tmp_path / "q.jsonl", [Question("How many?", id="a")])
    refused = command(source, "-o", tmp_path / "out.jsonl", "--cached-price", "1", "--dry-run")
    assert refused.returncode == 2 and "--cached-price needs --price" in refused.stderr
    made = command(
        source, "-o", tmp_path / "out.jsonl", "--cached-price", "0.1", "--price", "1", "1", "--dry-run",
        "--decomposer", "none", "--solver", "http://127.0.0.1:9/v1#m",
    )  # fmt: skip
    assert made.returncode == 0 and json.loads(made.stdout)["expected_usd"] > 0
