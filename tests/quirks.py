"""A server whose model's name is the quirk: each answers as some real server was seen to, over real HTTP.

`QUIRKS` says in words what is sent and what is promised in return; docs/reliability.md holds the same table with what was
seen, and test_quirks.py runs it.
"""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "1. She bakes 60 muffins.\n2. 60 x 2 = 120.\nThe answer is: 120"
HALF = "1. She bakes 60"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
DONE = "[DONE]"
ANSWER = "answer"

Event = dict[str, Any] | bytes | str
Serve = Callable[["_Handler", dict[str, Any], int], None]


def chunk(content: Any = None, finish: str | None = None, *, usage: Any = None, **delta: Any) -> dict[str, Any]:
    """One event of a stream."""
    choice = {"index": 0, "delta": ({} if content is None else {"content": content}) | delta, "finish_reason": finish}
    fields = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return fields if usage is None else {**fields, "choices": [], "usage": usage}


def reply(text: str = TEXT, finish: str | None = "stop", usage: Any = USAGE) -> list[Event]:
    """A whole stream: a role, four pieces of text, a finish, the counts."""
    size = max(1, len(text) // 4)
    pieces = [chunk(text[start : start + size]) for start in range(0, len(text), size)]
    counts = [] if usage is None else [chunk(usage=usage)]
    return [chunk("", role="assistant"), *pieces, chunk(None, finish), *counts, DONE]


def ended(*events: Event, finish: str | None = "stop") -> list[Event]:
    """Some events, then a finish without counts."""
    return [*events, chunk(None, finish), DONE]


def stream(events: Iterable[Event], change: Callable[[bytes], bytes] = lambda data: data) -> Serve:
    return lambda handler, body, count: handler.send_events(events, change)


def document(value: Any, status: int = 200, **headers: str) -> Serve:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    kind = "text/html" if data.startswith(b"<") else "application/json"
    return lambda handler, body, count: handler.send_document(data, status, kind, headers)


def refused(status: int, message: str, headers: Mapping[str, str] | None = None, /, **fields: Any) -> Serve:
    return document({"error": {"message": message, **fields}}, status, **(headers or {}))


def at_first(serve: Serve, times: int = 1) -> Serve:
    """Misbehave for the first requests, then answer."""

    def choose(handler: _Handler, body: dict[str, Any], count: int) -> None:
        (serve if (count - 1) % (times + 1) < times else stream(reply()))(handler, body, count)

    return choose


def limited(wait: str, name: str = "Retry-After") -> Serve:
    return at_first(refused(429, "slow down", {name: wait}))


def unless(bad: Callable[[dict[str, Any]], bool], serve: Serve) -> Serve:
    """Refuse requests that hold something."""
    return lambda handler, body, count: (serve if bad(body) else stream(reply()))(handler, body, count)


def for_ever(event: Event) -> Serve:
    """Keep the connection alive and never answer."""

    def repeat(handler: _Handler, body: dict[str, Any], count: int) -> None:
        def events() -> Iterator[Event]:
            for _ in range(400):
                yield event
                time.sleep(0.05)

        handler.send_events(events())

    return repeat


def silent(handler: _Handler, body: dict[str, Any], count: int) -> None:
    time.sleep(20)


def slow_headers(handler: _Handler, body: dict[str, Any], count: int) -> None:
    """A byte now and then: every single read succeeds."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Long: " + b"x" * 400:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


def split_bytes(handler: _Handler, body: dict[str, Any], count: int) -> None:
    """Three bytes at a time, so that letters are cut."""
    text = "1. 60 € muffins 🧁\nThe answer is: 120 €"
    data = b"".join(encoded(event, ascii_only=False) for event in reply(text))
    handler.send_events(data[start : start + 3] for start in range(0, len(data), 3))


def then_silence(handler: _Handler, body: dict[str, Any], count: int) -> None:
    handler.send_events(reply()[:-1])
    time.sleep(20)


def redirected(handler: _Handler, body: dict[str, Any], count: int) -> None:
    if "moved" in handler.path:
        handler.send_events(reply())
    else:
        handler.send_document(b"", 307, "text/plain", {"Location": "/moved/v1/chat/completions"})


def encoded(event: Event, *, ascii_only: bool = True) -> bytes:
    if isinstance(event, bytes):
        return event
    return f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=ascii_only)}\n\n".encode()


def whole(**message: Any) -> dict[str, Any]:
    """A reply as one document."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT, **message}, "finish_reason": "stop"}
    return {"id": "a", "object": "chat.completion", "choices": [choice], "usage": USAGE}


def _choices(*contents: str, finish: str | None = None) -> dict[str, Any]:
    choices = [
        {"index": index, "delta": {"content": content} if content else {}, "finish_reason": finish}
        for index, content in enumerate(contents)
    ]
    return {**chunk(), "choices": choices}


@dataclass(frozen=True)
class Quirk:
    """What is sent, in words; what is promised: `answer`, or the code of an error; and how it is sent.

    Attributes:
        text: of the answer. requests: how many are made. estimated: whether the counts are ours.
        quotes: what the error's message holds.
    """

    sent: str
    promise: str
    serve: Serve
    text: str = TEXT
    requests: int = 1
    estimated: bool = False
    quotes: str = ""


def _has_system(body: dict[str, Any]) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


def _too_many(body: dict[str, Any]) -> bool:
    return "max_tokens" in body


def _cold(body: dict[str, Any]) -> bool:
    return body.get("temperature", 1) != 1


def _reasoning_model(handler: _Handler, body: dict[str, Any], count: int) -> None:
    """OpenAI's reasoning models: two fields are refused, one after the other."""
    tokens = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    heat = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
    serve = refused(400, tokens, code="unsupported_parameter") if _too_many(body) else stream(reply())
    if not _too_many(body) and _cold(body):
        serve = refused(400, heat, code="unsupported_value")
    serve(handler, body, count)


HEAT = "'temperature' does not support 0 with this model"
EXTRA = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
THINKING = "<think>\nThe answer is: 7, wait.\n</think>\n\n"
HOUR, INSTANT = "3600", "Wed, 21 Oct 2015 07:28:00 GMT"

QUIRKS: dict[str, Quirk] = {
    # Thinking
    "reasoning-then-content": Quirk(
        "thinking in `reasoning_content` and `reasoning`, then the answer", ANSWER,
        stream([chunk(reasoning_content="The answer is: 7"), chunk(reasoning="hm"), *reply()]),
    ),
    "reasoning-only": Quirk(
        "thinking and no answer", "solver_empty",
        stream([chunk(reasoning_content="thinking"), chunk(reasoning_content=TEXT), *ended(chunk(usage=USAGE))]),
    ),
    "reasoning-cut": Quirk(
        "thinking until the limit", "solver_cut",
        stream([chunk(reasoning_content="thinking " * 20), *ended(chunk(usage=USAGE), finish="length")]),
    ),
    "think-block": Quirk("`<think>...</think>` before the answer", ANSWER, stream(reply(THINKING + TEXT))),
    "think-upper-case": Quirk("`<THINKING>` before the answer", ANSWER, stream(reply("<THINKING>7</THINKING>\n" + TEXT))),
    "think-magistral": Quirk("`[THINK]...[/THINK]`", ANSWER, stream(reply("[THINK]7?[/THINK]" + TEXT))),
    "think-harmony": Quirk(
        "the channels of gpt-oss as text", ANSWER,
        stream(reply(f"<|channel|>analysis<|message|>7?<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}<|return|>")),
    ),
    "think-close-only": Quirk(
        "thinking that only ends: the prompt's template opened it", ANSWER, stream(reply("It is 7 maybe\n</think>\n\n" + TEXT)),
    ),
    "think-unclosed": Quirk("thinking that never ends", "solver_cut", stream(reply("<think>\nOkay. It is 7, or not"))),
    "think-twice": Quirk("two blocks of thinking", ANSWER, stream(reply(THINKING * 2 + TEXT))),
    # Counts
    "usage-missing": Quirk("no counts", ANSWER, stream(reply(usage=None)), estimated=True),
    "usage-null": Quirk("`usage: null`", ANSWER, stream([chunk("") | {"usage": None}, *reply(usage=None)]), estimated=True),
    "usage-empty": Quirk("`usage: {}`", ANSWER, stream(reply(usage={})), estimated=True),
    "usage-partial": Quirk("the total alone", ANSWER, stream(reply(usage={"total_tokens": 120})), estimated=True),
    "usage-completion-only": Quirk(
        "the output's count alone", ANSWER, stream(reply(usage={"completion_tokens": 20})), estimated=True
    ),
    "usage-strings": Quirk(
        "counts as text", ANSWER, stream(reply(usage={name: str(count) for name, count in USAGE.items()}))
    ),
    "usage-floats": Quirk(
        "counts as floats", ANSWER, stream(reply(usage={name: float(count) for name, count in USAGE.items()}))
    ),
    "usage-negative": Quirk(
        "negative counts", ANSWER, stream(reply(usage={"prompt_tokens": -1, "completion_tokens": -1})), estimated=True
    ),
    "usage-zero": Quirk(
        "counts of 0", ANSWER, stream(reply(usage={"prompt_tokens": 0, "completion_tokens": 0})), estimated=True
    ),
    "usage-too-small": Quirk(
        "counts below what was visibly sent", ANSWER,
        stream(reply(usage={"prompt_tokens": 1, "completion_tokens": 1})), estimated=True,
    ),
    "usage-list": Quirk("a list of counts", ANSWER, stream(reply(usage=[USAGE])), estimated=True),
    "usage-details-odd": Quirk(
        "details that are a list and a word", ANSWER,
        stream(reply(usage={**USAGE, "prompt_tokens_details": [], "completion_tokens_details": "none"})),
    ),
    "usage-details-empty": Quirk(
        "empty details", ANSWER,
        stream(reply(usage={**USAGE, "prompt_tokens_details": {}, "completion_tokens_details": {}})),
    ),
    "usage-too-much-cached": Quirk(
        "more cached than sent", ANSWER,
        stream(reply(usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 500}})), estimated=True,
    ),
    "usage-every-chunk": Quirk(
        "counts that grow with every event", ANSWER,
        stream([event | {"usage": {**USAGE, "completion_tokens": 10 + n}} if isinstance(event, dict) else event
                for n, event in enumerate(reply(usage=None))]),
    ),
    "usage-no-choices": Quirk(
        "counts in an event without choices", ANSWER, stream([*reply(usage=None)[:-1], {"usage": USAGE}, DONE])
    ),
    "usage-null-choices": Quirk(
        "counts in an event whose choices are null", ANSWER,
        stream([*reply(usage=None)[:-1], {"choices": None, "usage": USAGE}, DONE]),
    ),
    "usage-groq": Quirk(
        "counts in `x_groq`", ANSWER, stream([*reply(usage=None)[:-1], {"choices": [], "x_groq": {"usage": USAGE}}, DONE])
    ),
    # Events
    "azure-first": Quirk(
        "an event about the prompt's filter first", ANSWER, stream([{"choices": [], "prompt_filter_results": []}, *reply()])
    ),
    "azure-no-delta": Quirk(
        "a choice without a delta", ANSWER,
        stream([chunk(""), {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}, *reply()]),
    ),
    "delta-null": Quirk(
        "`delta: null`", ANSWER, stream([{"choices": [{"index": 0, "delta": None, "finish_reason": None}]}, *reply()])
    ),
    "ping-event": Quirk(
        "events named ping", ANSWER, stream([b'event: ping\ndata: {"type": "ping"}\n\n', *reply()])
    ),
    "keep-alive-empty": Quirk("empty `data:`", ANSWER, stream([b"data: \n\n", b"data:\n\n", *reply()])),
    "keep-alive-object": Quirk("an empty object", ANSWER, stream([{}, *reply()])),
    "comment": Quirk("comments", ANSWER, stream([*[b": PROCESSING\n\n"] * 3, *reply()])),
    "comment-in-data": Quirk("a comment within `data:`", ANSWER, stream([b"data: : PROCESSING\n\n", *reply()])),
    "comment-only": Quirk("comments and no reply", "solver_bad_reply", stream([b": keep-alive\n\n", DONE])),
    "crlf": Quirk("lines that end in CR LF", ANSWER, stream(reply(), lambda data: data.replace(b"\n", b"\r\n"))),
    "cr": Quirk("lines that end in CR", ANSWER, stream(reply(), lambda data: data.replace(b"\n", b"\r"))),
    "no-space": Quirk("`data:` without a space", ANSWER, stream(reply(), lambda data: data.replace(b": {", b":{", 1))),
    "no-done": Quirk("no `[DONE]`", ANSWER, stream(reply()[:-1])),
    "no-blank-lines": Quirk(
        "no blank line between events", ANSWER, stream(reply(), lambda data: data.replace(b"\n\n", b"\n"))
    ),
    "many-lines": Quirk(
        "JSON over several `data:` lines", ANSWER,
        stream(reply(), lambda data: data.replace(b', "', b',\ndata: "')),
    ),
    "json-lines": Quirk("lines of JSON instead of events", ANSWER, stream(reply()[:-1], lambda data: data[6:-1])),
    "bom": Quirk("a byte order mark", ANSWER, stream([b"\xef\xbb\xbf", *reply()])),
    "choices-only": Quirk(
        "events that hold choices alone", ANSWER,
        stream([{"choices": event["choices"]} if isinstance(event, dict) else event for event in reply(usage=None)]),
        estimated=True,
    ),
    "odd-ids": Quirk(
        "an id that is a number, a date that is a word", ANSWER,
        stream([event | {"id": 7, "created": "today"} if isinstance(event, dict) else event for event in reply()]),
    ),
    "huge-number": Quirk(
        "an integer of 5,000 digits in a field that nobody needs", ANSWER,
        stream([b'data: {"created": ' + b"9" * 5000 + b"}\n\n", *reply()]),
    ),
    # Content
    "number": Quirk("content that is a number", ANSWER, stream(ended(chunk(120))), text="120", estimated=True),
    "parts-text": Quirk(
        "a list of parts", ANSWER, stream(ended(chunk([{"type": "text", "text": TEXT}]))), estimated=True
    ),
    "parts-thinking": Quirk(
        "a part of thinking, then text", ANSWER,
        stream(ended(chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), chunk(TEXT))),
        estimated=True,
    ),
    "part-alone": Quirk("one part, not in a list", ANSWER, stream(ended(chunk({"text": TEXT}))), estimated=True),
    "two-choices": Quirk(
        "two choices: the first counts", ANSWER,
        stream([_choices("The answer is: 1", "The answer is: 2"), _choices("", "", finish="stop"), DONE]),
        text="The answer is: 1", estimated=True,
    ),
    "tool-call": Quirk(
        "a call of a tool", "solver_empty",
        stream(ended(chunk(tool_calls=[{"index": 0, "function": {"name": "calc", "arguments": "{}"}}]), finish="tool_calls")),
    ),
    "refusal": Quirk(
        "a refusal", "solver_refused", stream(ended(chunk(refusal="I cannot help"))), quotes="I cannot help"
    ),
    "empty": Quirk("an empty reply", "solver_empty", stream(reply(""))),
    "surrogate": Quirk(
        "half of a surrogate pair", ANSWER, stream(ended(b'data: {"choices":[{"delta":{"content":"A \\ud83d 120"}}]}\n\n')),
        text="A � 120", estimated=True,
    ),
    "surrogates-apart": Quirk(
        "a surrogate pair in two events", ANSWER,
        stream(ended(*(b'data: {"choices":[{"delta":{"content":"\\u' + half + b'"}}]}\n\n' for half in (b"d83d", b"de00")))),
        text="😀", estimated=True,
    ),
    "bad-utf-8": Quirk(
        "bytes that are not UTF-8", ANSWER,
        stream([b'data: {"choices":[{"delta":{"content":"\xe2\x82 "}}]}\n\n', *reply()]), text="� " + TEXT,
    ),
    "split-bytes": Quirk(
        "letters cut between packets", ANSWER, split_bytes, text="1. 60 € muffins 🧁\nThe answer is: 120 €"
    ),
    "control-characters": Quirk("NUL and escape codes", ANSWER, stream(reply("a\x00b\x1b[31m 120")), text="a\x00b\x1b[31m 120"),
    "gzip": Quirk(
        "a compressed stream", ANSWER,
        document(gzip.compress(b"".join(map(encoded, reply()))), **{"Content-Encoding": "gzip"}),
    ),
    # Stops
    "finish-length": Quirk("`length`", "solver_cut", stream(reply(HALF, "length"))),
    "finish-max-tokens": Quirk("`max_tokens`", "solver_cut", stream(reply(HALF, "max_tokens"))),
    "finish-MAX-TOKENS": Quirk("`MAX_TOKENS`", "solver_cut", stream(reply(HALF, "MAX_TOKENS"))),
    "finish-model-length": Quirk("`model_length`", "solver_cut", stream(reply(HALF, "model_length"))),
    "finish-content-filter": Quirk("`content_filter`", "solver_filtered", stream(reply(HALF, "content_filter"))),
    "finish-SAFETY": Quirk("`SAFETY`", "solver_filtered", stream(reply(HALF, "SAFETY"))),
    "finish-sensitive": Quirk("`sensitive`", "solver_filtered", stream(reply(HALF, "sensitive"))),
    "finish-refusal": Quirk("`refusal`", "solver_refused", stream(reply(HALF, "refusal"))),
    "finish-error": Quirk("`error`", "solver_server", stream(reply(HALF, "error"))),
    "finish-abort": Quirk("`abort`", "solver_server", stream(reply(HALF, "abort"))),
    "finish-insufficient": Quirk(
        "`insufficient_system_resource`", "solver_server", stream(reply(HALF, "insufficient_system_resource"))
    ),
    "finish-unknown": Quirk("`paused`: nobody knows what it means", "solver_bad_reply", stream(reply(HALF, "paused"))),
    "finish-eos": Quirk("`eos`", ANSWER, stream(reply(finish="eos"))),
    "finish-STOP": Quirk("`STOP`", ANSWER, stream(reply(finish="STOP"))),
    "finish-end-turn": Quirk("`end_turn`", ANSWER, stream(reply(finish="end_turn"))),
    "finish-piece": Quirk("`</s>`", ANSWER, stream(reply(finish="</s>"))),
    "finish-null": Quirk("no reason, but `[DONE]`", ANSWER, stream(reply(finish=None))),
    "finish-empty": Quirk('`""`, and `[DONE]`', ANSWER, stream(reply(finish=""))),
    "finish-nothing": Quirk("no reason and no `[DONE]`", "solver_broken_reply", stream(reply(finish=None)[:-1])),
    "finish-each-chunk": Quirk(
        "`stop` in every event", ANSWER,
        stream([{**event, "choices": [{**event["choices"][0], "finish_reason": "stop"}]}
                if isinstance(event, dict) and event["choices"] else event for event in reply()]),
    ),
    "finish-then-silence": Quirk("a whole reply, and a connection that is never closed", ANSWER, then_silence),
    # Errors inside a reply of status 200
    "error-502-in-200": Quirk(
        "an error with code 502", "solver_server",
        stream([{"error": {"message": "Provider returned error", "code": 502}}, DONE]), requests=4,
        quotes="Provider returned error",
    ),
    "error-text-in-200": Quirk(
        "an error that is text", "solver_server", stream([{"error": "model is overloaded"}, DONE]), requests=4,
        quotes="model is overloaded",
    ),
    "error-event": Quirk(
        "an event named error", "solver_server", stream([b'event: error\ndata: {"message": "boom"}\n\n']), requests=4,
        quotes="boom",
    ),
    "error-midway": Quirk(
        "an error after some text", "solver_server",
        stream([*reply()[:3], {**chunk("", "error"), "error": {"code": "server_error", "message": "Disconnected"}}]),
        quotes="Disconnected",
    ),
    "error-429-in-200": Quirk(
        "an error with code 429", "solver_rate_limited",
        stream([{"error": {"message": "Rate limit exceeded", "code": 429}}]), requests=4, quotes="Rate limit exceeded",
    ),
    "error-402-in-200": Quirk(
        "a document with an error of code 402", "solver_quota",
        document({"error": {"message": "insufficient credits", "code": 402}}), quotes="insufficient credits",
    ),
    "error-model-in-200": Quirk(
        "a document whose error is text", "solver_not_found", document({"error": "no such model", "success": False}),
        quotes="no such model",
    ),
    "error-of-a-router": Quirk(
        "an error in which another is quoted", "solver_server",
        stream([{"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "GPU lost"}}}]),
        requests=4, quotes="GPU lost",
    ),
    # Something else than a stream
    "document": Quirk("a document where a stream was asked for", ANSWER, document(whole())),
    "document-indented": Quirk("an indented document", ANSWER, document(json.dumps(whole(), indent=2).encode())),
    "document-thinking": Quirk("a document with thinking", ANSWER, document(whole(content=THINKING + TEXT))),
    "html": Quirk("a page", "solver_bad_reply", document(b"<html><body>Login</body></html>"), quotes="Login"),
    "html-502": Quirk(
        "a page of status 502", "solver_server", document(b"<html><title>502 Bad Gateway</title></html>", 502),
        requests=4, quotes="Bad Gateway",
    ),
    "nothing": Quirk("an empty body", "solver_bad_reply", document(b"")),
    "status-204": Quirk("status 204", "solver_bad_reply", lambda handler, body, count: handler.send_document(b"", 204)),
    "cut-midway": Quirk("a stream that ends in the middle", "solver_broken_reply", stream(reply()[:3])),
    "cut-json": Quirk(
        "an event that ends in the middle", "solver_broken_reply", stream([*reply()[:3], b'data: {"id": "x", "cho'])
    ),
    # Statuses
    "no-system-role": Quirk(
        "400: no system role (the hint names --instruction user)", "solver_rejected",
        unless(_has_system, refused(400, "Developer instruction is not enabled for this model")),
        quotes="Developer instruction",
    ),
    "max-completion-tokens": Quirk(
        "400 for `max_tokens`, then for `temperature`: both are learned", ANSWER, _reasoning_model, requests=3
    ),
    "temperature": Quirk(
        "400 for `temperature`: it is left out", ANSWER, unless(_cold, refused(400, HEAT)), requests=2
    ),
    "list-422": Quirk(
        "422 with a list of faults", "solver_rejected", document({"object": "error", "message": EXTRA}, 422),
        quotes="body.stream_options: Extra inputs are not permitted",
    ),
    "array-400": Quirk(
        "400 with an array (Gemini)", "solver_rejected",
        document([{"error": {"code": 400, "message": "Unknown name x", "status": "INVALID_ARGUMENT"}}], 400),
        quotes="Unknown name x",
    ),
    "context-400": Quirk(
        "400: too long", "solver_rejected",
        refused(400, "maximum context length is 2048 tokens", code="context_length_exceeded"), quotes="2048 tokens",
    ),
    "filter-400": Quirk(
        "400: the question was filtered (Azure)", "solver_filtered",
        refused(400, "The prompt triggered the policy", code="content_filter", status=400), quotes="triggered the policy",
    ),
    "model-400": Quirk(
        "400: no such model (OpenRouter)", "solver_not_found", refused(400, "x/y is not a valid model ID", code=400),
        quotes="not a valid model ID",
    ),
    "key-401": Quirk("401", "solver_auth", refused(401, "Incorrect API key provided"), quotes="Incorrect API key"),
    "balance-402": Quirk("402", "solver_quota", refused(402, "Insufficient Balance"), quotes="Insufficient Balance"),
    "region-403": Quirk("403", "solver_auth", refused(403, "Country not supported"), quotes="Country not supported"),
    "moderated-403": Quirk(
        "403: the question was flagged (OpenRouter)", "solver_filtered", refused(403, "Your input was flagged"),
        quotes="flagged",
    ),
    "model-404": Quirk("404", "solver_not_found", refused(404, "The model `gpt-9` does not exist"), quotes="`gpt-9`"),
    "text-413": Quirk("413 in plain text", "solver_rejected", document(b"Payload Too Large", 413), quotes="Too Large"),
    "quota-429": Quirk(
        "429: the quota is used up", "solver_quota",
        refused(429, "You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
        quotes="exceeded your current quota",
    ),
    "quota-429-for-a-while": Quirk(
        "429 with the same words and a delay (Gemini)", ANSWER,
        at_first(document([{"error": {"code": 429, "message": "You exceeded your current quota",
                                      "details": [{"@type": "RetryInfo", "retryDelay": "2s"}]}}], 429)),
        requests=2,
    ),
    "wait-words": Quirk(
        "429: the wait is in words", ANSWER, at_first(refused(429, "Limit reached. Please try again in 1.5s.")), requests=2
    ),
    "wait-date": Quirk(
        "429 with a date", ANSWER,
        at_first(lambda handler, body, count: refused(
            429, "slow", {"Retry-After": email.utils.formatdate(time.time() + 3, usegmt=True)})(handler, body, count)),
        requests=2,
    ),
    "wait-past-date": Quirk("429 with a date long past", ANSWER, limited(INSTANT), requests=2),
    "wait-ms": Quirk("429 with `retry-after-ms`", ANSWER, limited("700", "retry-after-ms"), requests=2),
    "wait-30s": Quirk("429 with `30s`", ANSWER, limited("30s"), requests=2),
    "wait-1m30s": Quirk("429 with `1m30s`: longer than patience", "solver_wait", limited("1m30s"), quotes="until"),
    "wait-nan": Quirk("429 with `nan`", ANSWER, limited("nan"), requests=2),
    "wait-inf": Quirk("429 with `inf`", ANSWER, limited("inf"), requests=2),
    "wait-negative": Quirk("429 with `-5`", ANSWER, limited("-5"), requests=2),
    "wait-hour": Quirk("429 with an hour: longer than patience", "solver_wait", limited(HOUR), quotes="until"),
    "overloaded-529": Quirk("529, then the answer", ANSWER, at_first(refused(529, "overloaded_error")), requests=2),
    "loading-503": Quirk("503 twice, then the answer", ANSWER, at_first(refused(503, "Loading model"), 2), requests=3),
    "memory-500": Quirk(
        "500", "solver_server", refused(500, "model requires more system memory (5.6 GiB)"), requests=4, quotes="5.6 GiB"
    ),
    "redirect-302": Quirk(
        "302", "solver_rejected",
        lambda handler, body, count: handler.send_document(b"", 302, "text/plain", {"Location": "/other"}),
        quotes="redirects",
    ),
    "redirect-307": Quirk("307 on the same host", ANSWER, redirected),
    # Deadlines
    "silent": Quirk("nothing at all", "solver_timeout", silent),
    "slow-headers": Quirk("a byte of a header now and then", "solver_timeout", slow_headers),
    "keep-alive-for-ever": Quirk("comments for ever", "solver_timeout", for_ever(b": PROCESSING\n\n")),
    "role-for-ever": Quirk("empty pieces for ever", "solver_timeout", for_ever(chunk("", role="assistant"))),
    "trickle": Quirk("text that does not end", "solver_timeout", for_ever(chunk("and "))),
}  # fmt: skip


class QuirkServer(ThreadingHTTPServer):
    """Serves every quirk under its name; `asked` counts the requests for each.

    Args:
        choose: takes a request's body and returns the quirk, in place of the model's name.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, choose: Callable[[dict[str, Any]], str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.choose = choose or (lambda body: str(body["model"]))
        self.asked: Counter[str] = Counter()
        self.guard = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> QuirkServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: QuirkServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        quirk = self.server.choose(body)
        with self.server.guard:
            self.server.asked[quirk] += "moved" not in self.path
            count = self.server.asked[quirk]
        with contextlib.suppress(OSError):
            QUIRKS[quirk].serve(self, body, count)

    def send_document(
        self, data: bytes, status: int = 200, kind: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events: Iterable[Event], change: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(change(encoded(event)))
            self.wfile.flush()
        self.close_connection = True
