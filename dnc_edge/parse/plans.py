"""Read the sub-questions of a decomposer's reply, in every form that models write them in; count the repairs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dnc_edge.parse import markers, structured
from dnc_edge.parse.markers import Line
from dnc_edge.parse.structured import QUESTION_MARKS
from dnc_edge.parse.text import without_repeats, without_tags, without_thinking

_MARKUP = "*_` \t"
_CLOSING = _MARKUP + "\"'“”’»」』)]）.!,;"
_FENCE = re.compile(r"^\s*(?:```|~~~)\w*\s*$")
# Patterns for what a trained student never writes are kept as strings, so that they are compiled only if needed.
# Several sub-questions on one line: a question mark or a colon, then the next number or label.
_INLINE = (
    r"(?i)(?:(?<=[?])[;,]?\s+|(?<=[？؟])[;,]?\s*)"
    r"(?=[*_(]{0,3}(?:(?:sub-?question|step|question|q|\#)?\s*\d{1,2}\s*[.):、．）。：]|[b-h]\)|[①-⑳]))"
    r"|(?<=:)\s+(?=[*_(]{0,3}(?:1[.)]|(?:sub-?question|q)\s*1\s*[.):])\s)"
)
_FIRST = re.compile(r"\s*[*_]{0,2}\(?1[.)]\s")
_NONE_NEEDED = (
    r"(?i)^\W*(?:no\s+(?:further\s+|additional\s+|more\s+)?(?:decomposition|sub-?\s?questions?)\b"
    r"|(?:none|n/?a|no|nothing)\s*(?:needed|required|necessary)?\W*$)"
    r"|\b(?:decomposition|sub-?questions?)\s(?:is|are)\s(?:not\s|un)(?:needed|required|necessary)\b"
    r"|\b(?:does\snot|doesn['’]t|do\snot|don['’]t)\s(?:need|require)\s(?:any\s|a\s)?(?:further\s)?"
    r"(?:decomposition|sub-?questions?)\b"
)
# How a model addresses the user; such a line is not a sub-question.
_TO_THE_USER = (
    "do you want, do you need, do you have, do you agree, would you like, would you prefer, did you want, "
    "did that help, are you looking, will this work, would this work, would that help, shall i, shall we, "
    "should i go, should i continue, should i answer, should i solve, should i proceed, may i help, can i "
    "help, can i assist, can i do, could i help, is this what, is that what, is this ok, is this okay, is "
    "this right, is this correct, is this clear, is this helpful, is that ok, is that okay, is that "
    "right, is that correct, is there anything, is there something, does this help, does this make, does "
    "this work, does this look, does that help, does that make, does that work, do these look, do these "
    "help, do these work, any questions, any other questions, any more questions, have questions, "
    "anything else, how does this look, how does that look, how does this sound, how does that sound, how "
    "do these look, what do you think, need help, need more, ready to, sounds good, can you confirm, can "
    "you clarify, can you please"
).split(", ")
_ANSWER_LINE = (
    r"(?i)^\W*(?:sub-?)?(?:answers?|ans|a|solution|result|explanation|reason(?:ing)?|note|hint|therefore|so|thus|hence)"
    r"\s*\d{0,2}\W*[:：=→]|^\W*(?:antwort|respuesta|réponse)\W*[:：]|^\W*(?:[=→⇒]|=>|->)"
)
_RESTATED = r"(?i)^\W*(?:main|original|given|complex|overall|the)\s+(?:question|problem)\W*[:：]"
# What may follow a question mark: a calculation or remark in brackets, an answer.
_REMARK = r"(?<=[?？؟])[\"'”’*_]{0,3}\s*(?:[*_]{0,3}[(\[（][^()\[\]（）]{0,300}[)\]）][*_.\s]*|(?:[→⇒]|[-=]>).*)$"
_LEAK = r"(?i)[\"'”’*_]{0,3}\s*(?:[-–—→⇒=>|(\[{]|(?:answers?|ans|a)\s*[:：])"
# "**Muffins:** How many?"
_TITLE = r"^(?:\*\*|__)[^*_?？؟]{1,80}?(?:[:：]\s*(?:\*\*|__)|(?:\*\*|__)\s*[:：–—-])\s*(?=\S)"
_BOLD = r"(\*\*|__)(?=\S)(.{1,500}?)(?<=\S)\1"
_WORKED_OUT = re.compile(r"[=≈]\s*[$€£]?\s?-?\d")
_UNFINISHED = r"(?i)(?:how|what|which|who|whom|whose|when|where|why)\b.*\w$"
_QUOTE_PAIRS = {'"': '"', "“": "”", "«": "»", "„": "“", "「": "」", "『": "』", "‘": "’", "'": "'"}


@dataclass(frozen=True)
class ParsedPlan:
    """The plan in a decomposer's reply.

    Attributes:
        subquestions: in order; empty if none are needed, or if no plan was found.
        repaired: how many lines were left out or corrected.
        found: False if the reply is prose that neither asks nor says that no sub-questions are needed.
    """

    subquestions: tuple[str, ...]
    repaired: int
    found: bool = True


def plan(text: str, *, cap: int | None = None) -> ParsedPlan:
    """Read the sub-questions of a decomposer's reply.

    Questions are sub-questions, with any numbering, bullets or quotes, in a list, a table or JSON. If no line is a
    question, the numbered lines are taken (imperatives, QDMR). If some questions are numbered, the others are ignored.
    Thinking, prose around the plan, answers beside the questions, a truncated last line, exact repeats and everything
    past `cap` are left out. "No decomposition" is an empty plan.

    Args:
        text: the reply.
        cap: most sub-questions to return; None returns all.
    """
    reply, text = text, without_tags(without_thinking(text))
    if (parsed := structured.from_json(text)) is not None:
        return _listed(*parsed, cap)
    lines = _lines(text)
    found = _asking(lines) or _imperatives(lines)
    says_none = [bool(re.search(_NONE_NEEDED, line.text)) for line in lines if not line.asks]
    if any(says_none) and not (lines[0].asks or any(line.marked for line in found)):
        found = []
    if not found:
        none_needed = any(says_none) or not reply.strip()
        return ParsedPlan((), 0 if none_needed else len(lines), found=none_needed)
    delivered = without_repeats(line.text for line in found)[:cap]
    return ParsedPlan(tuple(delivered), len(lines) - len(delivered) + sum(line.mended for line in found))


def _listed(items: list[str], around: str, cap: int | None) -> ParsedPlan:
    """Make the plan of a JSON list and the text around it."""
    lines = [_clean(Line(markers.without_marker(item), marked=True)) for item in items]
    texts = [line.text for line in lines if line.text and not re.search(_NONE_NEEDED, line.text)]
    delivered = without_repeats(texts)[:cap]
    talk = sum(bool(line.strip()) and not _FENCE.match(line) for line in around.splitlines())
    return ParsedPlan(tuple(delivered), (len(items) - len(delivered) if texts else 0) + talk)


def _lines(text: str) -> list[Line]:
    """Split a reply into its lines, markers and markup removed; a cell of a table is a line."""
    raw = [part for line in text.splitlines() if not _FENCE.match(line) for part in _parts(line) if part.strip()]
    read = markers.read(raw)
    if "|" in text:
        for index, cell in structured.table_cells(raw).items():
            read[index] = Line("") if cell is None else Line(markers.without_marker(cell), marked=True)
    lines: list[Line] = []
    heading: Line | None = None
    for line in read:
        if line.marked and not line.text.strip(_MARKUP + "#:："):
            heading = line
            continue
        if heading and not line.marked:
            # "### Sub-question 1", with the sub-question on the next line.
            line = replace(line, marked=True, number=heading.number)
        heading = None
        lines.append(_clean(line))
    return lines


def _parts(line: str) -> list[str]:
    """Split a line that holds several sub-questions."""
    bare = line.rstrip()[:-1]
    if any(mark in bare for mark in (*QUESTION_MARKS, ":")) and len(parts := re.split(_INLINE, line)) > 1:
        return parts
    found: list[str] = []
    number = 2
    if _FIRST.match(line):
        # "1. Find the rolls. 2. Find the price."
        while following := re.search(rf"(?<=\S)\s+(?=\(?{number}[.)]\s+(?:[^\Wa-z\d_]|¿))", line):
            found.append(line[: following.start()])
            line, number = line[following.end() :], number + 1
    return [*found, line]


def _clean(line: Line) -> Line:
    text = " ".join(line.text.split())
    if "**" in text or "__" in text:
        text = re.sub(_BOLD, r"\2", re.sub(_TITLE, "", text))
    bare = text if text.endswith(QUESTION_MARKS) else re.sub(_REMARK, "", text)
    if not (asks := _asks(bare)):
        end = max(map(bare.rfind, QUESTION_MARKS)) + 1
        if asks := bool(end and (line.marked or re.match(_LEAK, bare[end:]))):
            bare = bare[:end]
    cleaned = _unquoted(bare)
    # Quotes around a whole line count as a marker.
    quoted = len(cleaned) < len(bare.strip(_MARKUP + ",;"))
    return replace(line, text=cleaned, asks=asks, mended=bare != text, marked=line.marked or quoted)


def _unquoted(text: str) -> str:
    text = text.strip(_MARKUP)
    if len(text) > 1 and text[-1] in ",;" and (text[-2] in QUESTION_MARKS or text[-2] in _QUOTE_PAIRS.values()):
        text = text[:-1]
    closing = _QUOTE_PAIRS.get(text[:1])
    if closing and (text.endswith(closing) or closing not in text[1:]):
        text = text[1:].removesuffix(closing).strip(_MARKUP)
    elif text[-1:] in _QUOTE_PAIRS.values() and text[-1:] not in "'’" and text.count(text[-1:]) == 1:
        text = text[:-1].strip(_MARKUP)
    return text


def _asks(text: str) -> bool:
    return text.rstrip(_CLOSING).endswith(QUESTION_MARKS)


def _asking(lines: list[Line]) -> list[Line]:
    """Return the lines that are questions; if marked ones are, only those and the instructions numbered among them."""
    if not any(line.marked and line.asks for line in lines):
        return [line for line in lines if line.asks and not _is_talk(line.text)]
    numbered = any(line.number for line in lines if line.asks)
    found: list[Line] = []
    last = 0
    for index, line in enumerate(lines):
        following = lines[index + 1 :]
        if line.marked and line.asks:
            if not (numbered and line.number == 0) and not re.match(_RESTATED, line.text):
                found.append(line)
                last = line.number or last
        elif line.asks and following and following[0].number == 2 and not found:
            # The prompt ended with "1.", so the first line has no number.
            found.append(line)
            last = 1
        elif line.number == last + 1 and _instructs(line, following):
            found.append(line)
            last += 1
    return found


def _is_talk(text: str) -> bool:
    """Whether a line addresses the user or restates the whole question."""
    start = " ".join(re.findall(r"\w+", text[:60].lower())) + " "
    return any(start.startswith(f"{words} ") for words in _TO_THE_USER) or (
        ":" in text and bool(re.match(_RESTATED, text))
    )


def _instructs(line: Line, following: list[Line]) -> bool:
    """Whether a numbered line without a question mark is a sub-question: not an answer, a heading or truncated."""
    whole = bool(following) or line.text.endswith((".", "。"))
    heading = bool(following) and following[0].asks and (following[0].indent > line.indent or not following[0].marked)
    return whole and not heading and _is_instruction(line)


def _imperatives(lines: list[Line]) -> list[Line]:
    """Return the marked lines of a reply without questions, except those that work out the answer."""
    return [
        replace(line, text=line.text + "?", mended=True) if re.match(_UNFINISHED, line.text) else line
        for line in lines
        if line.marked and _is_instruction(line)
    ]


def _is_instruction(line: Line) -> bool:
    """Whether a line is text that is neither an answer, nor a calculation, nor "no decomposition"."""
    return (
        any(character.isalpha() for character in line.text)
        and not re.match(_ANSWER_LINE, line.text)
        and not _WORKED_OUT.search(line.text)
        and not re.search(_NONE_NEEDED, line.text)
    )
