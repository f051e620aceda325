"""Fields that a user adds to a request change its price and its key, or are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dnc_edge.batch.paid import PaidRun
from dnc_edge.errors import UsageError
from dnc_edge.pipeline import Pipeline
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.gate import bound
from dnc_edge.remote.pricing import Prices
from dnc_edge.solvers import ChatSolver
from dnc_edge.types import Question, Usage
from tests.batches import command, questions, write_questions

MESSAGES = [{"role": "user", "content": "How many?"}]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "a-dear-one"}, {"models": ["a", "b"]}, {"messages": []}, {"stream": False}, {"n": 2}, {"n": 0},
        {"best_of": 3}, {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": "5000"}, {"max_tokens": True},
        {"max_tokens": 50.5}, {"max_completion_tokens": math.inf}, {"temperature": math.nan}, {"x": [math.inf]},
    ],
)  # fmt: skip
def test_a_field_that_would_change_what_is_bought_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Endpoint("m", base_url="http://nowhere/v1", options=fields)


def test_a_limit_changes_the_bound_and_the_key() -> None:
    question = Question("How many?")

    def made(**fields: Any) -> tuple[int, str]:
        endpoint = Endpoint("m", base_url="http://nowhere/v1", options=fields)
        key = Pipeline("single", solver=ChatSolver(endpoint)).key(question)
        return bound(endpoint.request(MESSAGES)).output_tokens, key

    plain, more, other = made(), made(max_tokens=5000), made(max_completion_tokens=7)
    assert (plain[0], more[0], other[0]) == (1024, 5000, 7)
    assert len({plain[1], more[1], other[1]}) == 3


def test_what_is_priced_apart_has_no_price_by_the_table() -> None:
    usage = Usage(requests=1, input_tokens=1000, output_tokens=100)
    plain = Endpoint("gpt-4o-mini")
    assert plain.cost(usage, Prices()) is not None
    for fields in ({"service_tier": "priority"}, {"web_search_options": {}}, {"modalities": ["audio"]}):
        odd = Endpoint("gpt-4o-mini", options=fields)
        assert odd.cost(usage, Prices()) is None
        assert odd.cost(usage, Prices(remote=(1.0, 1.0))) == pytest.approx(0.0011)
        run = PaidRun(max_cost=1.0)
        with pytest.raises(UsageError, match="no price is known"), run.gate.attempt(odd, odd.request(MESSAGES)):
            pass


@pytest.mark.parametrize("option", ["model=other", "n=2", "max_tokens=0", "temperature=NaN"])
def test_the_command_refuses_it_in_one_line(option: str, tmp_path: Any) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(1))
    solver = ("--solver", "http://127.0.0.1:9/v1#m", "--decomposer", "trivial")
    result = command(source, "-o", tmp_path / "out.jsonl", *solver, "--solver-option", option)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "limit", [("--max-cost", "nan"), ("--max-cost", "inf"), ("--price", "nan", "1"), ("--local-price", "inf")]
)
def test_a_cap_or_price_that_is_no_number_is_refused_in_one_line(limit: tuple[str, ...], tmp_path: Any) -> None:
    source = write_questions(tmp_path / "q.jsonl", questions(1))
    result = command(source, "-o", tmp_path / "out.jsonl", "--decomposer", "trivial", "--plan-only", *limit)
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
