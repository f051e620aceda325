"""The LaTeX in which models put answers: boxes found, simple commands as plain text, the rest left as it is."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\f?boxed\s*(\{|[^\s{\\$])")
# No answer has more commands; a text of nothing else must not take long.
_MOST = 200
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|emph)\s*(?=\{)"
)
_FRAC = re.compile(r"\\[dtc]?frac\s*")
_DELIMITERS = re.compile(r"\\[()\[\]]")
_MATH = re.compile(r"(?<![\\$])\$\$?(?!\s)((?:[^$\\]|\\.){0,400}?)(?<![\s\\])\$\$?(?![\d$])", re.DOTALL)
_SYMBOLS = {
    r"\$": "$", r"\%": "%", r"\&": "&", r"\#": "#", r"\_": "_", "{,}": ",", r"\,": " ", r"\;": " ", r"\:": " ",
    r"\!": "", r"\ ": " ", r"\left": "", r"\right": "", r"\displaystyle": "", r"\times": "×", r"\cdot": "·",
    r"\div": "÷", r"\pm": "±", r"\leq": "≤", r"\geq": "≥", r"\neq": "≠", r"\approx": "≈", r"\degree": "°",
    r"\euro": "€", r"\pounds": "£", r"\quad": " ", r"\qquad": " ",
}  # fmt: skip
_SYMBOL = re.compile("|".join(rf"{re.escape(name)}(?![a-zA-Z])" for name in sorted(_SYMBOLS, key=len, reverse=True)))
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")


def boxes(text: str) -> list[int]:
    """Return the position of every `\\boxed{...}`, in order."""
    return [match.start() for match in _BOX.finditer(text)]


def boxed(text: str, place: int) -> str:
    """Return the content of the box at a position; an unclosed one ends with its line."""
    match = _BOX.match(text, place)
    if match is None:
        return ""
    return _group(text, match.start(1))[0] if match.group(1) == "{" else match.group(1)


def rendered(text: str) -> str:
    """Replace fractions, words, symbols and delimiters of LaTeX by plain text; unknown commands stay."""
    if "$" in text:
        text = _MATH.sub(r"\1", text)
    if "\\" not in text and "{,}" not in text:
        return text
    text = _fractions(_DELIMITERS.sub("", text))
    for match in reversed(list(_TEXT.finditer(text))[:_MOST]):
        content, end = _group(text, match.end())
        text = text[: match.start()] + content + text[end:]
    text = _DEGREES.sub("°", text)
    return _SYMBOL.sub(lambda match: _SYMBOLS[match.group(0)], text)


def _fractions(text: str) -> str:
    """Replace `\\frac{a}{b}` by a/b, innermost first, and `2\\frac{1}{2}` by 2 1/2."""
    for match in reversed(list(_FRAC.finditer(text))[:_MOST]):
        top, end = _argument(text, match.end())
        bottom, end = _argument(text, end)
        if top and bottom:
            before = text[: match.start()]
            space = " " if before[-1:].isdigit() else ""
            text = f"{before}{space}{_bracketed(top)}/{_bracketed(bottom)}{text[end:]}"
    return text


def _argument(text: str, at: int) -> tuple[str, int]:
    while text[at : at + 1] == " ":
        at += 1
    return _group(text, at) if text[at : at + 1] == "{" else (text[at : at + 1], at + 1)


def _group(text: str, at: int) -> tuple[str, int]:
    """Return the content of the braces that open at `at`, and the position after them."""
    depth = 0
    for place in range(at, len(text)):
        character = text[place]
        if character == "{" and text[place - 1 : place] != "\\":
            depth += 1
        elif character == "}" and text[place - 1 : place] != "\\":
            depth -= 1
            if depth == 0:
                return text[at + 1 : place], place + 1
        elif character == "\n" and text[place + 1 : place + 2] == "\n":
            break
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return text[at + 1 : end].rstrip("$. "), end


def _bracketed(part: str) -> str:
    return f"({part})" if re.search(r"(?<=\S)\s*[-+/]", part) else part
