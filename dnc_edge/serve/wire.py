"""What clients send, checked: OpenAI's fields that mean something here, and ours, which begin with `x-dnc-`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from dnc_edge.errors import InputError
from dnc_edge.types import Question

DEFAULT_MODEL = "dnc-edge"
PREFIX = "x-dnc-"
# Settings that a request may change, as fields of the body or as headers.
PER_REQUEST = ("strategy", "plan", "mode", "route", "max_subquestions")


class Part(BaseModel):
    """A piece of a message's content."""

    type: str
    text: str | None = None


class Message(BaseModel):
    role: str
    content: str | list[Part] | None = None

    def text(self, place: str) -> str:
        """Its text. Raises InputError if it holds anything else."""
        if not isinstance(self.content, list):
            return self.content or ""
        for part in self.content:
            if part.type not in ("text", "input_text", "output_text") or part.text is None:
                raise InputError(f"{place}: content of the type {part.type!r} cannot be read; only text can")
        return "".join(part.text or "" for part in self.content)


class Body(BaseModel):
    """What all requests have in common."""

    model_config = ConfigDict(extra="allow")

    model: str = DEFAULT_MODEL
    stream: bool | None = False
    strategy: str | None = Field(None, alias="x-dnc-strategy")
    plan: str | None = Field(None, alias="x-dnc-plan")
    mode: str | None = Field(None, alias="x-dnc-mode")
    route: str | None = Field(None, alias="x-dnc-route")
    max_subquestions: int | None = Field(None, alias="x-dnc-max-subquestions")
    context: str | None = Field(None, alias="x-dnc-context")
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _no_unknown_field_of_ours(self) -> Body:
        for name in self.model_extra or {}:
            if name.startswith(PREFIX):
                raise ValueError(f"there is no field {name}")
        return self

    def settings(self) -> dict[str, Any]:
        """Settings that differ from the server's."""
        names = (*PER_REQUEST, "temperature", "top_p", "seed")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class DecomposeBody(Body):
    """`/v1/decompose`: ours, for what OpenAI has nothing for."""

    question: str


class _Answered(Body):
    """Asks for an answer."""

    subquestions: list[str] | None = Field(None, alias="x-dnc-subquestions")
    tools: list[Any] | None = None

    @model_validator(mode="after")
    def _nothing_that_is_not_here(self) -> _Answered:
        if self.tools:
            raise ValueError("tools: there are none here")
        return self


class StreamOptions(BaseModel):
    include_usage: bool | None = False


class ResponseFormat(BaseModel):
    type: str = "text"


class ChatBody(_Answered):
    """`/v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    functions: list[Any] | None = None
    logprobs: Literal[False] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _no_form_that_is_not_here(self) -> ChatBody:
        if self.functions:
            raise ValueError("functions: there are none here")
        if self.stop:
            raise ValueError("stop: replies end where the solver ends them")
        if self.response_format and self.response_format.type != "text":
            raise ValueError("response_format: only text is made here")
        return self

    def settings(self) -> dict[str, Any]:
        most = self.max_completion_tokens or self.max_tokens
        return super().settings() | ({} if most is None else {"max_tokens": most})

    def question(self) -> Question:
        return conversation(self.messages, self.context)


class ResponsesBody(_Answered):
    """`/v1/responses`."""

    input: str | Annotated[list[Message], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: int | None = None
    previous_response_id: None = None
    background: Literal[False] | None = None

    def settings(self) -> dict[str, Any]:
        return super().settings() | ({} if self.max_output_tokens is None else {"max_tokens": self.max_output_tokens})

    def question(self) -> Question:
        messages = [Message(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        if self.instructions:
            messages = [Message(role="system", content=self.instructions), *messages]
        return conversation(messages, self.context)


Asked = TypeVar("Asked", bound=Body)


def read(kind: type[Asked], data: bytes, headers: Mapping[str, str]) -> Asked:
    """The body of a request; settings may stand in headers too, for clients that add no fields.

    Raises:
        InputError: it is no JSON, or a field is wrong; the message names the first one.
    """
    try:
        values = from_json(data)
    except ValueError as error:
        raise InputError(f"the body is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError("the body is not a JSON object")
    for name in PER_REQUEST:
        field = PREFIX + name.replace("_", "-")
        if field in headers:
            values.setdefault(field, headers[field])
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{place}: {said}" if place else said) from error


def conversation(messages: Sequence[Message], context: str | None = None) -> Question:
    """The last message as the question; what was said before it, and the passage, are its context.

    Raises:
        InputError: the last message is not the user's, or a message cannot be read.
    """
    for place, message in enumerate(messages):
        if message.role not in ("system", "developer", "user", "assistant"):
            raise InputError(f"messages.{place}: the role {message.role!r} is not known here")
    *earlier, last = messages
    if last.role != "user":
        raise InputError(f"messages.{len(earlier)}: the last message must be the user's, not the {last.role}'s")
    texts = ((message, message.text(f"messages.{place}")) for place, message in enumerate(earlier))
    said = [*([context] if context else []), *_turns(texts)]
    return Question(last.text(f"messages.{len(earlier)}"), "\n\n".join(said) or None)


def _turns(texts: Iterable[tuple[Message, str]]) -> list[str]:
    names = {"user": "User: ", "assistant": "Assistant: "}
    return [names.get(message.role, "") + text.strip() for message, text in texts if text.strip()]
