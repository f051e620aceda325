"""`student.json`: what a student is, how it is prompted, and which files it consists of."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge.errors import StudentError
from dnc_edge.files import write_json
from dnc_edge.students.confidence import FEATURES, Confidence
from dnc_edge.students.facts import StudentFacts
from dnc_edge.students.measured import Measured
from dnc_edge.typed_json import build, plain

FILENAME = "student.json"
SCHEMA = 1
PLAIN_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class WeightFile:
    """One file of a student: for which engine, at which quantization level, with its checksum.

    Attributes:
        file: name in the student's directory.
        level: empty for a file that serves all levels of its engine.
        sha256: in hexadecimal.
        part: "model"; "encoder", "decoder" if a model is several files; "data" (weights that an ONNX graph names);
            "tokenizer"; "adapter" (a GGUF LoRA).
        measured: of the file that a level is chosen by; None if nothing was measured.
    """

    file: str
    engine: str
    level: str
    sha256: str
    bytes: int
    part: str = "model"
    measured: Measured | None = None


@dataclass(frozen=True)
class BaseFile:
    """The GGUF file that a student's adapters were trained on: name of the base, and the file's checksum."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest(StudentFacts):
    """All that `student.json` holds.

    Attributes:
        architecture: the class that transformers has for it.
        files: in order of preference for one level and engine.
        start: token with which an encoder-decoder starts a text.
        base: of a student that consists of adapters.
        confidence: how its plans are judged; None if it was never calibrated.
    """

    name: str
    architecture: str = "unknown"
    files: tuple[WeightFile, ...]
    default_level: str
    start: int | None = None
    base: BaseFile | None = None
    confidence: Confidence | None = None

    @property
    def levels(self) -> list[tuple[str, str]]:
        """(level, engine) of every model there is, in the manifest's order."""
        return list(dict.fromkeys((weights.level, weights.engine) for weights in self.files if weights.level))

    def file(self, level: str | None = None, engine: str | None = None) -> WeightFile:
        """Return the weight file of a level (None: the default one) and engine (None: any).

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

    def parts(self, level: str, engine: str) -> dict[str, WeightFile]:
        """Return the files of a level for an engine by part, without adapters; those of all levels included."""
        return {
            file.part: file
            for file in self.files
            if file.engine == engine and file.level in (level, "") and file.part != "adapter"
        }

    def adapters(self, level: str, engine: str) -> list[WeightFile]:
        """Return the adapters of a level for an engine."""
        return [file for file in self.files if (file.engine, file.level, file.part) == (engine, level, "adapter")]

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as `student.json` holds it."""
        values: dict[str, Any] = plain(self)
        first = ("name", "architecture", "base", "default_level", "files")
        return {"schema": SCHEMA} | {name: values.pop(name) for name in first if name in values} | values


def load(directory: Path) -> Manifest:
    """Read and check the manifest in a student's directory.

    Raises:
        StudentError: there is no manifest, or it is not valid.
    """
    path = directory / FILENAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudentError(f"{directory} is not a student: it has no {FILENAME}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StudentError(f"{path} is not JSON ({error})") from error
    try:
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            found = values.get("schema") if isinstance(values, dict) else values
            raise ValueError(f"schema is {found!r:.60}, this version reads {SCHEMA}")
        manifest = build(Manifest, values)
        _check(manifest)
    except ValueError as error:
        raise StudentError(f"{path} is not a valid manifest: {error}") from error
    return manifest


def write(directory: Path, manifest: Manifest) -> None:
    """Write a manifest, whole or not at all."""
    write_json(directory / FILENAME, manifest.to_dict())


def _check(manifest: Manifest) -> None:
    """Raise ValueError if the values do not fit together."""
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
    # A manifest may come from a stranger: it may name files beside it and nothing else.
    for weights in manifest.files:
        if not PLAIN_NAME.fullmatch(weights.file) or not re.fullmatch(r"[0-9a-f]{64}", weights.sha256):
            raise ValueError(f"file {weights.file!r} or its checksum is not well formed")
    if manifest.base and not PLAIN_NAME.fullmatch(manifest.base.name):
        raise ValueError(f"base {manifest.base.name!r} is not well formed")
    if manifest.confidence:
        _check_confidence(manifest.confidence)


def _check_confidence(confidence: Confidence) -> None:
    weights = confidence.weights
    if set(weights) != {*FEATURES, "bias"} or not all(map(math.isfinite, weights.values())):
        raise ValueError(f"confidence has weights for {', '.join(weights)}, not for {', '.join(FEATURES)} and bias")
    if not all(0 <= threshold <= 1 for threshold in confidence.thresholds.values()):
        raise ValueError("a threshold of the confidence is not from 0 to 1")
