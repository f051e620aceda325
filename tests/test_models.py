"""Models by their specification: each is parsed once, and a new kind is one entry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge import models
from dnc_edge.decomposers import ChatDecomposer, GivenDecomposer
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.models import Kind, ModelSpec, Parts
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.solvers import ChatSolver, FallbackSolver
from dnc_edge.types import Question
from tests.quirks import TEXT, QuirkServer


@pytest.mark.parametrize(
    ("text", "spec", "shown"),
    [
        ("openai:gpt-4o-mini", ModelSpec("openai", "gpt-4o-mini"), None),
        ("student:", ModelSpec("student"), "student"),
        ("student", ModelSpec("student"), None),
        ("local:a:b.gguf", ModelSpec("local", "a:b.gguf"), None),
        ("http://host:1/v1#@cf/meta/llama", ModelSpec("http", "@cf/meta/llama", "http://host:1/v1"), None),
        ("https://u:p%23w@host/v1#m", ModelSpec("http", "m", "https://u:p%23w@host/v1"), "https://host/v1#m"),
    ],
)
def test_a_specification_is_a_kind_a_name_and_an_address(text: str, spec: ModelSpec, shown: str | None) -> None:
    parsed = ModelSpec.parse(text)
    assert parsed == spec and str(parsed) == (shown or text)
    assert "p%23w" not in repr(parsed)


@given(st.text(max_size=40))
def test_any_text_is_a_specification_or_refused(text: str) -> None:
    try:
        parsed = ModelSpec.parse(text)
    except UsageError:
        return
    assert ModelSpec.parse(str(parsed)).kind == parsed.kind


@pytest.mark.parametrize(
    "spec", ["words", "openai:", "http://host:1/v1", "http://host:1/v1#", "ftp://x#m", "", "gold", "none"]
)
def test_what_names_no_solver_is_refused_with_the_choices(spec: str) -> None:
    with pytest.raises(UsageError) as caught, Edge(solver=spec or "x") as edge:
        _ = edge.solver
    assert "openai:MODEL" in str(caught.value.hint) or "http://host:port/v1#MODEL" in str(caught.value.hint)


@pytest.mark.parametrize("spec", ["recorded:", "recorded", "openai:", "teacher:x", "http://h/v1"])
def test_what_names_no_decomposer_is_refused(spec: str) -> None:
    with pytest.raises(UsageError), Edge(decomposer=spec) as edge:
        _ = edge.decomposer


def test_a_remote_model_plays_both_roles_and_falls_back() -> None:
    with Edge(solver="http://h/v1#m", decomposer="openai:gpt-4o-mini", fallback="local", shots=1) as edge:
        assert isinstance(edge.decomposer, ChatDecomposer) and edge.decomposer.name == "openai:gpt-4o-mini"
        assert isinstance(edge.solver, FallbackSolver) and edge.solver.name == "http://h/v1#m"
        assert isinstance(edge.solver.chat, Endpoint) and edge.solver.shots == 1


def test_a_new_kind_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    with QuirkServer() as server:
        monkeypatch.setitem(models.KINDS, "ollama", models.remote("ollama:MODEL", server.address))
        with Edge(solver="ollama:document", decomposer="trivial") as edge:
            record = edge.ask("How many muffins?")
            assert isinstance(edge.solver, ChatSolver)
    assert record.text == TEXT and record.solver == f"{server.address}#document"


def test_another_package_adds_a_kind_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution on the path, as pip installs it."""
    (tmp_path / "words_plugin.py").write_text("from tests.test_models import WORDS\n", encoding="utf-8")
    info = tmp_path / "words_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: words-plugin\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[dnc_edge.models]\nwords = words_plugin:WORDS\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Edge(decomposer="words:2") as edge:
        assert edge.decompose("How many eggs are left?").subquestions == ("How many",)
    with pytest.raises(UsageError, match="unknown solver"), Edge(solver="words:2") as edge:
        _ = edge.solver


def _first_words(parts: Parts, spec: ModelSpec) -> GivenDecomposer:
    def plan_of(question: Question) -> Sequence[str]:
        return [" ".join(question.text.split()[: int(spec.name)])]

    return GivenDecomposer(str(spec), plan_of)


WORDS = Kind("words:COUNT", decomposer=_first_words)
