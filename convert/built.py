"""A student on a base, built for ONNX Runtime: the graph, the vocabulary and the adapters, once for a machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dnc_edge.convert.direct import BITS, write_adapter, write_graph
from dnc_edge.convert.metadata import read
from dnc_edge.convert.vocabulary import tokenizer_json
from dnc_edge.files import sha256_of
from dnc_edge.students import adapted
from dnc_edge.students import manifest as manifests

LEVEL = f"int{BITS}"
ENGINE = "onnxruntime"


def build(directory: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Build a student's graph, unless it is there.

    Args:
        directory: of a student with a base, which is here.
        progress: called with what is being done.

    Returns:
        the directory of the built student; it appears whole or not at all.

    Raises:
        StudentError: the base is not here, or an adapter does not fit it.
        InputError: the base's architecture or vocabulary is not known.
        ExtraMissing: onnx or gguf is not installed.
    """
    manifest = manifests.load(directory)
    assert manifest.base is not None
    target = adapted.built_directory(manifest)
    if (target / manifests.FILENAME).is_file():
        return target
    folder, weights = adapted.base_of(manifest.base, manifest.name)
    base = read(manifests.Verification(folder, weights).path())
    adapters = {
        file.file: manifests.Verification(directory, file).path() for file in manifest.files if file.part == "adapter"
    }
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    progress(f"building {manifest.name} for onnxruntime")
    files: list[dict[str, Any]] = []

    def made(name: str, part: str, level: str = LEVEL) -> Path:
        files.append({"file": name, "engine": ENGINE, "level": level, "part": part})
        return partial / name

    for name, path in adapters.items():
        write_adapter(path, base, made(f"{Path(name).stem}.npz", "adapter"))
    write_graph(base, adapters.values(), made(f"{manifest.name}-{LEVEL}.onnx", "model"))
    vocabulary = json.dumps(tokenizer_json(base), ensure_ascii=False, separators=(",", ":"))
    made("tokenizer.json", "tokenizer", "").write_text(vocabulary, encoding="utf-8")
    for file in files:
        path = partial / file["file"]
        file |= {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    values = json.loads((directory / manifests.FILENAME).read_text(encoding="utf-8"))
    del values["base"]
    for role in values["roles"].values():
        if role.get("adapter"):
            role["adapter"] = f"{Path(role['adapter']).stem}.npz"
    manifests.write(partial, values | {"files": files, "default_level": LEVEL})
    partial.rename(target)
    return target
