"""Demonstrations from the data sets whose training side may train bundled weights.

Each importer yields its records as they are, cleaned as its docstring says; `bundled` gathers them less
everything that a frozen test side holds.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random

from dnc_edge.calculator import evaluate
from dnc_edge.errors import InputError
from dnc_edge.parse import fold, without_repeats
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import FINAL_ANSWER, numbered
from dnc_edge.tasks import drop, files
from dnc_edge.train import written
from dnc_edge.train.demonstrations import Demonstration, read
from dnc_edge.train.leakage import FrozenSides
from dnc_edge.train.multihop import musique, two_wiki
from dnc_edge.train.rationales import load as load_rationales


def gsm8k() -> Iterator[Demonstration]:
    """Yield GSM8K train with the socratic sub-questions.

    Steps whose sub-question repeats an earlier one are answered there; "Define a variable" and other
    steps that ask nothing leave the plan, and their working joins the next sub-question's.
    """
    for number, row in enumerate(files.read_jsonl("gsm8k/train_socratic.jsonl"), start=1):
        *lines, last = row["answer"].split("\n")
        answer = last.removeprefix("####").strip().replace(",", "")
        plan: dict[str, tuple[str, list[str]]] = {}
        waiting: list[str] = []
        for line in lines:
            subquestion, _, working = line.partition(" ** ")
            subquestion = " ".join(subquestion.split())
            waiting.append(working.strip())
            if subquestion.endswith("?"):
                plan.setdefault(fold(subquestion), (subquestion, []))[1].extend(waiting)
                waiting = []
        if not plan:
            continue
        steps = [working for _, working in plan.values()]
        steps[-1].extend(waiting)
        yield Demonstration(
            id=f"gsm8k-train-{number}",
            question=" ".join(row["question"].split()),
            teacher="gsm8k-socratic",
            source="gsm8k/train_socratic.jsonl",
            subquestions=tuple(subquestion for subquestion, _ in plan.values()),
            solution=numbered([" ".join(step) for step in steps]) + f"\n{FINAL_ANSWER} {answer}",
            answer=answer,
        )


def strategyqa() -> Iterator[Demonstration]:
    """Yield StrategyQA train: yes/no questions of fact with human decompositions that use #k references."""
    for row in files.read_json("strategyqa/train.json"):
        yield Demonstration(
            id=f"strategyqa-{row['qid']}",
            question=row["question"].strip(),
            teacher="strategyqa-human",
            source="strategyqa/train.json",
            subquestions=tuple(without_repeats([step.strip() for step in row["decomposition"]])),
            answer="yes" if row["answer"] else "no",
        )


def qdmr_question(step: str) -> str:
    """Return a QDMR step ("return #1 that have a port") as an English question ("Which of #1 have a port?")."""
    text = " ".join(step.strip().removeprefix("return").replace(" ,", ",").split())
    if match := re.match(r"(#\d) (that|who|which|where|when|with|from|in|on|of|to|besides|if|sorted by)\b(.*)", text):
        reference, link, rest = match.groups()
        verb = "" if link in ("that", "who", "which") else f"are {'without' if link == 'besides' else link}"
        return re.sub(" +", " ", f"Which of {reference} {verb} {rest.strip()}?").replace(" are where", ", where")
    if re.match(r"(what|which|who|whose|when|where|how|is|are|was|were|did|does|do|in what|in which)\b", text, re.I):
        return f"{text[0].upper()}{text[1:]}?"
    if match := re.match(r"if (both )?(.*)", text):
        return f"Is it true that {match.group(2)}?"
    plural = re.match(r"(?:the )?[a-z]+s\b(?! of #)", text) and not text.startswith(("the difference", "the highest"))
    article = "" if re.match(r"(the|a|an|#\d|[A-Z])", text) else "the "
    return f"What {'are' if plural else 'is'} {article}{text}?"


def _qdmr(row: dict[str, str], **fields: str | None) -> Demonstration:
    steps = tuple(without_repeats([qdmr_question(step) for step in row["decomposition"].split(";") if step.strip()]))
    question = row["question_text"].strip()
    # A single step only asks the question again: nothing to decompose.
    return Demonstration(
        question=question[0].upper() + question[1:],
        teacher="break-qdmr",
        subquestions=steps if len(steps) > 1 else (),
        **fields,  # type: ignore[arg-type]
    )


def break_facts() -> Iterator[Demonstration]:
    """Yield Break's ComplexWebQuestions rows (high-level QDMR): questions of fact."""
    for row in files.read_csv("break/QDMR-high-level/dev.csv"):
        if row["question_id"].startswith("CWQ"):
            yield _qdmr(row, id=f"break-{row['question_id']}", source="break/QDMR-high-level/dev.csv")


def break_drop(*, held_out: bool = False) -> Iterator[Demonstration]:
    """Yield Break's DROP rows (high-level QDMR) joined to the one passage that asks the question.

    Of the training side; with `held_out` those of the frozen test side, to measure on.
    """
    passages: dict[str, set[str]] = {}
    answers: dict[str, str] = {}
    for passage, question, accepted in drop.rows():
        passages.setdefault(fold(question), set()).add(passage)
        answers[fold(question)] = accepted[0]
    for row in files.read_csv("break/QDMR-high-level/dev.csv"):
        found = passages.get(fold(row["question_text"]), set())
        if not row["question_id"].startswith("DROP") or len(found) != 1:
            continue
        (passage,) = found
        if drop.on_test_side(passage) == held_out:
            yield _qdmr(
                row,
                id=f"break-{row['question_id']}",
                source="break/QDMR-high-level/dev.csv",
                context=passage,
                answer=answers[fold(row["question_text"])],
            )


def _arithmetic(expression: str) -> str | None:
    """Return the expression without spaces and needless brackets; None if it is not made of numbers and + - * /."""
    if not re.fullmatch(r"[\d.+*/() -]+", expression):
        return None
    try:
        tidy = ast.unparse(ast.parse(re.sub(r"\b(\d+)\.0\b", r"\1", expression.strip()), mode="eval"))
    except SyntaxError:
        return None
    return tidy.replace(" ", "")


def _word_problem(question: str, expression: str, **fields: str) -> Demonstration | None:
    """Return a word problem with its expression: with one operator it is left whole, with more it has no plan here."""
    arithmetic = _arithmetic(expression)
    if arithmetic is None:
        return None
    value = evaluate(arithmetic)
    result = str(int(value)) if value == int(value) else f"{value:.4f}".rstrip("0")
    operators = sum(isinstance(node, ast.BinOp) for node in ast.walk(ast.parse(arithmetic, mode="eval")))
    return Demonstration(
        question=re.sub(r" ([,.?!'])", r"\1", " ".join(question.split())),
        subquestions=() if operators <= 1 else None,
        solution=f"{arithmetic} = <<{arithmetic}={result}>>{result}\n{FINAL_ANSWER} {result}",
        answer=result,
        teacher="equation",
        **fields,
    )


def mawps() -> Iterator[Demonstration]:
    """Yield the problems of MAWPS and MAWPS-single train whose equation is X = an expression of numbers."""
    for name, text in (("mawps", "original_text"), ("mawps-single", "sQuestion")):
        source = f"math_word_problems/{name}/trainset.json"
        for number, row in enumerate(files.read_json(source), start=1):
            equation = row.get("equation") or row["lEquations"][0]
            left, _, right = equation.replace(" ", "").partition("=")
            expression = right if left.lower() == "x" else left if right.lower() == "x" else ""
            problem = _word_problem(row[text], expression, id=f"{name}-{number}", source=source)
            if problem:
                yield problem


def svamp() -> Iterator[Demonstration]:
    """Yield SVAMP's training side: inputs and gold expressions."""
    source = "distilling_step_by_step/svamp/svamp_train.json"
    for number, row in enumerate(files.read_jsonl(source), start=1):
        problem = _word_problem(row["input"], row["label"], id=f"svamp-train-{number}", source=source)
        if problem:
            yield problem


def rationales(task: str) -> Callable[[], Iterator[Demonstration]]:
    """Return an importer of a task's training side with PaLM's rationales: solutions without a plan."""

    def read() -> Iterator[Demonstration]:
        for row in load_rationales(task, "train"):
            yield Demonstration(
                id=f"{row.id}-cot",
                question=row.question,
                teacher="palm-540b",
                source=f"distilling_step_by_step/{task}",
                solution=f"{row.rationale}\n{FINAL_ANSWER} {row.teacher_label}",
                answer=row.label,
            )

    return read


IMPORTERS: dict[str, Callable[[], Iterator[Demonstration]]] = {
    "gsm8k": gsm8k,
    "strategyqa": strategyqa,
    "break-facts": break_facts,
    "break-drop": break_drop,
    "mawps": mawps,
    "svamp": svamp,
    "musique": musique,
    "2wiki": two_wiki,
    "svamp-cot": rationales("svamp"),
    "commonsenseqa-cot": rationales("commonsenseqa"),
}
# What the small bundled student was trained on.
MAY_SHIP = ("gsm8k", "strategyqa", "break-facts", "break-drop", "mawps", "svamp")


def clean(name: str, sides: FrozenSides, counts: Counter[str] | None = None) -> Iterator[Demonstration]:
    """Return the demonstrations of a source without repeats and without questions of a frozen test side.

    Args:
        name: of `IMPORTERS`.
        sides: the frozen test sides.
        counts: takes how many were kept and dropped, and why.
    """
    counts = Counter() if counts is None else counts
    seen: set[tuple[str | None, str]] = set()
    for demonstration in IMPORTERS[name]():
        key = (demonstration.context, fold(demonstration.question))
        reason = "on a test side" if sides.holds(demonstration) else "duplicate" if key in seen else "kept"
        counts[reason] += 1
        if reason == "kept":
            seen.add(key)
            yield demonstration


def bundled() -> tuple[list[Demonstration], dict[str, Counter[str]]]:
    """Return all demonstrations that may train bundled weights, and by source how many were kept and dropped."""
    sides = FrozenSides.load()
    kept: list[Demonstration] = []
    seen: set[tuple[str | None, str]] = set()
    report: dict[str, Counter[str]] = {}
    for name in MAY_SHIP:
        counts = report[name] = Counter()
        for demonstration in clean(name, sides, counts):
            key = (demonstration.context, fold(demonstration.question))
            if key in seen:  # in another source
                counts.update({"kept": -1, "duplicate": 1})
            else:
                seen.add(key)
                kept.append(demonstration)
    return kept, report


def gather(names: Sequence[str], *, skip_bad: bool = False, progress: Progress = SILENT) -> list[Demonstration]:
    """Return demonstrations by the names of sources (`bundled`: all that may ship) and the paths of JSONL files.

    Args:
        names: of `IMPORTERS`, "bundled", or paths that end in .jsonl. "NAME:COUNT" takes that many of a source at
            random, the same ones each time, without repeats and without what a test side holds; "written:COUNT" or
            "written:COUNT:SEED" takes questions that a program writes.
        skip_bad: skip broken lines of a file instead of raising their error.
        progress: gets the error of each skipped line.

    Raises:
        InputError: a name is unknown, or a file cannot be used. DataMissing: a data set is not there.
    """
    found: list[Demonstration] = []
    sides: FrozenSides | None = None
    for given in names:
        name, _, count = given.partition(":")
        if given.endswith(".jsonl"):
            found += read(Path(given), skip_bad=skip_bad, progress=progress)
        elif name == "written" and re.fullmatch(r"\d+(:\d+)?", count):
            sides = sides or FrozenSides.load()
            number, _, seed = count.partition(":")
            asked = written.questions(int(seed or 0))
            found += islice((one for one in asked if not sides.holds(one)), int(number))
        elif count.isdecimal() and name in IMPORTERS:
            sides = sides or FrozenSides.load()
            kept = list(clean(name, sides))
            found += kept if len(kept) <= int(count) else Random(given).sample(kept, int(count))
        elif name == "bundled" and not count:
            found += bundled()[0]
        elif name in IMPORTERS and not count:
            found += IMPORTERS[name]()
        else:
            known = ", ".join(["bundled", "written:COUNT", *IMPORTERS])
            raise InputError(f"there are no demonstrations {given!r}", hint=f"name a .jsonl file, or: {known}")
    return found


def texts() -> Iterator[str]:
    """Yield the texts that train the tokenizer: demonstrations, GSM8K's three times, DROP's training passages."""
    for demonstration in bundled()[0]:
        for _ in range(3 if demonstration.source.startswith("gsm8k") else 1):
            yield demonstration.question
            yield from demonstration.subquestions or ()
            yield from (demonstration.solution or "").splitlines()
    passages: set[str] = set()
    for passage, question, _ in drop.rows():
        if not drop.on_test_side(passage):
            yield question
            if passage not in passages:
                passages.add(passage)
                yield passage
