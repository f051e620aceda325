"""Measurements that need a process of their own: `python -m dnc_edge.bench.probes` reads one from stdin as JSON.

A probe loads one file, measures, and prints JSON. Peak memory is then its own, and nothing that another
one loaded is warm.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dnc_edge.bench.machine import peak_memory
from dnc_edge.engines import Request

# Any tokens will do for speed; these occur in every vocabulary.
FIRST_TOKEN = 300
# The part of a student that is put over its base.
ADAPTER = "adapter"


def prompt(length: int, seed: int = 0) -> list[int]:
    return [FIRST_TOKEN + (seed * 31 + index * 7) % 1000 for index in range(length)]


def engine(files: Mapping[str, str], *, threads: int | None, slots: int, context: int, guesses: bool = False) -> Any:
    """Open an engine for files by part: llama.cpp for GGUF, ONNX Runtime else; a part "adapter" goes over the model.

    Without guesses, a token costs a decode: what a random model repeats would be guessed all too well.
    """
    paths = {part: Path(file) for part, file in files.items() if part != ADAPTER}
    adapters = {ADAPTER: Path(files[ADAPTER])} if ADAPTER in files else {}
    if paths["model"].suffix == ".gguf":
        from dnc_edge.engines.llama_cpp import GgufModel, LlamaCppEngine

        model = GgufModel(paths["model"])
        return LlamaCppEngine(model, threads=threads, slots=slots, context=context, guesses=guesses, adapters=adapters)
    from dnc_edge.engines.onnx import OnnxEngine

    return OnnxEngine(paths, threads=threads, slots=slots, context=context, adapters=adapters)


def adapter_of(files: Mapping[str, str]) -> str | None:
    """The adapter that requests name."""
    return ADAPTER if ADAPTER in files else None


def _timed(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def load(files: Mapping[str, str], threads: int | None, context: int) -> dict[str, float]:
    """Measure seconds to a first token with the file out of the page cache, and in it."""
    for file in files.values():
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)

    def once() -> None:
        loaded = engine(files, threads=threads, slots=1, context=context)
        list(loaded.run([Request("first", prompt(1), 1, adapter=adapter_of(files))]))
        loaded.close()

    return {"load_cold_seconds": _timed(once), "load_warm_seconds": _timed(once)}


def single(files: Mapping[str, str], threads: int | None, context: int, *, tokens: int, repeat: int) -> dict[str, Any]:
    """Measure one sequence: seconds to the first token of a prompt of 64, prefill and decode in tokens/s."""
    loaded = engine(files, threads=threads, slots=1, context=context)
    adapter = adapter_of(files)
    first, decode, prefill = [], [], []
    for number in range(repeat + 1):
        steps = loaded.run([Request("s", prompt(64, number), tokens + 1, adapter=adapter)])
        first.append(_timed(lambda: next(steps)))  # noqa: B023
        decode.append(tokens / _timed(lambda: list(steps)))  # noqa: B023
        long = prompt(256, number + 500)
        prefill.append(256 / _timed(lambda: list(loaded.run([Request("p", long, 1, adapter=adapter)]))))  # noqa: B023
    # The first round warms up.
    return {
        "first_token_seconds": first[1:],
        "decode_tokens_per_second": decode[1:],
        "prefill_tokens_per_second": prefill[1:],
        "peak_memory_bytes": peak_memory(),
    }


def many(
    files: Mapping[str, str], threads: int | None, context: int, *, slots: int, tokens: int, repeat: int
) -> dict[str, Any]:
    """Measure `slots` sequences at once: decoded tokens/s of all together, without prompts."""
    loaded = engine(files, threads=threads, slots=slots, context=context)
    rates = []
    for number in range(repeat + 1):
        requests = [
            Request(str(slot), prompt(32, number * slots + slot), tokens, adapter=adapter_of(files))
            for slot in range(slots)
        ]
        steps = loaded.run(requests)
        begun: set[str] = set()
        for step in steps:
            begun.add(step.id)
            if len(begun) == slots:
                break
        started, made = time.perf_counter(), sum(1 for _ in steps)
        rates.append(made / (time.perf_counter() - started))
    return {"tokens_per_second": rates[1:], "slots": slots}


def plans(
    files: Mapping[str, str],
    threads: int | None,
    context: int,
    *,
    prompts: list[list[int]],
    stop: list[int],
    limit: int,
    slots: int,
    repeat: int,
) -> dict[str, Any]:
    """Questions/s from prompts to whole plans, with guesses, as they are decoded for people."""
    loaded = engine(files, threads=threads, slots=slots, context=context, guesses=True)
    requests = [
        Request(str(n), tokens, limit, frozenset(stop), adapter=adapter_of(files)) for n, tokens in enumerate(prompts)
    ]
    list(loaded.run(requests[: 2 * slots]))
    rates, made = [], 0
    for _ in range(repeat):
        started = time.perf_counter()
        made = sum(1 for _ in loaded.run(requests))
        rates.append(len(requests) / (time.perf_counter() - started))
    tokens_in = sum(len(tokens) for tokens in prompts)
    return {"questions_per_second": rates, "decoded_tokens": made, "prompt_tokens": tokens_in, "slots": slots}


def high_level(
    files: Mapping[str, str],
    threads: int | None,
    context: int,
    *,
    tokens: int,
    repeat: int,
    prompts: list[list[int]] | None = None,
    limit: int = 0,
    lengths: list[int] | None = None,
) -> dict[str, Any]:
    """The same through `llama_cpp.Llama.create_completion`: decode tokens/s, and plans one after another.

    Plans have the given `lengths` in tokens at most, or all of them `limit`.
    """
    from llama_cpp import Llama

    from dnc_edge.engines.threads import chosen_threads

    count = chosen_threads(threads)
    llama = Llama(
        files["model"],
        lora_path=files.get(ADAPTER),
        n_ctx=context,
        n_threads=count,
        n_threads_batch=count,
        verbose=False,
    )
    settings: dict[str, Any] = {"temperature": 0.0, "repeat_penalty": 1.0}
    # Never ended early: the same number of tokens as the others decode.
    bias = {2: -1e9}
    decode = []
    for number in range(repeat + 1):
        begin = prompt(64, number)
        short = _timed(lambda: llama.create_completion(begin, max_tokens=1, logit_bias=bias, **settings))  # noqa: B023
        llama.reset()
        made = 0

        def long() -> None:
            nonlocal made
            reply: Any = llama.create_completion(begin, max_tokens=tokens + 1, logit_bias=bias, **settings)  # noqa: B023
            made = reply["usage"]["completion_tokens"] - 1

        seconds = _timed(long)
        decode.append(made / (seconds - short))
    result: dict[str, Any] = {"decode_tokens_per_second": decode[1:]}
    if prompts:
        rates, most = [], lengths or [limit] * len(prompts)
        for _ in range(repeat):
            made = 0
            started = time.perf_counter()
            for begin, length in zip(prompts, most, strict=True):
                reply: Any = llama.create_completion(begin, max_tokens=length, **settings)
                made += reply["usage"]["completion_tokens"]
            rates.append(len(prompts) / (time.perf_counter() - started))
        result |= {"questions_per_second": rates, "decoded_tokens": made}
    return result


def plain_loop(
    files: Mapping[str, str],
    threads: int | None,
    context: int,
    *,
    tokens: int,
    repeat: int,
    prompts: list[list[int]] | None = None,
    limit: int = 0,
) -> dict[str, Any]:
    """Greedy decoding as everyone writes it first: `session.run`, what it returns fed back. For exports of optimum."""
    import numpy as np
    import onnxruntime

    from dnc_edge.engines.threads import chosen_threads

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = chosen_threads(threads)
    session = onnxruntime.InferenceSession(files["model"], options, providers=["CPUExecutionProvider"])
    shapes = {entry.name: entry.shape for entry in session.get_inputs()}
    past = {name: shape for name, shape in shapes.items() if name.startswith("past_key_values")}
    present = [name.replace("past_key_values", "present") for name in past]

    def decoded(begin: list[int], count: int) -> tuple[list[int], float]:
        """Return the tokens, and the seconds of all but the first."""
        cache = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in past.items()}
        new, made, started, held = begin, [], 0.0, 0
        for number in range(count + 1):
            if number == 1:
                started = time.perf_counter()
            feed: dict[str, Any] = {"input_ids": np.array([new]), "attention_mask": np.ones((1, held + len(new)), int)}
            if "position_ids" in shapes:
                feed["position_ids"] = np.arange(held, held + len(new))[None]
            logits, *values = session.run(["logits", *present], {**feed, **cache})
            cache = dict(zip(past, values, strict=True))
            held += len(new)
            new = [int(logits[0, -1].argmax())]
            made += new
        return made, time.perf_counter() - started

    decode = [tokens / decoded(prompt(64, number), tokens)[1] for number in range(repeat + 1)]
    plans = [decoded(begin, limit - 1)[0] for begin in prompts or []]
    return {"decode_tokens_per_second": decode[1:], "tokens": plans}


def greedy(files: Mapping[str, str], threads: int | None, context: int, *, prompts: list[list[int]], limit: int) -> Any:
    """Return the engine's tokens after each prompt, one sequence at a time."""
    loaded = engine(files, threads=threads, slots=1, context=context)
    return {"tokens": [[step.token for step in loaded.run([Request("g", begin, limit)])] for begin in prompts]}


def delivered(
    student: Mapping[str, Any], *, questions: list[tuple[str, str | None]], threads: int, slots: int
) -> dict[str, Any]:
    """Plans/s as they are delivered, and of the engine alone on the same prompts and lengths.

    Args:
        student: what `Student.open` takes. questions: [text, passage or None].
    """
    from dnc_edge.decomposers import StudentDecomposer
    from dnc_edge.students.student import Student
    from dnc_edge.types import Question

    asked = [Question(text, context, id=str(number)) for number, (text, context) in enumerate(questions)]
    with Student.open(**student, role="decompose", threads=threads, slots=slots) as opened:
        decomposer = StudentDecomposer(opened, gated=True)
        list(decomposer.decompose_many(asked[: 2 * slots]))
        plans: dict[str, Any] = {}

        def deliver() -> None:
            plans.update((question.id or "", plan) for question, plan in decomposer.decompose_many(asked))

        seconds = _timed(deliver)
        made = [plans[question.id or ""] for question in asked]
        prompts = [list(decomposer.begin(question).request.tokens) for question in asked]
        lengths = [plan.usage.output_tokens for plan in made]
        return {
            "delivered": len(asked) / seconds,
            "alone": len(asked) / _alone(opened, prompts, lengths),
            "prompts": prompts,
            "lengths": lengths,
            "plans": sum(bool(plan.subquestions) for plan in made),
        }


def alone(
    student: Mapping[str, Any], *, prompts: list[list[int]], lengths: list[int], threads: int, slots: int
) -> dict[str, Any]:
    """Plans/s of the engine alone: tokens of given number after given prompts."""
    from dnc_edge.students.student import Student

    with Student.open(**student, role="decompose", threads=threads, slots=slots) as opened:
        _alone(opened, prompts[: 2 * slots], lengths[: 2 * slots])
        return {"alone": len(prompts) / _alone(opened, prompts, lengths)}


def _alone(opened: Any, prompts: list[list[int]], lengths: list[int]) -> float:
    """Seconds of the engine, with nothing that reads or refuses what it decodes."""
    adapter = opened.manifest.roles["decompose"].adapter
    requests = [
        Request(str(number), tokens, length, adapter=adapter)
        for number, (tokens, length) in enumerate(zip(prompts, lengths, strict=True))
        if length
    ]
    return _timed(lambda: list(opened.engine.run(requests)))


def bandwidth(threads: int | None) -> dict[str, Any]:
    """Measure the bytes/s at which threads read memory that no cache holds."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from dnc_edge.engines.threads import chosen_threads

    count = chosen_threads(threads)
    parts = [np.ones(2**25, np.float64) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        seconds = [_timed(lambda: list(pool.map(np.sum, parts))) for _ in range(7)]
    return {"bytes_per_second": sum(part.nbytes for part in parts) / statistics.median(seconds)}


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "load": load, "single": single, "many": many, "plans": plans, "high_level": high_level, "plain_loop": plain_loop,
    "greedy": greedy, "delivered": delivered, "alone": alone, "bandwidth": bandwidth,
}  # fmt: skip

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(PROBES[asked.pop("probe")](**asked)))
