"""A run of many paid requests: one gate for all of them, with its purse, and edges that keep their replies."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from dnc_edge.edge import Edge
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote.gate import Gate
from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.store import Store


class PaidRun:
    """What a run of many questions spends. Use it in a `with`.

        with PaidRun(prices, max_cost=5, purse=Path("out.spent")) as run:
            with run.edge(replies=Path("out.replies"), solver="openai:gpt-4o-mini") as edge:
                ...

    Attributes:
        gate: what every remote request of all its edges passes.

    Args:
        prices, max_cost, rpm, tpm, purse, lasting: see `Gate`, whose errors it raises.
        progress: gets a note whenever a server makes its edges wait.
    """

    def __init__(
        self,
        prices: Prices | None = None,
        *,
        max_cost: float | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        purse: Path | None = None,
        lasting: bool = False,
        progress: Progress = SILENT,
    ) -> None:
        self.progress = progress
        self.gate = Gate(prices, max_cost=max_cost, rpm=rpm, tpm=tpm, purse=purse, lasting=lasting)

    def __enter__(self) -> PaidRun:
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.__exit__(*error)

    @contextlib.contextmanager
    def edge(self, *, replies: Path | None = None, retry_failed: bool = False, **parts: Any) -> Generator[Edge]:
        """Open an edge whose remote requests pass the gate.

        Args:
            replies: file in which complete replies are kept and looked up; None keeps none.
            retry_failed: ask again for replies in it that are no answer.
            **parts: further arguments of `Edge`.
        """
        store = Store(replies, retry_failed=retry_failed) if replies else None
        with (
            contextlib.closing(store) if store else contextlib.nullcontext(),
            Edge(prices=self.gate.prices, gate=self.gate, store=store, progress=self.progress, **parts) as edge,
        ):
            yield edge
