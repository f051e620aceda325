"""A solver's reply to its final answer and its sub-answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from dnc_edge.parse import latex
from dnc_edge.parse.numbers import plain, telling
from dnc_edge.parse.text import without_tags, without_thinking

_MARKUP = r"[*_`\s]{0,6}"
_IS = r"(?:is|are|was|were|would\sbe|will\sbe|must\sbe|should\sbe|comes\sto|becomes|equals)"
# Words after "the answer is" that show that no answer follows.
_NO_ANSWER = (
    r"(?!\s*(?:not\b|n[o']t\b|found\b|obtained\b|calculated\b|computed\b|determined\b|given\sby\b|in\sthe\sform\b))"
)
_MARKER = re.compile(
    rf"""
      \b(?:the|my|our|your)\s(?:\w+\s){{0,2}}?answer(?:\s(?:to|for|of|here)\b[^.:\n]{{0,120}}?)?{_MARKUP}
        (?:\s{_IS}(?:\s(?:therefore|thus|then|simply|just|indeed|actually|hence|now|as\sfollows)\b,?)*{_NO_ANSWER}|[:：=])
    | \bfinal\sanswer(?:\sis)?
    | ^\s*\#{{4}}(?=\s*[-+$€£¥₹]*\s*\d) | ^\s*\#{{4}}(?=[^\n#]*\s*\Z)
    | ^[\s*_`>\#-]*answer(?={_MARKUP}[:：=])
    | \b(?:die\s(?:endgültige\s)?antwort\s(?:ist|lautet)|la\srespuesta(?:\sfinal)?\ses|la\sréponse(?:\sfinale)?\sest
        |la\srisposta(?:\sfinale)?\sè|a\sresposta(?:\sfinal)?\sé)\b
    | ^[\s*_`>\#-]*(?:antwort|respuesta|réponse|risposta|resposta|ответ|الجواب|الإجابة)(?={_MARKUP}[:：=])
    | (?:最终)?答案(?:是|为|為|はこれ)? | 答え(?:は)?
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_AFTER_MARKER = re.compile(rf"{_MARKUP}[:：=]?{_MARKUP}")
_JSON_ANSWER = re.compile(
    r"""["'](?:final[_\s-]?)?answer["']\s*:\s*(?P<value>"(?:[^"\\\n]|\\.){0,2000}"|'[^'\n]{0,2000}'|[^\s,}\]"'{\[][^,}\]\n]{0,200})""",
    re.IGNORECASE,
)
_NUMBERED_LINE = re.compile(r"^\s*[*_]{0,2}(A|Q|Answer|Sub-?answer|#)?\s*(\d{1,2})\s*[.):]\s*(?!\d)", re.IGNORECASE)
_FINAL_LINE = re.compile(
    rf"^[\s*_`>\#-]*(?:(?:so|thus|therefore|hence)\b,?\s)?(?:{_MARKER.pattern.lstrip()})", _MARKER.flags
)
# Where a base model has finished its answer and invents the next problem.
_NEXT_PROBLEM = re.compile(r"^\s*(?:Q|Question|Problem|Premise|Exercise)\s*(\d*)\s*[:.]", re.IGNORECASE | re.MULTILINE)
_CLOSING = re.compile(
    r"^\W*(?:let me know|i hope|hope (?:this|that)|feel free|please (?:let|feel|note)|if you|is there anything|do you "
    r"(?:want|need|have)|would you like|shall i|note:|note that|happy to|thank)",
    re.IGNORECASE,
)
_CONCLUDING = re.compile(
    r"^[\s*_`>]*(?:so|thus|therefore|hence|in\s(?:total|short|all)|altogether)\b,?\s+", re.IGNORECASE
)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.{1,300}?)(?<=\S)\1")
_CODE = re.compile(r"`([^`\n]*)`")
# A sentence ends before a capital, unless an initial or a known abbreviation stands before the point.
_SENTENCE_END = re.compile(
    r"(?<![\s.(][A-Za-z])(?<!^[A-Za-z])(?<!\b(?:St|Mr|Ms|Dr|Jr|Sr|Mt|Ft|No|vs|Lt))(?<!\b(?:Mrs|Gen|Col|Sgt|Rev|Gov|Sen|Rep|Inc|Ltd"
    r"|Ave|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec))(?<!\b(?:Prof|Capt|Corp|Sept))[.!?](?:[*_`]{1,3})?\s+(?=[\"'“(*]*[A-Z0-9])"
)
_EXPLAINED = re.compile(
    r"(?:[,;]|\s[-–—])\s*(?:since|because|as\s(?:we|she|he|it|they|the)|so\sthat|which|where|who|for\sthe\sreason|given\sthat|not)\b"
    r"|\s(?:since|because)\s|[;,]?\s+\(?i\.e\.",
    re.IGNORECASE,
)
# Brackets after an answer are an explanation if they hold several words or a calculation.
_BRACKETS = re.compile(
    r"(?<=[\w%.'’”\"])(?<!\band)(?<!\bor)\s+\((?=[^()]{0,400}\))(?:(?:\S+\s+){2,}|[^()]*[=+*/×÷])[^()]{0,400}\)$"
)
_CHOICE = re.compile(r"^(?:(?:option|choice)\s+)?(?:([A-H])[).:](?=\s)(?!\s[A-Z]\.)|\(([A-H])\)(?=\s)).*", re.DOTALL)
_YES_OR_NO = re.compile(r"^(yes|no|true|false)(?:[,;:!]|\.(?!\s\d)|\s[-–—(])\s.*", re.IGNORECASE | re.DOTALL)
_EQUATION = re.compile(r"^[^=<>]{1,200}=\s*(?=[-+$€£¥₹]?\s?[\d.(-])")
_MINUS = re.compile(r"[−–﹣－](?=\s?[$€£¥₹]?\d)")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF10, 0xFF1A)}


def own_part(text: str) -> str:
    """Cut off the problems that a model invents after its final answer."""
    marker = _MARKER.search(text)
    if marker is None:
        return text
    for following in _NEXT_PROBLEM.finditer(text, marker.end()):
        number = following.group(1)
        # "Question 2:" after "Question 1:" is a sub-question.
        if not number or not re.search(rf"^\W*\w+\s*{int(number) - 1}\s*[:.]", text[: following.start()], re.MULTILINE):
            return text[: following.start()]
    return text


def final_answer(text: str) -> str | None:
    """Return the final answer of a solver's reply: what is marked as such, else the conclusion of an unmarked text.

    Thinking, and problems that the model invents after the answer, are ignored. None if there is neither.
    """
    text = own_part(without_thinking(text))
    return marked_answer(text) or conclusion(text)


def scored_answer(text: str) -> str | None:
    """Return the short answer that a task scores: what is marked as such, else the last number, else the last line.

    Only for questions that are known to have a short answer. None for an empty text.
    """
    text = own_part(without_thinking(text))
    return marked_answer(text) or last_number(text)


def marked_answer(text: str) -> str | None:
    """Return the text after the last marker of an answer ("The answer is:", "####", a box, a JSON key), or None."""
    text = without_tags(text)
    for place, found in sorted(_candidates(text), reverse=True, key=lambda candidate: candidate[0]):
        if found is None:
            found = latex.boxed(text, place)
        for line in found.splitlines():
            if answer := _tidy(line):
                return answer
    return None


def _candidates(text: str) -> Iterator[tuple[int, str | None]]:
    """Yield (position, text of the answer) of every marker; the text of a box is None, to be read by `latex.boxed`."""
    for match in _MARKER.finditer(text):
        after = _AFTER_MARKER.match(text, match.end())
        start = after.end() if after else match.end()
        yield match.start(), text[start : start + 4000]
    for place in latex.boxes(text):
        yield place, None
    for match in _JSON_ANSWER.finditer(text):
        yield match.start(), _json_value(match["value"])


def _json_value(value: str) -> str:
    if value[0] in "\"'":
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return {"true": "yes", "false": "no", "null": ""}.get(value.strip(), value.strip())


def conclusion(text: str) -> str | None:
    """Return the conclusion of an unmarked text: its only sentence, else the last if it begins with "So" or the like.

    A single line that begins with yes or no is that answer. None for any other text of several sentences: it is an
    answer as a whole, and has no short form.
    """
    lines = _content_lines(text)
    sentences = [part for line in lines for part in _SENTENCE_END.split(line) if part.strip()]
    if len(sentences) == 1 or (len(lines) == 1 and _YES_OR_NO.match(lines[0].strip("*_` "))):
        return _tidy(lines[0]) or None
    if sentences and (match := _CONCLUDING.match(sentences[-1])):
        return _tidy(sentences[-1][match.end() :]) or None
    return None


def _content_lines(text: str) -> list[str]:
    """Return the lines that hold words, without closing offers ("Let me know ...") and thanks."""
    lines = [line for line in without_tags(text).splitlines() if line.strip(" \t*_`#-=")]
    while len(lines) > 1 and _CLOSING.match(lines[-1]):
        lines.pop()
    return lines


def last_number(text: str) -> str | None:
    """Return the last number of an unmarked text, a bold one before others; else its last line. None if it is empty."""
    lines = _content_lines(text)
    for line in reversed(lines):
        bold = [match.group(2) for match in _BOLD.finditer(line)]
        for part in (*reversed(bold), *reversed(_SENTENCE_END.split(line))):
            if match := telling(plain(latex.rendered(part))):
                return match.group(0).strip()
    return _tidy(lines[-1]) if lines else None


def subanswers(text: str) -> tuple[str, ...]:
    """Return the numbered answers of a reply in order, each on one line."""
    found: dict[int, list[str]] = {}
    current: list[str] | None = None
    for line in without_tags(without_thinking(text)).splitlines():
        # "Answer: 60" below a restated sub-question belongs to that sub-question.
        asked = bool(current) and current is not None and current[-1].rstrip("*_ ").endswith("?")
        if _FINAL_LINE.match(line) and not asked:
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


def _tidy(text: str) -> str:
    """Strip markup, explanation and final punctuation from an answer."""
    text = latex.rendered(_CODE.sub(r"\1", _BOLD.sub(r"\2", text)))
    text = text.translate(_FULL_WIDTH).strip().strip("*_`").strip()
    if not text.strip("$[](){}\\#:：- "):
        return ""
    if match := _YES_OR_NO.match(text) or _CHOICE.match(text):
        return next((group for group in match.groups() if group), "")
    for end in (_SENTENCE_END, _EXPLAINED):
        if (match := end.search(text)) and text[: match.start()].strip():
            text = text[: match.start()].strip()
    text = _BRACKETS.sub("", text.rstrip(" .!*_`"))
    text = _EQUATION.sub("", text) if "=" in text else text
    text = _MINUS.sub("-", text).rstrip(".,;: ").strip("*_` ")
    inner = text[1:-1]
    if text[:1] + text[-1:] in ("()", "[]", '""', "“”") and (
        text[0] in '"“' or re.fullmatch(r"[-+$€£¥₹]*\s?[\d.,]+\s?%?", inner)
    ):
        text = inner
    return text.strip()
