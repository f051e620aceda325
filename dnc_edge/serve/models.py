"""The models that a server offers: each a pair of decomposer and solver, with a name of its own."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge.batch.paid import PaidRun
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.serve.wire import DEFAULT_MODEL

# Edges with other settings than the server's that are kept; each has connections of its own.
MOST_EDGES = 64


@dataclass(frozen=True)
class Model:
    """A pair as `/v1/models` shows it.

    Attributes:
        id: its name. decomposer, solver: as records name them.
        changes: settings in which it differs from the server's.
    """

    id: str
    decomposer: str
    solver: str
    changes: Mapping[str, str]


def pair(text: str) -> tuple[str, dict[str, str]]:
    """Read `NAME=SOLVER` or `NAME=STUDENT+SOLVER`.

    Returns:
        the name, and the settings that it stands for.

    Raises:
        UsageError: it is neither.
    """
    name, equals, models = text.partition("=")
    student, plus, solver = models.partition("+")
    if not equals or not name.strip() or not models:
        raise UsageError(f"--model {text!r}: write NAME=SOLVER or NAME=STUDENT+SOLVER")
    # The name of a solver may hold a plus too.
    if plus and ":" not in student:
        return name.strip(), {"student": student, "solver": solver}
    return name.strip(), {"solver": models}


class UnknownModel(UsageError):
    default_code = "model_not_found"


class Models:
    """All pairs of a server, loaded at once, with one gate for each day. Use it in a `with`.

    Args:
        pairs: `NAME=SOLVER` or `NAME=STUDENT+SOLVER`, beside the one of the settings.
        max_cost: dollars a day that are never exceeded; None is no cap.
        spent: folder that keeps what a day has spent, so that it counts after a restart; used under a cap.
        run: further arguments of `PaidRun`.
        edge: further arguments of `Edge`.
        today: injectable.

    Raises:
        UsageError, MissingError: a part cannot be made, or two pairs have one name.
    """

    def __init__(
        self,
        pairs: Sequence[str] = (),
        *,
        max_cost: float | None = None,
        spent: Path | None = None,
        run: Mapping[str, Any] | None = None,
        edge: Mapping[str, Any] | None = None,
        today: Callable[[], datetime.date] = datetime.date.today,
    ) -> None:
        self.max_cost = max_cost
        self._spent, self._run_arguments, self._today = spent, dict(run or {}), today
        self._open = contextlib.ExitStack()
        self._day: datetime.date | None = None
        self._base = self._open.enter_context(Edge(engine_thread=True, **dict(edge or {})))
        try:
            self._renew()
            self._models = self._loaded(pairs)
        except BaseException:
            self._open.close()
            raise

    def _loaded(self, pairs: Sequence[str]) -> dict[str, Model]:
        models: dict[str, Model] = {}
        for text in ("", *pairs):
            name, changes = pair(text) if text else (DEFAULT_MODEL, {})
            edge = self._edge(**changes)
            planner = "none" if edge.settings.decomposer == "none" else edge.decomposer.name
            made = Model(f"{planner}+{edge.solver.name}".replace("student:", ""), planner, edge.solver.name, changes)
            if name in models:
                raise UsageError(f"two models are called {name!r}", hint="give each --model a name of its own")
            models[name] = made
            models.setdefault(made.id, made)
        return models

    def __iter__(self) -> Iterator[str]:
        """Names of all models, aliases too."""
        return iter(self._models)

    def __getitem__(self, name: str) -> Model:
        """A model by its name. Raises UnknownModel."""
        try:
            return self._models[name]
        except KeyError:
            raise UnknownModel(f"there is no model {name!r}; there are {', '.join(self._models)}") from None

    def edge(self, name: str, settings: Mapping[str, Any]) -> Edge:
        """What answers for a model, today and with some settings changed.

        Raises:
            UnknownModel: there is no such model. UsageError: a setting is wrong.
        """
        model = self[name]
        self._renew()
        return self._edge(**model.changes, **settings)

    @property
    def day(self) -> datetime.date:
        self._renew()
        assert self._day is not None
        return self._day

    @property
    def cost(self) -> float:
        """Dollars spent today, with those that may have been."""
        self._renew()
        return self._paid.gate.spent + self._paid.gate.lost

    def _renew(self) -> None:
        """Begin a new day with a new gate. Requests under way keep theirs: they count for the day that they began."""
        today = self._today()
        if today == self._day:
            return
        purse = None
        if self.max_cost is not None and self._spent is not None:
            self._spent.mkdir(parents=True, exist_ok=True)
            purse = self._spent / f"{today.isoformat()}.spent"
        run = PaidRun(max_cost=self.max_cost, purse=purse, lasting=True, **self._run_arguments)
        self._paid = self._open.enter_context(run)
        self._base.gate = run.gate
        self._day = today
        self._edge = functools.lru_cache(MOST_EDGES)(self._base.varied)

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Models:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
