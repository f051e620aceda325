"""The llama.cpp engine on the real bundled file."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from dnc_edge.engines import GREEDY, Request, Sampling
from dnc_edge.engines.threads import cores, default_threads
from dnc_edge.errors import StudentError
from dnc_edge.prompts import user_message
from dnc_edge.students import resolve
from dnc_edge.students.student import Student
from dnc_edge.tasks import gsm8k

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for $2 each. How much money does Mia make?"


def decode(student: Student, tokens: list[int], sampling: Sampling = GREEDY, limit: int = 60) -> list[int]:
    request = Request("r", tokens, limit, frozenset({student.tokenizer.control("<|end|>")}), sampling)
    return [step.token for step in student.engine.run([request]) if step.token is not None]


def test_greedy_equals_the_high_level_class_on_200_real_questions(student: Student, data: Path) -> None:
    from llama_cpp import Llama

    directory = resolve.resolve()
    path = str(directory / student.weights.file)
    high = Llama(path, n_ctx=2048, n_threads=2, n_threads_batch=2, verbose=False)
    end = student.tokenizer.control("<|end|>")
    differing = []
    for problem in gsm8k.load(200):
        tokens = student.prompt("decompose", user_message(problem.question))
        theirs: list[int] = []
        high.reset()
        for token in high.generate(tokens, temp=0.0, repeat_penalty=1.0, reset=True):
            theirs.append(token)
            if token == end or len(theirs) == 60:
                break
        if decode(student, tokens) != theirs:
            differing.append(problem.id)
    high.close()
    assert differing == []


def test_a_cached_beginning_does_not_change_the_tokens(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    alone = decode(student, tokens)
    decode(student, student.prompt("solve", "What is 2 + 2?"))
    assert decode(student, tokens) == alone == decode(student, tokens)


def test_sampling_follows_its_seed(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    warm = Sampling(temperature=1.0, top_p=0.95, seed=1)
    assert decode(student, tokens, warm) == decode(student, tokens, warm)
    drawn = {tuple(decode(student, tokens, Sampling(2.0, 1.0, seed))) for seed in range(5)}
    assert len(drawn) > 1
    assert decode(student, tokens, Sampling(1.0, 1e-6, 3)) == decode(student, tokens)


def test_logprobs_are_of_the_model_and_sum_to_a_probability(student: Student) -> None:
    request = Request("r", student.prompt("decompose", QUESTION), 20)
    assert all(step.logprob <= 0 for step in student.engine.run([request]))


def test_the_last_step_alone_says_why_it_ended(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    cut = list(student.engine.run([Request("cut", tokens, 3)]))
    assert [step.finish for step in cut] == [None, None, "length"]
    too_long = list(student.engine.run([Request("long", [5] * 5000, 3)]))
    assert [(step.token, step.finish) for step in too_long] == [(None, "too_long")]


def test_a_request_can_be_cancelled_and_the_engine_goes_on(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    steps = []
    for step in student.engine.run([Request("c", tokens, 50), Request("d", tokens, 2)]):
        steps.append(step)
        if len(steps) == 2:
            student.engine.cancel("c")
    assert [(s.id, s.finish) for s in steps] == [
        ("c", None),
        ("c", None),
        ("c", "cancelled"),
        ("d", None),
        ("d", "length"),
    ]


def test_an_abandoned_run_leaves_the_engine_usable(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    expected = decode(student, tokens)
    run = student.engine.run([Request("gone", tokens, 50)])
    next(run)
    run.close()
    assert decode(student, tokens) == expected


def test_calls_from_several_threads_wait_for_each_other(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    expected = decode(student, tokens)
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(decode(student, tokens))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_does_not_change_the_plan(threads: int, student: Student) -> None:
    with Student.open(threads=threads) as other:
        tokens = other.prompt("decompose", QUESTION)
        assert decode(other, tokens) == decode(student, tokens)


def test_closing_in_mid_sequence_neither_waits_nor_pulls_the_memory_away() -> None:
    student = Student.open()
    run = student.engine.run([Request("r", student.prompt("decompose", QUESTION), 5)])
    next(run)
    student.close()
    assert len(list(run)) == 4
    with pytest.raises(StudentError, match="closed"):
        next(student.engine.run([Request("s", [5], 5)]))


def test_two_requests_at_once_in_one_thread_are_refused_instead_of_waiting_for_ever(student: Student) -> None:
    tokens = student.prompt("decompose", QUESTION)
    first = student.engine.run([Request("first", tokens, 5)])
    next(first)
    with pytest.raises(StudentError, match="in the middle of another request"):
        next(student.engine.run([Request("second", tokens, 5)]))
    assert len(list(first)) == 4


@pytest.mark.parametrize(("running", "expected"), [(1, 0), (2, -1), (99, None), (0, 0), (None, 0)])
def test_the_default_is_a_thread_for_each_idle_core(running: int | None, expected: int | None) -> None:
    chosen = default_threads(lambda: running)
    assert chosen == (1 if expected is None else max(1, cores() + expected))


def test_the_weights_are_freed_with_the_last_that_uses_them() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1])

    def open_and_close() -> None:
        with Student.open() as opened:
            decode(opened, opened.prompt("decompose", QUESTION), limit=2)

    for _ in range(5):
        open_and_close()
    gc.collect()
    before = resident()
    for _ in range(20):
        open_and_close()
    gc.collect()
    # Twenty copies that stay would be 240 MB more.
    assert (resident() - before) * os.sysconf("SC_PAGE_SIZE") < 60_000_000
