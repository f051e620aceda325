"""How fast a student decodes on this machine, and how near that is to what the machine could do."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dnc_edge.bench.machine import machine, must_be_idle
from dnc_edge.engines.threads import chosen_threads
from dnc_edge.errors import MissingError
from dnc_edge.students.student import Student

TOKENS = 128
# Prompts whose tokens are compared with a plain loop's.
EQUAL = 50


@dataclass(frozen=True)
class Target:
    """What is measured: files by part, and for a student the prompts and stop tokens of questions."""

    name: str
    engine: str
    level: str
    files: Mapping[str, Path]
    prompts: Sequence[Sequence[int]] = ()
    stop: Sequence[int] = ()


def student_target(
    name: str | None, level: str | None, engine: str | None, messages: Sequence[str], *, role: str | None = None
) -> Target:
    """A student with the prompts of user messages; see `Student.open`."""
    with Student.open(name, level=level, engine=engine, role=role) as student:
        prompts = [student.prompt("decompose", text) for text in messages]
        adapter = student.manifest.roles["decompose"].adapter
        files = {part: student.files[part] for part in ("model", "encoder", "decoder") if part in student.files}
        files |= {"adapter": student.files[adapter]} if adapter else {}
        stop = [student.tokenizer.control(piece) for piece in student.manifest.stop]
        return Target(student.name, student.weights.engine, student.weights.level, files, prompts, stop)


def speed(
    target: Target,
    *,
    threads: int | None = None,
    slots: int = 8,
    context: int = 512,
    repeat: int = 5,
    busy: bool = False,
    llama_bench: Path | None = None,
    optimum: Path | None = None,
    peers: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a target, each figure in a process of its own.

    Args:
        target: what is measured.
        threads: compute threads for all; None takes the default.
        slots: sequences at once where there are many.
        context: tokens of a sequence.
        repeat: measurements of each figure; median, least and most are returned.
        busy: measure although other processes run.
        llama_bench: llama.cpp's own benchmark program, to run beside.
        optimum: an export by optimum of the same ONNX student, at the same bits, to run in a plain loop beside.
        peers: measure `llama_cpp.Llama` beside, where the target is a GGUF file, and what the machine could do.
        say: told what is being measured.

    Returns:
        figures, ratios to the peers, limits and machine, as docs/engines.md explains them.

    Raises:
        UsageError: the machine is busy, and that was not allowed.
        MissingError: llama-bench is not where it was said to be, or a probe failed.
    """
    load = must_be_idle(busy)
    # Chosen once, so that all are measured with the same.
    threads = chosen_threads(threads)
    files = {part: str(path.resolve()) for part, path in target.files.items()}
    common = {"files": files, "threads": threads, "context": context}

    def probe(name: str, **settings: Any) -> dict[str, Any]:
        say(f"measuring {name}")
        return run_probe(name, **{**common, **settings})

    one = probe("single", tokens=TOKENS, repeat=repeat)
    figures: dict[str, Any] = {
        **probe("load"),
        "first_token_seconds": spread(one["first_token_seconds"]),
        "prefill_tokens_per_second": spread(one["prefill_tokens_per_second"]),
        "decode_tokens_per_second": spread(one["decode_tokens_per_second"]),
        "peak_memory_bytes": one["peak_memory_bytes"],
    }
    several = probe("many", slots=slots, tokens=TOKENS, repeat=repeat)
    figures[f"decode_tokens_per_second_{slots}_slots"] = spread(several["tokens_per_second"])
    asked = {"prompts": list(target.prompts), "limit": 80}
    if target.prompts:
        made = probe("plans", stop=list(target.stop), slots=slots, repeat=repeat, **asked)
        figures[f"questions_per_second_{slots}_slots"] = spread(made["questions_per_second"])
        alone = probe("plans", stop=list(target.stop), slots=1, repeat=repeat, **asked)
        figures["questions_per_second_1_slot"] = spread(alone["questions_per_second"])
    gguf = target.engine == "llama.cpp"
    exported = {"model": str(optimum.resolve())} if optimum and not gguf else {}

    def rate(name: str, **settings: Any) -> float:
        rates = probe(name, tokens=TOKENS, repeat=2, **settings)["decode_tokens_per_second"]
        return float(statistics.median(rates))

    rivals: dict[str, Callable[[], float]] = {}
    if gguf and peers:
        rivals["create_completion"] = lambda: rate("high_level")
    if gguf and llama_bench:
        rivals["llama-bench"] = partial(llama_bench_rate, llama_bench, files["model"], threads)
    if exported:
        rivals["a plain loop"] = lambda: rate("plain_loop", files=exported)
    ratios: dict[str, list[float]] = {}
    # In turn, round by round, so that what slows the machine slows all of them.
    for _ in range(repeat if rivals else 0):
        ours = rate("single")
        for name, rival in rivals.items():
            ratios.setdefault(f"decode over {name}", []).append(ours / rival())
        if gguf and peers and target.prompts:
            made = probe("plans", stop=list(target.stop), slots=slots, repeat=1, **asked)["questions_per_second"][0]
            theirs = probe("high_level", tokens=1, repeat=1, **asked)["questions_per_second"][0]
            ratios.setdefault(f"questions over create_completion, {slots} slots", []).append(made / theirs)
    if exported and target.prompts:
        few: dict[str, Any] = {"prompts": list(target.prompts)[:EQUAL], "limit": 48}
        plain = probe("plain_loop", files=exported, tokens=1, repeat=1, **few)["tokens"]
        equal = [a == b for a, b in zip(probe("greedy", **few)["tokens"], plain, strict=True)]
        figures["prompts_decoded_as_by_the_plain_loop"] = sum(equal) / len(equal)
    limits = _limits(target, figures, slots, threads) if peers else {}
    return {
        "target": {"name": target.name, "engine": target.engine, "level": target.level},
        "settings": {"threads": threads, "slots": slots, "context": context, "repeat": repeat, "busy": busy},
        "load": load,
        "figures": figures,
        "ratios": {name: spread(values) for name, values in ratios.items()},
        "limits": limits,
        "machine": machine(),
    }


def _limits(target: Target, figures: Mapping[str, Any], slots: int, threads: int) -> dict[str, Any]:
    """What bandwidth and arithmetic allow, and which share of it was reached."""
    decode = figures["decode_tokens_per_second"]["median"]
    prefill = figures["prefill_tokens_per_second"]["median"]
    together = figures[f"decode_tokens_per_second_{slots}_slots"]["median"]
    measured = run_probe("bandwidth", threads=threads)["bytes_per_second"]
    if target.engine == "llama.cpp":
        from dnc_edge.bench.shapes import bytes_per_token

        size = bytes_per_token(target.files["model"])
    else:
        size = target.files["model"].stat().st_size
    limits: dict[str, Any] = {
        "memory_bytes_per_second": round(measured),
        "bytes_per_token": size,
        # Beyond it where the weights fit into the processor's cache.
        "tokens_per_second_by_bandwidth": round(measured / size, 1),
        f"{slots} slots, share of the smaller of {slots} x one and prefill": round(
            together / min(slots * decode, prefill), 3
        ),
    }
    if rates := figures.get(f"questions_per_second_{slots}_slots"):
        per_question = sum(map(len, target.prompts)) / len(target.prompts)
        bound = prefill / per_question
        limits["questions_per_second_by_prefill"] = round(bound, 1)
        limits["questions, share of the bound by prefill"] = round(rates["median"] / bound, 3)
    return limits


def run_probe(name: str, **settings: Any) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "dnc_edge.bench.probes"],
        input=json.dumps({"probe": name, **settings}),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MissingError(f"the measurement {name} failed: {last}")
    values: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return values


def llama_bench_rate(program: Path, file: str, threads: int) -> float:
    """Median of decoded tokens/s after a prompt of 64, as ours are measured."""
    command = [str(program), "-m", file, "-t", str(threads), "-p", "0", "-d", "64", "-n", str(TOKENS), "-r", "3"]
    try:
        run = subprocess.run([*command, "-fa", "1", "-o", "json"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingError(f"cannot run {program.name}", hint="docs/engines.md says how it is built") from error
    samples: list[float] = json.loads(run.stdout)[0]["samples_ts"]
    return statistics.median(samples)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": float(f"{statistics.median(values):.5g}"),
        "least": float(f"{min(values):.5g}"),
        "most": float(f"{max(values):.5g}"),
    }


def table(result: Mapping[str, Any]) -> str:
    """The result for a person."""
    target, settings = result["target"], result["settings"]
    lines = [f"{target['name']} {target['level']} on {target['engine']}, {settings['threads']} threads", ""]
    for name, value in result["figures"].items():
        label = name.replace("_per_second", "/s").replace("_", " ")
        if isinstance(value, dict):
            lines.append(f"{label:42} {value['median']:>10.4g}   ({value['least']:.4g} to {value['most']:.4g})")
        else:
            lines.append(f"{label:42} {value:>10.4g}")
    for name, value in result["ratios"].items():
        lines.append(f"{name:42} {value['median']:>10.3f}   ({value['least']:.3f} to {value['most']:.3f})")
    lines += [""] + [f"{re.sub('_', ' ', name):62} {value:>14,}" for name, value in result["limits"].items()]
    return "\n".join(lines)
