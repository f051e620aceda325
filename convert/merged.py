"""A student on a base with its decomposer's adapter merged in, for llama.cpp: once for a machine.

The base's own level (Q4_1) has no fast kernels for many tokens at once, and an adapter costs an operation for each
product. In Q8_0 a plan takes about half the time; what rounding changes is in docs/engines.md.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from dnc_edge.convert.merge import merge
from dnc_edge.convert.quantize import quantize
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import adapted
from dnc_edge.students import manifest as manifests
from dnc_edge.students.adapted import MERGED_ROLE
from dnc_edge.students.checksums import Verification, recorded
from dnc_edge.students.choice import with_files

LEVEL = "q8_0"
ENGINE = "llama.cpp"


def build_merged(directory: Path, progress: Progress = SILENT) -> Path | None:
    """Merge the adapter of `MERGED_ROLE` into a student's base, unless that has been done.

    Args:
        directory: of a student with a base, which is here.
        progress: gets a step when it starts.

    Returns:
        the directory of the built student, which has this role alone and appears whole or not at all; None if the
        student has no adapter for it.

    Raises:
        StudentError: the base is not here, or the adapter does not fit it.
        EngineMissing: llama-cpp-python is not installed. ExtraMissing: gguf is not.
    """
    manifest = manifests.load(directory)
    assert manifest.base is not None
    role = manifest.roles.get(MERGED_ROLE)
    adapter = next((file for file in manifest.files if role and file.file == role.adapter), None)
    if role is None or adapter is None:
        return None
    target = adapted.built_directory(manifest, ENGINE)
    if (target / manifests.FILENAME).is_file():
        return target
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    progress.step(f"merging the adapter of {manifest.name}")
    base = Verification(*adapted.base_of(manifest.base, manifest.name)).path()
    whole, file = partial / "whole.gguf", partial / f"{manifest.name}-{MERGED_ROLE}-{LEVEL}.gguf"
    merge(base, Verification(directory, adapter).path(), whole)
    quantize(whole, file, LEVEL)
    whole.unlink()
    kept = replace(
        manifest,
        base=None,
        roles={MERGED_ROLE: replace(role, adapter=None)},
        probes=tuple(probe for probe in manifest.probes if probe.role == MERGED_ROLE),
    )
    manifests.write(partial, with_files(kept, [recorded(file, ENGINE, LEVEL)]))
    partial.rename(target)
    return target
