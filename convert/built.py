"""A student on a base, built for ONNX Runtime: the graph, the vocabulary and the adapters, once for a machine."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from dnc_edge.convert.direct import BITS, write_adapter, write_graph
from dnc_edge.convert.metadata import read
from dnc_edge.convert.vocabulary import tokenizer_json
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import adapted
from dnc_edge.students import manifest as manifests
from dnc_edge.students.checksums import Verification, recorded
from dnc_edge.students.choice import with_files

LEVEL = f"int{BITS}"
ENGINE = "onnxruntime"


def build(directory: Path, progress: Progress = SILENT) -> Path:
    """Build a student's graph, unless it is there.

    Args:
        directory: of a student with a base, which is here.
        progress: gets a step when it starts.

    Returns:
        the directory of the built student; it appears whole or not at all.

    Raises:
        StudentError: the base is not here, or an adapter does not fit it.
        InputError: the base's architecture or vocabulary is not known.
        ExtraMissing: onnx or gguf is not installed.
    """
    manifest = manifests.load(directory)
    assert manifest.base is not None
    target = adapted.built_directory(manifest, ENGINE)
    if (target / manifests.FILENAME).is_file():
        return target
    folder, weights = adapted.base_of(manifest.base, manifest.name)
    base = read(Verification(folder, weights).path())
    adapters = {file.file: Verification(directory, file).path() for file in manifest.files if file.part == "adapter"}
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    progress.step(f"building {manifest.name} for onnxruntime")
    matrices = {name: partial / f"{Path(name).stem}.npz" for name in adapters}
    for name, path in adapters.items():
        write_adapter(path, base, matrices[name])
    graph, tokenizer = partial / f"{manifest.name}-{LEVEL}.onnx", partial / "tokenizer.json"
    write_graph(base, adapters.values(), graph)
    vocabulary = json.dumps(tokenizer_json(base), ensure_ascii=False, separators=(",", ":"))
    tokenizer.write_text(vocabulary, encoding="utf-8")
    roles = {
        name: replace(role, adapter=matrices[role.adapter].name if role.adapter else None)
        for name, role in manifest.roles.items()
    }
    files = [
        *(recorded(path, ENGINE, LEVEL, "adapter") for path in matrices.values()),
        recorded(graph, ENGINE, LEVEL),
        recorded(tokenizer, ENGINE, "", "tokenizer"),
    ]
    manifests.write(partial, with_files(replace(manifest, base=None, roles=roles), files))
    partial.rename(target)
    return target
