"""A GGUF base and a GGUF adapter as one GGUF file, with numpy alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dnc_edge.convert.direct import lora_pairs, values_of
from dnc_edge.convert.metadata import copy, read
from dnc_edge.errors import StudentError


def merge(base: Path, adapter: Path, target: Path) -> None:
    """Add an adapter to its base: matrices in f16, vectors in f32, the base's metadata and vocabulary.

    Args:
        base: the GGUF file that the adapter was trained on, dequantized if it is quantized.
        adapter: a GGUF LoRA file.
        target: the file to write.

    Raises:
        StudentError: the adapter does not fit the base.
        ExtraMissing: the package gguf is not installed.
    """
    import gguf

    reader, pairs = read(base), dict(lora_pairs(adapter))

    def tensors() -> Iterator[tuple[str, Any, Any]]:
        for tensor in reader.tensors:
            values = values_of(tensor)  # (out, in)
            if (pair := pairs.pop(tensor.name.removesuffix(".weight"), None)) is not None:
                a, b = pair
                if values.shape != (b.shape[1], a.shape[0]):
                    raise StudentError(f"{adapter} does not fit {base}: {tensor.name} differs in shape")
                values = values + (a @ b).T
            whole = values.ndim < 2
            kind = gguf.GGMLQuantizationType.F32 if whole else gguf.GGMLQuantizationType.F16
            yield tensor.name, values.astype(np.float32 if whole else np.float16), kind

    written = list(tensors())
    if pairs:
        raise StudentError(f"{adapter} does not fit {base}: it changes {next(iter(pairs))}, which the base has not")
    copy(reader, target, written, unwanted=("general.file_type", "general.quantization_version"))
