"""Text to sub-questions, text to final answer: what models really write, mended and counted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from dnc_edge.prompts import NO_DECOMPOSITION

QUESTION_MARKS = "?？؟"

_MARK = r"(?:\d{1,2}|[a-h]|[ivx]{1,4})"
# "1.", "2)", "(3)", "Q4:", "#5:", "Sub-question 6:", "Step 7 -", "-", "*", "•", and Markdown's bold around them.
_BULLET = re.compile(
    rf"""^\s*(?:[*_`>]{{1,3}}\s*)?
    (?:
        \(?(?:sub-?\s?questions?|questions?|step|q|\#)\s*\.?\s*\d{{1,2}}\s*[.:)\]–-]*\s*
      | \(\s*{_MARK}\s*\)\s*
      | {_MARK}\s*[.):\]、．）]\s*(?!\d)
      | [-*•–—‣▪]\s+
    )
    (?:[*_`]{{1,3}}\s*)?""",
    re.IGNORECASE | re.VERBOSE,
)
# Several sub-questions on one line: a question mark, then the next number.
_INLINE = re.compile(
    rf"(?<=[{QUESTION_MARKS}])\s+(?=(?:\(?(?:sub-?question|step|q|\#)?\s*\d{{1,2}}\s*[.):]))", re.IGNORECASE
)
_QUOTES = "\"'“”‘’«»„「」『』`*_ "


def fold(text: str) -> str:
    """Case and spacing folded: two sub-questions that fold alike are exact repeats."""
    return " ".join(text.lower().split())


def without_repeats(subquestions: Iterable[str]) -> list[str]:
    """The delivered plan: exact repeats removed, first ones kept, in order."""
    kept: dict[str, str] = {}
    for subquestion in subquestions:
        kept.setdefault(fold(subquestion), subquestion)
    return list(kept.values())


@dataclass(frozen=True)
class ParsedPlan:
    """Sub-questions found, and how many lines were left out or mended on the way."""

    subquestions: tuple[str, ...]
    repaired: int


def plan(text: str, *, cap: int | None = None) -> ParsedPlan:
    """Sub-questions of a decomposer's reply.

    Lines that ask something are sub-questions, whatever numbering, bullets or quotes they wear; where no
    line asks, numbered ones are (imperatives, QDMR). Prose around them, a last line cut short, exact
    repeats and everything past `cap` are left out. "No decomposition" is an empty plan.
    """
    lines = [part for line in text.splitlines() for part in _INLINE.split(line) if part.strip()]
    stripped = [(bool(_BULLET.match(line)), _strip(line)) for line in lines]
    if not any(_asks(line) for _, line in stripped) and any(
        fold(line).startswith(fold(NO_DECOMPOSITION)) for _, line in stripped
    ):
        return ParsedPlan((), 0)
    asking = [line for _, line in stripped if _asks(line)]
    found = asking or [line for marked, line in stripped if marked and line]
    delivered = without_repeats(found)[:cap]
    return ParsedPlan(tuple(delivered), len(lines) - len(delivered))


def without_marker(line: str) -> str:
    """A line without its number or bullet."""
    return _BULLET.sub("", line, count=1)


def _strip(line: str) -> str:
    line = without_marker(line).strip()
    line = line.strip(_QUOTES) if line[:1] in _QUOTES or line[-1:] in _QUOTES else line
    return " ".join(line.split())


def _asks(line: str) -> bool:
    return line.rstrip(_QUOTES + ")].").endswith(tuple(QUESTION_MARKS))


_NUMBERED_LINE = re.compile(r"^\s*[*_]{0,2}(A|Q|Answer|Sub-?answer|#)?\s*(\d{1,2})\s*[.):]\s*(?!\d)", re.IGNORECASE)
_FINAL = re.compile(
    r"(?:the\s+(?:final\s+)?answer\s+is|final\s+answer(?:\s+is)?|####|^\s*[*_]{0,2}answer(?=[*_]{0,2}\s*[:：]))"
    r"[*_]{0,2}\s*[:：]?[*_]{0,2}\s*",
    re.IGNORECASE | re.MULTILINE,
)


def subanswers(text: str) -> tuple[str, ...]:
    """The numbered answers of a reply, in order of their numbers, each on one line."""
    found: dict[int, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        if _FINAL.search(line):
            break
        if match := _NUMBERED_LINE.match(line):
            label, number = (match.group(1) or "").lower(), int(match.group(2))
            # A number out of turn is text: "2. ..." can only follow 1. "A1" after "Q1" answers the question restated.
            if number == len(found) + 1 or (number == len(found) and label.startswith("a")):
                current = found[number] = []
                line = line[match.end() :]
        if current is not None and line.strip():
            current.append(line.strip())
    return tuple(" ".join(" ".join(lines).split()) for lines in found.values())


# Where a base model, done with the answer, goes on to invent the next problem.
_NEXT_PROBLEM = re.compile(r"\n\s*(?:Q|Question|Problem|Premise|Exercise)\s*\d*\s*[:.]", re.IGNORECASE)


def own_part(text: str) -> str:
    """A reply without the problems that a model invents after its final answer."""
    marker = _FINAL.search(text)
    following = _NEXT_PROBLEM.search(text, marker.end()) if marker else None
    return text[: following.start()] if following else text


def final_answer(text: str) -> str | None:
    """The final answer of a solver's reply: what follows the last marker on its line; else the last
    number; else the last line; None for an empty text. Problems invented after it do not count."""
    text = own_part(text)
    for match in reversed(list(_FINAL.finditer(text))):
        line = text[match.end() :].split("\n", 1)[0]
        if answer := _tidy(line):
            return answer
    if numbers := list(NUMBER.finditer(_plain(text))):
        return numbers[-1].group(0).strip().rstrip(".,")
    lines = [line for line in text.splitlines() if line.strip()]
    return _tidy(lines[-1]) if lines else None


def _tidy(text: str) -> str:
    text = text.strip().strip("*_`").strip()
    text = re.sub(r"^\$?\\boxed\{(.*)\}\$?\.?$", r"\1", text)
    return text.removesuffix(".").strip()


_MINUS = dict.fromkeys(map(ord, "−–﹣－"), "-")
NUMBER = re.compile(
    r"(?<![\w.])-?(?:[$€£¥₹]\s?)?-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?(?<=\d)(?:\s?/\s?\d+(?![\d.]))?"
)


def _plain(text: str) -> str:
    """Digits of any script and width as 0-9, every minus as "-"."""
    text = text.translate(_MINUS)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)


def number(text: str) -> float | None:
    """The one number a text stands for, its currency, commas and unit dropped; the last if there are
    several; None if there is none. "1/2" is 0.5, "50 %" is 50, "2:00" is 2."""
    # A full hour is its number.
    matches = [match.group(0) for match in NUMBER.finditer(re.sub(r"(?<=\d):00\b", "", _plain(text)))]
    if not matches:
        return None
    digits = re.sub(r"[$€£¥₹,\s]", "", matches[-1])
    top, _, bottom = digits.partition("/")
    try:
        return float(top) / float(bottom) if bottom else float(top)
    except (ValueError, ZeroDivisionError):
        return None
