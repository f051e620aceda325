"""What a server says no with: the typed error behind a status and a body, in the provider's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dnc_edge.errors import (
    SolverAuth,
    SolverError,
    SolverFiltered,
    SolverNotFound,
    SolverQuota,
    SolverRateLimited,
    SolverRejected,
    SolverServerError,
)
from dnc_edge.remote.retry import asked_wait

# Characters of a provider's words that are quoted.
QUOTED = 300
# Where a provider's words stand, in order of preference.
_WORDS = ("message", "msg", "detail", "error", "errors", "error_description", "description", "reason", "title", "raw")
_CODES = ("code", "type", "status", "status_code", "http_code", "error_code", "reason")

# What codes, types and words tell where the status does not: the first that fits is taken.
_QUOTA_CODE = re.compile(r"insufficient_(quota|credits?|balance|funds)|billing|payment_required|quota_exhausted")
_QUOTA_WORDS = re.compile(
    r"insufficient (quota|credits?|balance|funds)|(credit|account) balance|(out of|more|no) credits|"
    r"exceeded your current quota|payment required|billing"
)
_FILTER = re.compile(
    r"content_?filter|content_?policy|responsibleaipolicy|moderation|flagged|safety system|data_?inspection"
)
_RATE = re.compile(r"rate.?limit|too.?many.?requests|resource_?exhausted|throttl|(tokens|requests) per minute")
_MODEL = re.compile(
    r"model_not_found|deploymentnotfound|(unknown|invalid|no such|not a valid)[ _]model|model not exist|"
    r"model.{0,80}(not found|not exist|does not exist)"
)
_AUTH = re.compile(
    r"invalid_api_key|incorrect api key|authentication|unauthori[sz]ed|permission_(denied|error)|unauthenticated"
)
_BUSY = re.compile(r"overload|server_error|internal|unavailable|timeout|timed out|busy|capacity|try again|loading")
_INVALID = re.compile(
    r"invalid_request|invalid_argument|context_length|unsupported_|bad_request|validation|extra_forbidden"
)
_SYSTEM = re.compile(r"system (role|message|prompt|instruction)|developer (instruction|message|role)|['\"]system['\"]")
_FIELD = re.compile(r"stream_options|temperature|max_tokens|reasoning_effort|seed|top_p")


def find_error(value: Mapping[str, Any]) -> Any:
    """Return the error that a JSON object reports in place of a reply; None if it reports none."""
    if value.get("error"):
        return value["error"]
    if "choices" in value:
        return None
    if value.get("object") == "error" or value.get("type") == "error" or value.get("success") is False:
        return value
    # Bodies of gateways and frameworks: {"detail": ...}, {"errors": [...]}, {"code": 500, "message": ...}
    if value.get("errors") or value.get("detail"):
        return value
    return value if value.get("message") and any(name in value for name in ("code", "status", "type")) else None


def refusal(
    name: str, error: Any, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> SolverError:
    """Translate what a server said into an error.

    Args:
        name: of the model, for the message.
        error: JSON of any shape, or text.
        status: HTTP status; None takes the one that the error names, as inside a reply of status 200.
        headers: of the response, with names in lower case; they may say how long to wait.
    """
    said = words(error)
    codes = " ".join(_codes(error)).lower()
    text = f"{codes} {said.lower()}"
    label = f"HTTP {status}" if status else "in its reply"
    status = status or next((int(code) for code in codes.split() if re.fullmatch(r"[45]\d\d", code)), None)
    wait = asked_wait(headers or {}, error, said)
    told = f" ({label}{': ' if said else ''}{said})"
    made: SolverError
    if status in (402,) or _QUOTA_CODE.search(codes) or (_QUOTA_WORDS.search(text) and wait is None):
        hint = "add credit or raise the limit at the provider; what was done is kept"
        made = SolverQuota(f"{name}: quota or balance is used up{told}", hint=hint)
    elif status in (400, 403, 451, None) and _FILTER.search(text):
        made = SolverFiltered(f"{name}: the provider filtered the question{told}")
    elif status == 429 or (status is None and _RATE.search(text)):
        made = SolverRateLimited(f"{name} is rate limited{told}")
    elif status == 404 or (status in (400, 422, None) and _MODEL.search(text)):
        hint = "check the model's name, and that the address ends in /v1"
        made = SolverNotFound(f"{name}: no such model or path{told}", hint=hint)
    elif status in (401, 403, 407) or (status is None and _AUTH.search(text)):
        hint = "store its key with dnc-edge keys set ADDRESS; OPENAI_API_KEY goes to OpenAI alone"
        made = SolverAuth(f"{name} refused {'access' if status == 403 else 'the key'}{told}", hint=hint)
    elif status is None and not _BUSY.search(text) and _INVALID.search(text):
        made = SolverRejected(f"{name} rejected the request{told}", hint=_way_out(text))
    elif status is None or status in (408, 409, 425) or (status >= 500 and status != 501):
        made = SolverServerError(f"{name} failed{told}")
    else:
        made = SolverRejected(f"{name} rejected the request{told}", hint=_way_out(text))
    made.retry_after = wait
    return made


def _way_out(text: str) -> str | None:
    """What may make a rejected request acceptable."""
    if _SYSTEM.search(text):
        return "for a model without a system role: --instruction user"
    if found := _FIELD.search(text):
        return f"leave a field out with --solver-option {found[0]}=null"
    return None


def words(value: Any) -> str:
    """Return the provider's words in an error of any shape, in one line; "" if there are none."""
    text = " ".join(re.sub(r"<[^>]*>", " ", _said(value, 0)).split())
    # Control characters of a server must not drive a terminal.
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."


def _said(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth > 6:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(item, depth + 1) for item in value[:3])))
    if not isinstance(value, dict):
        return ""
    said = next((found for name in _WORDS if (found := _said(value.get(name), depth + 1))), "")
    if isinstance(place := value.get("loc"), list):
        said = f"{'.'.join(str(part) for part in place[:8])}: {said}"
    # A router's message says that a provider failed; what the provider said stands beside it.
    raw = _said(value.get("metadata"), depth + 1)
    code = value.get("code") or value.get("type")
    if not said and isinstance(code, str):
        said = code
    return f"{said}: {raw}" if raw and raw not in said else said


def _codes(value: Any, depth: int = 0) -> Iterator[str]:
    """Codes, types and statuses in an error, outermost first."""
    if isinstance(value, list) and depth < 6:
        for item in value[:3]:
            yield from _codes(item, depth + 1)
    elif isinstance(value, dict) and depth < 6:
        for name in _CODES:
            if isinstance(code := value.get(name), str | int) and not isinstance(code, bool):
                yield str(code)[:80].replace(" ", "_")
        for name in ("error", "errors", "innererror", "detail"):
            yield from _codes(value.get(name), depth + 1)
