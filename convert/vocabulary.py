"""The vocabulary inside a GGUF file as a tokenizer.json, which reads a text as llama.cpp does.

Byte-level BPE (GPT-2, SmolLM2, Qwen2, Llama 3) and sentencepiece's BPE (Llama 2, Mistral). The file names the rule by
which a text is cut before merging; the rules themselves are written down here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnc_edge.convert.metadata import contents
from dnc_edge.errors import InputError

# Types of tokens in a GGUF file.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_WORDS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_BYTES = {**_WORDS, "use_regex": False}


def _split(pattern: str) -> list[dict[str, Any]]:
    return [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, _BYTES]


_RULES: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_WORDS],
    "smollm": [{"type": "Digits", "individual_digits": True}, _WORDS],
    "qwen2": _split(_LLAMA_3.replace("{1,3}", "")),
    "llama-bpe": _split(_LLAMA_3),
}


def tokenizer_json(reader: Any) -> dict[str, Any]:
    """Return the vocabulary in a GGUF file's metadata as `tokenizers` reads it.

    Args:
        reader: of `metadata.read`.

    Raises:
        InputError: the vocabulary is of a kind, or cut by a rule, that is not known here; the known ones are named.
    """
    kind = contents(reader, "tokenizer.ggml.model")
    tokens: list[str] = contents(reader, "tokenizer.ggml.tokens") or []
    types: list[int] = contents(reader, "tokenizer.ggml.token_type") or [1] * len(tokens)
    ids = {token: id for id, token in enumerate(tokens)}
    if kind == "gpt2":
        rule = str(contents(reader, "tokenizer.ggml.pre"))
        if rule not in _RULES:
            raise InputError(f"its texts are cut by the rule {rule}", hint=f"known rules: {', '.join(_RULES)}")
        merges: list[str] = contents(reader, "tokenizer.ggml.merges")
        # Pieces hold no plain space: a merge is the two of them with one between.
        model = {"merges": [merge.split(" ", 1) for merge in merges], "ignore_merges": rule == "llama-bpe"}
        normalizer, cut, decoder = None, _sequence("pretokenizers", _RULES[rule]), _WORDS
    elif kind == "llama":
        scores: list[float] = contents(reader, "tokenizer.ggml.scores")
        unknown = next((tokens[id] for id, type in enumerate(types) if type == _UNKNOWN), None)
        model = {"merges": _merges(ids, scores), "byte_fallback": True, "fuse_unk": True, "unk_token": unknown}
        space = [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]
        if contents(reader, "tokenizer.ggml.add_space_prefix") is not False:
            space.insert(0, {"type": "Prepend", "prepend": "\u2581"})
        normalizer, cut = _sequence("normalizers", space), None
        back = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
        decoder = _sequence("decoders", [back, {"type": "ByteFallback"}, {"type": "Fuse"}])
    else:
        raise InputError(f"its vocabulary is of the kind {kind}", hint="known kinds: gpt2 (byte-level BPE) and llama")
    special = [
        _added(id, tokens[id], special=type == _CONTROL)
        for id, type in enumerate(types)
        if type in (_CONTROL, _USER_DEFINED)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": normalizer,
        "pre_tokenizer": cut,
        "post_processor": None,
        "decoder": decoder,
        "model": {"type": "BPE", "dropout": None, "vocab": ids, **model},
    }


def _merges(ids: Mapping[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Return the merges of a sentencepiece vocabulary, the pair that makes the piece of the highest score first."""
    found = [
        (-scores[id], ids[left], ids[right], left, right)
        for token, id in ids.items()
        for at in range(1, len(token))
        if (left := token[:at]) in ids and (right := token[at:]) in ids
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _sequence(parts: str, members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "Sequence", parts: list(members)}


def _added(id: int, content: str, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": content, **flags, "special": special}
