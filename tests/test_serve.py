"""The server: what clients get, what they must not send, what is left when they go away."""

from __future__ import annotations

import asyncio
import datetime
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from dnc_edge.edge import Edge
from dnc_edge.errors import BudgetReached, DncError, MissingError, UsageError
from dnc_edge.serve.jobs import Limits
from dnc_edge.serve.models import Models, pair
from dnc_edge.serve.serve import check_address
from tests.batches import PRICED
from tests.servers import GOOD, Counting, Misbehaving
from tests.serving import Served, eventually, served_process, serving

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for 2 dollars each. How much money does Mia make?"
LONG = {"max_tokens": 1000}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("second=dnc-11m+local") as running:
        yield running


@pytest.fixture(scope="module")
def expected() -> Any:
    with Edge(student="dnc-11m") as edge:
        return edge.ask(QUESTION)


def asked(model: str = "dnc-edge", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}], **more}


def events(text: str) -> list[Any]:
    """What a stream of server-sent events holds."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


# OpenAI's own library, as it comes.


def test_the_sdk_gets_plan_answer_counts_and_record(served: Served, expected: Any) -> None:
    with openai.OpenAI(base_url=served.api, api_key="none") as client:
        reply = client.chat.completions.create(**asked())
    message = reply.choices[0].message
    assert message.content == expected.text and reply.choices[0].finish_reason == "stop"
    assert message.model_extra["reasoning_content"] == "".join(
        f"{number}. {text}\n" for number, text in enumerate(expected.subquestions, 1)
    )
    used = [expected.usage[stage] for stage in ("decompose", "solve")]
    assert reply.usage.prompt_tokens == sum(usage.input_tokens for usage in used)
    assert reply.usage.completion_tokens == sum(usage.output_tokens for usage in used)
    assert reply.usage.completion_tokens_details.reasoning_tokens == used[0].output_tokens
    assert reply.model_extra["x-dnc-record"]["key"] == expected.key


def test_the_sdk_streams_plan_and_answer(served: Served, expected: Any) -> None:
    with openai.OpenAI(base_url=served.api, api_key="none") as client:
        chunks = list(client.chat.completions.create(**asked(stream=True, stream_options={"include_usage": True})))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    thought = "".join((delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas)
    assert "".join(delta.content or "" for delta in deltas) == expected.text
    assert thought.splitlines() == [f"{number}. {text}" for number, text in enumerate(expected.subquestions, 1)]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-2].model_extra["x-dnc-record"]["answer"] == expected.answer
    assert chunks[-1].usage.total_tokens > 0 and chunks[-1].choices == []


def test_the_sdk_works_asynchronously(served: Served, expected: Any) -> None:
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=served.api, api_key="none") as client:
            whole = await client.chat.completions.create(**asked())
            stream = await client.chat.completions.create(**asked(stream=True))
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    assert asyncio.run(ask()) == (expected.text, expected.text)


def test_the_sdk_lists_models_and_names_unknown_ones(served: Served) -> None:
    with openai.OpenAI(base_url=served.api, api_key="none") as client:
        assert [model.id for model in client.models.list()] == ["dnc-edge", "dnc-11m+dnc-11m", "second"]
        assert client.models.retrieve("dnc-11m+dnc-11m").owned_by == "dnc-edge"
        assert client.chat.completions.create(**asked("second")).model == "second"
        with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4o'; there are dnc-edge, "):
            client.chat.completions.create(**asked("gpt-4o"))


def test_the_sdk_raises_what_went_wrong_within_a_stream() -> None:
    with (
        Misbehaving(500) as solver,
        serving(solver=f"{solver.address}#m", patience=0) as running,
        openai.OpenAI(base_url=running.api, api_key="none", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(**asked(stream=True))
        with pytest.raises(openai.APIError, match="told to fail"):
            list(stream)


# Plans and settings.


def test_a_plan_can_be_fetched_changed_and_answered_through(expected: Any) -> None:
    with Misbehaving("usage") as solver, serving(solver=f"{solver.address}#m") as running:
        _, _, record = running.ask("/v1/decompose", {"question": QUESTION})
        assert record["subquestions"] == list(expected.subquestions) and solver.requests == []
        changed = [*record["subquestions"][:1], "How many dollars are that?"]
        _, headers, reply = running.chat(QUESTION, **{"x-dnc-subquestions": changed})
        assert reply["choices"][0]["message"]["content"].strip() == GOOD
        assert solver.requests[0]["messages"][-1]["content"].endswith("2. How many dollars are that?")
        assert reply["x-dnc-record"]["subquestions"] == changed and "decompose" not in reply["x-dnc-record"]["usage"]
        assert headers["x-dnc-solver"] == f"{solver.address}#m" and float(headers["x-dnc-seconds"]) > 0


def test_a_plan_streams_as_the_command_prints_it(served: Served, expected: Any) -> None:
    _, _, text = served.ask("/v1/decompose", {"question": QUESTION, "stream": True})
    *before, last = events(text)
    assert before == [
        {"event": "subquestion", "number": number, "text": text} for number, text in enumerate(expected.subquestions, 1)
    ]
    assert last["event"] == "finished" and last["record"]["subquestions"] == list(expected.subquestions)


def test_settings_of_a_request_stand_in_fields_or_headers(served: Served) -> None:
    _, _, reply = served.chat(QUESTION, **{"x-dnc-strategy": "single"})
    assert reply["x-dnc-record"]["subquestions"] is None
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    _, _, reply = served.ask("/v1/chat/completions", body, x_dnc_plan="never")
    assert reply["x-dnc-record"]["strategy"] == "single"
    _, _, plan = served.ask("/v1/decompose", {"question": QUESTION, "x-dnc-max-subquestions": 1})
    assert len(plan["subquestions"]) == 1


def test_earlier_turns_and_instructions_become_context() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Mia bakes 5 trays."},
        {"role": "assistant", "content": [{"type": "text", "text": "Of what size?"}]},
        {"role": "user", "content": "Of 12. How many muffins are that?"},
    ]
    with Misbehaving("usage") as solver, serving(solver=f"{solver.address}#m", plan="never") as running:
        status, _, reply = running.ask("/v1/chat/completions", {"messages": messages, "max_tokens": 7})
    assert status == 200
    sent = solver.requests[0]
    assert sent["messages"][-1]["content"] == (
        "Be brief.\n\nUser: Mia bakes 5 trays.\n\nAssistant: Of what size?\n\nQuestion: Of 12. How many muffins are that?"
    )
    assert sent["max_tokens"] == 7 and reply["x-dnc-record"]["question"] == "Of 12. How many muffins are that?"


def test_each_pair_has_its_own_student_and_solver() -> None:
    with (
        Misbehaving("usage") as one,
        Misbehaving("good") as other,
        serving(f"other=dnc-11m+{other.address}#b", solver=f"{one.address}#a") as running,
    ):
        running.chat(QUESTION, model="other")
        running.chat(QUESTION)
    assert [server.requests[0]["model"] for server in (one, other)] == ["a", "b"]
    assert len(one.requests) == len(other.requests) == 1


def test_a_reply_that_is_cut_says_so_as_openai_does() -> None:
    with Misbehaving("length") as solver, serving(solver=f"{solver.address}#m", plan="never") as running:
        status, _, reply = running.chat(QUESTION, max_tokens=3)
        _, _, streamed = running.chat(QUESTION, max_tokens=3, stream=True)
    assert status == 200 and reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"].startswith("1.")
    assert events(streamed)[-1]["choices"][0]["finish_reason"] == "length"


# What must not be sent.

USER = {"role": "user", "content": "How many?"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"messages": "How many?"}', "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "  "}]}, "the question is empty"),
        ({"messages": [{"role": "user", "content": "x" * 70_000}]}, "70,000 characters"),
        ({"messages": [{"role": "tool", "content": "x"}, USER]}, "messages.0: the role 'tool'"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "messages.1: the last message"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "'image_url'"),
        ({"messages": [USER], "n": 2}, "n: "),
        ({"messages": [USER], "tools": [{}]}, "tools: there are none"),
        ({"messages": [USER], "stop": ["x"]}, "stop: "),
        ({"messages": [USER], "response_format": {"type": "json_object"}}, "response_format: only text"),
        ({"messages": [USER], "temperature": "hot"}, "temperature"),
        ({"messages": [USER], "temperature": -1}, "temperature"),
        ({"messages": [USER], "max_tokens": 0}, "max-tokens"),
        ({"messages": [USER], "x-dnc-plan": "perhaps"}, "unknown plan 'perhaps'"),
        ({"messages": [USER], "x-dnc-plans": "always"}, "there is no field x-dnc-plans"),
        ({"messages": [USER], "x-dnc-subquestions": [1]}, "x-dnc-subquestions.0"),
        ({"messages": [USER], "stream": "perhaps"}, "stream"),
    ],
)  # fmt: skip
def test_a_bad_request_is_named(body: Any, says: str, served: Served) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, reply = served.ask("/v1/chat/completions", raw=raw)
    assert status == 400 and says in reply["error"]["message"], reply
    assert reply["error"]["type"] == "invalid_request_error"


def test_paths_and_methods_that_are_not_there(served: Served) -> None:
    assert served.ask("/v1/nothing")[0] == 404
    status, _, reply = served.ask("/v1/chat/completions")
    assert status == 405 and reply["error"]["code"] == "method_not_allowed"


def test_a_request_that_is_too_large_is_turned_down_before_it_is_read() -> None:
    with serving(limits=Limits(body=1000)) as running:
        status, _, reply = running.chat("x" * 2000)
        assert status == 413 and "1,000 bytes" in reply["error"]["message"]


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [(401, 502, "solver_auth"), (402, 402, "solver_quota"), (404, 502, "solver_not_found"), (400, 502, "solver_rejected"),
     (500, 502, "solver_server"), ("html", 502, "solver_bad_reply"), ("refusal", 502, "solver_refused"),
     ("empty", 502, "solver_empty")],
)  # fmt: skip
def test_what_the_solver_does_wrong_has_a_status(behaviour: Any, status: int, code: str) -> None:
    with (
        Misbehaving(behaviour) as solver,
        serving(solver=f"{solver.address}#m", plan="never", timeout=5, patience=0) as running,
    ):
        for streamed in (False, True):
            got, _, reply = running.chat(QUESTION, stream=streamed)
            assert (got, reply["error"]["code"]) == (status, code)
        # One that fails says nothing of the next: the server goes on.
        solver.script = ["usage"]
        assert running.chat(QUESTION)[0] == 200


def test_a_solver_that_asks_for_time_is_passed_on() -> None:
    with (
        Misbehaving(429, retry_after="7") as solver,
        serving(solver=f"{solver.address}#m", plan="never", patience=1) as running,
    ):
        status, headers, reply = running.chat(QUESTION)
    assert status == 429 and headers["retry-after"] == "7" and reply["error"]["type"] == "rate_limit_error"


def test_a_question_that_takes_too_long_is_ended() -> None:
    with (
        Misbehaving("hang") as solver,
        serving(solver=f"{solver.address}#m", plan="never", limits=Limits(seconds=0.4)) as running,
    ):
        began = time.monotonic()
        status, _, reply = running.chat(QUESTION)
        assert status == 504 and "not finished within 0.4 s" in reply["error"]["message"]
        assert time.monotonic() - began < 4 and running.idle()


def test_questions_beyond_the_queue_are_told_when_to_come_back() -> None:
    with Misbehaving("trickle") as solver:
        limits = Limits(running=1, waiting=1)
        with serving(solver=f"{solver.address}#m", plan="never", limits=limits) as running:
            first, second = running.begin(QUESTION), running.begin(QUESTION)
            assert eventually(lambda: running.jobs.waiting == 1)
            status, headers, reply = running.chat(QUESTION)
            assert status == 429 and int(headers["retry-after"]) >= 1 and reply["error"]["code"] == "busy"
            first.close()
            second.close()
            assert running.idle()
            solver.script = ["usage"]
            assert running.chat(QUESTION)[0] == 200


# Clients that go away.


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_frees_its_slot_of_the_engine(streamed: bool) -> None:
    with serving(slots=1) as running:
        engine = running.models.edge("dnc-edge", {}).student("dnc-11m").engine
        for _ in range(5):
            connection = running.begin(QUESTION, stream=streamed)
            assert eventually(lambda: engine.running == 1)
            connection.close()
            assert running.idle() and eventually(lambda: engine.running == 0)
        assert running.chat(QUESTION)[0] == 200


@pytest.mark.parametrize("behaviour", ["hang", "half", 429])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_ends_the_wait_for_the_solver(behaviour: Any, streamed: bool) -> None:
    with (
        Misbehaving(behaviour, retry_after="30") as solver,
        serving(solver=f"{solver.address}#m", plan="never") as running,
    ):
        connection = running.begin(QUESTION, stream=streamed)
        assert eventually(lambda: len(solver.requests) == 1)
        began = time.monotonic()
        connection.close()
        assert running.idle() and time.monotonic() - began < 3


def test_a_client_that_leaves_takes_nothing_of_the_cap_if_nothing_was_sent(tmp_path: Path) -> None:
    """Two wait at a gate that lets one request a minute through; the second leaves."""
    with Counting(delay=0.0) as solver:
        run = {"prices": PRICED, "rpm": 1}
        with serving(
            solver=f"{solver.address}#m", plan="never", run=run, max_cost=1.0, spent=tmp_path, prices=PRICED
        ) as running:
            assert running.chat(QUESTION)[0] == 200
            spent = running.models.cost
            connection = running.begin(QUESTION)
            assert eventually(lambda: running.jobs.running == 1)
            time.sleep(0.1)
            connection.close()
            assert running.idle()
            assert running.models.cost == spent and len(solver.requests) == 1


def test_a_reader_who_never_reads_holds_no_slot() -> None:
    with serving(slots=1) as running:
        connections = [running.begin(QUESTION, stream=True) for _ in range(3)]
        assert running.idle()
        assert running.chat(QUESTION)[0] == 200
        for connection in connections:
            connection.close()


# Money.


def test_a_day_has_a_cap_that_survives_a_restart_and_ends_with_the_day(tmp_path: Path) -> None:
    def cost_of(count: int) -> float:
        return count * (50 + 20) / 1e6

    day = datetime.date(2026, 1, 1)
    with Misbehaving("usage") as solver:

        def models() -> Models:
            return Models(
                max_cost=0.001,
                spent=tmp_path,
                run={"prices": PRICED},
                edge={
                    "solver": f"{solver.address}#m",
                    "plan": "never",
                    "max_tokens": 200,
                    "prices": PRICED,
                    "decomposer": "trivial",
                },
                today=lambda: day,
            )

        with models() as before:
            assert before.edge("dnc-edge", {}).ask(QUESTION).cost_usd == pytest.approx(cost_of(1))
        with models() as after:
            assert after.cost == pytest.approx(cost_of(1))
            errors = [_error(after) for _ in range(10)]
            assert errors[0] is None and isinstance(errors[-1], BudgetReached) and after.cost <= 0.001
            day = datetime.date(2026, 1, 2)
            assert after.cost == 0.0
            assert after.edge("dnc-edge", {}).ask(QUESTION).error is None
            assert after.cost == pytest.approx(cost_of(1))


def _error(models: Models) -> DncError | None:
    try:
        models.edge("dnc-edge", {}).ask(QUESTION)
    except DncError as error:
        return error
    return None


def test_a_cap_that_is_reached_is_402_and_costs_are_shown(tmp_path: Path) -> None:
    priced = {"run": {"prices": PRICED}, "prices": PRICED, "max_cost": 0.0, "spent": tmp_path}
    with Misbehaving("usage") as solver, serving(solver=f"{solver.address}#m", plan="never", **priced) as running:
        status, _, reply = running.chat(QUESTION)
        assert status == 402 and reply["error"]["type"] == "insufficient_quota" and solver.requests == []
        _, _, costs = running.ask("/v1/costs")
        assert costs == {"day": datetime.date.today().isoformat(), "cost_usd": 0.0, "max_cost_usd": 0.0}


# Who may ask.


def test_a_website_cannot_ask_through_a_browser(served: Served) -> None:
    body = {"messages": [USER]}
    status, _, reply = served.ask("/v1/chat/completions", body, Origin="https://evil.example")
    assert status == 403 and "https://evil.example" in reply["error"]["message"]
    assert served.ask("/v1/models", Host="evil.example")[0] == 403
    assert served.ask("/v1/models", Origin=f"http://127.0.0.1:{served.port}")[0] == 200
    assert served.ask("/v1/models", method="OPTIONS", Origin="https://evil.example")[0] == 403


def test_a_named_website_may_ask() -> None:
    with serving(guard={"origins": ["https://mine.example"]}) as running:
        status, headers, _ = running.ask("/v1/models", Origin="https://mine.example")
        assert status == 200 and headers["access-control-allow-origin"] == "https://mine.example"
        wanted = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
        status, headers, _ = running.ask("/v1/models", method="OPTIONS", Origin="https://mine.example", **wanted)
        assert status == 200 and headers["access-control-allow-origin"] == "https://mine.example"
        status, headers, _ = running.ask("/v1/models", Origin="https://evil.example")
        assert status == 403 and "access-control-allow-origin" not in headers


def test_a_token_is_asked_for_where_something_can_be_had() -> None:
    with serving(guard={"token": "a-long-enough-token"}) as running:
        assert running.ask("/health")[0] == running.ask("/")[0] == 200
        for path in ("/v1/models", "/v1/costs", "/metrics", "/v1/chat/completions", "/anything"):
            assert running.ask(path)[0] == 401
            assert running.ask(path, Authorization="Bearer a-long-enough-tokem")[0] == 401
        with openai.OpenAI(base_url=running.api, api_key="a-long-enough-token") as client:
            assert client.models.list().data
        assert running.ask("/v1/models", Authorization="Bearer a-long-enough-token", Host="any.example")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "edge.example"])
def test_an_address_that_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="needs a token"):
        check_address(host, None)
    with pytest.raises(UsageError, match="too short"):
        check_address(host, "secret")
    check_address(host, "a-long-enough-token")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    check_address(host, None)


# The process.


def test_pairs_are_written_as_name_and_models() -> None:
    assert pair("fast=openai:gpt-4o-mini") == ("fast", {"solver": "openai:gpt-4o-mini"})
    assert pair("x=dnc-11m+local") == ("x", {"student": "dnc-11m", "solver": "local"})
    assert pair("x=openai:a+b") == ("x", {"solver": "openai:a+b"})
    assert pair("x=http://h:1/v1#a=b") == ("x", {"solver": "http://h:1/v1#a=b"})
    for bad in ("", "local", "=local", "x="):
        with pytest.raises(UsageError, match="write NAME="):
            pair(bad)
    with pytest.raises(UsageError, match="two models are called 'x'"):
        Models(["x=local", "x=local"], edge={"student": "dnc-11m"})
    with pytest.raises(MissingError, match="nosuch"):
        Models(["x=nosuch+local"], edge={"student": "dnc-11m"})


def test_health_and_metrics(served: Served) -> None:
    assert served.ask("/health")[2]["status"] == "ok"
    served.chat(QUESTION)
    served.ask("/v1/one-of-very-many")
    text = served.ask("/metrics")[2]
    assert 'dnc_edge_requests_total{path="/v1/chat/completions",status="200"}' in text
    assert 'dnc_edge_questions_total{error="",model="dnc-edge"}' in text
    assert "dnc_edge_running 0.0" in text and 'dnc_edge_tokens_total{direction="output",stage="solve"}' in text
    assert "one-of-very-many" not in text


def test_a_stop_finishes_what_is_in_flight() -> None:
    with (
        Counting(delay=1.0) as solver,
        served_process("-S", f"{solver.address}#m", "--plan", "never") as (process, port),
    ):
        running = Served(port, None, None)  # type: ignore[arg-type]
        connection = running.begin(QUESTION)
        assert eventually(lambda: len(solver.requests) == 1)
        process.send_signal(signal.SIGTERM)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
        assert b"200 OK" in reply and b"The answer is: 72" in reply
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        assert process.wait(timeout=30) == 0


def test_a_second_signal_drops_what_is_in_flight() -> None:
    with (
        Misbehaving("hang") as solver,
        served_process("-S", f"{solver.address}#m", "--plan", "never") as (process, port),
    ):
        connection = Served(port, None, None).begin(QUESTION)  # type: ignore[arg-type]
        assert eventually(lambda: len(solver.requests) == 1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=4) == 130
        assert process.stderr and "requests in flight were dropped" in process.stderr.read()
        connection.close()


def test_an_address_that_is_taken_is_one_line() -> None:
    command = [sys.executable, "-m", "dnc_edge", "serve", "--student", "dnc-11m", "--port"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = subprocess.run([*command, str(port)], capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 3
    assert (
        made.stderr.startswith(f"dnc-edge: cannot listen on 127.0.0.1, port {port}: ") and made.stderr.count("\n") == 1
    )
