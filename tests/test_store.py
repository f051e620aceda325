"""Kept replies: a request is bought once, whether its reply is an answer or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnc_edge.errors import SolverError
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.reply import Reply
from dnc_edge.remote.store import Store, StoredChat
from dnc_edge.types import Usage
from tests.servers import Misbehaving


def test_complete_replies_alone_are_kept_and_given_again(tmp_path: Path) -> None:
    with Misbehaving("usage", "torn", "usage") as server:
        store = Store(tmp_path / "replies")
        chat = StoredChat(Endpoint("m", base_url=server.address), store)
        first = list(chat.stream([{"role": "user", "content": "a"}]))
        again = list(chat.stream([{"role": "user", "content": "a"}]))
        assert "".join(first) == "".join(again) and len(server.requests) == 1 and store.hits == 1
        with pytest.raises(SolverError):
            list(chat.stream([{"role": "user", "content": "b"}]))
        list(chat.stream([{"role": "user", "content": "b"}]))
        assert len(server.requests) == 3
        other = StoredChat(Endpoint("m", base_url=server.address, temperature=0.5), store)
        list(other.stream([{"role": "user", "content": "a"}]))
        assert len(server.requests) == 4, "another temperature is another request"
        store.close()


@pytest.mark.parametrize("behaviour", ["length", "content_filter", "empty", "refusal"])
def test_a_complete_reply_that_is_no_answer_is_bought_once(behaviour: str, tmp_path: Path) -> None:
    message = [{"role": "user", "content": "How many?"}]
    with Misbehaving(behaviour) as server:
        store = Store(tmp_path / "replies")
        chat = StoredChat(Endpoint("m", base_url=server.address), store)
        failures = []
        for _ in range(3):
            with pytest.raises(SolverError) as caught:
                list(chat.stream(message))
            failures.append((caught.value.code, caught.value.message, caught.value.usage))
        assert len(server.requests) == 1 and len({str(failure) for failure in failures}) == 1
        store.close()
        again = Store(tmp_path / "replies", retry_failed=True)
        with pytest.raises(SolverError):
            list(StoredChat(Endpoint("m", base_url=server.address), again).stream(message))
        assert len(server.requests) == 2
        again.close()


def test_a_damaged_store_is_said_once_and_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.replies"
    path.write_bytes(b"this is no database" * 100)
    store = Store(path)
    with pytest.warns(UserWarning, match="keeps no replies in this run"):
        assert store.get("a") is None
    store.put("a", Reply("12", "stop", Usage(requests=1)))
    assert store.get("a") is None
    store.close()
    assert path.read_bytes() == b"this is no database" * 100


def test_a_reply_that_is_damaged_in_the_store_is_asked_for_again(tmp_path: Path) -> None:
    import sqlite3

    store = Store(tmp_path / "replies")
    store.put("a", Reply("12", "stop", Usage(requests=1)))
    store.put("b", Reply("a lone \ud83d surrogate", "stop", Usage(requests=1)))
    with sqlite3.connect(tmp_path / "replies") as database:
        database.execute("UPDATE replies SET reply = '{\"text\": 1' WHERE request = 'a'")
    assert store.get("a") is None
    assert store.get("b") == Reply("a lone \ud83d surrogate", "stop", Usage(requests=1))
    store.close()
