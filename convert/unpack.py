"""A GGUF file as a checkpoint and back: unpacked to train on, packed again with the vocabulary it had."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dnc_edge.convert.metadata import architecture, contents, copy, read
from dnc_edge.convert.vocabulary import tokenizer_json
from dnc_edge.errors import InputError
from dnc_edge.progress import SILENT, Progress

# What an unpacked checkpoint keeps of its GGUF file: all but the weights that are trained.
HEADER = "header.gguf"
# By the name in the file. What transformers dequantizes and `pack` takes back.
ARCHITECTURES = ("llama", "qwen2", "qwen3")


def unpack(file: Path, target: Path, progress: Progress = SILENT) -> Path:
    """Write a GGUF file as a checkpoint: weights in float32, tokenizer, and `HEADER`, from which `pack` goes back.

    What an earlier call has written is used again.

    Args:
        file: the GGUF file.
        target: directory of the checkpoint; it appears whole or not at all.
        progress: gets a step when it starts.

    Returns:
        `target`.

    Raises:
        InputError: the file is damaged, or of an architecture that cannot be trained.
        MissingError: there is no such file. ExtraMissing: the package gguf is not installed.
    """
    if target.is_dir():
        return target
    reader = read(file)
    if (name := architecture(reader)) not in ARCHITECTURES:
        raise InputError(
            f"{file} is of the architecture {name}, which cannot be trained from a GGUF file",
            hint=f"known: {', '.join(ARCHITECTURES)}; train others from their safetensors checkpoint",
        )
    progress.step(f"unpacking {file.name}")
    try:
        tokenizer = _tokenizer(reader)
    except InputError as error:
        raise InputError(f"{file} cannot be trained: {error.message}", hint=error.hint) from error
    import torch
    from transformers import AutoModelForCausalLM

    # transformers does not read this of Qwen3 files, and takes 128.
    length = reader.fields.get("qwen3.attention.key_length")
    shape = {"head_dim": int(length.contents())} if length else {}
    try:
        # Dequantizing draws a bar of its own.
        with contextlib.redirect_stderr(io.StringIO()):
            model = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True, **shape
            )
    except Exception as error:  # transformers raises whatever its parsers do
        raise InputError(f"transformers cannot read {file} ({error})", hint="copy or download it again") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.partial-") as scratch:
        partial = Path(scratch) / target.name
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        copy(reader, partial / HEADER, ((t.name, t.data, t.tensor_type) for t in reader.tensors if "rope" in t.name))
        try:
            partial.rename(target)
        except OSError:
            # Another process of the same training was first.
            if not target.is_dir():
                raise
    return target


def _tokenizer(reader: Any) -> Any:
    """Return the file's vocabulary as a tokenizer of transformers that adds no token before a text."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(json.dumps(tokenizer_json(reader)))
    special = {
        f"{name}_token": backend.id_to_token(id)
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
        if (id := contents(reader, f"tokenizer.ggml.{key}_token_id")) is not None
    }
    template = contents(reader, "tokenizer.chat_template")
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, **special)


def pack(checkpoint: Path, target: Path) -> None:
    """Write an unpacked checkpoint, trained or not, as a GGUF file of float32 with the header it had."""
    import gguf
    from safetensors import safe_open

    header = read(checkpoint / HEADER)
    name = architecture(header)
    layers, heads, kv_heads = (
        int(contents(header, f"{name}.{key}"))
        for key in ("block_count", "attention.head_count", "attention.head_count_kv")
    )
    kind = next(kind for kind, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    names = gguf.get_tensor_name_map(kind, layers)

    def tensors() -> Iterator[tuple[str, Any, Any]]:
        yield from ((t.name, t.data, t.tensor_type) for t in header.tensors)
        for file in sorted(checkpoint.glob("*.safetensors")):
            with safe_open(file, framework="numpy") as weights:
                for key in weights.keys():  # noqa: SIM118
                    value = weights.get_tensor(key).astype("float32")
                    if name == "llama" and key.endswith(("q_proj.weight", "k_proj.weight")):
                        value = _rotated(value, heads if "q_proj" in key else kv_heads)
                    yield names.get_name(key, (".weight", ".bias")), value, gguf.GGMLQuantizationType.F32

    copy(header, target, tensors())


def _rotated(value: Any, heads: int) -> Any:
    """Return the rows of a projection in llama.cpp's order: it rotates neighbours, transformers halves of a head."""
    rows, width = value.shape
    return value.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)
