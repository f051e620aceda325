"""A model behind an OpenAI-compatible endpoint: streaming, deadlines, retries, usage.

No client is made and no key is asked for until the first request. The SDK's own retries are off: the
policy of `remote/retry.py` is the only one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dnc_edge.errors import (
    DncError,
    SolverAuth,
    SolverBadReply,
    SolverBrokenReply,
    SolverConnection,
    SolverCut,
    SolverEmpty,
    SolverError,
    SolverFiltered,
    SolverNotFound,
    SolverRateLimited,
    SolverRefused,
    SolverRejected,
    SolverServerError,
    SolverTimeout,
    UsageError,
)
from dnc_edge.remote.gate import Gate
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Messages
from dnc_edge.remote.reply import Reply
from dnc_edge.remote.retry import Retry
from dnc_edge.remote.usage import counted
from dnc_edge.types import Usage


@dataclass(frozen=True)
class Deadlines:
    """Seconds to connect, between two pieces of a reply, and for the whole of one attempt."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0


@dataclass
class Endpoint:
    """One model at one address.

    Args:
        model: its name there.
        base_url: None is OpenAI (or OPENAI_BASE_URL); its key is OPENAI_API_KEY. A key for any other address
            is read from DNC_EDGE_API_KEY, so that no key goes where it was not meant to.
        max_tokens: output tokens asked for at most.
        options: merged into the request; None as a value leaves a field out.
        gate: what every attempt must pass; None lets all through.
    """

    model: str
    base_url: str | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    deadlines: Deadlines = Deadlines()
    retry: Retry = field(default_factory=Retry)
    gate: Gate | None = None

    def __post_init__(self) -> None:
        self.name = f"openai:{self.model}" if self.base_url is None else f"{self.base_url}#{self.model}"
        self._client: Any = None
        self._lock = threading.Lock()

    @classmethod
    def parse(cls, spec: str, **settings: Any) -> Endpoint:
        """`openai:MODEL` or `http://host:port/v1#MODEL`.

        Raises:
            UsageError: it is neither.
        """
        kind, _, rest = spec.partition(":")
        if kind == "openai" and rest:
            return cls(rest, **settings)
        url, _, model = spec.partition("#")
        if kind in ("http", "https") and model:
            return cls(model, base_url=url, **settings)
        raise UsageError(f"{spec!r} names no model", hint="write openai:MODEL or http://host:port/v1#MODEL")

    @property
    def address(self) -> str | None:
        """Where requests go; None is OpenAI itself."""
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or None

    def identity(self) -> dict[str, Any]:
        """What of it changes an answer."""
        return {
            "model": self.model,
            "base_url": self.address,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "options": dict(self.options),
        }

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Dollars of a reply; None if no price is known, or a request is unaccounted."""
        return None if usage.unaccounted else prices.of(self.model, self.address, usage)

    def request(self, messages: Messages) -> dict[str, Any]:
        """The body as sent."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if "max_completion_tokens" in self.options:
            del body["max_tokens"]
        body.update(self.options)
        return {name: value for name, value in body.items() if value is not None}

    def prepare(self) -> None:
        """Import the SDK and make the client now, to do it while something else takes the time."""
        _ = self.client

    @property
    def client(self) -> Any:
        """The SDK's client, made when it is first needed."""
        with self._lock:
            if self._client is None:
                import openai

                key = os.environ.get("OPENAI_API_KEY" if self.base_url is None else "DNC_EDGE_API_KEY")
                if not key and self.base_url is None:
                    raise SolverAuth(
                        "OPENAI_API_KEY is not set",
                        hint="export OPENAI_API_KEY=..., or answer locally with --solver local",
                    )
                timeout = openai.Timeout(min(self.deadlines.read, self.deadlines.total), connect=self.deadlines.connect)
                self._client = openai.OpenAI(
                    api_key=key or "none", base_url=self.base_url, timeout=timeout, max_retries=0
                )
            return self._client

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        """Text as it arrives; returns the whole reply.

        A failed attempt is repeated as the policy says, but only while no text has been passed on.

        Raises:
            SolverError: no usable reply; `code` says why.
        """
        started = time.perf_counter()
        body = self.request(messages)
        used = Usage()
        while True:
            passed_on = False
            try:
                with self.gate.attempt(self, body) if self.gate else contextlib.nullcontext() as attempt:
                    pieces = self._attempt(body)
                    while True:
                        try:
                            text = next(pieces)
                        except StopIteration as ended:
                            reply: Reply = ended.value
                            break
                        passed_on = True
                        yield text
                    if attempt:
                        attempt.usage = reply.usage
            except SolverError as error:
                # An error status of the server itself is taken to cost nothing; the cap does not rely on that.
                unknown = error.charged and not isinstance(error, SolverServerError)
                used += error.usage or Usage(requests=1, unaccounted=unknown)
                error.usage = replace(used, seconds=time.perf_counter() - started)
                pause = None if passed_on else self.retry.pause(used.requests, error, error.retry_after)
                if pause is None:
                    raise
                self.retry.sleep(pause)
                continue
            # The stage's time includes failed attempts and pauses: it is what the user waited.
            first = reply.usage.first_token_seconds
            waited = time.perf_counter() - started
            before = waited - reply.usage.seconds
            usage = replace(
                used + reply.usage, seconds=waited, first_token_seconds=None if first is None else first + before
            )
            return replace(reply, usage=usage)

    def _attempt(self, body: Mapping[str, Any]) -> Generator[str, None, Reply]:
        client = self.client
        import openai

        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        started = time.perf_counter()
        first: float | None = None
        parts: list[str] = []
        refusal: list[str] = []
        finish: str | None = None
        usage: Any = None
        chunk: Any = None
        try:
            # Fields that the SDK's signature lacks travel in extra_body.
            with client.chat.completions.create(
                model=body["model"], messages=body["messages"], stream=True, extra_body=rest
            ) as chunks:
                for chunk in chunks:
                    if time.perf_counter() - started > self.deadlines.total:
                        raise SolverTimeout(f"no complete reply within {self.deadlines.total:g} s")
                    if not hasattr(chunk, "choices"):
                        raise SolverBadReply("the reply is not a chat completion")
                    usage = getattr(chunk, "usage", None) or usage
                    for choice in chunk.choices or []:
                        finish = choice.finish_reason or finish
                        delta = choice.delta
                        if getattr(delta, "refusal", None):
                            refusal.append(delta.refusal)
                        if delta is not None and delta.content:
                            first = first or time.perf_counter() - started
                            parts.append(delta.content)
                            yield delta.content
        except DncError:
            raise
        except openai.APIError as error:
            raise translated(error, self.name) from error
        except Exception as error:
            # The transport and the JSON reader raise their own: a broken stream, a page instead of JSON.
            raise SolverBrokenReply(f"the reply broke off or is unreadable ({_brief(error)})") from error
        if chunk is None:
            raise SolverBadReply(
                f"{self.name} sent no chat completion",
                hint="check that the address is an OpenAI-compatible API; it usually ends in /v1",
            )
        text = "".join(parts)
        sent = "\n".join(message["content"] for message in body["messages"])
        claimed = counted(usage, sent=sent, received=text + "".join(refusal))
        measured = replace(claimed, seconds=time.perf_counter() - started, first_token_seconds=first)
        try:
            self.check(text, finish, "".join(refusal))
        except SolverError as error:
            if finish is not None:
                error.complete, error.usage = True, measured
            raise
        return Reply(text, finish or "stop", measured)

    def check(self, text: str, finish: str | None, refusal: str) -> None:
        """What is cut, filtered, refused or empty is an error, never an answer."""
        if refusal:
            raise SolverRefused(f"{self.name} refused: {refusal[:200]}")
        if finish == "length":
            limit = self.options.get("max_completion_tokens") or self.options.get("max_tokens") or self.max_tokens
            raise SolverCut(f"{self.name} was cut off at {limit} tokens", hint="raise it with --max-tokens")
        if finish == "content_filter":
            raise SolverFiltered(f"{self.name}'s reply was filtered by the provider")
        if finish is None:
            raise SolverBrokenReply("the reply ended before it was complete")
        if not text.strip():
            raise SolverEmpty(f"{self.name} sent an empty reply")


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def translated(error: Any, name: str) -> SolverError:
    """The SDK's error as ours: what went wrong, whether trying again may help, what to do."""
    import openai

    status = getattr(error, "status_code", None)
    translated: SolverError
    if isinstance(error, openai.APITimeoutError):
        translated = SolverTimeout(f"{name} did not answer in time")
    elif isinstance(error, openai.APIConnectionError):
        cause = _brief(error.__cause__) if error.__cause__ else "connection error"
        hint = "is the server running, and the address right?"
        translated = SolverConnection(f"cannot reach {name} ({cause})", hint=hint)
    elif status in (401, 403):
        hint = "check OPENAI_API_KEY (DNC_EDGE_API_KEY for an address of your own)"
        translated = SolverAuth(f"{name} refused the key (HTTP {status})", hint=hint)
    elif status == 404:
        hint = "check the model's name, and that the address ends in /v1"
        translated = SolverNotFound(f"{name}: no such model or path (HTTP 404)", hint=hint)
    elif status == 429:
        translated = SolverRateLimited(f"{name} is rate limited (HTTP 429)")
    elif status is not None and (status >= 500 or status in (408, 409)):
        translated = SolverServerError(f"{name} failed (HTTP {status})")
    elif status is not None:
        translated = SolverRejected(f"{name} rejected the request (HTTP {status}): {_brief(error)}")
    else:
        translated = SolverBadReply(f"{name}: {_brief(error)}")
    response = getattr(error, "response", None)
    if response is not None:
        translated.retry_after = _retry_after(response.headers)
    return translated


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait: retry-after-ms, or Retry-After in seconds or as a date."""
    from email.utils import parsedate_to_datetime

    try:
        if milliseconds := headers.get("retry-after-ms"):
            return float(milliseconds) / 1000
        if (value := headers.get("retry-after")) is None:
            return None
        try:
            return float(value)
        except ValueError:
            return parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
