"""What the benchmarks find, as frozen dataclasses that are written to JSON and read back from it by pydantic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from dnc_edge.convert.agreement import Agreement
from dnc_edge.errors import InputError
from dnc_edge.tasks.stats import Estimate, RetainedGain


class _Json:
    """A dictionary that JSON can hold, and the way back."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; `from_dict` takes them back."""
        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the result from what JSON held; unknown names are ignored.

        Raises:
            ValueError: a field is missing or of another type.
        """
        made: Self = TypeAdapter(cls).validate_python(values)
        return made


@dataclass(frozen=True)
class Spread:
    """The median of repeated measurements, with the least and the most of them."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Speed:
    """Speed and memory of one level.

    Attributes:
        load_cold_seconds, load_warm_seconds: to a first token, with the file out of the page cache and in it.
        first_token_seconds: of a prompt of 64 tokens.
        prefill_tokens_per_second, decode_tokens_per_second: of one sequence.
        peak_memory_bytes: of the process that decoded one sequence.
        slots: sequences decoded at once in the figures named `together`.
        decode_tokens_per_second_together: of all these sequences.
        questions_per_second_together, questions_per_second_alone: from prompts to whole plans.
    """

    load_cold_seconds: float
    load_warm_seconds: float
    first_token_seconds: Spread
    prefill_tokens_per_second: Spread
    decode_tokens_per_second: Spread
    peak_memory_bytes: int
    slots: int
    decode_tokens_per_second_together: Spread
    questions_per_second_together: Spread
    questions_per_second_alone: Spread | None = None


def _speed_names(values: Any) -> Any:
    """Rename the figures of `bench speed`, whose names hold the number of slots, to those of `Speed`."""
    if not isinstance(values, Mapping) or "slots" in values:
        return values
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        if match := re.fullmatch(r"(\w+_per_second)_(\d+)_slots", name):
            renamed |= {f"{match[1]}_together": value, "slots": int(match[2])}
        else:
            renamed["questions_per_second_alone" if name == "questions_per_second_1_slot" else name] = value
    return renamed


def engine_speed(figures: Mapping[str, Any]) -> Speed:
    """Build a `Speed` from the figures of `bench.speed.speed`."""
    made: Speed = TypeAdapter(Annotated[Speed, BeforeValidator(_speed_names)]).validate_python(figures)
    return made


@dataclass(frozen=True)
class Ratio:
    """A figure over another one that was measured beside it, round by round.

    Attributes:
        ours, theirs: what is divided: tokens/s, plans/s or seconds, as its name says.
        must, aim: what the median is to reach, or for seconds not to exceed; None is not set.
    """

    ratio: Spread
    ours: Spread
    theirs: Spread
    must: float | None = None
    aim: float | None = None


@dataclass(frozen=True, kw_only=True)
class SpeedResult(_Json):
    """What a student delivers on one machine.

    Attributes:
        task, n: whose questions were asked, and how many distinct ones.
        engines: figures of the engines alone, without observers, text and confidence, by engine.
        ratios: by name; see `bench.delivered.BARS`.
        tokens: of prompts, of plans, and of those that a loop of `create_completion` decoded.
        load: cores that other processes kept busy before; None if that cannot be told.
    """

    kind: Literal["speed"] = "speed"
    student: str
    task: str
    n: int
    engines: Mapping[str, Speed]
    ratios: Mapping[str, Ratio]
    tokens: Mapping[str, int]
    settings: Mapping[str, Any]
    load: float | None
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Totals:
    """Sums over the questions of one stage; `cost_usd` is None if a cost is not known.

    Attributes:
        unaccounted: requests whose reply was lost, so that their tokens are not known.
        estimated: whether some counts are the client's own, because the server sent none.
        seconds: of all requests, added up.
    """

    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    estimated: bool
    seconds: float
    cost_usd: float | None
    unaccounted: int = 0


@dataclass(frozen=True)
class Solved(_Json):
    """A task answered through a pipeline; a failed question counts as wrong and stays in the denominator.

    Attributes:
        n: questions.
        metric: the first of the task's; `scores` and accuracies are of it.
        metrics: each metric's mean with its interval.
        scores, seconds: of every question, in the task's order; seconds of its own requests alone.
        failed, errors: how many questions failed, and the codes of their errors.
        left_whole: questions that needed no sub-questions.
        stages: by `decompose` and `solve`.
        cost_usd: of all, None if a cost is not known.
    """

    n: int
    metric: str
    metrics: Mapping[str, Estimate]
    scores: Sequence[float]
    failed: int
    errors: Sequence[str]
    left_whole: int
    stages: Mapping[str, Totals]
    seconds: Sequence[float]
    cost_usd: float | None


@dataclass(frozen=True)
class LevelCalibration:
    """How far the confidence of a level's plans can be trusted.

    Attributes:
        n: plans; good: the share of good ones.
        auroc: the chance that a good plan has more confidence than another; None if all are alike.
        expected_calibration_error: mean difference of confidence and outcome, 0 to 1.
        risks: share of plans that are not good among the most trusted 5 %, 10 %, and so on to all.
    """

    n: int
    good: float
    auroc: Estimate | None
    expected_calibration_error: float
    risks: Sequence[float]


@dataclass(frozen=True)
class PlanFigures:
    """Plan metrics of docs/method.md, each with its interval."""

    f1: Estimate
    count_difference: Estimate
    unsupported: Estimate
    repeats: Estimate


@dataclass(frozen=True, kw_only=True)
class LevelFigures(_Json):
    """What is measured of one quantization level, before it is compared with full precision.

    Attributes:
        bytes: of the files, without the tokenizer; of a student on a base, of base and adapter.
        bits_per_weight: bits in the files for each weight of the model, scales included.
        fell_back: tensors whose rows the level's packing does not fit, and which got another type.
        plans: over the questions of all tasks.
        scores: by metric, of every question in the result's order.
        agreement: of its predictions with full precision's.
        calibration: of its plans' confidence; None if it made no plan.
        speed: None if nothing was timed; plan_seconds: of plans decoded one at a time; joules_per_plan: None if the
            machine counts no energy.
        solved: by task, the task answered through this level's plans, if a solver was given.
    """

    level: str
    engine: str
    bytes: int
    bits_per_weight: float
    fell_back: Sequence[str]
    plans: PlanFigures
    scores: Mapping[str, Sequence[float]]
    agreement: Agreement
    calibration: LevelCalibration | None
    speed: Annotated[Speed | None, BeforeValidator(_speed_names)] = None
    plan_seconds: Sequence[float] = ()
    joules_per_plan: float | None = None
    solved: Mapping[str, Solved] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.level} {self.engine}"


@dataclass(frozen=True)
class Flips:
    """Shares of questions whose plan is another than full precision's ("Accuracy is not all you need", 2407.09141).

    Attributes:
        changed: in its words; `better` and `worse`: by more than 0.1 plan F1.
        worse_at_most: the one-sided 95 % upper bound of `worse`.
        answers: of answers that became right or wrong, if a solver was given.
    """

    changed: Estimate
    better: Estimate
    worse: Estimate
    worse_at_most: float
    answers: Estimate | None = None


@dataclass(frozen=True)
class TaskLoss:
    """Plan F1 of a level on one task, and what it loses against full precision, paired question by question."""

    f1: Estimate
    lost: Estimate


@dataclass(frozen=True, kw_only=True)
class LevelRow(LevelFigures):
    """A level against full precision, paired question by question.

    Attributes:
        lost: plan F1 over the questions of all tasks; `lost_at_most`: its one-sided 95 % upper bound.
        tasks: the same by task.
    """

    lost: Estimate
    lost_at_most: float
    flips: Flips
    tasks: Mapping[str, TaskLoss]

    @property
    def worst(self) -> tuple[str, TaskLoss]:
        """The task on which most is lost."""
        return max(self.tasks.items(), key=lambda item: item[1].lost.value)


@dataclass(frozen=True, kw_only=True)
class QuantResult(_Json):
    """Levels of a student, from the largest to the smallest.

    Attributes:
        tasks: questions of each task, in the order in which `ids` and the rows' scores hold them.
        clusters: for each question the number of its passage, if questions share some.
        reference: the level that is full precision.
        margin: plan F1 that a recommended level is shown to lose less than.
        confidence: what is taken for a plan's confidence.
        timed_on: the machine that the speeds are of; `machine` is that of the plans.
    """

    kind: Literal["quant"] = "quant"
    student: str
    tasks: Mapping[str, int]
    n: int
    ids: Sequence[str]
    clusters: Sequence[int] | None
    reference: str
    margin: float
    recommendation: str
    confidence: str
    rows: Sequence[LevelRow]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    timed_on: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Latency:
    """Seconds of a question's own requests: the median and the 95th percentile."""

    p50: float
    p95: float


@dataclass(frozen=True, kw_only=True)
class SystemFigures(_Json):
    """What is measured of one system, before it is compared with the others.

    Attributes:
        accuracy: of the task's first metric.
        scores, seconds: of every question in the task's order.
        published: accuracy in percent that others got, by task.
        usd_per_1000: dollars per 1,000 questions, None if a cost is not known.
        settings: of the `Edge`, without passwords.
    """

    label: str
    strategy: str
    accuracy: Estimate
    metrics: Mapping[str, Estimate]
    scores: Mapping[str, Sequence[float]]
    published: Mapping[str, float]
    failed: int
    errors: Sequence[str]
    left_whole: int
    stages: Mapping[str, Totals]
    input_tokens_per_question: float
    usd_per_1000: float | None
    seconds: Sequence[float]
    latency: Latency
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SystemRow(SystemFigures):
    """A system, its paired difference from the first one, and whether it is on the Pareto front.

    `pareto` is None if its cost is not known while that of others is.
    """

    difference: Estimate
    pareto: bool | None


@dataclass(frozen=True, kw_only=True)
class TradeoffResult(_Json):
    """Systems on one task; `name` and `claim` are those of a named configuration.

    `dynamic_over_static` holds ratios of input tokens, by system and by stage; `kept` what decomposers keep of gold
    plans' gain, by system.
    """

    kind: Literal["tradeoff"] = "tradeoff"
    name: str | None
    claim: str | None
    task: str
    metric: str
    n: int
    ids: Sequence[str]
    rows: Sequence[SystemRow]
    dynamic_over_static: Mapping[str, Mapping[str, float]]
    kept: Mapping[str, RetainedGain] = field(default_factory=dict)
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FractionRow(_Json):
    """A method trained on a share (0 to 1) of the training data, and the accuracy of its labels.

    `training` holds the other figures of the training.
    """

    label: str
    method: str
    share: float
    examples: int
    accuracy: Estimate
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FractionsResult(_Json):
    """Methods by their share of the training data, on `n` test questions."""

    kind: Literal["fractions"] = "fractions"
    task: str
    n: int
    claim: str
    rows: Sequence[FractionRow]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """A row of two results: both means, and second - first, paired question by question."""

    label: str
    first: Estimate
    second: Estimate
    difference: Estimate

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True)
class Side:
    """Where one of two compared results comes from."""

    file: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison(_Json):
    """Two results on the `n` questions that both asked; `left_out` are in one of them only."""

    kind: Literal["comparison"] = "comparison"
    metric: str
    n: int
    left_out: int
    rows: Sequence[ComparedRow]
    first: Side
    second: Side


@dataclass(frozen=True, kw_only=True)
class GraphRow(_Json):
    """One strategy on the gold plans of one task; figures are for each question.

    Attributes:
        width: sub-questions for each round of the plan; wide: the share of plans that `auto` solves side by side.
        seconds: from the question to the answer.
        over_static, over_dynamic: the speed-up, which is their seconds over these.
        slower: share of questions that take over 2 % longer than with `static`.
        requests: to the solver.
    """

    task: str
    strategy: str
    n: int
    width: Estimate
    wide: float
    seconds: Estimate
    over_static: Estimate
    over_dynamic: Estimate
    slower: float
    requests: float
    input_tokens: float
    output_tokens: float
    usd_per_1000: float


@dataclass(frozen=True, kw_only=True)
class GraphResult(_Json):
    """Strategies on gold plans, with a solver that takes a fixed time for a request and for each token."""

    kind: Literal["graph"] = "graph"
    rows: Sequence[GraphRow]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class RoutePoint:
    """One way to choose between two solvers: the share of questions for the strong one, and what comes of it."""

    strong: float
    accuracy: Estimate
    usd_per_1000: float


@dataclass(frozen=True, kw_only=True)
class RouteResult(_Json):
    """A route between two solvers, fitted on some questions and tested on `n` others.

    Attributes:
        fitted: questions that the route was fitted on.
        route: threshold and weights, as `solvers.routing.Route` reads them.
        cheap, strong, oracle: always the one, always the other, and the strong one only if it alone is right.
        chosen: what the route comes to.
        difference: its accuracy less that of always asking the strong solver.
        saved: the share of that one's dollars that it saves.
        over_chance: its accuracy less that of choosing by chance at the same cost; line_over_chance: the mean of that
            over all thresholds.
        auroc: of the chance that the cheap solver is enough; None if it always or never is.
        line, oracle_line: the route at every threshold, and the oracle at every cost.
    """

    kind: Literal["route"] = "route"
    task: str
    fitted: int
    n: int
    route: Mapping[str, Any]
    cheap: RoutePoint
    strong: RoutePoint
    oracle: RoutePoint
    chosen: RoutePoint
    difference: Estimate
    saved: Estimate
    over_chance: Estimate
    line_over_chance: Estimate
    auroc: float | None
    line: Sequence[RoutePoint]
    oracle_line: Sequence[RoutePoint]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PassagesRow(_Json):
    """Questions over passages, sent in one order to a provider whose cache has these rules.

    Attributes:
        cache: the provider's rules by name; minimum: tokens that a shared beginning needs.
        jobs: requests at a time.
        order: "as given" (drawn at random) or "together".
        reach: the share of prompts whose instruction and passage reach the minimum.
        cached: the share of input tokens that were billed as cached.
        usd_per_1000: dollars per 1,000 questions; saved: the share of the dollars without a cache that it saves.
    """

    cache: str
    minimum: int
    jobs: int
    order: str
    n: int
    passages: int
    reach: float
    cached: float
    usd_per_1000: float
    saved: float


@dataclass(frozen=True, kw_only=True)
class PassagesResult(_Json):
    """What a provider's cache saves on questions over passages; `reach` of other tasks, by name and minimum."""

    kind: Literal["passages"] = "passages"
    task: str
    rows: Sequence[PassagesRow]
    reach: Mapping[str, Mapping[str, float]]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LocalStepsRow(_Json):
    """Sub-questions of one task's gold plans.

    Attributes:
        worked_out: the share that the calculator answers; right: the share that it answers as gold does.
        wrong: how many it answers otherwise.
        tokens_saved: the share of the solver's tokens, if each sub-question is asked by itself.
    """

    task: str
    steps: int
    worked_out: float
    right: Estimate
    wrong: int
    tokens_saved: float


@dataclass(frozen=True, kw_only=True)
class LocalStepsResult(_Json):
    """How many gold steps are worked out here."""

    kind: Literal["local-steps"] = "local-steps"
    rows: Sequence[LocalStepsRow]
    machine: Mapping[str, Any]


Result = QuantResult | TradeoffResult | FractionsResult | Comparison | GraphResult | RouteResult | PassagesResult


def read_result(values: Mapping[str, Any]) -> Result:
    """Build a result from what JSON held, by its `kind`.

    Raises:
        InputError: it is of no known kind, or a field is missing or of another type.
    """
    kinds: dict[str, type[Result]] = {
        "quant": QuantResult, "tradeoff": TradeoffResult, "fractions": FractionsResult, "comparison": Comparison,
        "graph": GraphResult, "route": RouteResult,
        "passages": PassagesResult,
    }  # fmt: skip
    kind = kinds.get(str(values.get("kind")))
    if kind is None:
        raise InputError(f"no result of {' or '.join(kinds)}", hint="reports are made from what bench wrote")
    try:
        return kind.from_dict(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"no result of {kind.kind}: {place}: {first['msg']}", hint="write it anew with bench"
        ) from error
