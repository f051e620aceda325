"""How near a converted model is to the one that was trained: logits, likeliest tokens, plans.

A level is judged on the reference's own greedy plans: at each of their tokens, how far the level's distribution
is from the reference's (KL divergence) and whether it would have chosen the same token; then on the plans
that it decodes by itself (plan F1, docs/method.md). Plans are taken as decoded, without refusing repeats. A solver's
answers are compared in the same way, without plan F1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnc_edge.convert.decoders import Decoder, Logits
from dnc_edge.errors import DataMissing
from dnc_edge.parse import plan as parse_plan
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import user_message
from dnc_edge.students.measured import Fidelity
from dnc_edge.students.tokenizer import Detokenizer, Tokenizer, encode_prompt
from dnc_edge.tasks import everyday, gsm8k, plans, stats
from dnc_edge.tasks.problem import Problem
from dnc_edge.typed_json import build, plain

# A level that loses more is marked, and kept only when asked for.
MOST_F1_LOST = 0.02
LEAST_TOP_TOKENS = 0.90
# Two tokens whose logits differ by less than float32 rounding makes of them are tied.
TIE = 1e-3


def rounded(fidelity: Fidelity) -> Fidelity:
    """Return the figures with four significant digits, as a manifest keeps them."""
    return build(Fidelity, four_digits(plain(fidelity)))


def four_digits(value: Any) -> Any:
    """Return a float with four significant digits; a dictionary with its floats so, and all else as it is."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return {name: four_digits(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def questions(limit: int) -> tuple[str, list[Problem]]:
    """Return (name, problems) to compare on: the first of GSM8K test, or our own if it is not on this machine."""
    try:
        return f"gsm8k test, first {limit}", gsm8k.load(limit)
    except DataMissing:
        own = [problem for problem in everyday.load("dev") if problem.kind == "word problem"][:limit]
        return f"{len(own)} questions of our own", list(own)


class Reference:
    """The reference's prompts, greedy plans and logits on some questions, worked out once.

    Args:
        decoder: what was trained.
        tokenizer, template: how a question becomes a prompt.
        stop: token ids that end a plan.
        problems: questions with gold plans; `on` is their name.
        plans: whether what is decoded are plans, which have a plan F1.
        scratch: folder for the logits, which may exceed memory.
        limit: most tokens of a plan or an answer.
        progress: gets the number of questions that are done.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        template: str,
        stop: frozenset[int],
        problems: Sequence[Problem],
        *,
        on: str = "",
        plans: bool = True,
        scratch: Path,
        limit: int = 160,
        progress: Progress = SILENT,
    ) -> None:
        self.on = on
        self.tokenizer, self.stop, self.problems, self.limit = tokenizer, stop, problems, limit
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self.prompts = [
            encode_prompt(tokenizer, template, user_message(problem.question, problem.context)) for problem in problems
        ]
        self.decoded: list[list[int]] = []
        what = "decoding with the reference"
        progress.step(what, 0, len(problems))
        for number, prompt in enumerate(self.prompts):
            self.decoded.append(decoder.greedy(prompt, stop, limit))
            np.save(scratch / f"{number}.npy", decoder.logits(prompt, self.decoded[-1]))
            progress.step(what, number + 1, len(problems))
        self.scores = [self.score(*pair) for pair in zip(self.decoded, problems, strict=True)] if plans else None

    def logits(self, number: int) -> Logits:
        loaded: Logits = np.load(self._scratch / f"{number}.npy")
        return loaded

    def score(self, tokens: Sequence[int], problem: Problem) -> float:
        """Return the plan F1 of decoded tokens against the problem's gold plan, from 0 to 1."""
        detokenizer = Detokenizer(self.tokenizer)
        text = "".join(detokenizer.add(token) for token in tokens if token not in self.stop) + detokenizer.finish()
        return plans.plan_f1(parse_plan(text, cap=None).subquestions, problem.plan or ())


def compare(
    reference: Reference, decoder: Decoder, *, what: str = "comparing", progress: Progress = SILENT
) -> Fidelity:
    """Measure a level against the reference, question by question.

    Args:
        decoder: of the level.
        what: the name of this step for `progress`, which gets the number of questions that are done.
    """
    progress.step(what, 0, len(reference.problems))
    divergences, agreements, largest = [], [], 0.0
    identical, ties, parted, scores = 0, 0, [], []
    for number, (prompt, decoded, problem) in enumerate(
        zip(reference.prompts, reference.decoded, reference.problems, strict=True)
    ):
        wanted, given = reference.logits(number), decoder.logits(prompt, decoded)
        divergences.append(divergence(log_softmax(wanted), log_softmax(given)))
        agreements.append(wanted.argmax(axis=1) == given.argmax(axis=1))
        largest = max(largest, float(np.abs(wanted - given).max()))
        own = decoder.greedy(prompt, reference.stop, reference.limit)
        if reference.scores is not None:
            scores.append(reference.score(own, problem))
        if own == decoded:
            identical += 1
        elif _tied(wanted, decoded, own):
            ties += 1
        else:
            parted.append(problem.id)
        progress.step(what, number + 1, len(reference.problems))
    every = np.concatenate(divergences)  # (tokens of all plans,)
    top_tokens = float(np.concatenate(agreements).mean())
    f1_lost = None if reference.scores is None else stats.paired(reference.scores, scores)
    return Fidelity(
        on=reference.on,
        n=len(reference.problems),
        tokens=int(every.size),
        kl=float(every.mean()),
        top_tokens=top_tokens,
        largest_difference=largest,
        identical=identical,
        ties=ties,
        parted=tuple(parted),
        plan_f1=None if reference.scores is None else stats.bootstrap(scores),
        f1_lost=f1_lost,
        poor=(f1_lost is not None and f1_lost.value > MOST_F1_LOST) or top_tokens < LEAST_TOP_TOKENS,
    )


def divergence(wanted: Any, given: Any) -> Any:
    """Return the KL divergence of each row, from log-probabilities, in nats: (rows,), at least 0 up to rounding."""
    return (np.exp(wanted) * (wanted - given)).sum(axis=1)


def log_softmax(logits: Logits) -> Any:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _tied(wanted: Logits, plan: Sequence[int], own: Sequence[int]) -> bool:
    """Return whether two texts first differ at tokens that the reference considers equally likely."""
    first = next((n for n, (a, b) in enumerate(zip(plan, own, strict=False)) if a != b), None)
    return first is not None and abs(float(wanted[first, plan[first]] - wanted[first, own[first]])) < TIE
