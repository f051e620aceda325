"""Every instruction that a model sees, versioned.

A prompt is a list of chat messages: one instruction (system), examples if asked for, and one
`user_message`. An endpoint gets all of them. A trained student needs no instruction: its template puts a role
token before the same user message, so one text serves students and endpoints alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

VERSION = "2"

Kind = Literal["problem", "passage", "fact", "open"]
Message = dict[str, str]

NO_DECOMPOSITION = "No decomposition"
FINAL_ANSWER = "The answer is:"

# What each kind of question adds to the instructions.
_PLAN_HINT: dict[Kind, str] = {
    "problem": "Ask for the quantities that must be worked out on the way, each with its own words and units.",
    "passage": "Ask only for what the passage can tell, in its words, then for what must be counted or compared.",
    "fact": "Ask for one fact at a time, naming who or what it is about, then for the comparison or conclusion.",
    "open": "Most requests of this kind need none: ask only for what must be known before it can be met.",
}
# What is open has no answer of a certain form.
_SOLVE_HINT: dict[Kind, str] = {
    "problem": "The final answer is a number.",
    "passage": "Take every fact from the passage. The final answer is a few words or a number.",
    "fact": "The final answer is a name, a date, or yes or no.",
    "open": "",
}

# A student's chat template tells its roles apart by the first word of the instructions that follow.
_DECOMPOSE = (
    "Decompose the question into the sub-questions that help most to answer it, in the order in which "
    "they should be answered, the last one leading to the answer. {hint} Write one sub-question per line and "
    "nothing else; at most {cap}. A sub-question may point to the answer of an earlier one as #1, #2 and so "
    f'on. If the question needs no sub-questions, write "{NO_DECOMPOSITION}".'
)
_NEXT = (
    "Decompose the question step by step: given the sub-questions answered so far, write the one sub-question that "
    "should be answered next, on one line and nothing else. {hint} If nothing remains to be asked before the question "
    f'can be answered, write "{NO_DECOMPOSITION}".'
)
_SOLVE = (
    "Solve the question. If numbered sub-questions follow it, answer them one at a time, in order, each on "
    "a line of its own that begins with its number; #1, #2 and so on stand for the answers of earlier "
    f'sub-questions. {{hint}} End with a last line "{FINAL_ANSWER} " and the final answer alone.'
)
_SOLVE_DIRECT = (
    'Solve the question without showing any work. {hint} Write one line: "' + FINAL_ANSWER + ' " and the final '
    "answer alone."
)
# A how-to, a text, code or an opinion is no answer that fits on a last line.
_FORM = "Reply in the language of the question and in the form that it asks for; if it is unclear, say what is missing."
_SOLVE_OPEN = (
    "Solve what is asked. If numbered sub-questions follow it, answer them first, one at a time, in order, each on a "
    f"line of its own that begins with its number; #1, #2 and so on stand for the answers of earlier ones. {_FORM}"
)
_SOLVE_OPEN_DIRECT = f"Solve what is asked, without introduction or explanations that are not asked for. {_FORM}"
_CONCLUDE_OPEN = f"Solve what is asked with the help of the answered sub-questions that follow it. {_FORM}"
_STEP = "Solve the last sub-question only, with the help of the answers before it. Reply with its answer in one line."
_CONCLUDE = (
    "Solve the question with the help of the answered sub-questions that follow it. {hint} End with a last line "
    f'"{FINAL_ANSWER} " and the final answer alone.'
)


@dataclass(frozen=True)
class Example:
    """A worked question of our own, for few-shot prompts."""

    question: str
    plan: tuple[str, ...]
    solution: str
    context: str | None = None


EXAMPLES: dict[Kind, tuple[Example, ...]] = {
    "problem": (
        Example(
            "Lea bakes 4 trays of 15 rolls and sells two thirds of them for $2 each. How much does she earn?",
            ("How many rolls does Lea bake?", "How many rolls does Lea sell?", "How much does Lea earn?"),
            "1. 4 * 15 = 60 rolls\n2. 60 * 2 / 3 = 40 rolls\n3. 40 * 2 = $80\nThe answer is: 80",
        ),
        Example(
            "A pool holds 900 liters. A hose adds 60 liters a minute, a leak loses 15. How long until it is full?",
            ("How many liters does the pool gain each minute?", "How many minutes does it take to fill the pool?"),
            "1. 60 - 15 = 45 liters\n2. 900 / 45 = 20 minutes\nThe answer is: 20",
        ),
    ),
    "passage": (
        Example(
            "How many years passed between the bridge's opening and its repair?",
            ("In which year was the bridge opened?", "In which year was the bridge repaired?", "What is #2 minus #1?"),
            "1. 1911\n2. 1954\n3. 1954 - 1911 = 43\nThe answer is: 43",
            "The bridge over the Lenne was opened in 1911, damaged by a flood in 1946 and repaired in 1954.",
        ),
        Example(
            "Which team scored more in the second half?",
            ("How often did the Otters score in it?", "How often did the Herons score in it?", "Is #1 more than #2?"),
            "1. 2\n2. 1\n3. The Otters\nThe answer is: the Otters",
            "The Herons led 3-1 at the break; after it the Otters scored twice and the Herons once.",
        ),
    ),
    "fact": (
        Example(
            "Could the composer of The Magic Flute have met the inventor of the telephone?",
            ("Who composed The Magic Flute?", "When did #1 die?", "When was the telephone's inventor born?"),
            "1. Mozart\n2. 1791\n3. 1847\nThe answer is: no",
        ),
        Example(
            "What is the capital of the country where the Atacama Desert lies?",
            ("In which country does the Atacama Desert mostly lie?", "What is the capital of #1?"),
            "1. Chile\n2. Santiago\nThe answer is: Santiago",
        ),
    ),
    "open": (
        Example(
            "How do I get candle wax off a wooden table?",
            (),
            "Let the wax harden, with ice in a bag if need be. Lift it with a plastic card, then rub the rest away "
            "with a warm, damp cloth.",
        ),
        Example(
            "Write a short note to thank a neighbour for watering my plants.",
            (),
            "Dear Jo,\n\nall the plants are alive, and the basil has doubled. Thank you for your care!\n\nWarmly,\nSam",
        ),
    ),
}  # fmt: skip


# Requests that are open whatever numbers they hold, by how they begin.
_REQUEST = re.compile(
    r"""^\W*
    (?: please\s+ | (?:can|could|would|will)\s+you\s+(?:please\s+)? | help\s+me\s+(?:to\s+)?
      | (?:i\s+)?(?:need|want)\s+(?:you\s+to\s+|an?\s+(?=\w+\s+\w+\s+for\b)) )?
    (?: (?:re)?write | draft | compose | translate | summari[sz]e | explain | describe | define | plan | outline
      | design | implement | program | code | refactor | debug | suggest | recommend | brainstorm
      | come\s+up\s+with | set\s+up
      | create | invent | paraphrase | proofread | improve | discuss | regex | bash | sql
      | (?:an?\s+)?(?:catchy|short|funny)
      | give\s+me\s+(?:an?|some)\s+(?:recipe|idea|tip|advice|example|overview)
      | how\s+(?:to|(?:do|can|could|should|would)\s+(?:i|you|we|one|people))\b(?!.*\bhow\s+(?:many|much)\b)
      | why | hi | hello | hey | good\s+(?:morning|afternoon|evening|night) | thanks | thank\s+you | lol | bye
      | ok(?:ay)? | go\s+on | continue | (?:what|how)\s+about | (?:who|how|what)\s+are\s+you | no,?\s+i )\b""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# Explanations, opinions and references to what nobody has said, if there is nothing to count.
_LOOSE = re.compile(
    r"""\b(?: best\s+way | do\s+you\s+(?:think|like|prefer) | your\s+(?:opinion|view|favou?rite) | should\s+(?:i|we)
      | is\s+it\s+(?:better|worth) | worth\s+it | would\s.+\slook\s+like | more\s+beautiful | (?:does|do)\s.+\smean
      | (?:is|are)\s+meant\s+by | (?:of|about|to|with)\s+(?:them|these|those|this|that|it)\b(?=\W*\w*\W*\w*\W*$)
      | python | javascript | java\s+(?:code|class|method) | one[\s-]liner )\b
    | ^\W*(?:why|how\s+(?:do|does))\b | ^\W*what(?:'s|\s+is|\s+are)\s+(?!the\b)[a-z-]+(?:\s+[a-z-]+)?\s*\?*\s*$
    | ^\W*(?:what|why|where|when|how|who)\s+\w+\s+(?:he|she|they|it)\s+(?:\w+\s*){1,3}\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_QUANTITY = re.compile(r"\d|\bhow (?:many|much)\b", re.IGNORECASE)
# Words that an English question can hardly do without, none of them common in another language.
_ENGLISH = frozenset(
    "the of is are were has have had does did do what what's whats which who whos who's whose when where how why many "
    "much and or for with from to than that this by my you your it its his her their be been can could would will at "
    "if name list "
    "each should were after before more most there".split()
)

_REFERENCE = re.compile(r"#([1-9]\d?)\b")
_ENGLISH_FORM = re.compile(r"[a-z]['’]s\b|\bin an?\b")


def kind_of(question: str, context: str | None) -> Kind:
    """What a question looks like: over a passage, open, with quantities to work with, or of fact.

    Open is what no name, number, date, yes or no can answer (a how-to, code, a text, an opinion, a translation, small
    talk), and what these rules cannot read, for it is not in English.
    """
    if context is not None:
        return "passage"
    if _REQUEST.match(question) or _foreign(question):
        return "open"
    if _QUANTITY.search(question):
        return "problem"
    return "open" if _LOOSE.search(question) else "fact"


def _foreign(question: str) -> bool:
    """Whether a text of some words holds none that are English."""
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", question.lower())
    return len(words) >= 4 and _ENGLISH.isdisjoint(words) and not _ENGLISH_FORM.search(question)


def user_message(question: str, context: str | None = None, subquestions: Sequence[str] = ()) -> str:
    """The text of a request: passage (if any), question, numbered sub-questions (if any)."""
    text = question if context is None else f"{context}\n\nQuestion: {question}"
    if subquestions:
        text += "\n\nSub-questions:\n" + numbered(subquestions)
    return text


def numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


def turn_message(
    question: str, context: str | None, history: Sequence[tuple[str, str]], subquestion: str | None = None
) -> str:
    """The text of a dynamic turn: question, what was answered so far, the sub-question to answer (if any)."""
    lines = [f"{number}. {asked}\n   {given}" for number, (asked, given) in enumerate(history, start=1)]
    if subquestion is not None:
        lines.append(f"{len(history) + 1}. {subquestion}")
    text = user_message(question, context)
    return text + "\n\nSub-questions:\n" + "\n".join(lines) if lines else text


def substitute(subquestion: str, answers: Sequence[str]) -> str:
    """`#k` in a sub-question replaced by the answer of sub-question k, where there is one."""

    def answer(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return answers[number - 1].rstrip(".") if number <= len(answers) else match.group(0)

    return _REFERENCE.sub(answer, subquestion)


def references(subquestion: str) -> list[int]:
    """The numbers of the sub-questions whose answers a sub-question refers to."""
    return [int(number) for number in _REFERENCE.findall(subquestion)]


def decompose(question: str, context: str | None, *, cap: int, shots: int = 0) -> list[Message]:
    """Ask for a whole plan of at most `cap` sub-questions, after `shots` examples (0 to 2)."""
    kind = kind_of(question, context)
    messages = [_system(_DECOMPOSE.format(hint=_PLAN_HINT[kind], cap=cap))]
    for example in EXAMPLES[kind][:shots]:
        messages += _exchange(
            user_message(example.question, example.context), "\n".join(example.plan) or NO_DECOMPOSITION
        )
    return [*messages, _user(user_message(question, context))]


def next_subquestion(question: str, context: str | None, history: Sequence[tuple[str, str]]) -> list[Message]:
    """Ask for the one sub-question that should come next."""
    hint = _PLAN_HINT[kind_of(question, context)]
    return [_system(_NEXT.format(hint=hint)), _user(turn_message(question, context, history))]


def solve(
    question: str, context: str | None, subquestions: Sequence[str], *, direct: bool = False, shots: int = 0
) -> list[Message]:
    """Ask for an answer, through the sub-questions if there are any; `direct` asks for the answer alone."""
    kind = kind_of(question, context)
    alone = direct and not subquestions
    if kind == "open":
        instruction = _SOLVE_OPEN_DIRECT if alone else _SOLVE_OPEN
    else:
        instruction = _SOLVE_DIRECT if alone else _SOLVE
    messages = [_system(instruction.format(hint=_SOLVE_HINT[kind]))]
    for example in EXAMPLES[kind][:shots]:
        answer = example.solution
        if example.plan and not subquestions:
            lines = [line.split(". ", 1)[-1] for line in answer.split("\n")]
            answer = lines[-1] if direct else "\n".join(lines)
        messages += _exchange(
            user_message(example.question, example.context, example.plan if subquestions else ()), answer
        )
    return [*messages, _user(user_message(question, context, subquestions))]


def step(question: str, context: str | None, history: Sequence[tuple[str, str]], subquestion: str) -> list[Message]:
    """Ask for the answer of one sub-question."""
    return [_system(_STEP), _user(turn_message(question, context, history, subquestion))]


def conclude(
    question: str, context: str | None, history: Sequence[tuple[str, str]], rest: Sequence[str] = ()
) -> list[Message]:
    """Ask for the answer of the question once its sub-questions are answered, all but the `rest`."""
    kind = kind_of(question, context)
    if rest:
        known = "\n".join(f"- {asked}\n  {given}" for asked, given in history)
        text = user_message(question, context) + f"\n\nKnown already:\n{known}\n\nSub-questions:\n{numbered(rest)}"
        instruction = _SOLVE_OPEN if kind == "open" else _SOLVE.format(hint=_SOLVE_HINT[kind])
        return [_system(instruction), _user(text)]
    instruction = _CONCLUDE_OPEN if kind == "open" else _CONCLUDE.format(hint=_SOLVE_HINT[kind])
    return [_system(instruction), _user(turn_message(question, context, history))]


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _exchange(asked: str, answered: str) -> list[Message]:
    return [_user(asked), {"role": "assistant", "content": answered}]
