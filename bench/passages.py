"""What a provider's cache of prompts saves on questions over passages, and which prompts are long enough for it.

A server on loopback bills real HTTP requests of `dnc-edge batch` by the rules of a provider: it keeps the beginnings of
the prompts that it has answered, in steps, and charges less for those that come again, if they are long enough.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files, prompts
from dnc_edge.batch.batch import batch
from dnc_edge.batch.records import records
from dnc_edge.bench.loopback import LoopbackSolver, Reply
from dnc_edge.bench.machine import machine
from dnc_edge.bench.results import PassagesResult, PassagesRow
from dnc_edge.edge import Edge
from dnc_edge.errors import DataMissing, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.usage import BYTES_PER_TOKEN
from dnc_edge.tasks import Task
from dnc_edge.tasks.files import read_jsonl
from dnc_edge.types import Question, Record

SECONDS = 0.01
REPLY = "The answer is: 7"
# Multi-hop questions, each with twenty passages of its own: a step of `graph` or `dynamic` shares them with the others.
LONG = {"MuSiQue with 20 passages": "musique", "HotpotQA with 10": "hotpot"}


@dataclass(frozen=True)
class Cache:
    """The rules of a provider's cache.

    Attributes:
        minimum: tokens that a beginning needs to be kept; step: it is kept in multiples of so many.
        lifetime: requests after which one that nobody used is dropped, if one is sent at a time; with several at a
            time, as many times more fit into the same minutes.
        price: dollars per million input, output and cached input tokens.
    """

    name: str
    minimum: int
    step: int
    lifetime: int
    price: tuple[float, float, float]


# As the providers documented them in 2025: OpenAI for gpt-4o-mini, DeepSeek for deepseek-chat. The first keeps a
# beginning for five minutes, the second for hours; a request is taken to last three seconds.
CACHES = (
    Cache("OpenAI's rules", 1024, 128, 100, (0.15, 0.60, 0.075)),
    Cache("64 tokens, five minutes", 64, 64, 100, (0.27, 1.10, 0.07)),
    Cache("DeepSeek's rules", 64, 64, 10_000, (0.27, 1.10, 0.07)),
)
JOBS = (1, 8)


def passages(task: Task, *, progress: Progress = SILENT) -> PassagesResult:
    """Send a task's questions over passages in two orders, to each provider's cache.

    Args:
        task: its questions have passages, several of them the same.
        progress: gets a step for each order.

    Raises:
        UsageError: no question of the task has a passage.
    """
    asked = [Question(p.question, p.context, p.id) for p in task.problems if p.context]
    if not asked:
        raise UsageError(f"no question of the task {task.name} has a passage", hint="take another --task")
    mixed = random.Random(0).sample(asked, len(asked))
    rows = []
    for cache in CACHES:
        for jobs, order in itertools.product(JOBS, ("as given", "together")):
            progress.step(f"{cache.name}, {order}, {jobs} at a time")
            rows.append(_row(cache, order, mixed, jobs))
    reach = {task.name: _reach(_heads(asked))}
    for name, file in LONG.items():
        try:
            reach[name] = _reach(_long_heads(file))
        except DataMissing:
            continue
    settings = {"seconds": SECONDS, "caches": {cache.name: cache.price for cache in CACHES}}
    return PassagesResult(task=task.name, rows=rows, reach=reach, settings=settings, machine=machine())


class Biller:
    """Answers, and counts as cached what a cache with these rules has kept of earlier prompts.

    A beginning is in the cache from the moment on at which the first prompt with it is answered.

    Args:
        cache: the rules.
        jobs: requests at a time, for its lifetime.
        seconds: that a request takes.
    """

    def __init__(self, cache: Cache, jobs: int, *, seconds: float = SECONDS) -> None:
        self.cache, self.seconds = cache, seconds
        self._lifetime = cache.lifetime * jobs
        self._requests = 0
        # By the hash of a beginning: when it was answered first, and the last request that used it.
        self._kept: dict[int, tuple[float, int]] = {}

    def __call__(self, body: Mapping[str, Any]) -> Reply:
        text = "\0".join(message["content"] for message in body["messages"]).encode()
        now, cached = time.monotonic(), 0
        self._requests += 1
        for tokens, beginning in self._beginnings(text):
            ready, last = self._kept.get(beginning, (now + self.seconds, self._requests))
            if self._requests - last > self._lifetime:
                ready = now + self.seconds
            if ready < now:
                cached = tokens
            self._kept[beginning] = ready, self._requests
        received = -(-len(REPLY) // BYTES_PER_TOKEN)
        return Reply(REPLY, self.seconds, sent=len(text) // BYTES_PER_TOKEN, cached=cached, received=received)

    def _beginnings(self, text: bytes) -> Iterator[tuple[int, int]]:
        """(tokens, hash) of every beginning that would be kept, the shortest first."""
        for tokens in range(self.cache.step, len(text) // BYTES_PER_TOKEN + 1, self.cache.step):
            if tokens >= self.cache.minimum:
                yield tokens, hash(text[: tokens * BYTES_PER_TOKEN])


def _row(cache: Cache, order: str, asked: Sequence[Question], jobs: int) -> PassagesRow:
    sent, received, cached = cache.price
    found: list[Record] = []
    with tempfile.TemporaryDirectory() as scratch, LoopbackSolver(Biller(cache, jobs)) as server:
        prices = Prices((sent, received), cached=cached)
        with Edge(solver=server.address, strategy="single", prices=prices) as edge:
            if order == "together":
                out = Path(scratch, "out.jsonl")
                batch(asked, out, edge, jobs=jobs)
                found = [Record.from_json(line) for _, line in files.lines(out)]
            else:
                found = list(records(asked, edge.pipeline(), jobs=jobs))
    used = [record.usage["solve"] for record in found]
    total = sum(usage.input_tokens for usage in used)
    paid = sum(usage.cost_usd or 0.0 for usage in used)
    full = (total * sent + sum(usage.output_tokens for usage in used) * received) / 1e6
    return PassagesRow(
        cache=cache.name,
        minimum=cache.minimum,
        jobs=jobs,
        order=order,
        n=len(asked),
        passages=len({question.context for question in asked}),
        reach=_share(_heads(asked), cache.minimum),
        cached=sum(usage.cached_tokens for usage in used) / total,
        usd_per_1000=1000 * paid / len(asked),
        saved=1 - paid / full,
    )


def _heads(asked: Sequence[Question]) -> list[int]:
    """Tokens of instruction and passage, which come before the question, of each prompt."""
    return [_tokens(prompts.solve(question.text, question.context, ()), question.text) for question in asked]


def _long_heads(name: str) -> list[int]:
    found = []
    for row in read_jsonl(f"multihop_migres/{name}.json"):
        context = "\n\n".join(_paragraphs(row))
        found.append(_tokens(prompts.step(row["question"], context, (), ""), row["question"]))
    return found


def _paragraphs(row: Mapping[str, Any]) -> list[str]:
    if "paragraphs" in row:
        return [paragraph["paragraph_text"] for paragraph in row["paragraphs"]]
    return [" ".join(sentences) for _, sentences in row["context"]]


def _tokens(messages: Sequence[Mapping[str, str]], question: str) -> int:
    text = "\0".join(message["content"] for message in messages)
    return len(text[: text.rindex(question)].encode()) // BYTES_PER_TOKEN


def _reach(heads: Sequence[int]) -> dict[str, float]:
    return {str(cache.minimum): _share(heads, cache.minimum) for cache in CACHES}


def _share(heads: Sequence[int], minimum: int) -> float:
    return sum(head >= minimum for head in heads) / len(heads)
