"""Text to token ids and back, for students. Engines see the ids alone."""

from __future__ import annotations

import codecs
import ctypes
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dnc_edge.errors import ExtraMissing, StudentError
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
            raise _no_control(piece)
        return ids[0]

    def bytes_of(self, token: int) -> bytes:
        if token not in self._pieces:
            buffer = (ctypes.c_char * 512)()
            length = self._llama.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
            self._pieces[token] = buffer.raw[: max(0, length)]
        return self._pieces[token]


class JsonTokenizer:
    """The vocabulary of a tokenizer.json, read by `tokenizers`: for engines whose model files hold none.

    Raises:
        StudentError: the file cannot be read.
        ExtraMissing: `tokenizers` is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ExtraMissing("tokenizers", "cpu") from error
        try:
            text = path.read_text(encoding="utf-8")
            self._tokenizer: Any = Tokenizer.from_str(text)
        except Exception as error:  # tokenizers raises bare exceptions
            raise StudentError(f"cannot read the tokenizer {path} ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        description = json.loads(text)
        self._control = {token["id"] for token in description.get("added_tokens", ()) if token["special"]}
        self._byte_level = '"ByteLevel"' in json.dumps(description.get("decoder"))
        self.vocabulary_size = int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def control(self, piece: str) -> int:
        id = self._tokenizer.token_to_id(piece)
        if id is None or id not in self._control:
            raise _no_control(piece)
        return int(id)

    def bytes_of(self, token: int) -> bytes:
        piece = None if token in self._control else self._tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if self._byte_level:
            return b"".join(_byte_level_bytes(piece))
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return str(piece).replace("\u2581", " ").encode()


def _byte_level_bytes(piece: str) -> Iterator[bytes]:
    """GPT-2's alphabet: printable bytes are their own character, the other 68 follow from U+0100 in order."""
    for character in piece:
        code = ord(character)
        if code < 0x100:
            yield bytes([code])
        elif code < 0x100 + len(_HIDDEN):
            yield bytes([_HIDDEN[code - 0x100]])
        else:
            yield character.encode()


_HIDDEN = [byte for byte in range(256) if not (0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF)]


def _no_control(piece: str) -> StudentError:
    return StudentError(
        f"the student's vocabulary has no control piece {piece}",
        hint="the template in student.json belongs to another model",
    )


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
