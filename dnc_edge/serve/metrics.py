"""What Prometheus may collect."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dnc_edge.serve.jobs import Jobs
from dnc_edge.types import Record

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """Counts of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, jobs: Jobs) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "dnc_edge_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self._questions = Counter(
            "dnc_edge_questions",
            "Questions by model, and by the code of their error.",
            ["model", "error"],
            registry=registry,
        )
        self._tokens = Counter(
            "dnc_edge_tokens", "Tokens by stage and direction.", ["stage", "direction"], registry=registry
        )
        self._dollars = Counter("dnc_edge_cost_usd", "Dollars of answers whose cost is known.", registry=registry)
        self._seconds = Histogram(
            "dnc_edge_seconds", "Seconds of a stage.", ["stage"], buckets=SECONDS, registry=registry
        )
        running = Gauge("dnc_edge_running", "Questions that are being answered.", registry=registry)
        running.set_function(lambda: jobs.running)
        waiting = Gauge("dnc_edge_waiting", "Questions that wait for a place.", registry=registry)
        waiting.set_function(lambda: jobs.waiting)

    def count(self, model: str, record: Record) -> None:
        """Count a question that has ended."""
        self._questions.labels(model, record.error.code if record.error else "").inc()
        self._dollars.inc(record.cost_usd or 0.0)
        for stage, usage in record.usage.items():
            self._tokens.labels(stage, "input").inc(usage.input_tokens)
            self._tokens.labels(stage, "output").inc(usage.output_tokens)
            self._seconds.labels(stage).observe(usage.seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
