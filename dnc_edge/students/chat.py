"""Any GGUF model as a local solver or decomposer: `local:FILE`.

The chat template inside a stranger's file is a program; it is never run. The common formats are written
down here, and a file's format is the one whose control pieces are in its template and its vocabulary. A file without
such a template, a base model, goes on from worked examples as plain text.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge.engines import GREEDY, Engine, Observer, Request, Sampling
from dnc_edge.errors import SolverCut, SolverEmpty, StudentError, UsageError
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Messages
from dnc_edge.remote.reply import Reply
from dnc_edge.remote.thinking import Visible, without_thinking
from dnc_edge.students.lines import Enough
from dnc_edge.students.student import Generation
from dnc_edge.types import Usage

_ids = itertools.count(1)


@dataclass(frozen=True)
class Format:
    """How a family of models writes a conversation; `controls` are the pieces that are no text."""

    name: str
    controls: tuple[str, ...]
    turn: str
    opening: str
    end: str
    begin: str = ""
    assistant: str = "assistant"
    system: bool = True

    def fits(self, template: str) -> bool:
        """Whether a chat template writes the pieces of this format; the first one may be named otherwise in it."""
        return all(piece in template for piece in self.controls if piece != self.begin)

    def prompt(self, instruction: str = "") -> str:
        """The template of one user message, up to where the reply begins, after an instruction if there is one."""
        turns, user = "", "{user}"
        if instruction and self.system:
            turns = self.turn.replace("{role}", "system").replace("{content}", instruction)
        elif instruction:
            user = f"{instruction}\n\n{user}"
        return self.begin + turns + self.turn.replace("{role}", "user").replace("{content}", user) + self.opening


CHATML = Format(
    "chatml", ("<|im_start|>", "<|im_end|>"), "<|im_start|>{role}\n{content}<|im_end|>\n",
    "<|im_start|>assistant\n", "<|im_end|>",
)  # fmt: skip
FORMATS = (
    CHATML,
    Format(
        "llama-3", ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", begin="<|begin_of_text|>",
    ),
    Format(
        "gemma", ("<bos>", "<start_of_turn>", "<end_of_turn>"), "<start_of_turn>{role}\n{content}<end_of_turn>\n",
        "<start_of_turn>model\n", "<end_of_turn>", begin="<bos>", assistant="model", system=False,
    ),
)  # fmt: skip


# How a conversation reads as plain text. No example's reply holds an empty line, so an empty line ends one.
_REQUEST, _REPLY = "Request:\n", "Reply:\n"
_EMPTY_LINE = re.compile(r"\S\s*\n\s*\n")


class LocalChat:
    """A GGUF file that takes messages and streams a reply, like an endpoint.

    Args:
        path: the file; its size and name identify it in records.
        shots: how many worked examples the messages will hold; a file that is no chat model needs some.
        max_tokens: most tokens of a reply.
        context: longest conversation in tokens; None takes 4,096 or what the model was trained for.

    Raises:
        StudentError: not a GGUF file, or no chat model of a known format and there are no examples.
    """

    def __init__(
        self,
        path: Path,
        *,
        shots: int = 0,
        max_tokens: int = 1024,
        sampling: Sampling = GREEDY,
        threads: int | None = None,
        context: int | None = None,
    ) -> None:
        from dnc_edge.engines.llama_cpp import GgufModel, LlamaCppEngine
        from dnc_edge.students.tokenizer import GgufTokenizer

        model = GgufModel(path)
        self.path = path
        self.name = f"local:{path.name}"
        self.max_tokens = max_tokens
        self.sampling = sampling
        self.tokenizer = GgufTokenizer(model)
        self.format, self._controls = self._recognise(model.chat_template or "")
        if self.format is None and not shots:
            raise StudentError(
                f"{path} is no chat model: it has "
                + ("no chat template" if model.chat_template is None else "none of the chat formats known here"),
                hint="with --shots 2 it goes on from worked examples; or serve it behind an OpenAI-compatible server "
                f"and use http://...#MODEL (formats known here: {', '.join(known.name for known in FORMATS)})",
            )
        self._begin = model.begin_tokens
        self._ends = model.end_tokens | ({self._controls[self.format.end]} if self.format else frozenset())
        self.engine: Engine = LlamaCppEngine(model, context=context, threads=threads)
        self.identity: Mapping[str, Any] = {
            "file": self.path.name,
            "bytes": self.path.stat().st_size,
            "format": self.format.name if self.format else "completion",
            "max_tokens": self.max_tokens,
            "sampling": vars(self.sampling),
        }

    def _recognise(self, template: str) -> tuple[Format | None, dict[str, int]]:
        """The format of the file, and the ids of its control pieces; None for a file that is no chat model."""
        for known in FORMATS:
            if known.fits(template):
                with contextlib.suppress(StudentError):
                    return known, {piece: self.tokenizer.control(piece) for piece in known.controls}
        return None, {}

    def prepare(self) -> None:
        """Nothing to do: the model is loaded."""

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        return prices.of_local(usage)

    def tokens(self, messages: Messages) -> list[int]:
        """Token ids of a conversation up to where the reply begins; messages are text, never control.

        Raises:
            UsageError: the file is no chat model, and no example is among the messages.
        """
        if self.format is None:
            return self._begin + self.tokenizer.encode(self._completion(messages))
        form = self.format
        ids = self._literal(form.begin)
        system = ""
        for message in messages:
            role, content = message["role"], message["content"]
            if role == "system" and not form.system:
                system = content + "\n\n"
                continue
            head, tail = form.turn.split("{content}")
            role = form.assistant if role == "assistant" else role
            ids += self._literal(head.replace("{role}", role)) + self.tokenizer.encode(system + content)
            ids += self._literal(tail)
            system = ""
        return ids + self._literal(form.opening)

    def _completion(self, messages: Messages) -> str:
        """A conversation as plain text that is to be gone on with."""
        if not any(message["role"] == "assistant" for message in messages):
            raise UsageError(
                f"{self.name} is no chat model, and this request has no examples to go on from",
                hint="take --strategy static or single: the turns of dynamic have none",
            )
        heads = {"user": _REQUEST, "assistant": _REPLY}
        parts = [heads.get(message["role"], "") + message["content"] for message in messages]
        return "\n\n".join(parts) + "\n\n" + _REPLY

    def _literal(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in re.split("(" + "|".join(map(re.escape, self._controls)) + ")", text):
            if part in self._controls:
                ids.append(self._controls[part])
            elif part:
                ids += self.tokenizer.encode(part)
        return ids

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        """Text as it is decoded; returns the whole reply.

        Raises:
            SolverError: the reply was cut off. PromptTooLong: the conversation does not fit.
        """
        observers: list[Observer] = (
            [] if self.format else [Enough(self.tokenizer, lambda text: bool(_EMPTY_LINE.search(text)))]
        )
        request = Request(
            f"c{next(_ids)}", self.tokens(messages), self.max_tokens, self._ends, self.sampling, observers=observers
        )
        generation = Generation(self.engine, self.tokenizer, request)
        visible = Visible()
        for piece in generation:
            if shown := visible.feed(piece):
                yield shown
        text, closed = without_thinking(generation.text)
        if generation.finish == "length" or not closed:
            raise SolverCut(f"{self.name} was cut off at {self.max_tokens} tokens")
        if not text.strip():
            raise SolverEmpty(f"{self.name} gave an empty reply")
        if shown := visible.rest():
            yield shown
        # The empty line that ends a completion is no part of it.
        text = text if self.format else text.rstrip()
        return Reply(text, "stop", generation.usage)

    def close(self) -> None:
        self.engine.close()
