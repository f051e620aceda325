"""Students that are adapters on a base: where the base's weights are, for each engine.

llama.cpp reads the base's GGUF file and the adapters as they are. ONNX Runtime reads a graph, which `students pull`
builds once for a student and keeps beside the local students (`convert/built.py`). Beside it stand weights with the
decomposer's adapter merged in, for llama.cpp: they decode about twice as fast, and serve where no other role is asked
for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from dnc_edge.engines.loading import installed
from dnc_edge.errors import StudentError
from dnc_edge.students import manifest as manifests
from dnc_edge.students.manifest import FILENAME, BaseFile, Manifest, WeightFile
from dnc_edge.students.resolve import known, local_root

# Part of a built student's name: a newer version builds its own.
_BUILD = "2"
# The role whose adapter is merged in.
MERGED_ROLE = "decompose"


def ready(directory: Path) -> bool:
    """Whether a student can run here: its base is here, for an engine that is installed."""
    try:
        manifest = manifests.load(directory)
        if manifest.base is None:
            return True
        for engine in installed():
            if engine == "llama.cpp":
                folder, weights = base_of(manifest.base, manifest.name)
                return (folder / weights.file).is_file()
            if (built_directory(manifest, engine) / FILENAME).is_file():
                return True
    except StudentError:
        return False
    return False


def base_of(base: BaseFile, student: str) -> tuple[Path, WeightFile]:
    """(directory, file) of a base that is here.

    Raises:
        StudentError: it is not here, or is another file than the student was trained on.
    """
    directory = known().get(base.name)
    hint = f"dnc-edge students pull {base.name}"
    if directory is None:
        raise StudentError(f"the student {student} needs its base {base.name}, which is not here", hint=hint)
    files = manifests.load(directory).files
    for weights in files:
        if weights.sha256 == base.sha256:
            return directory, weights
    raise StudentError(
        f"the base {base.name} in {directory} is another file than the student {student} was trained on "
        f"(SHA-256 {files[0].sha256[:12] if files else 'of none'}, not {base.sha256[:12]})",
        hint=f"{hint} --force",
    )


def built_directory(manifest: Manifest, engine: str) -> Path:
    """Where a student is kept that was built for an engine; its name changes with the base and every adapter."""
    assert manifest.base is not None
    parts = [_BUILD, engine, manifest.base.sha256, *sorted(weights.sha256 for weights in manifest.files)]
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    return local_root() / ".built" / f"{manifest.name}-{digest}"


def runnable(
    directory: Path, manifest: Manifest, engine: str | None, *, level: str | None = None, role: str | None = None
) -> tuple[Path, Manifest]:
    """(directory, manifest) to run on an engine: a built student, or the one that is given.

    Args:
        directory, manifest: of a student with a base.
        engine: "llama.cpp", "onnxruntime", or None for the first that is installed.
        level: the one that was asked for, or None.
        role: the only one that it will be asked for, or None.

    Raises:
        StudentError: it is to run on ONNX Runtime, and has not been built for it.
    """
    assert manifest.base is not None
    engine = engine or next(iter(installed()), "llama.cpp")
    built = built_directory(manifest, engine)
    if engine != "onnxruntime":
        if role == MERGED_ROLE and (built / FILENAME).is_file():
            merged = manifests.load(built)
            if level in (None, merged.default_level):
                return built, merged
        return directory, manifest
    if not (built / FILENAME).is_file():
        raise StudentError(
            f"the student {manifest.name} has no graph for onnxruntime yet",
            hint=f"dnc-edge students pull {manifest.base.name} builds it",
        )
    return built, manifests.load(built)
