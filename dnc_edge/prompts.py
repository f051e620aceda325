"""Every instruction that a model sees, versioned.

A prompt is a list of chat messages: one instruction (system) and one `user_message`. An endpoint gets
both. A trained student needs no instruction: its template puts a role token before the same user
message, so one text serves students and endpoints alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

VERSION = "1"

NO_DECOMPOSITION = "No decomposition"
FINAL_ANSWER = "The answer is:"

# A student's chat template tells its roles apart by the first word of these two instructions.
DECOMPOSE = (
    "Decompose the question into the sub-questions that help most to answer it, in the order in which "
    "they should be answered, the last one leading to the answer. Write one sub-question per line and "
    "nothing else; at most {cap}. A sub-question may point to the answer of an earlier one as #1, #2 and so "
    f'on. If the question needs no sub-questions, write "{NO_DECOMPOSITION}".'
)
SOLVE = (
    "Solve the question. If numbered sub-questions follow it, answer them one at a time, in order, each on "
    "a line of its own that begins with its number; #1, #2 and so on stand for the answers of earlier "
    f'sub-questions. End with a last line "{FINAL_ANSWER} " and the final answer alone.'
)
SOLVE_DIRECT = (
    f'Solve the question without showing any work. Write one line: "{FINAL_ANSWER} " and the final answer alone.'
)


def user_message(question: str, context: str | None = None, subquestions: Sequence[str] = ()) -> str:
    """The text of a request: passage (if any), question, numbered sub-questions (if any)."""
    text = question if context is None else f"{context}\n\nQuestion: {question}"
    if subquestions:
        text += "\n\nSub-questions:\n" + numbered(subquestions)
    return text


def numbered(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))


# Dynamic: decomposer and solver take turns.
NEXT = (
    "Decompose the question step by step: given the sub-questions answered so far, write the one sub-question that "
    "should be answered next, on one line and nothing else. If nothing remains to be asked before the question can be "
    f'answered, write "{NO_DECOMPOSITION}".'
)
SOLVE_STEP = (
    "Solve the last sub-question only, with the help of the answers before it. Reply with its answer in one line."
)
SOLVE_FINAL = (
    "Solve the question with the help of the answered sub-questions that follow it. End with a last line "
    f'"{FINAL_ANSWER} " and the final answer alone.'
)


def answered(history: Sequence[tuple[str, str]]) -> str:
    """The sub-questions answered so far, numbered, each with its answer on the next line."""
    return "\n".join(f"{number}. {asked}\n   {given}" for number, (asked, given) in enumerate(history, start=1))


def dynamic_message(
    question: str, context: str | None, history: Sequence[tuple[str, str]], subquestion: str | None = None
) -> str:
    """The text of a turn: question, what was answered so far, the sub-question to answer (if any)."""
    text = user_message(question, context)
    if history or subquestion is not None:
        text += "\n\nSub-questions:\n" + answered(history)
    if subquestion is not None:
        text += ("\n" if history else "") + f"{len(history) + 1}. {subquestion}"
    return text


def substitute(subquestion: str, answers: Sequence[str]) -> str:
    """`#k` in a sub-question replaced by the answer of sub-question k, where there is one."""

    def answer(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return answers[number - 1].rstrip(".") if number <= len(answers) else match.group(0)

    return re.sub(r"#([1-9]\d?)\b", answer, subquestion)
