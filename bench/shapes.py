"""GGUF files of real models' shapes with random weights: what a machine can do, before anything is downloaded."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnc_edge.convert.metadata import read
from dnc_edge.convert.quantize import quantize
from dnc_edge.errors import UsageError
from dnc_edge.files import replacing


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; `architecture` is llama.cpp's name for it."""

    architecture: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    biases: bool = False


SHAPES = {
    "student-18m": Shape("llama", 6, 512, 1024, 8, 8, 4096, tied=True),
    "qwen2.5-0.5b": Shape("qwen2", 24, 896, 4864, 14, 2, 151_936, tied=True, biases=True),
    "qwen2.5-1.5b": Shape("qwen2", 28, 1536, 8960, 12, 2, 151_936, tied=True, biases=True),
    "llama-3.2-1b": Shape("llama", 16, 2048, 8192, 32, 8, 128_256, tied=True),
    "mistral-7b": Shape("llama", 32, 4096, 14_336, 32, 8, 32_000, tied=False),
}


def shape_file(name: str, level: str, folder: Path) -> Path:
    """Return a file of a shape and level in `folder`; it is made unless it is there.

    Raises:
        UsageError: the shape is unknown; the list is shown.
    """
    if name not in SHAPES:
        raise UsageError(f"unknown shape {name}", hint=f"shapes: {', '.join(SHAPES)}")
    path = folder / f"{name}-{level}.gguf"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f".{name}-f16.gguf"
        _write(SHAPES[name], name, whole)
        with replacing(path) as partial:
            quantize(whole, partial, level)
        whole.unlink()
    return path


def _write(shape: Shape, name: str, path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, shape.architecture)
    size = shape.hidden // shape.heads
    writer.add_name(name)
    writer.add_context_length(4096)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(size)
    writer.add_vocab_size(shape.vocabulary)
    # A vocabulary of bytes and numbered words: enough to load the file anywhere.
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += [f"\u2581w{number}" for number in range(shape.vocabulary - len(pieces))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([0.0] * len(pieces))
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)

    def matrix(tensor: str, rows: int, columns: int) -> None:
        scale = np.float32(columns**-0.5)
        writer.add_tensor(tensor, (rng.standard_normal((rows, columns), np.float32) * scale).astype(np.float16))

    def vector(tensor: str, width: int, value: float = 1.0) -> None:
        writer.add_tensor(tensor, np.full(width, value, np.float32))

    matrix("token_embd.weight", shape.vocabulary, shape.hidden)
    if not shape.tied:
        matrix("output.weight", shape.vocabulary, shape.hidden)
    vector("output_norm.weight", shape.hidden)
    for layer in range(shape.layers):
        for part, rows in (("q", shape.heads * size), ("k", shape.kv_heads * size), ("v", shape.kv_heads * size)):
            matrix(f"blk.{layer}.attn_{part}.weight", rows, shape.hidden)
            if shape.biases:
                vector(f"blk.{layer}.attn_{part}.bias", rows, 0.0)
        matrix(f"blk.{layer}.attn_output.weight", shape.hidden, shape.heads * size)
        for part in ("gate", "up"):
            matrix(f"blk.{layer}.ffn_{part}.weight", shape.feed_forward, shape.hidden)
        matrix(f"blk.{layer}.ffn_down.weight", shape.hidden, shape.feed_forward)
        vector(f"blk.{layer}.attn_norm.weight", shape.hidden)
        vector(f"blk.{layer}.ffn_norm.weight", shape.hidden)
    with contextlib.redirect_stderr(io.StringIO()):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    writer.close()


def bytes_per_token(path: Path) -> int:
    """Return the bytes of weights that one token reads: all except an embedding that is only looked up."""
    tensors: Any = read(path).tensors
    names = {tensor.name for tensor in tensors}
    looked_up = {"token_embd.weight"} if "output.weight" in names else set()
    return sum(int(tensor.n_bytes) for tensor in tensors if tensor.name not in looked_up)
