"""Judging a plan without a solver: plan F1, count difference, unsupported words, repeats.

All on the delivered plan, exact repeats removed in predictions and in gold alike; only the repeat rate
looks at the raw one. docs/method.md defines each figure and says why they are worth trusting.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dnc_edge.errors import ExtraMissing
from dnc_edge.parse import without_repeats
from dnc_edge.tasks import stats

# Function, question and quantity words: asking "how many in total" invents nothing.
STOP_WORDS = frozenset(
    """a about above after again all also altogether am amount an and another any are as at be because been before
    being below between both but by can combined could day days did do does doing done down during each either else
    end every few fewer first following for from further get gets given gives go goes got had has have having he her
    here hers herself him himself his how hour hours i if in into is it its itself last leave left less long many
    may me minute minutes month months more most much must my myself need needs new next no nor not now number of off
    old on once one only or other our out over own per remain remaining remains same second shall she should so some
    spend spends spent still sum take takes than that the their theirs them themselves then there these they third
    this those through time times to together total totals two under until up us use used using very was we week
    weeks were what when where whether which while who whom whose why will with within without would year years you
    your""".split()
)


def _rouge() -> Any:
    try:
        from rouge_score import rouge_scorer
    except ImportError as error:
        raise ExtraMissing("rouge-score", "eval") from error
    return rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)


@functools.cache
def _tools() -> tuple[Any, Any]:
    scorer = _rouge()
    return scorer, scorer._tokenizer._stemmer


@functools.lru_cache(maxsize=100_000)
def rouge_l(gold: str, predicted: str) -> float:
    """ROUGE-L F-measure, stemmed (Lin 2004; package rouge-score)."""
    return float(_tools()[0].score(gold, predicted)["rougeL"].fmeasure)


def plan_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """2 * sum / (|P| + |G|), the sum of ROUGE-L over the best one-to-one matching; 1 if both are empty."""
    predicted, gold = without_repeats(predicted), without_repeats(gold)
    if not predicted or not gold:
        return float(not predicted and not gold)
    import numpy as np

    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ExtraMissing("scipy", "eval") from error
    scores = np.array([[rouge_l(g, p) for g in gold] for p in predicted])
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return 2.0 * float(scores[rows, columns].sum()) / (len(predicted) + len(gold))


def refers_ahead(plan: Sequence[str]) -> bool:
    """Whether a sub-question refers to its own answer or to that of a later one (`#k`, counted from 1)."""
    return any(
        int(reference) >= number
        for number, subquestion in enumerate(plan, start=1)
        for reference in re.findall(r"#(\d+)", subquestion)
    )


def content_stems(text: str) -> list[str]:
    """Stems of the content words: letters only, lower case, two or more long, no stop word."""
    stemmer = _tools()[1]
    words = re.findall(r"[^\W\d_]+", text.lower())
    return [stemmer.stem(word) for word in words if len(word) > 1 and word not in STOP_WORDS]


@dataclass(frozen=True)
class PlanScore:
    """One plan against one gold plan."""

    f1: float
    count_difference: int
    content_words: int
    unsupported: int
    repeats: bool


def score(predicted: Sequence[str], gold: Sequence[str], source: str) -> PlanScore:
    """Score a raw plan (repeats and all) against gold; `source` is question and passage."""
    delivered = without_repeats(predicted)
    stems = [stem for subquestion in delivered for stem in content_stems(subquestion)]
    known = set(content_stems(source))
    return PlanScore(
        f1=plan_f1(delivered, gold),
        count_difference=abs(len(delivered) - len(without_repeats(gold))),
        content_words=len(stems),
        unsupported=sum(stem not in known for stem in stems),
        repeats=len(delivered) < len(predicted),
    )


@dataclass(frozen=True)
class PlanFigures:
    """The figures of one decomposer on one task, each with its interval."""

    f1: stats.Estimate
    count_difference: stats.Estimate
    unsupported: stats.Estimate
    repeats: stats.Estimate


def figures(scores: Sequence[PlanScore], *, clusters: Sequence[int] | None = None) -> PlanFigures:
    """Averages over questions, `clusters` as `stats.bootstrap` takes them; unsupported words are a share of all."""
    import numpy as np

    unsupported = [float(score.unsupported) for score in scores]
    words = [float(score.content_words) for score in scores]
    low, high = np.quantile(stats.resampled_ratios(unsupported, words, clusters=clusters), [0.025, 0.975])
    return PlanFigures(
        f1=stats.bootstrap([score.f1 for score in scores], clusters=clusters),
        count_difference=stats.bootstrap([score.count_difference for score in scores], clusters=clusters),
        unsupported=stats.Estimate(sum(unsupported) / max(1.0, sum(words)), float(low), float(high), len(scores)),
        repeats=stats.wilson(sum(score.repeats for score in scores), len(scores)),
    )
