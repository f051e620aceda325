"""A student with all its GGUF levels: those that are missing are made in process from its unquantized file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dnc_edge.convert.merge import merge
from dnc_edge.convert.quantize import quantize
from dnc_edge.errors import StudentError, UsageError
from dnc_edge.files import replacing
from dnc_edge.students import adapted
from dnc_edge.students import manifest as manifests
from dnc_edge.students.checksums import recorded
from dnc_edge.students.choice import with_files
from dnc_edge.students.manifest import Manifest

LEVELS = ("f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k", "iq4_xs")
FULL = ("f32", "f16")


def full_precision(manifest: Manifest) -> str:
    """The level of the student's unquantized GGUF file.

    Raises:
        StudentError: it has none.
    """
    for level in FULL:
        if (level, "llama.cpp") in manifest.levels:
            return level
    raise StudentError(
        f"student {manifest.name} has no unquantized GGUF file to make levels from",
        hint="convert it with: dnc-edge convert gguf CHECKPOINT -o DIR --levels f16",
    )


def with_levels(
    directory: Path, target: Path, levels: Sequence[str] | None, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Copy a student to `target` and make the levels that it lacks there; what is there already stays.

    Of a student that is adapters on a base, the base with its decomposer's adapter merged in is copied, in f16.

    Args:
        directory: the student.
        target: a folder for it.
        levels: GGUF levels of `LEVELS`, or any that the student has; None is all of both.
        say: told what is being made.

    Raises:
        UsageError: a level is unknown. StudentError: there is nothing to make levels from.
    """
    if manifests.load(directory).base is not None:
        if not (target / manifests.FILENAME).is_file():
            say("merging the adapter into its base")
            merged(directory, target)
        directory = target
    manifest = manifests.load(directory)
    have = [level for level, _ in manifest.levels]
    known = list(dict.fromkeys([*have, *LEVELS]))
    wanted = known if levels is None else levels
    for level in wanted:
        if level not in known:
            raise UsageError(f"there is no level {level!r}", hint=f"choose from: {', '.join(known)}")
    source = directory / manifest.file(full_precision(manifest), "llama.cpp").file
    target.mkdir(parents=True, exist_ok=True)
    for file in manifest.files:
        if not (target / file.file).exists():
            shutil.copyfile(directory / file.file, target / file.file)
    files = list(manifest.files)
    for level in wanted:
        if level in have:
            continue
        path = target / f"{manifest.name}-{level}.gguf"
        if not path.is_file():
            say(f"making {level}")
            with replacing(path) as partial:
                quantize(source, partial, level)
        files.append(recorded(path, "llama.cpp", level))
    made = with_files(manifest, files)
    manifests.write(target, made)
    return made


def merged(directory: Path, target: Path) -> None:
    """Write a student that is an adapter on a base as one of full precision, for the roles that the adapter serves.

    Raises:
        StudentError: the base is not here, the adapter does not fit it, or none is for decomposing.
    """
    manifest = manifests.load(directory)
    assert manifest.base is not None
    adapter = manifest.roles["decompose"].adapter
    if adapter is None:
        raise StudentError(
            f"student {manifest.name} has no adapter for decomposing", hint=f"measure its base, {manifest.base.name}"
        )
    folder, weights = adapted.base_of(manifest.base, manifest.name)
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{manifest.name}-f16.gguf"
    with replacing(path) as partial:
        merge(folder / weights.file, directory / adapter, partial)
    roles = {name: replace(role, adapter=None) for name, role in manifest.roles.items() if role.adapter == adapter}
    made = with_files(manifest, [recorded(path, "llama.cpp", "f16")])
    probes = tuple(probe for probe in made.probes if probe.role in roles)
    manifests.write(target, replace(made, base=None, roles=roles, probes=probes))
