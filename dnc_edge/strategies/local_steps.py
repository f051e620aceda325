"""Sub-questions that are arithmetic over numbers that are known: worked out here, so that no solver is paid for them.

Only what can be read in one way is worked out: the whole sub-question must be one of the forms below, every answer
that it refers to must hold one number, and numbers that are added or compared must have the same unit. Everything
else is left to the solver.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnc_edge import parse
from dnc_edge.calculator import evaluate

_OPERAND = r"(?:#[1-9]\d?|[$€£]?\d+(?:,\d{3})*(?:\.\d+)?%?)"
_ASK = r"(?:what(?: is|'s| was)|how (?:much|many) (?:is|are)|calculate|compute|work out) (?:the (?:value|result) of )?"
_OPERATORS = {
    "+": r"\+|plus|added\s+to", "-": r"-|−|–|minus|less", "*": r"\*|×|x|times|multiplied\s+by",
    "/": r"/|÷|divided\s+by|over",
}  # fmt: skip
_OPERATOR = "|".join(_OPERATORS.values())
_LIST = rf"{_OPERAND}(?:\s*,\s*(?:and\s+)?{_OPERAND}|\s+and\s+{_OPERAND})+"
_MORE = r"more|greater|larger|bigger|higher|later|longer|taller"
_LESS = r"less|fewer|smaller|lower|earlier|shorter"
_PARTS = {
    "half": "1/2",
    "a third": "1/3",
    "one third": "1/3",
    "a quarter": "1/4",
    "one quarter": "1/4",
    "a fifth": "1/5",
}
_TIMES = {"twice": "2", "double": "2", "triple": "3"}
# The word after a number is its unit, unless it is one of these.
_UNIT = re.compile(
    r"\s?(?!(?:in|of|and|for|is|was|are|per|total|at|on|as|by|to|more|less|fewer|times)\b)([a-z]+|%|°[CF]?)", re.I
)
_YEAR = re.compile(r"1\d{3}|20\d{2}")
# Above it floats skip whole numbers: the result would hold digits that nobody calculated.
_LARGEST = 2.0**53


@dataclass(frozen=True)
class _Number:
    """An operand: as an expression of the calculator, its unit if one was written, and the text that it came from."""

    text: str
    unit: str
    said: str

    @property
    def value(self) -> float:
        return evaluate(self.text)


def work_out(subquestion: str, answers: Sequence[str]) -> str | None:
    """Return the answer of a sub-question that is arithmetic; None if it is not, or if there is any doubt.

    Args:
        subquestion: as planned, with its references.
        answers: of the earlier sub-questions, in order; "" for one that is not known.
    """
    asked = " ".join(subquestion.split()).rstrip("?. ")
    for pattern, form in _FORMS:
        if match := pattern.fullmatch(asked):
            numbers = [_number(operand, answers) for operand in re.findall(_OPERAND, asked)]
            known = [number for number in numbers if number is not None]
            if len(known) < len(numbers):
                return None
            try:
                return form(match, known)
            except ValueError:
                return None
    return None


def _number(operand: str, answers: Sequence[str]) -> _Number | None:
    """An operand's number; None if its answer is not known, or holds several numbers or none."""
    from dnc_edge.parse.numbers import NUMBER, plain

    if not operand.startswith("#"):
        bare = operand.lstrip("$€£").replace(",", "")
        unit = operand[0] if operand[0] in "$€£" else "%" if operand.endswith("%") else ""
        return _Number(f"{bare.rstrip('%')}/100" if unit == "%" else bare, unit, operand)
    index = int(operand[1:]) - 1
    said = answers[index].strip() if index < len(answers) else ""
    tail = plain(said).rpartition("=")[2]
    found = list(NUMBER.finditer(tail))
    value = parse.number(said)
    if len(found) != 1 or value is None or re.search(r"[#<>≈~]|\b(?:not|no|unknown|or)\b", tail):
        return None
    match = found[0]
    sign = re.search(r"[$€£]", match["sign"])
    after = _UNIT.match(tail, match.end())
    unit = sign.group() if sign else after[1].lower().rstrip("s") if after else ""
    text = _written(value)
    return _Number(f"{text}/100" if unit == "%" else text, unit, said)


def _calculated(expression: str, unit: str = "") -> str:
    """An expression with its result, as the prompts' examples write one."""
    value = evaluate(expression)
    if abs(value) > _LARGEST:
        raise ValueError("too large")
    result = _written(value)
    shown = f"{unit}{result}" if unit in ("$", "€", "£") else f"{result}%" if unit == "%" else result
    return f"{expression} = {shown}"


def _written(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.4f}".rstrip("0").rstrip(".")


def _same_unit(numbers: Sequence[_Number]) -> str:
    """The unit of numbers that are added or compared.

    Raises:
        ValueError: they have different ones.
    """
    units = {number.unit for number in numbers if number.unit}
    if len(units) > 1 or ("%" in units and any(number.unit != "%" for number in numbers)):
        raise ValueError("different units")
    return units.pop() if units else ""


def _chain(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    """`a + b - c`, `a times b`: operators as they stand, or in words."""
    signs = []
    for word in re.findall(rf"(?<=[\s\d%]){_OPERATOR}(?=[\s\d#$€£])", match["chain"], re.IGNORECASE):
        signs.append(next(sign for sign, pattern in _OPERATORS.items() if re.fullmatch(pattern, word, re.IGNORECASE)))
    if len(signs) != len(numbers) - 1:
        raise ValueError("operators and operands do not match")
    unit = _same_unit(numbers) if set(signs) <= {"+", "-"} else ""
    expression = numbers[0].text
    for sign, number in zip(signs, numbers[1:], strict=True):
        expression += f" {sign} {number.text}"
    return _calculated(expression, "" if unit == "%" else unit)


def _expression(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    """An expression in signs, with brackets."""
    parts = re.split(_OPERAND, match["expression"])
    signs = str.maketrans("×÷x−–", "*/*--")
    texts = (number.text if number.unit != "%" else f"({number.text})" for number in numbers)
    expression = "".join(part.translate(signs) + text for part, text in zip(parts, [*texts, ""], strict=True))
    unit = _same_unit(numbers) if not set("*/") & set("".join(parts).translate(signs)) else ""
    return _calculated(" ".join(expression.split()), "" if unit == "%" else unit)


def _joined(sign: str) -> Callable[[re.Match[str], Sequence[_Number]], str]:
    def form(_: re.Match[str], numbers: Sequence[_Number]) -> str:
        unit = "" if sign == "*" else _same_unit(numbers)
        return _calculated(f" {sign} ".join(number.text for number in numbers), "" if unit == "%" else unit)

    return form


def _difference(_: re.Match[str], numbers: Sequence[_Number]) -> str:
    unit = _same_unit(numbers)
    high, low = sorted(numbers, key=lambda number: number.value, reverse=True)
    return _calculated(f"{high.text} - {low.text}", "" if unit == "%" else unit)


def _years_between(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    if not all(_YEAR.fullmatch(number.text) for number in numbers):
        raise ValueError("not years")
    return _difference(match, numbers)


def _excess(_: re.Match[str], numbers: Sequence[_Number]) -> str:
    """How many more: nothing is said if it would be fewer."""
    unit = _same_unit(numbers)
    first, second = numbers
    if first.value < second.value:
        raise ValueError("fewer, not more")
    return _calculated(f"{first.text} - {second.text}", "" if unit == "%" else unit)


def _quotient(_: re.Match[str], numbers: Sequence[_Number]) -> str:
    return _calculated(f"{numbers[0].text} / {numbers[1].text}")


def _average(_: re.Match[str], numbers: Sequence[_Number]) -> str:
    unit = _same_unit(numbers)
    added = " + ".join(number.text for number in numbers)
    return _calculated(f"({added}) / {len(numbers)}", "" if unit == "%" else unit)


def _part(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    word = " ".join(match["part"].lower().split())
    factor = _PARTS.get(word) or _TIMES[word]
    return _calculated(f"{factor} * {numbers[-1].text}", "" if numbers[-1].unit == "%" else numbers[-1].unit)


def _percent(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    share, whole = numbers
    if share.unit != "%" and not match["percent"]:
        raise ValueError("no percentage")
    percent = share.text if share.unit == "%" else f"{share.text}/100"
    return _calculated(f"{percent} * {whole.text}", "" if whole.unit == "%" else whole.unit)


def _compared(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    _same_unit(numbers)
    first, second = (number.value for number in numbers)
    if match["equal"]:
        return "yes" if first == second else "no"
    return "yes" if (first > second if match["more"] else first < second) else "no"


def _which(match: re.Match[str], numbers: Sequence[_Number]) -> str:
    _same_unit(numbers)
    if len({number.value for number in numbers}) < len(numbers):
        raise ValueError("equal")
    choose = max if match["more"] else min
    return choose(numbers, key=lambda number: number.value).said


def _form(
    pattern: str, form: Callable[[re.Match[str], Sequence[_Number]], str]
) -> tuple[re.Pattern[str], Callable[[re.Match[str], Sequence[_Number]], str]]:
    return re.compile(pattern, re.IGNORECASE), form


_FORMS = (
    _form(rf"{_ASK}(?:the )?(?:sum|total) of {_LIST}", _joined("+")),
    _form(rf"{_ASK}(?:the )?product of {_LIST}", _joined("*")),
    _form(rf"{_ASK}(?:the )?(?:average|mean) of {_LIST}", _average),
    _form(rf"{_ASK}(?:the )?difference (?:between|of) {_OPERAND} and {_OPERAND}", _difference),
    _form(rf"{_ASK}(?:the )?quotient of {_OPERAND} and {_OPERAND}", _quotient),
    _form(rf"how many years (?:are|is|were|passed|lie)(?: there)? between {_OPERAND} and {_OPERAND}", _years_between),
    _form(rf"how (?:much|many) (?:{_MORE}) (?:is|are|was|were) {_OPERAND} than {_OPERAND}", _excess),
    _form(rf"{_ASK}{_OPERAND}(?P<percent> ?%| percent)? of {_OPERAND}", _percent),
    _form(rf"{_ASK}(?P<part>{'|'.join([*_PARTS, *_TIMES])})(?: of)? {_OPERAND}", _part),
    _form(rf"{_ASK}(?P<chain>{_OPERAND}(?: ?(?:{_OPERATOR}) ?{_OPERAND})+)", _chain),
    _form(rf"{_ASK}(?P<expression>[-−–(]*{_OPERAND}(?:[-+*/×÷x−–()\s]+{_OPERAND})+[)\s]*)", _expression),
    _form(
        rf"(?:is|are|was|were) {_OPERAND} (?:(?P<more>{_MORE})|(?P<less>{_LESS})|(?P<equal>equal|the same|identical)) "
        rf"(?:than|to|as) {_OPERAND}",
        _compared,
    ),
    _form(
        rf"(?:is|are|was|were) {_OPERAND} (?:(?P<more>after)|(?P<less>before)|(?P<equal>equal to)) {_OPERAND}",
        _compared,
    ),
    _form(
        rf"which (?:number |one |value |amount )?(?:is|was) (?:the )?(?:(?P<more>{_MORE}|largest|greatest|highest)"
        rf"|(?P<less>{_LESS}|smallest|lowest))[,:]? {_OPERAND}(?: or |, (?:or )?){_OPERAND}",
        _which,
    ),
)
