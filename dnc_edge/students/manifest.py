"""`student.json`: what a student is, what its files are, and how it must be prompted."""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dnc_edge.errors import StudentError
from dnc_edge.files import sha256_of, write_json
from dnc_edge.students.confidence import FEATURES, Confidence

FILENAME = "student.json"
SCHEMA = 1
# Which level to take where nobody says and the default one is for another engine.
PREFERRED = ("q8_0", "int8", "q4_k_m", "f16", "fp32")
# Parts of which a level has one or, of adapters, one for each role.
CHOSEN = ("model", "decoder", "adapter")
PLAIN_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Role:
    """How one role is prompted: the template around the user message, and the most it may decode.

    Attributes:
        adapter: the student's file that is put over the base for this role; None leaves the weights as they are.
        kinds: of the solver, the kinds of question that it was trained on (see `prompts.kind_of`), while the role
            `chat`, the base as it is, answers the others; empty if it answers all.
    """

    template: str
    prompt_version: str
    max_tokens: int
    adapter: str | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightFile:
    """One file of a student: for which engine, at which quantization level, with its checksum.

    Attributes:
        level: empty for a file that serves all levels of its engine.
        part: "model"; "encoder", "decoder" where one model is several files; "data" (weights that an ONNX
            graph names); "tokenizer"; "adapter" (a GGUF LoRA).
    """

    file: str
    engine: str
    level: str
    sha256: str
    bytes: int
    part: str = "model"


@dataclass(frozen=True)
class BaseFile:
    """The GGUF file that a student's adapters are for: the name of the base that it comes with, and its checksum."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Probe:
    """A prompt and the token ids that training saw for it."""

    role: str
    user: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What `student.json` says.

    Attributes:
        start: the token with which an encoder-decoder begins to write.
        base: of a student that is adapters alone.
        confidence: how its plans are judged; None if it was never calibrated.
    """

    name: str
    roles: Mapping[str, Role]
    files: tuple[WeightFile, ...]
    default_level: str
    context: int
    max_subquestions: int
    stop: tuple[str, ...]
    probes: tuple[Probe, ...]
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    start: int | None = None
    base: BaseFile | None = None
    confidence: Confidence | None = None

    def file(self, level: str | None = None, engine: str | None = None) -> WeightFile:
        """The weight file of a level (the default one if None) and engine (any if None).

        Raises:
            StudentError: there is none; the levels that exist are named.
        """
        wanted = level or self.default_level
        for weights in self.files:
            if weights.level == wanted and engine in (None, weights.engine):
                return weights
        have = ", ".join(f"{level} ({engine})" for level, engine in self.levels)
        raise StudentError(
            f"student {self.name} has no level {wanted}" + (f" for {engine}" if engine else ""),
            hint=f"it has: {have}",
        )

    def choose(self, level: str | None, engine: str | None, installed: Collection[str]) -> WeightFile:
        """The weight file for what was asked and what is installed.

        Args:
            level: a level, or None for the default one, or the likest that the engine has.
            engine: an engine, or None for the first installed one that has the level.
            installed: engines whose packages are there, the preferred one first.

        Raises:
            StudentError: there is none; what exists is named.
        """
        engines = [engine] if engine else list(installed) or [None]  # type: ignore[list-item]
        wanted = [level] if level else list(dict.fromkeys([self.default_level, *PREFERRED, *dict(self.levels)]))
        for candidate in engines:
            for name in wanted:
                for weights in self.files:
                    if (weights.engine, weights.level) == (candidate, name) and weights.part in CHOSEN:
                        return weights
        return self.file(level, engine)

    @property
    def levels(self) -> list[tuple[str, str]]:
        """(level, engine) of every model there is, in the manifest's order."""
        return list(dict.fromkeys((weights.level, weights.engine) for weights in self.files if weights.level))

    def parts(self, level: str, engine: str) -> dict[str, WeightFile]:
        """The files that make up a level for an engine, by part, but for adapters; those of all levels included."""
        return {
            file.part: file
            for file in self.files
            if file.engine == engine and file.level in (level, "") and file.part != "adapter"
        }

    def adapters(self, level: str, engine: str) -> list[WeightFile]:
        """The adapters of a level for an engine."""
        return [file for file in self.files if (file.engine, file.level, file.part) == (engine, level, "adapter")]


def load(directory: Path) -> Manifest:
    """Read and check a student directory's manifest.

    Raises:
        StudentError: there is no manifest, or it does not say what it must.
    """
    path = directory / FILENAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudentError(f"{directory} is not a student: it has no {FILENAME}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StudentError(f"{path} is not JSON ({error})") from error
    try:
        manifest = _read(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise StudentError(f"{path} is not a valid manifest: {reason}") from error
    return manifest


def _read(values: Any) -> Manifest:
    if values["schema"] != SCHEMA:
        raise ValueError(f"schema is {values['schema']!r}, this version reads {SCHEMA}")
    manifest = Manifest(
        name=_a(str, values["name"]),
        roles={
            name: Role(
                _a(str, role["template"]),
                _a(str, role["prompt_version"]),
                _a(int, role["max_tokens"]),
                None if role.get("adapter") is None else _a(str, role["adapter"]),
                tuple(_a(str, kind) for kind in _a(list, role.get("kinds", []))),
            )
            for name, role in _a(dict, values["roles"]).items()
        },
        files=tuple(
            WeightFile(
                file=_a(str, weights["file"]),
                engine=_a(str, weights["engine"]),
                level=_a(str, weights["level"]),
                sha256=_a(str, weights["sha256"]),
                bytes=_a(int, weights["bytes"]),
                part=_a(str, weights.get("part", "model")),
            )
            for weights in _a(list, values["files"])
        ),
        default_level=_a(str, values["default_level"]),
        context=_a(int, values["context"]),
        max_subquestions=_a(int, values["max_subquestions"]),
        stop=tuple(_a(str, piece) for piece in _a(list, values["stop"])),
        probes=tuple(
            Probe(
                _a(str, probe["role"]), _a(str, probe["user"]), tuple(_a(int, id) for id in _a(list, probe["tokens"]))
            )
            for probe in _a(list, values["probes"])
        ),
        about=_a(dict, values.get("about", {})),
        start=None if values.get("start") is None else _a(int, values["start"]),
        base=None if values.get("base") is None else _base(_a(dict, values["base"])),
        confidence=None if values.get("confidence") is None else _confidence(_a(dict, values["confidence"])),
    )
    if min(manifest.context, manifest.max_subquestions, *(role.max_tokens for role in manifest.roles.values())) < 1:
        raise ValueError("context, max_subquestions and max_tokens are at least 1")
    if not manifest.stop:
        raise ValueError("stop is empty: nothing would end what the student writes")
    if not manifest.levels:
        raise ValueError("files names no weights")
    if "chat" not in manifest.roles and any(role.kinds for role in manifest.roles.values()):
        raise ValueError("a role is for some kinds of question alone, and no role chat is there for the others")
    names = {weights.file for weights in manifest.files}
    if missing := [role.adapter for role in manifest.roles.values() if role.adapter not in (None, *names)]:
        raise ValueError(f"the adapter {missing[0]!r} is none of its files")
    for weights in manifest.files:
        # A manifest may come from a stranger: it names files beside it and nothing else.
        if not PLAIN_NAME.fullmatch(weights.file) or not re.fullmatch(r"[0-9a-f]{64}", weights.sha256):
            raise ValueError(f"file {weights.file!r} or its checksum is not well formed")
    return manifest


def _base(values: Mapping[str, Any]) -> BaseFile:
    name, sha256 = _a(str, values["name"]), _a(str, values["sha256"])
    if not PLAIN_NAME.fullmatch(name):
        raise ValueError(f"base {name!r} is not well formed")
    return BaseFile(name, sha256)


def _confidence(values: Mapping[str, Any]) -> Confidence:
    weights, thresholds = (
        {name: float(value) for name, value in _a(dict, values[part]).items()} for part in ("weights", "thresholds")
    )
    if set(weights) != {*FEATURES, "bias"} or not all(map(math.isfinite, weights.values())):
        raise ValueError(f"confidence has weights for {', '.join(weights)}, not for {', '.join(FEATURES)} and bias")
    if not all(0 <= threshold <= 1 for threshold in thresholds.values()):
        raise ValueError("a threshold of the confidence is not from 0 to 1")
    return Confidence(weights, thresholds)


Kind = TypeVar("Kind")


def _a(kind: type[Kind], value: Any) -> Kind:
    """The value, which must be of that kind; true and false are no numbers."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r:.60} is not of type {kind.__name__}")
    return value


def keep_files(directory: Path, names: Container[str]) -> None:
    """Leave only these files in a student's manifest; the default level moves where it is not among them."""
    path = directory / FILENAME
    values = json.loads(path.read_text(encoding="utf-8"))
    values["files"] = [file for file in values["files"] if file["file"] in names]
    levels = [file["level"] for file in values["files"] if file["level"]]
    if values["default_level"] not in levels:
        values["default_level"] = levels[0]
    write(directory, values)


def write(directory: Path, values: Mapping[str, Any]) -> None:
    """Write a manifest, whole or not at all."""
    write_json(directory / FILENAME, values)


class Verification:
    """Works out a weight file's checksum in a thread of its own; `path` waits for it."""

    def __init__(self, directory: Path, weights: WeightFile) -> None:
        self._path = directory / weights.file
        self._weights = weights
        self._holds = False
        self._thread = threading.Thread(target=self._compare, daemon=True)
        self._thread.start()

    def _compare(self) -> None:
        with contextlib.suppress(OSError):
            same_size = self._path.stat().st_size == self._weights.bytes
            self._holds = same_size and sha256_of(self._path) == self._weights.sha256

    def path(self) -> Path:
        """The file's path, once its checksum is known to hold.

        Raises:
            StudentError: the file is missing, or is not the one that the manifest describes.
        """
        self._thread.join()
        if not self._path.is_file():
            raise StudentError(f"student file {self._path} is missing", hint="convert or pull the student again")
        if not self._holds:
            raise StudentError(
                f"student file {self._path} is not the one its manifest describes (checksum differs)",
                hint="it is damaged or was replaced; convert or pull the student again",
            )
        return self._path


def table(files: Sequence[Mapping[str, Any]]) -> str:
    """Levels of a manifest's `files` with size, fidelity and tensor types, as Markdown."""
    lines = [
        "| level | engine | MB | bits/weight | KL | same top token | plan F1 | plan F1 lost | plans equal | tensors |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in files:
        if "measured" not in file:
            continue
        size = sum(other["bytes"] for other in files if other["level"] == file["level"] and other["level"]) / 1e6
        lines.append(
            f"| {file['level']} | {file['engine']} | {size:.1f} | " + " | ".join(_cells(file["measured"])) + " |"
        )
    return "\n".join(lines)


def _cells(measured: Mapping[str, Any]) -> list[str]:
    types = ", ".join(f"{count} {kind}" for kind, count in measured.get("types", {}).items())
    if fallen := measured.get("fell_back"):
        types += f" ({len(fallen)} fell back)"
    bits = f"{measured['bits_per_weight']:.2f}" if "bits_per_weight" in measured else ""
    if (compared := measured.get("fidelity")) is None:
        return [bits, "", "", "", "", "", types]
    f1, lost = compared["plan_f1"], compared["f1_lost"]
    equal = f"{compared['identical']} of {compared['n']}" + (f", {compared['ties']} tied" if compared["ties"] else "")
    return [
        bits,
        f"{compared['kl']:.2g}",
        f"{compared['top_tokens']:.1%}" + (" (poor)" if compared["poor"] else ""),
        f"{f1['value']:.3f}" if f1 else "",
        f"{lost['value']:+.3f} [{lost['low']:+.3f}, {lost['high']:+.3f}]" if lost else "",
        equal,
        types,
    ]
