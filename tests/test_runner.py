"""The runner: work is bounded, and a journal survives what happens to it."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.batch.run import run
from dnc_edge.errors import InputError, UsageError
from dnc_edge.journal import Journal, Reader


def test_items_are_taken_as_there_is_room_and_every_result_comes_once() -> None:
    taken, most, now = 0, 0, 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    def work(item: int) -> int:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return item

    results = run(items(), work, jobs=4)
    first = next(results)
    time.sleep(0.2)
    assert taken <= 40, "the input is read without bound"
    assert sorted([first, *results]) == list(range(200))
    assert 2 <= most <= 4


def test_no_more_work_is_begun_than_may_be_lost_if_its_results_cannot_be_kept() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    results = run(range(100), work, jobs=4)
    kept = [next(results) for _ in range(3)]
    time.sleep(0.2)
    # The third result is not kept: whoever takes it fails there.
    assert len(begun) <= len(kept) - 1 + 4
    results.close()
    time.sleep(0.2)
    assert len(begun) <= len(kept) - 1 + 4, "work began after the stop"


@pytest.mark.parametrize("where", ["work", "items"])
def test_a_failure_ends_the_taking_and_loses_no_result(where: str) -> None:
    finished = []

    def items() -> Iterator[int]:
        for number in range(100):
            if where == "items" and number == 50:
                raise InputError("line 50")
            yield number

    def work(item: int) -> int:
        if where == "work" and item == 50:
            raise InputError("line 50")
        time.sleep(0.001)
        finished.append(item)
        return item

    results: list[int] = []
    with pytest.raises(InputError, match="line 50"):
        results.extend(run(items(), work, jobs=3))
    assert sorted(results) == sorted(finished) and len(results) >= 40


def test_closing_a_run_ends_its_threads() -> None:
    before = threading.active_count()
    results = run(iter(range(10_000)), lambda item: item, jobs=8)
    next(results)
    results.close()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 200))
def test_a_journal_cut_anywhere_keeps_every_whole_line(texts: list[str], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        with Journal(path) as journal:
            places = [journal.append(json.dumps({"text": text})) for text in texts]
        data = path.read_bytes()
        path.write_bytes(data[: max(0, len(data) - cut)])
        whole = data[: max(0, len(data) - cut)].count(b"\n")
        with Journal(path) as journal:
            kept = list(journal.lines())
            assert [(place, record["text"]) for place, record in kept] == list(zip(places, texts, strict=False))[:whole]
            journal.append('{"text": "after"}')
        assert [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] == [*texts[:whole], "after"]


def test_one_process_at_a_time_writes_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(UsageError, match="another process is writing"):
        Journal(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        place = journal.append("{}")
    reader = Reader(tmp_path / "j")
    assert reader.line(place) == "{}"
    reader.close()
    with pytest.raises(InputError, match="cannot write"):
        Journal(tmp_path / "no" / "j")


@pytest.mark.parametrize("line", ["not JSON", '["a list"]', "", '{"id": "b"', "\0" * 40, "[" * 100_000])
def test_a_line_in_the_middle_that_is_unreadable_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(f'{{"id": "a"}}\n{line}\n{{"id": "c"}}\n', encoding="utf-8")
    with Journal(path) as journal, pytest.raises(InputError, match="line 2 is unreadable"):
        list(journal.lines())


@pytest.mark.parametrize("text", ["my notes, no newline", '{"mine": 1}\nand a last line', "\0\0", "["])
def test_a_file_of_somebody_else_is_refused_and_left_as_it_was(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.journal"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not a file that dnc-edge has written"):
        Journal(path, opening=b'{"schema": ')
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("text", ["", "{", '{"sche', '{"schema": 1, "id"'])
def test_a_first_line_that_was_cut_off_is_dropped(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.journal"
    path.write_text(text, encoding="utf-8")
    with Journal(path, opening=b'{"schema": ') as journal:
        assert not list(journal.lines()) and path.read_bytes() == b""
