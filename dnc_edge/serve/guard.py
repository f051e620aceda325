"""Who may ask: hosts, origins and the token, checked before a request is read."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dnc_edge.offline import is_here
from dnc_edge.serve.replies import refused

# What holds nothing and costs nothing.
OPEN = frozenset({"/", "/health"})


class Guard:
    """Lets requests through to `app`.

    Args:
        token: that requests must bear; None asks for none, and answers only to names of this machine, so that no
            website can pass for it by pointing its own name here.
        origins: websites that may ask beside the page itself; "*" is any.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, origins: Sequence[str] = ()) -> None:
        self._app, self._token, self._origins = app, token, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = self._checked(scope["path"], Headers(scope=scope)) if scope["type"] == "http" else None
        await (reply or self._app)(scope, receive, send)

    def _checked(self, path: str, headers: Headers) -> Response | None:
        """What is wrong with a request; None if it may pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._token is None and not is_here(urlsplit(f"//{host}").hostname or ""):
            return refused(403, f"{host!r} is not a name of this machine", "forbidden")
        # A browser asks for any website, and says for which; nothing else sends this header.
        if origin and urlsplit(origin).netloc != host and not self._origins & {origin, "*"}:
            return refused(403, f"{origin} may not ask here; --cors {origin} allows it", "forbidden")
        if self._token is not None and path not in OPEN and not self._bears_token(headers):
            return refused(401, "the token is missing or wrong", "invalid_api_key", {"WWW-Authenticate": "Bearer"})
        return None

    def _bears_token(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), (self._token or "").encode())
