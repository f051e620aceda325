"""The settings file as a person changes it: single values, solvers under names, and names that were nearly right."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from dnc_edge import config, models
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.profiles import profiles
from tests.servers import Misbehaving
from tests.test_cli import dnc_edge, refused

QUESTION = "How many eggs are in four nests of three?"


def write_file(text: str) -> None:
    Path(os.environ["DNC_EDGE_CONFIG"]).write_text(text, encoding="utf-8")


def test_a_named_solver_has_its_model_address_price_and_options() -> None:
    with Misbehaving("usage") as server:
        write_file(
            f'[solvers.fast]\nmodel = "m"\naddress = "{server.address}"\nprice = [1, 2]\noptions = {{ top_k = 5 }}\n'
        )
        with Edge(solver="fast", plan="never") as edge:
            record = edge.ask(QUESTION)
        with Edge(solver="fast", plan="never", solver_options={"top_k": 9}) as edge:
            edge.ask(QUESTION)
    assert [body["top_k"] for body in server.requests] == [5, 9] and server.requests[0]["model"] == "m"
    assert record.solver == f"{server.address}#m" and record.cost_usd == pytest.approx((50 + 2 * 20) / 1e6)


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("[solvers.a]\nmodl = 'x'", "solvers.a has no modl", "did you mean model?"),
        ("[solvers.a]\nprice = [1, 2]", "solvers.a names no model", "model ="),
        ("[solvers.a]\nmodel = 'x'\nprice = 3", "solvers.a.price is no pair", "price ="),
        ("solvers = 3", "solvers holds no tables", "[solvers.NAME]"),
        ("solvr = 'x'", "there is no setting solvr", "did you mean solver?"),
        ("strategy = 'statik'", "unknown strategy 'statik'", "did you mean static?"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_what_was_meant(text: str, complaint: str, hint: str) -> None:
    write_file(text)
    read = profiles if "solvers" in text else config.load
    with pytest.raises(UsageError, match=complaint) as caught:
        read()
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gpt-4o-mini", "openai:gpt-4o-mini"), ("o3-mini", "openai:o3-mini"), ("claude-haiku", "anthropic:claude-haiku"),
        ("openia:gpt-4o", "openai:gpt-4o"), ("olama:llama3.2", "ollama:llama3.2"), ("model.gguf", "local:model.gguf"),
        ("fst", "fast"),
    ],
)  # fmt: skip
def test_a_solver_that_is_nearly_right_is_answered_with_the_right_spelling(typed: str, meant: str) -> None:
    write_file("[solvers.fast]\nmodel = 'openai:gpt-4o-mini'\n")
    with Edge() as edge, pytest.raises(UsageError) as caught:
        models.solver(typed, edge)
    assert caught.value.hint == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("ollama:llama3.2", "http://localhost:11434/v1#llama3.2"),
        ("lmstudio:qwen", "http://localhost:1234/v1#qwen"),
        ("groq:llama-3.3-70b", "https://api.groq.com/openai/v1#llama-3.3-70b"),
        ("openrouter:qwen/qwen3-8b", "https://openrouter.ai/api/v1#qwen/qwen3-8b"),
    ],
)
def test_providers_are_known_by_name(spec: str, name: str) -> None:
    with Edge() as edge:
        assert models.solver(spec, edge).name == name


def test_set_and_unset_keep_comments_and_show_says_where_a_value_comes_from() -> None:
    write_file("# mine\nthreads = 2  # both\n\n[solvers.fast]\nmodel = 'ollama:llama3.2'\n")
    assert dnc_edge("config", "set", "solver", "fast").returncode == 0
    assert dnc_edge("config", "set", "threads", "1").returncode == 0
    text = Path(os.environ["DNC_EDGE_CONFIG"]).read_text("utf-8")
    assert "# mine" in text and "# both" in text and config.load(environment={}).solver == "fast"
    shown = json.loads(dnc_edge("config", "show", "--json", DNC_EDGE_LEVEL="q8_0").stdout)
    assert shown["settings"]["threads"] == {"value": 1, "from": os.environ["DNC_EDGE_CONFIG"]}
    assert shown["settings"]["level"] == {"value": "q8_0", "from": "DNC_EDGE_LEVEL"}
    assert shown["settings"]["seed"] == {"value": 0, "from": "default"}
    assert "fast" in dnc_edge("config", "show").stdout.decode()
    assert dnc_edge("config", "unset", "threads").returncode == 0
    assert config.load(environment={}).threads is None
    refused(dnc_edge("config", "unset", "threads"), 2, "does not set threads")
    refused(dnc_edge("config", "set", "thread", "1"), 2, "there is no setting thread; did you mean threads?")
    refused(dnc_edge("config", "set", "threads", "many"), 2, "'many' is not a whole number")


def test_edit_opens_the_file_and_checks_what_is_left(tmp_path: Path) -> None:
    script = tmp_path / "editor.py"
    script.write_text("import sys; open(sys.argv[1], 'w').write('colour = 1')", encoding="utf-8")
    refused(dnc_edge("config", "edit", EDITOR=f"{sys.executable} {script}", VISUAL=""), 2, "there is no setting colour")
    assert dnc_edge("config", "path").stdout.decode().strip() == os.environ["DNC_EDGE_CONFIG"]
