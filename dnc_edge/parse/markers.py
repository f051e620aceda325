"""Numbers, letters and bullets at the beginning of the lines of a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

_SUBQUESTION = (
    r"sub-?\s?questions?|sub-?q|子问题|子問題|サブ質問|(?:teil|unter)frage|sous-question|sub-?pregunta|sub-?pergunta"
    r"|sotto-?domanda|подвопрос|deelvraag|delfråga"
)
_LABEL = (
    rf"(?:{_SUBQUESTION}|questions?|steps?|part|task|q|\#|问题|問題|步骤|質問|ステップ|frage|schritt|étape|pregunta|paso"
    r"|pergunta|passo|domanda|вопрос|шаг|vraag|stap|fråga|steg|السؤال|سؤال|س)"
)
_MANY = r"(?:i{2,3}|iv|vi{1,3}|ix|xi{1,3})"
_FRAME = r"^\s*(?:\#{1,6}\s+)?(?:>\s*)?(?:[*_`]{1,3}\s*)?"
_AFTER = r"(?:\s*[*_`]{1,3}(?=\s|\Z))?\s*"
_SEPARATOR = r"(?:\s*[*_`]{0,3}\s*[.:)\]）：]+|\s*[-–—]+(?=\s)|\s*[*_`]{0,3}\s*\Z)"
# A line that begins otherwise has no marker; this avoids compiling the patterns below, which takes milliseconds.
_MAY_BE_MARKED = re.compile(
    r"\s*(?:[^\sa-zA-Z\"'“]|[a-hivxA-HIVX]{1,4}\s?[.:)\]、）]|[a-zA-Z]{1,12}(?:[-\s]?[a-zA-Z]{1,9})?\s?[.#]?\s?\d|[a-zA-Z-]{1,13}\s?[*_]{0,3}[:：])"
)
# Markers that need no other line beside them; the group is the number, if there is one.
_STRONG = rf"""(?xi){_FRAME}
    (?:
        [(\[（]?{_LABEL}\s*[.\#]?\s*(?P<labelled>\d{{1,3}}){_SEPARATOR}
      | [(\[（]?(?:{_SUBQUESTION})\s*[.\#]?\s*(?P<named>\d{{1,3}})(?=\s)
      | (?P<label>sub-?\s?question|question|step|q)\s*[*_`]{{0,3}}[:：](?=[\s*_`])
      | [(（\[]\s*(?P<bracketed>\d{{1,3}}|[a-h]|[ivx]{{1,4}})\s*[)）\]](?!\s*[=+*/-])
      | \#?(?P<digits>\d{{1,3}})\s*(?:[.)\]、．）。](?!\d)|[:：](?!\s*\d))
      | (?:[a-h]|[ivx]{{1,4}}|{_MANY})\s*[)）、]
      | {_MANY}\s*[.:](?=\s)
      | [一二三四五六七八九十]{{1,3}}\s*[、.．:：]
      | 第\s*[\d一二三四五六七八九十]{{1,3}}\s*[步问問个個题題]\s*[、.．:：]?
      | (?P<keycap>\d)\ufe0f?\u20e3
      | (?P<circled>[①-⑳⑴-⒇⒈-⒛❶-❿➀-➓])
    ){_AFTER}"""
_BULLET = rf"{_FRAME}(?:[-*+•–—‣▪▫◦○●■□·→➤➢»✓✔☐]|=>|->)\s+(?:\[[ xX]?\]\s*)?{_AFTER}"
# A capital letter, or one of a script that has none.
_CAPITAL = r"(?=[*_`\"'“«]{0,3}(?:[^\Wa-z\d_]|¿))"
# How a question or an instruction begins: after "A.", anything else is a name.
_OPENING = (
    r"(?=[*_`\"'“]{0,3}(?:[a-z¿]|[^\x00-\x7f]|(?:How|What|Which|Who|Whom|Whose|When|Where|Why|Is|Are|Was|Were|Do|Does|Did"
    r"|Can|Could|Will|Would|Should|Has|Have|Had|Find|Calculate|Compute|Determine|Identify|Add|Subtract|Multiply|Divide"
    r"|Count|Compare|Convert|List|In|On|At|By|For|From|If|Of|The|To|After|Before|Given)\b))"
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
# Markers that count only if other lines continue the series.
_SERIES: tuple[tuple[str, Callable[[str], int]], ...] = (
    (rf"{_FRAME}([A-Ha-h])\s*[.:]\s+{_OPENING}", lambda mark: ord(mark.lower()) - ord("a") + 1),
    (rf"{_FRAME}([IVXivx]{{1,4}})\s*[.:]\s+{_OPENING}", lambda mark: _roman(mark.lower())),
    (rf"{_FRAME}(\d{{1,2}})\s*(?:[-–—](?:\s+|{_CAPITAL})|\s{_CAPITAL})", int),
    (rf"{_FRAME}\d{{1,2}}\.(\d{{1,2}})[.:)]?\s+{_CAPITAL}", int),
)


@dataclass(frozen=True)
class Line:
    """A line of a reply.

    Attributes:
        text: without its mark.
        marked: whether it had one.
        number: the mark's, 0 for a label without one.
        indent: in characters.
        asks: whether it is a question.
        mended: whether an answer or a remark was cut from it.
    """

    text: str
    marked: bool = False
    number: int | None = None
    indent: int = 0
    asks: bool = False
    mended: bool = False


def without_marker(line: str) -> str:
    """Strip a line's number or bullet."""
    return _marked(line).text


def _roman(mark: str) -> int:
    return _ROMAN.index(mark) + 1 if mark in _ROMAN else 0


def read(lines: Sequence[str]) -> list[Line]:
    """Split each line into its marker and its text.

    A letter or a bare number is a marker only within a series: "B.B. King sang what?" has none.
    """
    found = [_marked(line) for line in lines]
    if not any(_MAY_BE_MARKED.match(line) for line in lines):
        return found
    for pattern, value in _SERIES:
        if not all(line.marked for line in found):
            _mark_series(found, lines, pattern, value)
    return found


def _marked(line: str) -> Line:
    indent = len(line) - len(line.lstrip())
    if not _MAY_BE_MARKED.match(line):
        return Line(line, indent=indent)
    if match := re.match(_STRONG, line):
        named = next(filter(None, match.groups()), "")
        number = int(named) if named.isdecimal() else 0 if match["label"] else None
        return Line(line[match.end() :], True, number, indent)
    if match := re.match(_BULLET, line):
        return Line(line[match.end() :], True, None, indent)
    return Line(line, indent=indent)


def _mark_series(found: list[Line], lines: Sequence[str], pattern: str, value: Callable[[str], int]) -> None:
    """Mark lines that count up from 1, provided that there are two of them or other marked lines.

    A series may start over from 1.
    """
    series: list[tuple[int, int, re.Match[str]]] = []
    for index, line in enumerate(lines):
        if match := re.match(pattern, line):
            count = value(match.group(1))
            if count == (series[-1][1] + 1 if series else 1) or (series and count == 1):
                series.append((index, count, match))
    if len(series) >= 2 or any(line.marked for line in found):
        for index, count, match in series:
            if not found[index].marked:
                found[index] = replace(found[index], text=lines[index][match.end() :], marked=True, number=count)
