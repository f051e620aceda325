"""All strategies over real HTTP: the bundled file behind llama-cpp-python's OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dnc_edge import prompts
from dnc_edge.edge import Edge
from dnc_edge.students import resolve
from dnc_edge.students.student import Student
from dnc_edge.types import AnswerDelta, Finished
from tests.servers import llama_server

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for $2 each. How much money does Mia make?"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    student = Student.open()
    student.close()
    with llama_server(resolve.resolve() / student.weights.file) as address:
        yield address


@pytest.mark.parametrize("strategy", ["single", "static", "dynamic"])
def test_every_strategy_streams_an_answer_over_http(server: str, strategy: str) -> None:
    with Edge(solver=f"{server}#dnc", strategy=strategy) as edge:
        events = list(edge.stream(QUESTION))
        record = events[-1].record  # type: ignore[union-attr]
        blocking = edge.ask(QUESTION)
    assert isinstance(events[-1], Finished) and record.error is None
    assert sum(isinstance(event, AnswerDelta) for event in events) > 1
    assert record.answer is not None and record.text
    assert (blocking.answer, blocking.text, blocking.key) == (record.answer, record.text, record.key)
    # This server sends no usage in streams, so the counts are ours and say so; its price is unknown.
    assert record.usage["solve"].estimated and record.usage["solve"].output_tokens > 0
    assert record.cost_usd is None


def test_direct_mode_and_a_remote_decomposer_work_too(server: str) -> None:
    with Edge(solver=f"{server}#dnc", strategy="single", mode="direct") as edge:
        assert edge.ask(QUESTION).subquestions is None
    with Edge(solver=f"{server}#dnc", decomposer=f"{server}#dnc") as edge:
        assert edge.decompose(QUESTION).subquestions is not None


def test_the_chat_template_renders_the_training_prompt_token_for_token(student: Student) -> None:
    from llama_cpp import Llama
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    llama = Llama(str(resolve.resolve() / student.weights.file), vocab_only=True, verbose=False)
    template = llama.metadata["tokenizer.chat_template"]
    formatter = Jinja2ChatFormatter(template, eos_token="<|end|>", bos_token="<s>")
    passage = "The bridge was built in 1931. It is 503 metres long."
    plan = ["How many pens does Mia have?", "How many are left?"]
    for role, messages in (
        ("decompose", prompts.decompose(QUESTION, None, cap=10)),
        ("decompose", prompts.decompose("How long is it?", passage, cap=3)),
        ("solve", prompts.solve(QUESTION, None, plan)),
        ("solve", prompts.solve("How long is it?", passage, [])),
        ("solve", prompts.solve(QUESTION, None, [], direct=True)),
    ):
        rendered = formatter(messages=messages).prompt  # type: ignore[arg-type]
        assert llama.tokenize(rendered.encode(), add_bos=False, special=True) == student.prompt(
            role, messages[-1]["content"]
        )
    llama.close()


def test_local_and_remote_decoding_of_the_same_file_give_the_same_plan(server: str) -> None:
    with Edge() as here, Edge(decomposer=f"{server}#dnc") as there:
        assert here.decompose(QUESTION).subquestions == there.decompose(QUESTION).subquestions
