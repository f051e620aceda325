"""llama.cpp behind the engine protocol, over its low-level API.

The file's weights (`GgufModel`), a key-value cache on them (`llama_cache.py`) and the engine that schedules it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

from dnc_edge.engines.llama_bindings import llama
from dnc_edge.engines.llama_cache import LlamaCache
from dnc_edge.engines.memory import check_memory
from dnc_edge.engines.scheduled import ScheduledEngine, check_slots
from dnc_edge.engines.threads import chosen_threads
from dnc_edge.errors import StudentError


def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp speaks to stderr by itself; what matters comes back as errors."""


# Kept for as long as the library may call it.
_SILENT = llama.llama_log_callback(_silent)


_ready = threading.Lock()
_initialised = False


def initialise() -> None:
    """Silence and start llama.cpp, once."""
    global _initialised
    with _ready:
        if not _initialised:
            llama.llama_log_set(_SILENT, ctypes.c_void_p(0))
            llama.llama_backend_init()
            _initialised = True


class GgufModel:
    """A loaded GGUF file: the weights and the vocabulary.

    Args:
        path: the file.
        gpu_layers: layers to keep on the GPU; None takes all where the installed build has one, else none.

    Raises:
        StudentError: the file is not there, or llama.cpp cannot load it.
    """

    def __init__(self, path: Path, *, gpu_layers: int | None = None) -> None:
        initialise()
        check_gguf(path)
        check_memory(path)
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = offload() if gpu_layers is None else gpu_layers
        self.offloaded = parameters.n_gpu_layers > 0 and bool(llama.llama_supports_gpu_offload())
        self.path = path
        self.pointer = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.pointer:
            raise StudentError(
                f"llama.cpp cannot load {path}",
                hint="the file may be damaged, or newer than the installed llama-cpp-python",
            )
        # Engine and tokenizer share the weights: they are freed with the last of them. At exit the system does it.
        weakref.finalize(self, llama.llama_model_free, self.pointer).atexit = False
        self.bytes = int(llama.llama_model_size(self.pointer))
        self.vocabulary = llama.llama_model_get_vocab(self.pointer)
        self.vocabulary_size = int(llama.llama_vocab_n_tokens(self.vocabulary))
        self.trained_context = int(llama.llama_model_n_ctx_train(self.pointer))

    def cache_bytes(self, cache_type: str = "f16") -> int:
        """Bytes that one token takes in the cache."""
        heads, kv_heads = llama.llama_model_n_head(self.pointer), llama.llama_model_n_head_kv(self.pointer)
        # Some models (Qwen3, Gemma) have heads that are wider or narrower than their share of the embedding.
        share = int(llama.llama_model_n_embd(self.pointer)) // max(1, int(heads))
        architecture = self.metadata("general.architecture")
        widths = [self.metadata(f"{architecture}.attention.{part}_length") for part in ("key", "value")]
        width = sum(int(width) if width else share for width in widths)
        layers = int(llama.llama_model_n_layer(self.pointer))
        return layers * int(kv_heads) * width * (4 if cache_type == "f32" else 2)

    def metadata(self, key: str) -> str | None:
        """What the file says under a key, as text; None if it says nothing. At most 255 bytes."""
        value = ctypes.create_string_buffer(256)
        length = llama.llama_model_meta_val_str(self.pointer, key.encode(), value, len(value))
        return value.value.decode("utf-8", errors="replace") if length >= 0 else None

    @property
    def chat_template(self) -> str | None:
        """The chat template in the file, to be looked at and never run; None if there is none."""
        template: bytes | None = llama.llama_model_chat_template(self.pointer, None)
        return None if template is None else template.decode("utf-8", errors="replace")

    @functools.cached_property
    def end_tokens(self) -> frozenset[int]:
        """Every token that ends a text, as the file says."""
        return frozenset(
            token for token in range(self.vocabulary_size) if llama.llama_vocab_is_eog(self.vocabulary, token)
        )

    @property
    def begin_tokens(self) -> list[int]:
        """The token that a text begins with, as the file says: one or none."""
        adds = llama.llama_vocab_get_add_bos(self.vocabulary)
        return [int(llama.llama_vocab_bos(self.vocabulary))] if adds else []


def offload() -> int:
    """Layers to offload by default: all of them where the installed llama.cpp has a GPU, else none."""
    return 999 if llama.llama_supports_gpu_offload() else 0


def check_gguf(path: Path) -> None:
    """Refuse what is plainly no GGUF before native code reads it.

    Raises:
        StudentError: the file is missing, not GGUF, or shorter than its header.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise StudentError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    if head[:4] != b"GGUF":
        raise StudentError(f"{path} is not a GGUF file", hint="convert a checkpoint with: dnc-edge convert gguf")
    if len(head) < 24:
        raise StudentError(f"{path} is truncated", hint="copy or download it again")


class LlamaCppEngine(ScheduledEngine):
    """Many sequences at once on one model; calls from several threads share its slots.

    Args:
        model: the loaded file; the engine does not own it.
        context: longest sequence in tokens; at most what the model was trained for by default.
        threads: compute threads; None takes a thread for each core that is idle now.
        slots: sequences decoded at once; the cache holds `slots` times `context` tokens.
        batch: most tokens of one decode.
        flash_attention: attend without writing out the scores; about twice as fast with eight slots, and
            rounded otherwise than without.
        cache_type: "f16" or "f32", what the cache is kept in; in f32 flash attention is slow.
        adapters: GGUF LoRA files by the name that requests use.
        guesses: verify tokens that observers guess, and for a small model those that prompt lookup does.

    Raises:
        StudentError: model and cache exceed the memory, or a context or an adapter cannot be made.
        UsageError: a number is out of range.
    """

    name = "llama.cpp"

    def __init__(
        self,
        model: GgufModel,
        *,
        context: int | None = None,
        threads: int | None = None,
        slots: int = 1,
        batch: int = 512,
        flash_attention: bool = True,
        cache_type: str = "f16",
        adapters: Mapping[str, Path] | None = None,
        guesses: bool = True,
    ) -> None:
        check_slots(slots)
        self.model = model
        self.threads = chosen_threads(threads)
        cache = LlamaCache(
            model,
            slots=slots,
            context=context or min(model.trained_context, 4096),
            batch=max(batch, slots),
            threads=self.threads,
            flash_attention=flash_attention,
            cache_type=cache_type,
            adapters=adapters or {},
            guesses=guesses,
        )
        super().__init__(cache)
