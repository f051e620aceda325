"""The log: one row a question in an SQLite file, texts only if they are turned on.

The file is `log.db` in the user's data folder (or DNC_EDGE_LOG), readable by its owner alone. The setting `logging`
says what is kept: "figures", "texts" too, or nothing ("off").
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dnc_edge.errors import InputError, UsageError
from dnc_edge.types import Record

if TYPE_CHECKING:
    import sqlite3

# Seconds that a process waits for another one that is writing.
PATIENCE = 10.0
By = Literal["day", "solver", "student"]
_GROUPS: dict[By, str] = {
    "day": "date(at, 'unixepoch', 'localtime')",
    "solver": "coalesce(solver, 'none')",
    "student": "coalesce(decomposer, 'none')",
}


def log_path() -> Path:
    """Where the log is kept."""
    if path := os.environ.get("DNC_EDGE_LOG"):
        return Path(path).expanduser()
    import platformdirs

    return platformdirs.user_data_path("dnc-edge") / "log.db"


@dataclass(frozen=True)
class Entry:
    """A row of the log.

    Attributes:
        id: its number, from 1.
        at: when the question was finished, in seconds since 1970.
        strategy, decomposer, engine, level, solver: as in the record.
        subquestions: how many; None if there was no decomposition.
        input_tokens, cached_tokens, output_tokens: of all stages.
        cost_usd: dollars; None if that is not known.
        seconds: of the whole question.
        error: its code; None if there was an answer, or a plan if only that was asked for.
        record: with all texts, if they are kept.
    """

    id: int
    at: float
    strategy: str
    decomposer: str | None
    engine: str | None
    level: str | None
    solver: str | None
    subquestions: int | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    seconds: float
    error: str | None
    record: Record | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the time as ISO 8601 in UTC."""
        values = asdict(self) | {"at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")}
        return values | {"record": self.record.to_dict() if self.record else None}


@dataclass(frozen=True)
class Cost:
    """What the questions of a day, a solver or a student took.

    Attributes:
        group: the day (local time), the solver or the student.
        questions: how many; failed: of them with an error.
        cost_usd: dollars of those whose cost is known; unknown: how many are not.
    """

    group: str
    questions: int
    failed: int
    input_tokens: int
    output_tokens: int
    seconds: float
    cost_usd: float
    unknown: int


class Log:
    """The log. The file is opened with the first use; threads and processes may write at once.

    Args:
        path: the file; None is the user's. It is made with its first row.

    Raises:
        InputError: by every method: the file is no log, is of a later version, or cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or log_path()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, record: Record, *, texts: bool = False, now: Callable[[], float] = time.time) -> None:
        """Write a row.

        Args:
            record: of the question, just finished.
            texts: keep the whole record, with question, passage, plan and answer.
            now: injectable clock.
        """
        used = list(record.usage.values())
        values = {
            "at": now(),
            "strategy": record.strategy,
            "decomposer": record.decomposer,
            "engine": record.engine,
            "level": record.level,
            "solver": record.solver,
            "subquestions": None if record.subquestions is None else len(record.subquestions),
            "input_tokens": sum(usage.input_tokens for usage in used),
            "cached_tokens": sum(usage.cached_tokens for usage in used),
            "output_tokens": sum(usage.output_tokens for usage in used),
            "cost_usd": record.cost_usd,
            "seconds": record.seconds,
            "error": record.error.code if record.error else None,
            "record": record.to_json() if texts else None,
        }
        names = ", ".join(values)
        with self._open() as database:
            database.execute(f"INSERT INTO log ({names}) VALUES (:{', :'.join(values)})", values)

    def entries(self, *, limit: int | None = None) -> list[Entry]:
        """Rows from the oldest to the newest: all, or the last `limit`."""
        found = self._read("SELECT * FROM log ORDER BY id DESC LIMIT ?", -1 if limit is None else limit)
        return [_entry(row) for row in reversed(found)]

    def entry(self, id: int | None = None) -> Entry:
        """A row by its number; None is the last one.

        Raises:
            UsageError: there is no such row.
        """
        found = self._read("SELECT * FROM log WHERE ? IN (id, -1) ORDER BY id DESC LIMIT 1", -1 if id is None else id)
        if not found:
            what = "the log is empty" if id is None else f"the log has no row {id}"
            raise UsageError(what, hint="dnc-edge log list")
        return _entry(found[0])

    def costs(self, by: By = "day") -> list[Cost]:
        """Sums, in the order of their names."""
        found = self._read(
            f"SELECT {_GROUPS[by]}, count(*), count(error), sum(input_tokens), sum(output_tokens), sum(seconds), "
            "total(cost_usd), sum(cost_usd IS NULL) FROM log GROUP BY 1 ORDER BY 1"
        )
        return [Cost(*row) for row in found]

    def records(self) -> Iterator[Record]:
        """Return the records of all rows whose texts are kept, from the oldest."""
        for (text,) in self._read("SELECT record FROM log WHERE record IS NOT NULL ORDER BY id"):
            yield Record.from_json(text, where=str(self.path))

    def clear(self) -> int:
        """Delete all rows, and what they held from the disk; returns how many there were."""
        if not self.path.exists():
            return 0
        with self._open() as database:
            count = database.execute("DELETE FROM log").rowcount
            database.commit()
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(count)

    def close(self) -> None:
        """Close the file. Calling it twice is harmless."""
        with self._lock:
            if self._connection:
                self._connection.close()
                self._connection = None

    def _read(self, query: str, *values: Any) -> list[Any]:
        if not self.path.exists():
            return []
        with self._open() as database:
            return database.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction; what SQLite raises becomes one line."""
        import sqlite3

        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connect(self.path)
                with self._connection as database:
                    yield database
            except (sqlite3.Error, OSError) as error:
                raise InputError(
                    f"the log {self.path} cannot be used: {error}",
                    hint="move it away, or log nothing: dnc-edge config set logging off",
                ) from error


def _entry(row: Any) -> Entry:
    values = dict(row)
    text = values.pop("record")
    return Entry(**values, record=Record.from_json(text) if text else None)


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    path.parent.mkdir(parents=True, exist_ok=True)
    # Made here, so that nobody else can ever read it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


# Each is applied once, in this order, and its name is kept in the file.
MIGRATIONS: list[Callable[[Any], None]] = []


@MIGRATIONS.append
def m001_log(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, strategy TEXT NOT NULL, "
        "decomposer TEXT, engine TEXT, level TEXT, solver TEXT, subquestions INTEGER, input_tokens INTEGER NOT NULL, "
        "cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL, seconds REAL NOT NULL, "
        "error TEXT, record TEXT)"
    )


def _migrate(database: sqlite3.Connection) -> None:
    """Apply what the file lacks, in one transaction that no other process can enter.

    Raises:
        InputError: a later version of dnc-edge has changed it.
    """
    known = [migration.__name__ for migration in MIGRATIONS]
    if _applied(database) == known:
        return
    database.execute("BEGIN IMMEDIATE")
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
        applied = _applied(database)
        if later := [name for name in applied if name not in known]:
            raise InputError(f"the log was written by a later dnc-edge ({later[-1]})", hint="update dnc-edge")
        for migration in MIGRATIONS:
            if migration.__name__ not in applied:
                migration(database)
                database.execute("INSERT INTO migrations VALUES (?)", (migration.__name__,))


def _applied(database: sqlite3.Connection) -> list[str]:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return []
    return [name for (name,) in database.execute("SELECT name FROM migrations ORDER BY name")]
