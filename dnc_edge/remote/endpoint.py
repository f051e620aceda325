"""A model behind an OpenAI-compatible endpoint: one request, asked until there is a reply or no use in asking.

No client is made and no key is read until the first request.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dnc_edge import offline
from dnc_edge.errors import SolverError, SolverRejected, SolverServerError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote import fields
from dnc_edge.remote.address import HIDDEN, OPENAI, Address
from dnc_edge.remote.events import Events, loads
from dnc_edge.remote.gate import Gate
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Messages
from dnc_edge.remote.refusals import refusal, words
from dnc_edge.remote.reply import Reading, Reply
from dnc_edge.remote.retry import WORTH_SAYING, Retry, until
from dnc_edge.remote.transport import Deadlines, Head, Transport
from dnc_edge.types import Usage


@dataclass
class Endpoint:
    """One model at one address.

    Args:
        model: its name there.
        base_url: None is OpenAI (or OPENAI_BASE_URL). Which key goes where: `Address.headers`.
        max_tokens: output tokens asked for at most.
        options: merged into the request; None as a value leaves a field out.
        instruction: "system" sends it as a system message, "user" before the user's text, for models that have no
            system role.
        gate: what every attempt must pass; None lets all through.
        progress: gets a note whenever the server makes it wait.

    Raises:
        UsageError: the address is none, or is to be reached offline.
    """

    model: str
    base_url: str | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    instruction: str = "system"
    deadlines: Deadlines = field(default_factory=Deadlines)
    retry: Retry = field(default_factory=Retry)
    gate: Gate | None = None
    progress: Progress = SILENT

    def __post_init__(self) -> None:
        fields.check(self.options)
        given = self.base_url or os.environ.get("OPENAI_BASE_URL", "").strip()
        self._address = Address.parse(given or OPENAI)
        self.base_url = self._address.url if self.base_url else None
        self.name = f"{self.base_url}#{self.model}" if self.base_url else f"openai:{self.model}"
        try:
            offline.check(self._address.host)
        except offline.OfflineError as error:
            hint = "answer locally with --solver local, or leave --offline out"
            raise UsageError(f"{self.name}: {error}", hint=hint) from error
        self._transport = Transport(self.name, self.deadlines)
        # What this server was found not to take: fields that are left out or go under another name.
        self._renamed: dict[str, str | None] = {}
        self._told_until = 0.0
        self.identity: Mapping[str, Any] = {
            "model": self.model,
            "base_url": self.address,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "instruction": self.instruction,
            "options": dict(self.options),
        }

    @property
    def address(self) -> str | None:
        """Where requests go, as it may be shown; None is OpenAI itself."""
        return None if self._address.url == OPENAI else self._address.url

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        """Return the dollars of a reply; None if no price is known, or a request is unaccounted."""
        if usage.unaccounted or (prices.remote is None and fields.priced_apart(self.options)):
            return None
        return prices.of(self.model, self.address, usage)

    def request(self, messages: Messages) -> dict[str, Any]:
        """Return the body as sent."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.instruction == "user":
            body["messages"] = _without_system(body["messages"])
        if "max_completion_tokens" in self.options:
            del body["max_tokens"]
        body.update(self.options)
        for name, other in self._renamed.items():
            value = body.pop(name, None)
            if other is not None:
                body.setdefault(other, value)
        return {name: value for name, value in body.items() if value is not None}

    def prepare(self) -> None:
        """Make the client now, while something else takes the time."""
        self._transport.prepare()

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        """Yield text as it arrives; return the whole reply.

        A failed attempt is repeated as the policy says, but only while no text has been passed on.

        Raises:
            SolverError: no usable reply; its class says why. UsageError: a key or a proxy cannot be used.
        """
        started = time.perf_counter()
        left = self.deadlines.total
        used = Usage()
        while True:
            sent = time.perf_counter()
            body = self.request(messages)
            reply: Reply | None = None
            try:
                with self.gate.attempt(self, body) if self.gate else contextlib.nullcontext() as admitted:
                    reply = yield from self._attempt(body, left)
                    if reply.error:
                        error = self.retry.checked(reply.error, self.name)
                        # Whatever the server calls the error: what it was seen to generate may be billed.
                        error.charged |= reply.usage.output_tokens > 0
                        if reply.complete:
                            error.complete, error.usage = True, reply.usage
                        raise error
                    if admitted:
                        admitted.usage = reply.usage
            except SolverError as error:
                if reply is None:  # turned away by the gate
                    error.usage = used if used.requests else None
                    raise
                # An error in place of a reply is taken to cost nothing; the cap does not rely on that.
                nothing = isinstance(error, SolverServerError) and not reply.usage.output_tokens
                used += error.usage or Usage(requests=1, unaccounted=error.charged and not nothing)
                error.usage = replace(used, seconds=time.perf_counter() - started)
                # The total deadline is of all attempts, without the pauses between them.
                left -= time.perf_counter() - sent
                if self._adapted(error, body):
                    continue
                over = left <= 0 or reply.text
                pause = None if over else self.retry.pause(used.requests, error)
                if pause is None:
                    raise
                self._wait(pause, error)
                continue
            # The stage's time includes failed attempts and pauses: it is what the user waited.
            first = reply.usage.first_token_seconds
            waited = time.perf_counter() - started
            usage = replace(
                used + reply.usage,
                seconds=waited,
                first_token_seconds=None if first is None else first + waited - reply.usage.seconds,
            )
            return replace(reply, usage=usage)

    def _attempt(self, body: Mapping[str, Any], seconds: float) -> Generator[str, None, Reply]:
        """Send the request once; whatever comes of it is a reply."""
        started = time.perf_counter()
        first: float | None = None
        reading = self.reading(body)
        events = Events()
        head = Head(0, {})
        kept: list[bytes] = []
        failure: SolverError | None = None
        url, headers = self._address.at("/chat/completions"), self._address.headers()
        sending = self._transport.send("POST", url, seconds=seconds, json=body, headers=headers)
        with contextlib.closing(sending):
            try:
                for piece in sending:
                    if isinstance(piece, Head):
                        head = piece
                    elif head.status >= 300:
                        kept.append(piece)
                    else:
                        for value in events.feed(piece):
                            if text := reading.feed(value):
                                first = first or time.perf_counter() - started
                                yield text
                        if events.done or reading.error:
                            break
            except SolverError as error:
                failure = error
        if failure is None and head.status >= 300:
            failure = self._refused(head, b"".join(kept))
        if failure is None or head.status < 300:
            for value in events.feed(b"", final=True):
                if text := reading.feed(value):
                    yield text
            if not (failure or reading.error) and (text := reading.rest()):
                yield text
        reply = reading.reply(done=events.done, failure=failure, broken=events.broken, instead=events.other)
        if reply.error:
            self._hide(reply.error)
        measured = replace(reply.usage, seconds=time.perf_counter() - started, first_token_seconds=first)
        return replace(reply, usage=measured)

    def reading(self, body: Mapping[str, Any]) -> Reading:
        """Return a reader for the reply to a request; a provider's batch reads its replies with it too."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        sent = "\n".join(str(message.get("content")) for message in body.get("messages", ()))
        return Reading(self.name, sent=sent, limit=limit if isinstance(limit, int) else None)

    def call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, **request: Any
    ) -> Generator[bytes]:
        """Make any other request to the address; yield the body as it arrives. Arguments: see `Transport.send`.

        Raises:
            SolverError: the server refused, or cannot be reached.
        """
        head = Head(0, {})
        kept: list[bytes] = []
        try:
            url, headers = self._address.at(path, params), self._address.headers()
            for piece in self._transport.send(method, url, headers=headers, **request):
                if isinstance(piece, Head):
                    head = piece
                elif head.status >= 300:
                    kept.append(piece)
                else:
                    yield piece
            if head.status >= 300:
                raise self._refused(head, b"".join(kept))
        except SolverError as error:
            self._hide(error)
            raise

    def _refused(self, head: Head, data: bytes) -> SolverError:
        if head.status < 400:
            place = words(head.headers.get("location", ""))
            hint = f"it points to {place}; if that is right, use that address" if place else None
            return SolverRejected(f"{self.name} redirects (HTTP {head.status})", hint=hint)
        text = data.decode("utf-8", "replace")
        return refusal(self.name, loads(text) or text, status=head.status, headers=head.headers)

    def _hide(self, error: SolverError) -> None:
        """A server may send a key back that it was sent."""
        for secret in self._address.secrets():
            error.message = error.message.replace(secret, HIDDEN)
            error.hint = error.hint and error.hint.replace(secret, HIDDEN)
        error.args = (error.message,)

    def _adapted(self, error: SolverError, body: Mapping[str, Any]) -> bool:
        """Learn from a rejection which field the server does not take; whether the request is worth sending again."""
        if not isinstance(error, SolverRejected):
            return False
        said = error.message
        if "max_tokens" in body and "max_tokens" not in self.options and "max_completion_tokens" in said:
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        if "temperature" in body and "temperature" not in self.options and re.search(r"\btemperature\b", said):
            self._renamed["temperature"] = None
            return True
        return False

    def _wait(self, seconds: float, error: SolverError) -> None:
        """Wait as the server asked; of many requests that wait together one says so."""
        now = time.monotonic()
        if seconds >= WORTH_SAYING and now + seconds > self._told_until + 1:
            self._told_until = now + seconds
            self.progress.note(f"{error.message}; trying again at {until(seconds)}")
        self.retry.sleep(seconds)


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put what the system says before the next text of the user."""
    merged: list[dict[str, Any]] = []
    before: list[str] = []
    for message in messages:
        if message["role"] == "system":
            before.append(message["content"])
        else:
            content = "\n\n".join([*before, message["content"]])
            merged.append({**message, "content": content})
            before = []
    return merged
