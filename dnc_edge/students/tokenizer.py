"""Text to token ids and back, for students. Engines see the ids alone."""

from __future__ import annotations

import codecs
import ctypes
from typing import TYPE_CHECKING, Protocol

from dnc_edge.errors import StudentError
from dnc_edge.students.template import render

if TYPE_CHECKING:
    from dnc_edge.engines.llama_cpp import GgufModel


class Tokenizer(Protocol):
    """Text to ids and ids to bytes; control pieces only by name, never out of text."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, in which nothing is special; no token is added."""
        ...

    def control(self, piece: str) -> int:
        """Id of a control piece.

        Raises:
            StudentError: the vocabulary has none of that name.
        """
        ...

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token; empty for control pieces."""
        ...


class GgufTokenizer:
    """The vocabulary inside a GGUF file."""

    def __init__(self, model: GgufModel) -> None:
        from dnc_edge.engines.llama_bindings import llama

        self._llama = llama
        self._model = model  # keeps the vocabulary alive
        self._vocabulary = model.vocabulary
        self._pieces: dict[int, bytes] = {}

    def encode(self, text: str) -> list[int]:
        return self._encode(text.encode("utf-8", errors="surrogatepass"), special=False)

    def _encode(self, data: bytes, *, special: bool) -> list[int]:
        # Byte fallback may need a token for each byte, plus one.
        ids = (ctypes.c_int32 * (len(data) + 8))()
        count = self._llama.llama_tokenize(self._vocabulary, data, len(data), ids, len(ids), False, special)
        if count < 0:
            raise StudentError("the student's vocabulary cannot encode this text")
        return ids[:count]

    def control(self, piece: str) -> int:
        ids = self._encode(piece.encode(), special=True)
        if len(ids) != 1 or not self._llama.llama_vocab_is_control(self._vocabulary, ids[0]):
            raise StudentError(
                f"the student's vocabulary has no control piece {piece}",
                hint="the template in student.json belongs to another model",
            )
        return ids[0]

    def bytes_of(self, token: int) -> bytes:
        if token not in self._pieces:
            buffer = (ctypes.c_char * 512)()
            length = self._llama.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
            self._pieces[token] = buffer.raw[: max(0, length)]
        return self._pieces[token]


class Detokenizer:
    """Incremental: bytes of a character that is not whole yet wait for the next token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token: int) -> str:
        return self._decoder.decode(self._tokenizer.bytes_of(token))

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


def encode_prompt(tokenizer: Tokenizer, template: str, user: str) -> list[int]:
    """Token ids of a rendered template."""
    ids: list[int] = []
    for piece in render(template, user):
        ids += [tokenizer.control(piece.text)] if piece.control else tokenizer.encode(piece.text)
    return ids
