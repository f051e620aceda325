"""Plans that come as JSON or as a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

QUESTION_MARKS = ("?", "？", "؟")
_FENCED = r"(?ms)^\s*(?:```|~~~)[^\n]*\n(.*?)(?:^\s*(?:```|~~~)|\Z)"
_TRAILING_COMMA = r",(\s*[\]}])"
_SINGLE_QUOTED = r"""(?<=[\[,{:\s])'((?:[^'\\\n]|\\.|'(?!\s*[,\]}:]))*)'(?=\s*[,\]}:])"""
# Keys of the list of sub-questions, and of the question in each object, letters only.
_LISTS = "subquestions subquestion questions plan steps decomposition subproblems subtasks list".split()
_ITEMS = "subquestion question text q content step task description query value".split()
_QUOTED_QUESTION = r'"((?:[^"\\\n]|\\.){1,2000}[?？؟])(?:"|\s*\Z)'
_RULER = r"^\s*\|?(?:\s*:?-{2,}:?\s*\|)*\s*:?-{2,}:?\s*\|?\s*$"
_CELLS = r"(?<!\\)\|"
# Deeper nesting is not a plan.
_DEEPEST = 6


def from_json(text: str) -> tuple[list[str], str] | None:
    """Read sub-questions from a reply that holds them as JSON.

    Accepts a list of strings or of objects, alone or under a key, in a fence or between prose, or one object a line;
    trailing commas and single quotes are tolerated.

    Returns:
        the sub-questions and the text around the JSON; None if there is no such JSON.
    """
    if "[" not in text and "{" not in text:
        return None
    for block, around in _blocks(text):
        value = _loaded(block)
        items = None if value is None else _questions(value)
        if items is not None:
            return items, around
    rows = [_loaded(line.strip().rstrip(",")) for line in text.splitlines() if line.lstrip().startswith("{")]
    if found := [question for row in rows if (question := _question(row))]:
        return found, ""
    # Truncated or too broken to repair: take the quoted questions.
    if re.match(r"\s*(?:```\w*\s*)?[\[{]\s*[\"'\[{]", text) and (found := re.findall(_QUOTED_QUESTION, text)):
        return found, ""
    return None


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (a part that may be JSON, the rest of the text), the likeliest first."""
    for match in re.finditer(_FENCED, text):
        yield match.group(1), text[: match.start()] + text[match.end() :]
    for opening, closing in ("{}", "[]") if text.find("{") < text.find("[") or "[" not in text else ("[]", "{}"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1], text[:start] + text[end + 1 :]


def _loaded(text: str) -> Any:
    text = text.strip()
    if text[:1] not in ("[", "{"):
        return None
    for mended in (text, re.sub(_TRAILING_COMMA, r"\1", text), re.sub(_TRAILING_COMMA, r"\1", _double_quoted(text))):
        try:
            return json.loads(mended)
        except (ValueError, RecursionError):
            continue
    return None


def _double_quoted(text: str) -> str:
    return re.sub(
        _SINGLE_QUOTED, lambda match: json.dumps(match.group(1).replace("\\'", "'"), ensure_ascii=False), text
    )


def _questions(value: Any, depth: int = 0) -> list[str] | None:
    """Return the sub-questions in a JSON value; None if it holds none."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        items = [item for part in value for item in _items(part, depth)]
        return items if items or not value else None
    if not isinstance(value, dict):
        return None
    named = {_letters(str(key)): part for key, part in value.items()}
    for name in _LISTS:
        if isinstance(named.get(name), (list, dict)) and (found := _questions(named[name], depth + 1)) is not None:
            return found
    # {"1": "How many?", "2": "Why?"}, {"q1": ...}, {"sub-question 1": {"question": ...}}
    numbered = [part for key, part in value.items() if re.fullmatch(r"\D{0,20}\d{1,2}", str(key))]
    if numbered and (found := _questions(numbered, depth + 1)):
        return found
    lists = [part for part in value.values() if isinstance(part, list) and part]
    return _questions(lists[0], depth + 1) if len(lists) == 1 else None


def _items(part: Any, depth: int) -> list[str]:
    if isinstance(part, list):
        return _questions(part, depth + 1) or []
    text = part if isinstance(part, str) else _question(part)
    return [text] if text and text.strip() else []


def _question(item: Any) -> str | None:
    """Return the question in one object of a list."""
    if not isinstance(item, dict):
        return None
    named = {_letters(str(key)): part for key, part in item.items()}
    for name in _ITEMS:
        if isinstance(part := named.get(name), str) and part.strip():
            return part
    texts = [part for part in item.values() if isinstance(part, str) and part.strip().endswith(QUESTION_MARKS)]
    return texts[0] if len(texts) == 1 else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_\d]", "", name.lower())


def table_cells(lines: Sequence[str]) -> dict[int, str | None]:
    """Return the sub-question in each line of a Markdown table by the line's index; None for its head and ruler."""
    cells: dict[int, str | None] = {}
    rows: dict[int, list[str]] = {}
    head: list[str] = []
    for index, line in enumerate([*lines, ""]):
        if "|" in line and (line.lstrip().startswith("|") or index - 1 in cells or _ruled(lines, index)):
            cells[index] = None
            if not re.match(_RULER, line):
                rows[index] = [cell.strip() for cell in re.split(_CELLS, line.strip().strip("|"))]
            elif rows and not any(cell.endswith(QUESTION_MARKS) for cell in rows[max(rows)]):
                head = rows.popitem()[1]
        elif rows:
            column = _column(head, list(rows.values()))
            cells |= {place: row[column] for place, row in rows.items() if column < len(row)}
            rows, head = {}, []
    return cells


def _ruled(lines: Sequence[str], index: int) -> bool:
    return index + 1 < len(lines) and "|" in lines[index + 1] and bool(re.match(_RULER, lines[index + 1]))


def _column(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return the column of the questions: by its name, else the one with most questions, else the longest."""
    for pattern in (r"sub-?\s?question", r"question", r"step|task|what"):
        for column, name in enumerate(head):
            if re.search(pattern, name, re.IGNORECASE) and not re.fullmatch(
                r"\W*(?:question|step)?\W*(?:#|no\.?|number)\W*", name, re.I
            ):
                return column
    width = max(len(row) for row in rows)
    columns = [[row[column] for row in rows if column < len(row)] for column in range(width)]
    return max(
        range(width),
        key=lambda column: (
            sum(cell.endswith(QUESTION_MARKS) for cell in columns[column]),
            sum(map(len, columns[column])),
        ),
    )
