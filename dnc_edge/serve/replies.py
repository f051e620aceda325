"""What clients get: errors with their status, and the parts of a chat completion, as OpenAI writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from dnc_edge import errors
from dnc_edge.errors import DncError
from dnc_edge.serve.models import UnknownModel
from dnc_edge.types import Event, Notice, Record, SubAnswer, SubQuestion

# The first class that fits decides; what the server's own key, model or budget is to blame for is no client's fault.
STATUS: tuple[tuple[type[DncError], int], ...] = (
    (UnknownModel, 404),
    (errors.PurseError, 500),
    (errors.InputError, 400),
    (errors.UsageError, 400),
    (errors.MissingError, 503),
    (errors.SolverQuota, 402),
    (errors.BudgetReached, 402),
    (errors.SolverRateLimited, 429),
    (errors.SolverFiltered, 400),
    (errors.SolverTimeout, 504),
    (errors.SolverError, 502),
    (errors.Cancelled, 504),
)
KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
KINDS |= {402: "insufficient_quota", 413: "invalid_request_error", 429: "rate_limit_error"}


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error_fields(status: int, message: str, code: str) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": KINDS.get(status, "server_error"), "param": None, "code": code}}


def refused(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(error_fields(status, message, code), status, headers=headers)


def failed(error: DncError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The status, the body and the headers of an error."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    message = f"{error.message}; {error.hint}" if error.hint else error.message
    headers = {}
    if isinstance(error, errors.SolverRateLimited):
        headers["Retry-After"] = str(math.ceil(error.retry_after or 1))
    code = "context_length_exceeded" if isinstance(error, errors.PromptTooLong) else error.code
    return status, error_fields(status, message, code), headers


def reasoning(event: Event) -> str:
    """What comes before the answer, as a line of `reasoning_content`."""
    match event:
        case SubQuestion():
            return f"{event.number}. {event.text}\n"
        case SubAnswer():
            return f"#{event.number}: {event.text}\n"
        case Notice():
            return f"({event.text})\n"
        case _:
            return ""


def usage(record: Record) -> dict[str, Any]:
    """Tokens of all stages; those of the plan count as reasoning, as it is delivered."""
    stages = record.usage.values()
    plan = record.usage.get("decompose")
    sent, made = sum(stage.input_tokens for stage in stages), sum(stage.output_tokens for stage in stages)
    thought = sum(stage.reasoning_tokens for stage in stages) + (plan.output_tokens if plan else 0)
    return {
        "prompt_tokens": sent,
        "completion_tokens": made,
        "total_tokens": sent + made,
        "prompt_tokens_details": {"cached_tokens": sum(stage.cached_tokens for stage in stages)},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def record_headers(record: Record) -> dict[str, str]:
    """Who made an answer and what it took, for clients that show no field of ours."""
    values = {
        "decomposer": record.decomposer,
        "solver": record.solver,
        "cost-usd": record.cost_usd,
        "seconds": round(record.seconds, 3),
    }
    headers = {f"x-dnc-{name}": str(value) for name, value in values.items() if value is not None}
    return {name: value.encode("ascii", "replace").decode() for name, value in headers.items()}
