"""Fixtures: the data sets where they are, the bundled student, a place of one's own."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from dnc_edge.students.student import Student

# One thread for small products of matrices, here and in the processes that tests start: on a machine that does something
# else, too, two wait for each other's time slices, a hundred times as long as the product takes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A slow machine is no failure: nothing here is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def _isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let nothing read the user's settings, students, log or keys."""
    for name in [name for name in os.environ if name.startswith(("DNC_EDGE_", "OPENAI_"))]:
        if name not in ("DNC_EDGE_DATA", "DNC_EDGE_REQUIRE_DATA"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DNC_EDGE_STUDENTS", str(home / "students"))
    monkeypatch.setenv("DNC_EDGE_CONFIG", str(home / "config.toml"))
    monkeypatch.setenv("DNC_EDGE_LOG", str(home / "log.db"))
    monkeypatch.setenv("DNC_EDGE_KEYS", str(home / "keys.json"))


@pytest.fixture(scope="session", autouse=True)
def a_place_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for all tests is made before a test has its place: `make ask` may have pulled a base."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _isolate(monkeypatch, tmp_path_factory.mktemp("session"))
        yield


@pytest.fixture(autouse=True)
def a_place_of_ones_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    _isolate(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The data sets. Without them a test is skipped, unless DNC_EDGE_REQUIRE_DATA says that they must be here."""
    folder = os.environ.get("DNC_EDGE_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("DNC_EDGE_REQUIRE_DATA") == "1":
        pytest.fail("DNC_EDGE_REQUIRE_DATA is 1, but DNC_EDGE_DATA names no folder")
    pytest.skip("DNC_EDGE_DATA names no folder of data sets")


@pytest.fixture(scope="session")
def student() -> Iterator[Student]:
    """The bundled student, loaded once."""
    with Student.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A model of one layer, trained for a few steps by the same code as the bundled one."""
    from dnc_edge.train.base import BaseConfig, base
    from dnc_edge.train.sources import gsm8k
    from dnc_edge.train.tokenizer import load_tokenizer

    out = tmp_path_factory.mktemp("run") / "checkpoint"
    out.mkdir()
    config = BaseConfig(
        layers=1,
        feed_forward=256,
        epochs=1,
        synthetic_first=200,
        synthetic_last=200,
        warmup_steps=10,
        batch_tokens=1500,
    )
    figures = base(list(itertools.islice(gsm8k(), 300)), load_tokenizer(), out, config, log=out / "log.jsonl")
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    assert figures["steps"] >= 40
    assert losses[-1] < losses[0] - 0.5
    return out


@pytest.fixture(scope="session")
def converted(checkpoint: Path) -> Path:
    from dnc_edge.convert.assembly import ConversionSettings
    from dnc_edge.convert.gguf import gguf

    settings = ConversionSettings(questions=2, keep_poor=True)
    return gguf(checkpoint, checkpoint.parent / "tiny", levels=["f16", "q8_0"], settings=settings).out
