"""The tokenizer of students trained here: SentencePiece BPE, byte fallback, split digits, 64 reserved pieces.

It is trained once and fixed for good; every student from `train base` shares it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Control pieces are never read out of a user's text; only templates place them.
END = "<|end|>"
ROLES = ("decompose", "solve", "next", "plan", "answer", "context", "question", "predict", "explain", "tool", "result")
REFERENCES = tuple(f"#{number}" for number in range(1, 10))
CALCULATOR = ("<<", ">>")
RESERVED = 64

FIXED = Path(__file__).parent / "english-4096"


def control_pieces() -> list[str]:
    named = [f"<|{role}|>" for role in ROLES]
    spare = RESERVED - len(named) - len(REFERENCES) - len(CALCULATOR) - 1
    return named + [f"<|reserved_{number}|>" for number in range(spare)]


def train_tokenizer(texts: Iterable[str], out: Path, *, vocabulary: int = 4096) -> None:
    """Train on `texts` and write tokenizer.model and tokenizer_config.json into `out`."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.9999,
        # Text passes as it is, so that llama.cpp, tokenizers and SentencePiece see the same bytes.
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        allow_whitespace_only_pieces=True,
        control_symbols=control_pieces(),
        user_defined_symbols=[*REFERENCES, *CALCULATOR],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        eos_piece=END,
        pad_id=3,
        pad_piece="<pad>",
        max_sentence_length=20_000,
        num_threads=2,
        minloglevel=2,
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.model").write_bytes(model.getvalue())
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "bos_token": "<s>",
        "eos_token": END,
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_tokenizer() -> Any:
    """Load the fixed tokenizer of the students trained here as a tokenizer of transformers."""
    from transformers import LlamaTokenizerFast

    return LlamaTokenizerFast.from_pretrained(FIXED)
