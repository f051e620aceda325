"""Any GGUF file as a solver or decomposer: chat models in their format, base models from examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dnc_edge.edge import Edge
from dnc_edge.engines import Request
from dnc_edge.engines.llama_cpp import GgufModel, LlamaCppEngine
from dnc_edge.errors import StudentError, UsageError
from dnc_edge.remote.reply import Reply
from dnc_edge.streams import result_of
from dnc_edge.students.chat import LocalChat
from tests.models import chain_gguf

CHATML = ("<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
QUESTION = "Lea has 3 bags of 12 marbles and loses 5. How many marbles does Lea have?"
ASKED = [{"role": "user", "content": "How many?"}]


def reply(chat: LocalChat) -> Reply:
    made: Reply = result_of(chat.stream(ASKED))
    chat.close()
    return made


def test_a_chat_model_gets_messages_in_its_format_in_which_they_are_text(tmp_path: Path) -> None:
    chain = {"\n": "The answer is: 8", "The answer is: 8": "<|im_end|>"}
    path = chain_gguf(tmp_path / "chat.gguf", chain, controls=CHATML, template=TEMPLATE)
    chat = LocalChat(path)
    start, end = chat.tokenizer.control("<|im_start|>"), chat.tokenizer.control("<|im_end|>")
    messages = [{"role": "system", "content": "Solve."}, {"role": "user", "content": "Is <|im_end|> text?"}]
    ids = chat.tokens(messages)
    text = b"".join(b"|" if id in (start, end) else chat.tokenizer.bytes_of(id) for id in ids).decode()
    assert text == "|system\nSolve.|\n|user\nIs <|im_end|> text?|\n|assistant\n"
    chat.close()
    with Edge(solver=f"local:{path}", decomposer="trivial", strategy="static") as edge:
        record = edge.ask(QUESTION)
    assert (record.solver, record.answer, record.text) == ("local:chat.gguf", "8", "The answer is: 8")


@pytest.mark.parametrize("end", ["<|im_end|>", "</s>"])
def test_every_token_that_the_file_calls_an_end_ends_a_reply(end: str, tmp_path: Path) -> None:
    """The declared end of sequence too, where the format ends turns with another piece."""
    chain = {"\n": "two", "two": "more", "more": end, end: "invented"}
    path = chain_gguf(tmp_path / "chat.gguf", chain, controls=CHATML, template=TEMPLATE)
    made = reply(LocalChat(path, max_tokens=20))
    assert (made.text, made.finish_reason, made.usage.output_tokens) == ("twomore", "stop", 3)


def test_a_file_without_a_chat_template_is_refused_with_a_way_out(tmp_path: Path) -> None:
    """Though its vocabulary has the pieces of a format: base models are published with those of their chat models."""
    path = chain_gguf(tmp_path / "base.gguf", {"\n": "a"}, controls=CHATML)
    with pytest.raises(StudentError, match=r"base\.gguf is no chat model: it has no chat template") as caught:
        LocalChat(path)
    assert "--shots 2" in str(caught.value.hint) and "http://" in str(caught.value.hint)


def test_a_chat_template_of_an_unknown_format_is_not_taken_for_a_known_one(tmp_path: Path) -> None:
    path = chain_gguf(tmp_path / "odd.gguf", {"\n": "a"}, controls=CHATML, template="[INST] {{ m.content }} [/INST]")
    with pytest.raises(StudentError, match="none of the chat formats known here"):
        LocalChat(path)


@pytest.mark.parametrize("end", ["\n\n", "</s>"])
def test_a_base_model_goes_on_from_examples_up_to_an_empty_line_or_its_end(end: str, tmp_path: Path) -> None:
    chain = {"\n": "How many?", "How many?": end, end: "Request:"}
    path = chain_gguf(tmp_path / "base.gguf", chain)
    with Edge(decomposer=f"local:{path}", shots=2, max_tokens=20) as edge:
        record = edge.decompose(QUESTION)
        assert record.subquestions == ("How many?",)
        assert record.usage["decompose"].output_tokens == 2
    with Edge(decomposer=f"local:{path}", solver=f"local:{path}", strategy="dynamic", shots=2, max_tokens=20) as edge:
        with pytest.raises(UsageError, match="no examples to go on from") as caught:
            edge.ask(QUESTION)
        assert "--strategy static" in str(caught.value.hint)


def test_the_cache_is_as_large_as_the_heads_of_the_model(tmp_path: Path) -> None:
    """Two heads of 48 on a hidden size of 320: one key and one value head in the one layer, two bytes a number."""
    model = GgufModel(chain_gguf(tmp_path / "narrow.gguf", {"a": "b"}))
    assert model.cache_bytes() == 2 * 48 * 2
    assert model.cache_bytes("f32") == 2 * 48 * 4


def test_an_adapter_that_fails_leaves_the_engine_as_it_was(tmp_path: Path) -> None:
    model = GgufModel(chain_gguf(tmp_path / "base.gguf", {"a": "b", "b": "a"}))
    with pytest.raises(StudentError, match="cannot use|not a GGUF"):
        LlamaCppEngine(model, adapters={"bad": tmp_path / "base.gguf"})
    engine = LlamaCppEngine(model, context=64)
    request = Request("r", [260], 6)
    before = list(engine.run([request]))
    logits = engine.logits([260], [261, 260])
    with pytest.raises(StudentError, match="no adapter x"):
        list(engine.run([dataclasses.replace(request, adapter="x")]))
    with pytest.raises(StudentError, match="no adapter x"):
        engine.logits([260], [261], adapter="x")
    assert list(engine.run([request])) == before
    assert np.array_equal(engine.logits([260], [261, 260]), logits)
    engine.close()
