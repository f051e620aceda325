"""Which of a student's levels is taken: by what was asked, what is installed, and which levels are preferred."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from dnc_edge.students.manifest import Manifest, WeightFile

# The order in which levels are tried if nobody names one and the default level is for another engine.
PREFERRED = ("q8_0", "int8", "q4_k_m", "f16", "fp32")
# Parts by which a level is chosen: it has one of them or, of adapters, one for each role.
CHOSEN_BY = ("model", "decoder", "adapter")


def choose(manifest: Manifest, level: str | None, engine: str | None, installed: Collection[str]) -> WeightFile:
    """Return the weight file for what was asked and what is installed.

    Args:
        level: None takes the default level, or the first preferred one that the engine has.
        engine: None takes the first installed engine that has the level.
        installed: engines whose packages are installed, the preferred one first.

    Raises:
        StudentError: there is none; the levels that exist are named.
    """
    engines = [engine] if engine else list(installed) or [None]  # type: ignore[list-item]
    levels = [level] if level else [manifest.default_level, *_by_preference(name for name, _ in manifest.levels)]
    for candidate in engines:
        for name in levels:
            for weights in manifest.files:
                if (weights.engine, weights.level) == (candidate, name) and weights.part in CHOSEN_BY:
                    return weights
    return manifest.file(level, engine)


def with_files(manifest: Manifest, files: Iterable[WeightFile]) -> Manifest:
    """Return the manifest with other files; if they lack the default level, another one takes its place."""
    changed = replace(manifest, files=tuple(files))
    levels = [level for level, _ in changed.levels]
    if changed.default_level in levels or not levels:
        return changed
    return replace(changed, default_level=_by_preference(levels)[0])


def _by_preference(levels: Iterable[str]) -> list[str]:
    """The levels without repeats, preferred ones first."""
    rank = {level: number for number, level in enumerate(PREFERRED)}
    return sorted(dict.fromkeys(levels), key=lambda level: rank.get(level, len(PREFERRED)))
