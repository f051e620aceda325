"""Addresses of servers, and the keys that belong to them; secrets stay out of everything that is shown or kept."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from dnc_edge.errors import SolverAuth, UsageError
from dnc_edge.remote import keys
from dnc_edge.remote.providers import PROVIDERS

OPENAI = "https://api.openai.com/v1"
HIDDEN = "***"
_SECRET = re.compile(r"key|token|secret|passw|sig|auth|code", re.IGNORECASE)


def masked(text: str) -> str:
    """Hide user and password of every address in a text, before it is known whether the address is valid."""
    return re.sub(r"(?<=://)\S*@", f"{HIDDEN}@", text)


@dataclass(frozen=True)
class Address:
    """Where requests go.

    Attributes:
        url: as it may be shown and kept: without user, password and secret parameters.
        host: in lower case.
    """

    url: str
    host: str
    _base: str = field(repr=False, compare=False)
    _query: str = field(repr=False, compare=False)
    _login: str | None = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            UsageError: it is none; the message shows no password.
        """
        hint = "write http://host:port/v1; an IPv6 address stands in brackets: http://[::1]:8000/v1"
        try:
            parts = urlsplit(text.strip())
            host, port = (parts.hostname or "").lower(), parts.port
            if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", text.strip()):
                raise ValueError("it has no host")
            host.encode("idna")
        except (ValueError, UnicodeError) as error:
            raise UsageError(f"{masked(text)!r} is no address of a server", hint=hint) from error
        place = f"[{host}]" if ":" in host else host
        place = place if port is None else f"{place}:{port}"
        path = parts.path.rstrip("/")
        base = urlunsplit((parts.scheme, place, path, "", ""))
        shown = [(name, value) for name, value in parse_qsl(parts.query) if not _SECRET.search(name)]
        login = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(f"{base}?{urlencode(shown)}" if shown else base, host, base, parts.query, login)

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own, over TLS; regions have hosts of their own."""
        return self._base.startswith("https://") and f".{self.host}".endswith(".api.openai.com")

    def at(self, path: str, params: Mapping[str, str] | None = None) -> str:
        """Return the URL of a path, with all parameters: for the request alone, never for a message."""
        query = "&".join(filter(None, (self._query, urlencode(params or {}))))
        return f"{self._base}{path}{'?' + query if query else ''}"

    def headers(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what says who asks.

        A user and password of the address are used as they are. Otherwise the first of these that is there: the
        variable of a provider (OPENAI_API_KEY, with OPENAI_ORG_ID and OPENAI_PROJECT_ID), which goes to that provider
        alone; DNC_EDGE_API_KEY, for every address but OpenAI's; the key that is stored for the address.

        Raises:
            SolverAuth: OpenAI is asked without a key. UsageError: a key cannot be sent as it is.
            InputError: the stored keys cannot be read.
        """
        environment = os.environ if environment is None else environment
        if self._login:
            return {"Authorization": self._login}
        found = (_sendable(name, environment) for name in self.variables)
        key = next(filter(None, found), None) or self._stored()
        if not self.is_openai:
            return {"Authorization": f"Bearer {key}"} if key else {}
        if not key:
            raise SolverAuth(
                "OPENAI_API_KEY is not set, and no key is stored",
                hint="dnc-edge keys set openai, or answer locally with --solver local",
            )
        named = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
        others = {header: value for header, name in named.items() if (value := _sendable(name, environment))}
        return {"Authorization": f"Bearer {key}", **others}

    @property
    def variables(self) -> list[str]:
        """Names of the environment's variables that may hold the key, in their order."""
        if self.is_openai:
            return ["OPENAI_API_KEY"]
        here = keys.origin(self._base)
        own = [one.variable for one in PROVIDERS.values() if one.variable and keys.origin(one.url) == here]
        return [*own, "DNC_EDGE_API_KEY"]

    def _stored(self) -> str | None:
        """Return the key that is stored for this address; OpenAI's regions share one."""
        known = keys.stored()
        return known.get(keys.origin(self._base)) or (known.get(keys.origin(OPENAI)) if self.is_openai else None)

    def secrets(self, environment: Mapping[str, str] | None = None) -> list[str]:
        """Return what must not be shown, longest first: a server may send it back."""
        environment = os.environ if environment is None else environment
        named = ("OPENAI_API_KEY", "DNC_EDGE_API_KEY", *self.variables)
        found = [environment.get(name, "").strip() for name in named] + [self._stored() or ""]
        found += [value for name, value in parse_qsl(self._query) if _SECRET.search(name)]
        if self._login:
            pair = self._login.removeprefix("Basic ")
            found += [pair, *base64.b64decode(pair).decode().split(":", 1)[1:]]
        # Shorter ones would hide ordinary words.
        return sorted({secret for secret in found if len(secret) >= 6}, key=len, reverse=True)


def _sendable(name: str, environment: Mapping[str, str]) -> str:
    """Return a variable without white space around it.

    Raises:
        UsageError: it holds a character that no header may have; the value is not shown.
    """
    value = environment.get(name, "").strip()
    keys.check_sendable(value, name, "sent")
    return value
