"""A student's prompt template: plain substitution, never executed.

`<|decompose|> {user}<|plan|>` holds control pieces, by name, and the place of the user message. Control
pieces are taken from the template alone: the same characters inside a question stay text. They are written
as models write them: `<|plan|>`, `<start_of_turn>`, `</s>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTROL = re.compile(r"(<\|\w+\|>|</?\w+>)")


@dataclass(frozen=True)
class Piece:
    """A stretch of a rendered prompt: one control piece, or text in which nothing is special."""

    text: str
    control: bool


def render(template: str, user: str) -> list[Piece]:
    """The pieces of `template` with `user` in the place of {user}; neighbouring text is one piece."""
    pieces: list[Piece] = []
    for part in _CONTROL.split(template):
        if _CONTROL.fullmatch(part):
            pieces.append(Piece(part, control=True))
        elif part:
            pieces.append(Piece(part.replace("{user}", user), control=False))
    return pieces
