"""Small models of many architectures with random weights, and real tokenizers where there are some."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

SIZES = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "max_position_embeddings": 1024}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
# Logits far apart, so that no two tokens are tied by rounding.
SPREAD = {"initializer_range": 0.15}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {**SIZES, **HEADS, **SPREAD}),
    "mistral": ("MistralForCausalLM", {**SIZES, **HEADS, **SPREAD, "sliding_window": None}),
    "qwen2": ("Qwen2ForCausalLM", {**SIZES, **HEADS, **SPREAD, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {**SIZES, **HEADS, **SPREAD, "head_dim": 64}),
    "gemma": ("GemmaForCausalLM", {**SIZES, **HEADS, **SPREAD, "head_dim": 64}),
    "gpt2": (
        "GPT2LMHeadModel",
        {"n_embd": 256, "n_layer": 2, "n_head": 4, "n_positions": 1024, "n_ctx": 1024, **SPREAD},
    ),
    "t5": ("T5ForConditionalGeneration", {"d_model": 256, "d_kv": 64, "d_ff": 256, "num_layers": 2, "num_heads": 4}),
}


def random_model(name: str, folder: Path, data: Path | None, *, seed: int = 0) -> Path:
    """A checkpoint of an architecture, written to `folder` as a hub model would be."""
    import torch
    import transformers

    architecture, sizes = ARCHITECTURES[name]
    tokenizer = _tokenizer(name, data)
    loader = getattr(transformers, architecture)
    config = loader.config_class(
        **sizes,
        vocab_size=-(-len(tokenizer) // 64) * 64 if name == "t5" else len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id or 0,
        **({"decoder_start_token_id": 0} if name == "t5" else {}),
    )
    torch.manual_seed(seed)
    model = loader(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(name: str, data: Path | None) -> Any:
    """Llama 2's, Mistral's, GPT-2's and T5's own; for the others the one of our students."""
    import transformers

    from dnc_edge.train.tokenizer import load_tokenizer

    if data is None or name not in ("llama", "mistral", "gpt2", "t5"):
        return load_tokenizer()
    folder = data / "tokenizers"
    if name == "llama":
        return transformers.LlamaTokenizerFast.from_pretrained(folder / "llama2")
    if name == "mistral":
        return transformers.LlamaTokenizerFast(vocab_file=str(folder / "mistral" / "tokenizer.model.v1"), legacy=False)
    if name == "t5":
        return transformers.T5TokenizerFast(vocab_file=str(folder / "t5" / "spiece.model"), legacy=False)
    vocabulary = Path(folder, "gpt2")
    unpacked = Path(vocabulary / "encoder.json.gz")
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "vocab.json").write_bytes(gzip.decompress(unpacked.read_bytes()))
        return transformers.GPT2TokenizerFast(
            vocab_file=f"{scratch}/vocab.json", merges_file=str(vocabulary / "vocab.bpe")
        )


def chain_gguf(
    path: Path,
    chain: dict[str, str],
    *,
    controls: tuple[str, ...] = (),
    template: str | None = None,
    head_size: int = 48,
) -> Path:
    """A real GGUF file of a model whose next token is what `chain` says of the last one, and else the end `</s>`.

    Args:
        chain: piece by piece, what follows what.
        controls: control pieces of the vocabulary beside `<s>` and `</s>`.
        template: the chat template in the file.
        head_size: of the two attention heads, which have nothing to say; the hidden size is 320.
    """
    import gguf
    import numpy as np

    special = ["<unk>", "<s>", "</s>", *controls]
    texts = [piece for piece in dict.fromkeys([*chain, *chain.values()]) if piece not in special]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *texts]
    hidden = 320
    assert len(pieces) <= hidden
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(head_size)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([0.0] * len(pieces))
    writer.add_token_types([2] + [3] * (len(special) - 1) + [6] * 256 + [1] + [4] * len(texts))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    # Each token is a direction of its own; the head turns it into that of the next one.
    head = np.zeros((len(pieces), hidden), np.float32)
    for place, piece in enumerate(pieces):
        head[pieces.index(chain.get(piece, "</s>")), place] = 1
    shapes = {
        "attn_q": (2 * head_size, hidden),
        "attn_k": (head_size, hidden),
        "attn_v": (head_size, hidden),
        "attn_output": (hidden, 2 * head_size),
        "ffn_gate": (32, hidden),
        "ffn_up": (32, hidden),
        "ffn_down": (hidden, 32),
    }
    writer.add_tensor("token_embd.weight", np.eye(len(pieces), hidden, dtype=np.float32))
    writer.add_tensor("output.weight", head)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(hidden, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
