"""What a plan must not say, observed while it is decoded: repeated lines, references to what has no answer yet.

These observers read the text that tokens stand for, so they work with any vocabulary: `#2` may be a piece of its own
or several, and a line may end with a token that holds more than the newline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dnc_edge import parse
from dnc_edge.engines.observer import Observer
from dnc_edge.students.tokenizer import Tokenizer

_REFERENCE = re.compile(rb"#(\d+)")
_OPEN_REFERENCE = re.compile(rb"#\d*$")
# Tokens of a line from which on it is guessed to go on as an earlier one: fewer are how many lines begin.
LEAST_ALIKE = 3


class TextObserver(Observer):
    """Knows the text so far.

    Args:
        tokenizer: what the tokens mean.
        given: text that the prompt ends with and that counts as written.

    Attributes:
        pieces: the bytes of `given`, then of each token.
    """

    def __init__(self, tokenizer: Tokenizer, given: str = "") -> None:
        self.bytes_of = tokenizer.bytes_of
        self.pieces = [given.encode()]

    @property
    def text(self) -> str:
        return _text(b"".join(self.pieces))

    def add(self, token: int) -> Sequence[int]:
        self.pieces.append(self.bytes_of(token))
        return ()

    def drop(self, count: int) -> None:
        del self.pieces[-count:]


class Enough(TextObserver):
    """Ends the sequence with the first line after which `enough` is true of its text."""

    def __init__(self, tokenizer: Tokenizer, enough: Callable[[str], bool]) -> None:
        super().__init__(tokenizer)
        self._enough = enough

    @property
    def done(self) -> bool:
        return b"\n" in self.pieces[-1] and self._enough(self.text)


class References(TextObserver):
    """Refuses `#k` unless k is the number of an earlier sub-question: there is no other answer to refer to."""

    def allows(self, token: int) -> bool:
        piece = self.bytes_of(token)
        # Nearly all tokens neither hold a reference nor go on with one.
        if b"#" not in piece and not (piece[:1].isdigit() and self._begun()):
            return True
        before = b"".join(self.pieces)
        for match in _REFERENCE.finditer(before + piece, max(0, before.rfind(b"#"))):
            if match.end() > len(before) and not 0 < int(match[1]) < _number(before + piece, match.start()):
                return False
        return True

    def holds(self, token: int) -> bool:
        # If no digit may follow, the sign should not have come.
        return self.bytes_of(token).endswith(b"#")

    def _begun(self) -> bool:
        """Whether the text ends with a reference, or its sign, that a digit would go on with."""
        return bool(_OPEN_REFERENCE.search(b"".join(self.pieces[-4:])))


class _State(NamedTuple):
    """Where `Repeats` is after a token."""

    earlier: tuple[str, ...] = ()  # the lines so far, folded
    spans: tuple[tuple[int, int], ...] = ()  # of their tokens
    line: bytes = b""
    start: int = 0  # of the line's tokens
    alike: bool = False  # whether the line begins like an earlier one
    blank: bool = False  # whether the line before it is empty


class Repeats(Observer):
    """Refuses a line that is an earlier one again, as `parse.fold` sees it.

    A line that only begins an earlier one, or that goes on after an earlier one's question mark, is a repeat too, and
    so is a second empty line in a row. While a line begins like an earlier one its tokens are held, and it is guessed
    to go on so: if it does, it is refused after one decode.

    Args:
        tokenizer: what the tokens mean.
        ends: token ids that end the sequence, and with it the last line.
    """

    def __init__(self, tokenizer: Tokenizer, ends: frozenset[int]) -> None:
        self._bytes_of = tokenizer.bytes_of
        self._ends = ends
        self._tokens: list[int] = []
        self._states = [_State()]

    def allows(self, token: int) -> bool:
        state = self._states[-1]
        piece = self._bytes_of(token)
        if not state.alike and b"\n" not in piece:
            return True
        earlier, blank = state.earlier, state.blank
        *finished, rest = map(_folded, (state.line + piece).split(b"\n"))
        for line in finished:
            if (blank and not line) or any(_repeats(line, other) for other in earlier):
                return False
            earlier, blank = (*earlier, line), not line
        # The end ends a line, too.
        refused = _repeats if token in self._ends else _extends
        return not any(refused(rest, other) for other in earlier)

    def holds(self, token: int) -> bool:
        piece = self._bytes_of(token)
        state = self._states[-1]
        # An empty line is not begun yet: the newline stays.
        return (state.alike or b"\n" in piece) and (after := self._after(state, token)).alike and bool(after.line)

    def add(self, token: int) -> Sequence[int]:
        self._states.append(self._after(self._states[-1], token))
        self._tokens.append(token)
        return ()

    def drop(self, count: int) -> None:
        del self._states[-count:], self._tokens[-count:]

    def guesses(self) -> Sequence[int]:
        """The rest of the latest line that the current one begins like, up to its end."""
        state = self._states[-1]
        length = len(self._tokens) - state.start
        if state.alike and length >= LEAST_ALIKE:
            line = self._tokens[state.start :]
            for start, end in reversed(state.spans):
                if self._tokens[start : start + length] == line:
                    return self._tokens[start + length : end]
        return ()

    def _after(self, state: _State, token: int) -> _State:
        """The state after one more token."""
        piece = self._bytes_of(token)
        if b"\n" not in piece:
            if not state.alike:
                return state._replace(line=state.line + piece)
            line = state.line + piece
            folded = _folded(line)
            return state._replace(line=line, alike=any(other.startswith(folded) for other in state.earlier))
        *finished, rest = (state.line + piece).split(b"\n")
        earlier = (*state.earlier, *filter(None, map(_folded, finished)))
        place, folded = len(self._tokens), _folded(rest)
        alike = any(other.startswith(folded) for other in earlier)
        return _State(earlier, (*state.spans, (state.start, place)), rest, place + 1, alike, not _folded(finished[-1]))


def whole(text: str, cap: int) -> tuple[str, ...]:
    """The sub-questions of a plan that is being written whose lines are whole, at most `cap`."""
    return parse.plan(text.rpartition("\n")[0], cap=cap).subquestions


def _number(text: bytes, position: int) -> int:
    """The number of the line at a position, should it become a sub-question: only lines that ask count, each once."""
    *before, _ = _text(text[:position]).split("\n")
    return 1 + len({folded for line in before if (folded := parse.fold(line)).endswith(parse.QUESTION_MARKS)})


def _repeats(line: str, earlier: str) -> bool:
    return bool(line) and (earlier.startswith(line) or _extends(line, earlier))


def _extends(line: str, earlier: str) -> bool:
    return line != earlier and earlier.endswith(parse.QUESTION_MARKS) and line.startswith(earlier)


def _folded(line: bytes) -> str:
    return parse.fold(_text(line))


def _text(data: bytes) -> str:
    """Characters that are whole."""
    return data.decode("utf-8", errors="ignore")
