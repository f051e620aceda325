"""500 replies of real models through the parsers: how many were understood, and which were not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from dnc_edge import parse
from dnc_edge.calculator import evaluate
from dnc_edge.tasks import files

# Replies of each source.
EACH = 125


@dataclass(frozen=True)
class ParsedReplies:
    """Replies of one source: what counts as understood, how many were read, and the ids of those not understood."""

    source: str
    criterion: str
    total: int
    misses: tuple[str, ...]


def _chatgpt_plans() -> Iterator[tuple[str, bool]]:
    written = files.read_json("gsm8k_ai_subq/test_chat.jsonl")
    listed = files.read_json("gsm8k_ai_subq/qg_test_dataset.jsonl")
    for number, (reply, row) in enumerate(zip(written, listed, strict=True), start=1):
        expected = parse.without_repeats(" ".join(question.split()) for question in row["answers"])
        yield f"test_chat:{number}", list(parse.plan(reply["questions"][0]).subquestions) == expected


def _chatgpt_answers() -> Iterator[tuple[str, bool]]:
    for number, reply in enumerate(files.read_json("gsm8k_ai_subq/test_chat.jsonl"), start=1):
        text, asked = reply["answers"][0], parse.plan(reply["questions"][0]).subquestions
        answer = parse.scored_answer(text)
        understood = parse.number(answer or "") is not None and len(parse.subanswers(text)) == len(asked)
        yield f"test_chat:{number}", understood


def _svamp_rationales() -> Iterator[tuple[str, bool]]:
    replies = files.read_json("distilling_step_by_step/svamp/llm/test_CoT_0.json")
    for number, reply in enumerate(replies, start=1):
        answer = parse.scored_answer(reply) or ""
        try:
            evaluate(answer)
            yield f"svamp/test_CoT_0:{number}", "Q:" not in parse.own_part(reply)
        except ValueError:
            yield f"svamp/test_CoT_0:{number}", False


def _commonsense_rationales() -> Iterator[tuple[str, bool]]:
    rows = list(files.read_jsonl("distilling_step_by_step/cqa/cqa_test.json"))
    replies = files.read_json("distilling_step_by_step/cqa/llm/test_CoT_0.json")
    for number, (reply, row) in enumerate(zip(replies, rows, strict=False), start=1):
        answer = (parse.scored_answer(reply) or "").lower()
        yield f"cqa/test_CoT_0:{number}", any(choice.lower() in answer for choice in row["choices"])


SOURCES: tuple[tuple[str, str, Callable[[], Iterator[tuple[str, bool]]]], ...] = (
    ("ChatGPT plans (GSM8K-AI-SubQ)", "the same sub-questions as its authors list", _chatgpt_plans),
    ("ChatGPT answers (GSM8K-AI-SubQ)", "a number, and an answer to each sub-question", _chatgpt_answers),
    ("PaLM rationales (SVAMP)", "an expression, nothing of the next problem", _svamp_rationales),
    ("PaLM rationales (CommonsenseQA)", "one of the choices", _commonsense_rationales),
)


def parsers(seed: int = 0) -> list[ParsedReplies]:
    """Parse `EACH` replies of each source, drawn by `seed`.

    Raises:
        DataMissing: a data set is not there.
    """
    rows = []
    for source, criterion, read in SOURCES:
        replies = list(read())
        drawn = Random(seed).sample(replies, min(EACH, len(replies)))
        misses = tuple(name for name, understood in drawn if not understood)
        rows.append(ParsedReplies(source, criterion, len(drawn), misses))
    return rows
