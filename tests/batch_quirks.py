"""A provider's batch service that answers in one odd way; the quirk is chosen when it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.quirks import ANSWER, THINKING
from tests.servers import BatchService

TEXT = "1. x\nThe answer is: 12"
FAILURE = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]}
EXPIRED = {"code": "batch_expired", "message": "This request could not be executed in time."}


def _same(line: dict[str, Any]) -> Any:
    return line


def _message(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    def change(line: dict[str, Any]) -> Any:
        line["response"]["body"]["choices"][0]["message"].update(fields)
        return line

    return change


def _choice(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    def change(line: dict[str, Any]) -> Any:
        line["response"]["body"]["choices"][0].update(fields)
        return line

    return change


def _body(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    def change(line: dict[str, Any]) -> Any:
        line["response"]["body"].update(fields)
        return line

    return change


def _response(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    def change(line: dict[str, Any]) -> Any:
        line["response"].update(fields)
        return line

    return change


def _failed(line: dict[str, Any]) -> Any:
    return {**line, "response": None, "error": EXPIRED}


def _text_body(line: dict[str, Any]) -> Any:
    line["response"]["body"] = json.dumps(line["response"]["body"])
    return line


@dataclass(frozen=True)
class BatchQuirk:
    """What is sent, in words; what is promised: `answer` or the code of an error; how a line of results is changed.

    Attributes:
        batch: fields of the batch as the provider shows it. ending: between lines. output: which file holds results.
        quotes: what the error's message holds.
    """

    sent: str
    promise: str = ANSWER
    change: Callable[[dict[str, Any]], Any] = _same
    batch: dict[str, Any] = field(default_factory=dict)
    ending: str = "\n"
    output: str | None = "output_file_id"
    quotes: str = ""
    text: str = TEXT
    estimated: bool = False


BATCH_QUIRKS: dict[str, BatchQuirk] = {
    "plain": BatchQuirk("a reply"),
    "crlf": BatchQuirk("lines that end in CR LF", ending="\r\n"),
    "u2028": BatchQuirk(
        "a line separator (U+2028) within text", change=_message(content=TEXT.replace("x", "x\u2028y")),
        text=TEXT.replace("x", "x\u2028y"),
    ),
    "surrogate": BatchQuirk(
        "half of a surrogate pair", change=_message(content=TEXT.replace("x", "\ud83d")), text=TEXT.replace("x", "�")
    ),
    "thinking": BatchQuirk("`<think>` before the answer", change=_message(content=THINKING + TEXT)),
    "parts": BatchQuirk("a list of parts", change=_message(content=[{"type": "text", "text": TEXT}])),
    "finish-error": BatchQuirk("finish `error`", "solver_server", _choice(finish_reason="error")),
    "finish-max": BatchQuirk("finish `max_tokens`", "solver_cut", _choice(finish_reason="max_tokens")),
    "finish-null": BatchQuirk("no reason to stop", "solver_bad_reply", _choice(finish_reason=None)),
    "usage-text": BatchQuirk(
        "counts that are no numbers", change=_body(usage={"prompt_tokens": "10.5", "completion_tokens": "x"}),
        estimated=True,
    ),
    "usage-list": BatchQuirk("a list of counts", change=_body(usage=[1]), estimated=True),
    "error-alone": BatchQuirk("an error in place of a response", "solver_server", _failed, quotes="in time"),
    "error-file": BatchQuirk(
        "results in the file of errors alone", "solver_server", _failed, output="error_file_id", quotes="in time"
    ),
    "error-text": BatchQuirk(
        "status 400 with an error that is text", "solver_rejected", _response(status_code=400, body={"error": "bad"}),
        quotes="bad",
    ),
    "body-text": BatchQuirk("a body that is JSON in a string", change=_text_body),
    "body-list": BatchQuirk("a body that is a list of numbers", "solver_bad_reply", _response(body=[1])),
    "body-null": BatchQuirk("no body", "solver_bad_reply", _response(body=None)),
    "choices-null": BatchQuirk("no choices", "solver_bad_reply", _body(choices=None)),
    "status-text": BatchQuirk("a status that is text", change=_response(status_code="200")),
    "status-0": BatchQuirk("status 0 with a reply", change=_response(status_code=0)),
    "line-list": BatchQuirk("a line that is a list", "solver_missing", lambda line: [line]),
    "line-number": BatchQuirk("a line that is a number", "solver_missing", lambda line: 7),
    "no-counts": BatchQuirk("a batch without counts", batch={"request_counts": None}),
    "expired": BatchQuirk("a batch that expired, with what was done", batch={"status": "expired"}),
    "failed": BatchQuirk(
        "a batch that failed", "solver_missing", batch={"status": "failed", "errors": FAILURE}, output=None,
        quotes="Enqueued token limit reached",
    ),
}  # fmt: skip


class OddBatchService(BatchService):
    """Finishes every batch at once, with results as the quirk has them."""

    def __init__(self, quirk: BatchQuirk) -> None:
        super().__init__()
        self.quirk = quirk

    def finish(self, batch: dict[str, Any]) -> None:
        lines = []
        for line in self.files[batch["input_file_id"]].splitlines():
            choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
            body = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}
            result = {"custom_id": json.loads(line)["custom_id"], "response": {"status_code": 200, "body": body}}
            changed = self.quirk.change(result)
            # Only what UTF-8 cannot hold is escaped: the other characters arrive as they are.
            text = json.dumps(changed, ensure_ascii="\\ud83d" in json.dumps(changed))
            lines.append(text)
        batch.update(status="completed", request_counts={"total": 1, "completed": 1, "failed": 0})
        batch.update(self.quirk.batch)
        if self.quirk.output:
            batch[self.quirk.output] = "results"
            self.files["results"] = self.quirk.ending.join(lines).encode()
