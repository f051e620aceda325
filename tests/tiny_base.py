"""A small base of random weights and adapters on it as GGUF files, written without torch or a converter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from dnc_edge import files
from dnc_edge.students import manifest
from dnc_edge.students.chat import CHATML

LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD, RANK = 2, 128, 4, 2, 192, 8
SHAPES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (WIDTH // HEADS * KV_HEADS, WIDTH),
    "attn_v": (WIDTH // HEADS * KV_HEADS, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (FEED_FORWARD, WIDTH),
    "ffn_up": (FEED_FORWARD, WIDTH),
    "ffn_down": (WIDTH, FEED_FORWARD),
}
CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def pieces() -> tuple[list[str], list[str]]:
    """(tokens, merges): every byte in GPT-2's alphabet, and a few pieces of English."""
    shown = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    hidden = [b for b in range(256) if b not in shown]
    letters = [chr(b) for b in shown] + [chr(0x100 + place) for place in range(len(hidden))]
    merges = ["h e", "t he", "\u0120 the", "i n", "e r", "o w", "\u0120 how", "h ow"]
    joined = [merge.replace(" ", "", 1) for merge in merges]
    return [*CONTROLS, *letters, *joined], merges


def write_base(file: Path, *, seed: int = 0, architecture: str = "llama", vocabulary: str = "gpt2") -> Path:
    """A Llama whose logits lie far apart, so that rounding seldom decides."""
    rng = np.random.default_rng(seed)
    tokens, merges = pieces()
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(vocabulary)
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROLS) + [1] * (len(tokens) - len(CONTROLS)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_tensor("token_embd.weight", rng.standard_normal((len(tokens), WIDTH)).astype("f"))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, "f"))
    for layer in range(LAYERS):
        for part in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{part}.weight", np.ones(WIDTH, "f"))
        for part, (rows, columns) in SHAPES.items():
            values = rng.standard_normal((rows, columns)) / columns**0.5
            writer.add_tensor(f"blk.{layer}.{part}.weight", values.astype("f"))
    _finish(writer)
    return file


def write_adapter(file: Path, *, seed: int = 1, width: int = WIDTH) -> Path:
    """A LoRA on two products of the upper layer, strong enough to change what the base says."""
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    for part in ("attn_v", "ffn_down"):
        rows, columns = SHAPES[part]
        columns = width if part == "attn_v" else columns
        name = f"blk.{LAYERS - 1}.{part}.weight"
        writer.add_tensor(f"{name}.lora_a", (rng.standard_normal((RANK, columns)) / columns**0.5).astype("f"))
        writer.add_tensor(f"{name}.lora_b", rng.standard_normal((rows, RANK)).astype("f"))
    _finish(writer)
    return file


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def entry(path: Path, part: str, level: str = "f32") -> dict[str, Any]:
    facts = {"file": path.name, "engine": "llama.cpp", "level": level, "part": part}
    return facts | {"sha256": files.sha256_of(path), "bytes": path.stat().st_size}


def facts(name: str, files: list[dict[str, Any]], *, adapter: str | None = None) -> dict[str, Any]:
    role = {"template": CHATML.prompt(), "prompt_version": "1", "max_tokens": 24}
    return {
        "schema": 1,
        "name": name,
        "roles": {"decompose": {**role, "adapter": adapter}, "solve": role},
        "stop": ["<|im_end|>"],
        "context": 256,
        "max_subquestions": 4,
        "default_level": "f32",
        "files": files,
        "probes": [],
    }


def write_students(root: Path, *, name: str = "on-tiny") -> Path:
    """A base, and a student that holds an adapter on it; the student's directory."""
    base, student = root / "tiny", root / name
    base.mkdir(parents=True)
    student.mkdir()
    file = write_base(base / "tiny.gguf")
    files.write_json(base / manifest.FILENAME, facts("tiny", [entry(file, "model")]))
    adapter = write_adapter(student / "decompose.gguf")
    values = facts(name, [entry(adapter, "adapter")], adapter=adapter.name)
    values |= {"base": {"name": "tiny", "sha256": files.sha256_of(file)}}
    files.write_json(student / manifest.FILENAME, values)
    return student


def edit(directory: Path, **changes: object) -> None:
    path = directory / manifest.FILENAME
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")
