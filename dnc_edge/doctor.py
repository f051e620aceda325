"""Look at everything that an answer needs on this machine; each finding comes with the command that repairs it."""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from dnc_edge import config, installer, names, processor
from dnc_edge.engines import loading
from dnc_edge.errors import DncError

State = Literal["ok", "note", "warning", "error"]
# Instruction sets that llama.cpp and ONNX Runtime have kernels for.
FLAGS = ("sse4_2", "avx", "avx2", "f16c", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8",
         "neon", "asimd", "asimddp", "i8mm", "sve")  # fmt: skip
# In a process of its own: native code for another processor ends the one that loads it.
_PROBES = {
    "llama.cpp": (
        "from dnc_edge.engines.llama_bindings import llama\n"
        "offload = ['a graphics card'] if llama.llama_supports_gpu_offload() else []\n"
    ),
    "onnxruntime": (
        "import onnxruntime\n"
        "offload = [name for name in onnxruntime.get_available_providers()\n"
        "           if name not in ('CPUExecutionProvider', 'AzureExecutionProvider')]\n"
    ),
}
QUESTION = "A farm has 36 cows, half as many goats and 12 more hens than goats. How many animals does the farm have?"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what it is.
        state: "ok"; "note" for what is merely not there; "warning"; "error" if nothing can be answered locally.
        text: what was found.
        repair: the command that mends it.
    """

    about: str
    state: State
    text: str
    repair: str | None = None


def doctor(*, online: bool = False) -> Iterator[Finding]:
    """Yield findings as they are made.

    Args:
        online: also ask the solver of the settings for its models; nothing else is sent anywhere.
    """
    yield machine()
    yield from engines()
    yield from _told("settings", settings)
    yield from students()
    yield from _told("decoding", decoding)
    yield from _told("solver", lambda: solver(online=online))
    yield from _told("keys", keys)
    yield from _told("log", log)
    yield data()


def _told(about: str, look: Callable[[], Finding]) -> Iterator[Finding]:
    """A finding, or the error that stood in its way."""
    try:
        yield look()
    except DncError as error:
        yield Finding(about, "error", error.message, error.hint)


def machine() -> Finding:
    """Processor, instruction sets, cores, system, Python."""
    from dnc_edge.engines.threads import cores

    known = [flag for flag in FLAGS if flag in processor.flags()]
    sets = f"; {' '.join(known)}" if known else ""
    return Finding(
        "machine",
        "ok",
        f"{processor.model()}, {cores()} cores{sets}; {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}",
    )


def engines() -> Iterator[Finding]:
    """Each engine: its version, what it can offload to, whether it loads; and packages that shadow one another."""
    installed = loading.installed()
    for engine, package in loading.NAMES.items():
        if engine not in installed:
            state: State = "note" if installed else "error"
            yield Finding(engine, state, "not installed", installer.command(loading.EXTRAS[engine][0]))
            continue
        code = f"import json\n{_PROBES[engine]}print(json.dumps(offload))"
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        number = _version(package) or _version(f"{package}-gpu") or "of unknown version"
        if made.returncode:
            said = (made.stderr.strip().splitlines() or [f"its process ended with code {made.returncode}"])[-1]
            repair = installer.command(loading.EXTRAS[engine][0], again=True)
            yield Finding(engine, "error", f"{number} does not load: {said}", repair)
            continue
        offload = json.loads(made.stdout.strip().splitlines()[-1])
        yield Finding(engine, "ok", f"{number}; offloads to {', '.join(offload) or 'nothing, it uses the processor'}")
    if _version("onnxruntime") and _version("onnxruntime-gpu"):
        yield Finding(
            "onnxruntime",
            "warning",
            "onnxruntime and onnxruntime-gpu shadow one another",
            f"pip uninstall onnxruntime onnxruntime-gpu && {installer.command('gpu')}",
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def settings() -> Finding:
    """The settings file and the environment's variables."""
    config.load()
    path = config.config_path()
    return Finding("settings", "ok", str(path) if path.is_file() else f"none at {path}: the defaults hold")


def students() -> Iterator[Finding]:
    """Each student: its files against their checksums, and its base."""
    from dnc_edge.students import adapted, resolve
    from dnc_edge.students import manifest as manifests
    from dnc_edge.students.checksums import Verification

    known = resolve.known()
    standard = resolve.default(known)
    for name, directory in known.items():
        about, manifest = f"student {name}", None
        try:
            manifest = manifests.load(directory)
            for file in manifest.files:
                Verification(directory, file).path()
            if manifest.base is not None:
                adapted.base_of(manifest.base, name)
        except DncError as error:
            # Without its base it is only not there yet, and the small student answers.
            absent = manifest is not None and manifest.base is not None and manifest.base.name not in known
            state: State = "note" if absent else "error" if name == standard else "warning"
            yield Finding(about, state, error.message, error.hint)
            continue
        levels = " ".join(level for level, _ in manifest.levels)
        first = ", the default" if name == standard else ""
        yield Finding(about, "ok", f"{levels}; checksums hold{first}")


def decoding() -> Finding:
    """A short plan by the default student, with its speed."""
    from dnc_edge.edge import Edge

    with Edge(decomposer="student", plan="always") as edge:
        record = edge.decompose(QUESTION)
        used = record.usage["decompose"]
        speed = used.output_tokens / max(used.seconds - (used.first_token_seconds or 0.0), 1e-9)
        first = used.first_token_seconds or 0.0
        made = f"{used.output_tokens} tokens, the first after {first:.2f} s, {speed:,.0f} tokens/s"
        return Finding("decoding", "ok", f"{record.decomposer} {record.level} on {record.engine}: {made}")


def solver(*, online: bool) -> Finding:
    """The solver of the settings; with `online` whether its server lists its models."""
    from dnc_edge.edge import Edge
    from dnc_edge.remote.endpoint import Endpoint
    from dnc_edge.solvers import ChatSolver

    with Edge() as edge:
        name = edge.settings.solver
        if edge.settings.solver.partition(":")[0] in ("local", "student"):
            return Finding("solver", "ok", f"{name}, on this machine")
        chat = edge.solver.chat if isinstance(edge.solver, ChatSolver) else None
        if not isinstance(chat, Endpoint):
            return Finding("solver", "ok", edge.solver.name)
        if not online:
            return Finding("solver", "note", f"{chat.name}; not asked", "dnc-edge doctor --online")
        body = b"".join(chat.call("GET", "/models", seconds=20.0))
        try:
            models = [model["id"] for model in json.loads(body)["data"]]
        except (ValueError, KeyError, TypeError):
            return Finding("solver", "warning", f"{chat.name} answers, but does not list its models")
        if chat.model in models:
            return Finding("solver", "ok", f"{chat.name} answers and has the model")
        return Finding(
            "solver", "warning", f"{chat.name} answers and lists no such model", names.hint(chat.model, models)
        )


def keys() -> Finding:
    """Which providers have a key, and whether others can read the file; no key is shown."""
    from dnc_edge.remote import keys as stored
    from dnc_edge.remote.providers import PROVIDERS

    path = stored.keys_path()
    found = [*stored.stored()]
    found += [one.variable for one in PROVIDERS.values() if one.variable and os.environ.get(one.variable)]
    found += ["DNC_EDGE_API_KEY"] if os.environ.get("DNC_EDGE_API_KEY") else []
    if path.exists() and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("keys", "warning", f"others can read {path}", f"chmod 600 {path}")
    if not found:
        return Finding("keys", "note", "none; a cloud solver needs one", "dnc-edge keys set openai")
    return Finding("keys", "ok", ", ".join(found))


def log() -> Finding:
    """Where the log is and how much it holds."""
    from dnc_edge.log import Log

    log = Log()
    kept = config.load().logging
    questions = sum(cost.questions for cost in log.costs())
    return Finding("log", "ok", f"{questions:,} questions in {log.path}; keeps {'nothing' if kept == 'off' else kept}")


def data() -> Finding:
    """The data sets that are here."""
    from dnc_edge import data

    if os.environ.get(data.VARIABLE) == "hub":
        return Finding("data", "ok", "from the hub, as they are needed")
    here = [one.name for one in data.datasets().values() if one.is_here]
    if not here:
        return Finding("data", "note", f"none in {data.root()}; only bench and train need some", "dnc-edge data list")
    return Finding("data", "ok", f"{', '.join(here)} in {data.root()}")
