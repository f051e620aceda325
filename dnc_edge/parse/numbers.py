"""Read numbers as models, and people of several countries, write them."""

from __future__ import annotations

import itertools
import math
import re

from dnc_edge.parse.latex import rendered
from dnc_edge.parse.text import ascii_digits

_CURRENCY = r"(?:US\$|[$€£¥₹₩₽฿])"
_SPACE = " \u00a0\u2009\u202f"
# Runs are bounded, so that no text takes more than linear time.
_DIGITS = rf"""
    \d{{1,3}}(?:,\d{{2,3}}){{0,12}},\d{{3}}(?!\d)(?:\.\d+)?                                      # 1,234.5   12,34,567
  | \d{{1,3}}(?:\.\d{{3}}){{1,12}},\d+(?![\d,]) | \d{{1,3}}(?:\.\d{{3}}){{2,12}}(?![\d.])          # 1.234,5   1.234.567
  | \d{{1,3}}(?:[{_SPACE}'’_]\d{{3}}){{1,12}}(?![\d/])(?:[.,]\d+)?                                # 1 234 567   1'234
  | (?<!\d,)\d+,\d{{1,2}}(?![\d,])                                                              # 1,5
  | \d*\.?\d+
"""
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
# A number begins neither in a word, nor after a point, nor in an exponent.
NUMBER = re.compile(
    rf"""(?<![\w.^√])(?<!sqrt\{{)(?P<sign>-?(?:{_CURRENCY}\s?)?[-+]?)
    (?:
        (?P<hours>\d{{1,2}}):(?P<minutes>[0-5]\d)(?![\d:])                                        # 2:30
      | (?P<whole>\d+)[{_SPACE}]{{1,3}}(?P<top>\d+)\s?/\s?(?P<bottom>\d+)(?![\d./])               # 3 1/2
      | (?P<base>\d+(?:\.\d+)?)\s?\^\s?\{{?(?P<power>-?\d+)\}}?                                  # 2^10
      | (?P<digits>{_DIGITS})(?P<exponent>[eE][+-]?\d+(?!\w)|\s?[x×*·⋅]\s?10\s?\^\s?\{{?[+-]?\d+\}}?)?
        (?:\s?/\s?(?P<over>\d+)(?![\d./]))?                                                      # 5/8
    )
    (?:\s(?P<scale>{"|".join(_SCALES)})\b)?""",
    re.VERBOSE | re.IGNORECASE,
)
_SIGNS = str.maketrans(dict.fromkeys("−–﹣－‒", "-") | {"⁄": "/", "∕": "/", "．": ".", "，": ",", "％": "%", "：": ":"})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_EXPONENT = re.compile(r"(?<=\d)[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_FRACTIONS = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅐": "1/7", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅑": "1/9", "⅒": "1/10",
}  # fmt: skip
_FRACTION = re.compile(f"(\\d?)\\s?([{''.join(_FRACTIONS)}])")
# A remark that explains the number before it: "$120 (5 x 12 x 2)".
_ASIDE = re.compile(r"(?<=\S)\s+[(\[][^()\[\]]{1,400}[)\]]")
_LEAD = re.compile(
    r"[^\w$€£¥₹₩₽฿.+-]*(?:(?:about|approximately|approx\.?|around|roughly|nearly|almost|exactly|only|just|a total of)"
    r"\s+)*",
    re.IGNORECASE,
)
# What follows a number that is only part of an expression, a list of units or a date.
_GOES_ON = re.compile(
    r"\s*(?:[-+*/×·÷^:]|(?:x|times|plus|minus|divided)\b"
    r"|(?:(?:st|nd|rd|th)?\s+(?:of\s+)?)(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
    re.IGNORECASE,
)
_RANGE = re.compile(r"\s?(?:-|to)\s?", re.IGNORECASE)
# A number followed by this is a factor or part of a ratio: "3√2", "3:4".
_FACTOR = re.compile(r"\s?(?:√|π|sqrt|pi\b|\\[a-z]|:\s?\d)")
_OF = re.compile(r"\s?(%?)\s?of\s+", re.IGNORECASE)


def plain(text: str) -> str:
    """Write digits of any script as 0-9, every minus as "-", fractions and exponents as 1/2 and ^3."""
    if text.isascii():
        return text
    text = ascii_digits(text).translate(_SIGNS)
    text = _EXPONENT.sub(lambda match: "^" + match.group(0).translate(_SUPERSCRIPTS), text)
    return _FRACTION.sub(lambda match: " ".join(filter(None, (match.group(1), _FRACTIONS[match.group(2)]))), text)


def number(text: str) -> float | None:
    """Return the number that a text stands for.

    Currency, grouping and units are dropped: "$1,234.50", "1.234,50 €" and "1 234,5 km" are 1234.5. "1/2" and "½"
    are 0.5, "3 1/2" is 3.5, "50 %" is 50, "5 × 10³" and "5e3" are 5000, "2 million" is 2000000, "2:30" is 2.5,
    "twelve" is 12. Of several numbers the one after the last equals sign counts; else the one that the text
    begins with, unless it is a part of an expression; else the last one. None if there is none, and for a range.
    """
    text = plain(rendered(text))
    match = telling(text)
    if match is None:
        return _in_words(text)
    value = _value(match)
    if _FACTOR.match(match.string, match.end()) or re.search(r"\d\s?:\s?$", match.string[: match.start()]):
        return None
    # "5/8 of 16" and "50% of 30" are not worked out yet.
    part = _OF.match(match.string, match.end())
    if value is not None and part and (match["over"] or part.group(1)):
        whole = NUMBER.match(match.string, part.end())
        of = _value(whole) if whole else None
        value = value if of is None else value * of * (0.01 if part.group(1) else 1)
    if value is None or not math.isfinite(value) or _in_a_range(match):
        return None
    return value


def telling(text: str) -> re.Match[str] | None:
    """Return the match of the number that a plain text stands for, by the rules of `number`."""
    text = next(filter(NUMBER.search, (_ASIDE.sub(" ", text), text)), "")
    if "=" in text or "≈" in text:
        tail = re.split("[=≈]", text)[-1]
        text = tail if NUMBER.search(tail) else text
    matches = list(NUMBER.finditer(text))
    if not matches:
        return None
    lead = _LEAD.match(text)
    begins = lead is not None and lead.end() == matches[0].start()
    return matches[0] if begins and not _GOES_ON.match(text, matches[0].end()) else matches[-1]


def _in_a_range(match: re.Match[str]) -> bool:
    """Whether the number is one end of a range: "10-15", "10 to 15"."""
    found = list(NUMBER.finditer(match.string))
    for low, high in itertools.pairwise(found):
        if match.start() in (low.start(), high.start()) and _RANGE.fullmatch(match.string[low.end() : high.start()]):
            return (_value(low) or 0.0) < (_value(high) or 0.0)
    return False


def _value(match: re.Match[str]) -> float | None:
    try:
        if match["hours"]:
            value = int(match["hours"]) + int(match["minutes"]) / 60
        elif match["whole"]:
            value = float(match["whole"]) + float(match["top"]) / float(match["bottom"])
        elif match["base"]:
            value = float(match["base"]) ** float(match["power"])
        else:
            value = float(_decimal(match["digits"]) + _power_of_ten(match["exponent"] or ""))
            value /= float(match["over"] or 1)
    except (ZeroDivisionError, OverflowError):
        return None
    value *= _SCALES[match["scale"].lower()] if match["scale"] else 1
    return -value if "-" in match["sign"] else value


def _decimal(digits: str) -> str:
    """Write digits as Python does: no grouping, a point before the fraction."""
    digits = re.sub(rf"[{_SPACE}'’_]", "", digits)
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma > point and (point >= 0 or not re.fullmatch(r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}", digits)):
        return digits.replace(".", "").replace(",", ".")
    return digits.replace(".", "") if digits.count(".") > 1 else digits.replace(",", "")


def _power_of_ten(exponent: str) -> str:
    return "e" + re.sub(r"[{}\s]", "", re.split(r"\^|[eE]", exponent)[-1]) if exponent else ""


_UNITS = {
    word: float(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_UNITS |= {word: 10.0 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_UNITS["dozen"] = 12.0
_WORDS = "|".join([*_UNITS, *_SCALES])
_IN_WORDS = re.compile(
    rf"\b(?P<minus>minus\s|negative\s)?(?P<words>(?:{_WORDS})(?:(?:[\s-]|\sand\s){{1,2}}(?:{_WORDS})\b)*)\b(?P<half>\sand\sa\shalf\b)?",
    re.IGNORECASE,
)


def _in_words(text: str) -> float | None:
    """Return a number that is written in words; "one" within a sentence is not counted as a number."""
    for match in _IN_WORDS.finditer(text):
        words = re.findall(r"[a-z]+", match["words"].lower())
        if words == ["one"] and text[: match.start()].strip():
            continue
        total = current = 0.0
        for word in words:
            if word in _UNITS:
                current += _UNITS[word]
            elif word == "hundred":
                current = (current or 1.0) * 100
            elif word in _SCALES:
                total, current = total + (current or 1.0) * _SCALES[word], 0.0
        value = total + current + (0.5 if match["half"] else 0.0)
        return -value if match["minus"] else value
    return None
