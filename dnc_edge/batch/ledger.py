"""What is asked for and what is done, on disk and not in memory: a table of the input beside the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import NoneType

from dnc_edge.errors import InputError
from dnc_edge.journal import Journal
from dnc_edge.pipeline import question_id
from dnc_edge.types import Question, Usage


@dataclass(frozen=True)
class Done:
    """The last record of an id: its key, its place in the journal, whether it failed."""

    key: str
    place: int
    failed: bool


class Ledger:
    """Every question once, in input order, with the place of its record. Temporary: it is made again from both."""

    def __init__(self) -> None:
        # An empty name is a database on disk that goes with its connection.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA cache_size = -1024")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE asked (position INTEGER PRIMARY KEY, id TEXT UNIQUE, text TEXT, context TEXT, done INTEGER)"
        )
        self._database.execute("CREATE TABLE done (id TEXT PRIMARY KEY, key TEXT, place INTEGER, failed INTEGER)")
        self.total = 0
        # Rows that hold a question that was there already: they share its record.
        self.repeated = 0
        self._passages = False

    def ask(self, questions: Iterable[Question]) -> None:
        """Enter all questions.

        Raises:
            InputError: one id has two texts.
        """
        self._database.execute("BEGIN")
        for question in questions:
            id = question.id or question_id(question)
            row = self._database.execute("SELECT text, context FROM asked WHERE id = ?", (id,)).fetchone()
            if row is None:
                values = (id, question.text, question.context)
                self._database.execute("INSERT INTO asked (id, text, context) VALUES (?, ?, ?)", values)
                self.total += 1
                self._passages = self._passages or question.context is not None
            elif row == (question.text, question.context):
                self.repeated += 1
            else:
                raise InputError(
                    f"the id {id!r} stands for two different questions", hint="give each question an id of its own"
                )
        self._database.execute("COMMIT")

    def enter(self, journal: Journal) -> float | None:
        """Read what earlier runs did.

        Returns:
            the dollars of their records; None if one of them is not known.

        Raises:
            InputError: a line is no record.
        """
        self._database.execute("BEGIN")
        spent = Usage()
        for number, (place, record) in enumerate(journal.lines(), start=1):
            id, key, cost = (record.get(name) for name in ("id", "key", "cost_usd"))
            if not isinstance(id, str) or not isinstance(key, str) or not isinstance(cost, (int, float, NoneType)):
                raise InputError(f"{journal.path}, line {number} is no record", hint="move the file away to begin anew")
            self._put(id, key, place, failed=bool(record.get("error")))
            spent += Usage(cost_usd=cost)
        self._database.execute("COMMIT")
        return spent.cost_usd

    def put(self, id: str, key: str, place: int, *, failed: bool) -> None:
        self._put(id, key, place, failed=failed)

    def _put(self, id: str, key: str, place: int, *, failed: bool) -> None:
        self._database.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)", (id, key, place, failed))

    def done(self, id: str) -> Done | None:
        row = self._database.execute("SELECT key, place, failed FROM done WHERE id = ?", (id,)).fetchone()
        return Done(row[0], row[1], bool(row[2])) if row else None

    def questions(self) -> Iterator[Question]:
        """Every question, its id made out, in input order; those of one passage stand where its first one does."""
        cursor = self._database.cursor()
        query = "SELECT id, text, context FROM asked ORDER BY position"
        if self._passages:
            first = "MIN(position) OVER (PARTITION BY COALESCE(context, position))"
            query = f"SELECT id, text, context FROM (SELECT *, {first} AS first FROM asked) ORDER BY first, position"
        for id, text, context in cursor.execute(query):
            yield Question(text, context, id)

    def places(self, *, in_input_order: bool) -> Iterator[tuple[int, bool]]:
        """(place, failed) of the record of every question that has one."""
        order = "asked.position" if in_input_order else "done.place"
        cursor = self._database.cursor()
        query = f"SELECT done.place, done.failed FROM asked JOIN done ON asked.id = done.id ORDER BY {order}"
        for place, failed in cursor.execute(query):
            yield place, bool(failed)

    def close(self) -> None:
        self._database.close()
