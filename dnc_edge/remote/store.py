"""Complete replies by the request as sent: the same request is never bought twice."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from dnc_edge.remote.pricing import Prices
from dnc_edge.remote.protocol import Chat, Messages
from dnc_edge.remote.reply import Reply
from dnc_edge.types import Usage, record_key


class Store:
    """A SQLite file of replies; from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        # A kill takes nothing; a power cut may take the last replies.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS replies (request TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        self.hits = 0

    def get(self, request: str) -> Reply | None:
        with self._lock:
            row = self._database.execute("SELECT reply FROM replies WHERE request = ?", (request,)).fetchone()
            if row is None:
                return None
            self.hits += 1
        values = json.loads(row[0])
        return Reply(values["text"], values["finish_reason"], Usage(**values["usage"]))

    def put(self, request: str, reply: Reply) -> None:
        with self._lock:
            kept = {"text": reply.text, "finish_reason": reply.finish_reason, "usage": vars(reply.usage)}
            values = (request, json.dumps(kept, ensure_ascii=False))
            self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", values)

    def close(self) -> None:
        with self._lock:
            self._database.close()


class StoredChat:
    """A chat whose complete replies are kept and given again."""

    def __init__(self, chat: Chat, store: Store) -> None:
        self.chat, self.store = chat, store
        self.name = chat.name

    def identity(self) -> dict[str, Any]:
        return self.chat.identity()

    def prepare(self) -> None:
        self.chat.prepare()

    def cost(self, usage: Usage, prices: Prices) -> float | None:
        return self.chat.cost(usage, prices)

    def stream(self, messages: Messages) -> Generator[str, None, Reply]:
        settings: Mapping[str, Any] = {**self.chat.identity(), "messages": [dict(message) for message in messages]}
        key = record_key(settings)
        if stored := self.store.get(key):
            yield stored.text
            return stored
        reply = yield from self.chat.stream(messages)
        self.store.put(key, reply)
        return reply
