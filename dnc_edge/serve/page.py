"""The page at `/`: one file that fetches nothing from outside, and may run nothing but its own script."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response


@functools.cache
def _page() -> tuple[bytes, dict[str, str]]:
    """The file, and the policy that browsers hold it to."""
    text = (files("dnc_edge.serve") / "page.html").read_text("utf-8")
    hashes = {
        kind: base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        for kind in ("script", "style")
        if (found := re.search(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL))
    }
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return text.encode(), headers


async def show(_: Request) -> Response:
    data, headers = _page()
    return Response(data, media_type="text/html", headers=headers)
