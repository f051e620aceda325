"""llama.cpp behind the engine protocol, over its low-level API.

The high-level `Llama` class adds about 0.8 ms a token of Python; here a token costs its share of one
`llama_decode`, a view on its logits and an argmax. What goes into each decode is the scheduler's business.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnc_edge.engines.llama_bindings import llama
from dnc_edge.engines.memory import check_memory
from dnc_edge.engines.scheduled import ScheduledEngine, check_slots
from dnc_edge.engines.slots import Entry
from dnc_edge.engines.threads import chosen_threads
from dnc_edge.errors import StudentError

_CACHE_TYPES = {"f32": llama.GGML_TYPE_F32, "f16": llama.GGML_TYPE_F16}


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
        self.path = path
        self.pointer = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.pointer:
            raise StudentError(
                f"llama.cpp cannot load {path}",
                hint="the file may be damaged, or newer than the installed llama-cpp-python",
            )
        # Engine and tokenizer share the weights: they are freed with the last of them. At exit the system does it.
        weakref.finalize(self, llama.llama_model_free, self.pointer).atexit = False
        self.vocabulary = llama.llama_model_get_vocab(self.pointer)
        self.vocabulary_size = int(llama.llama_vocab_n_tokens(self.vocabulary))
        self.trained_context = int(llama.llama_model_n_ctx_train(self.pointer))

    def cache_bytes(self, cache_type: str = "f16") -> int:
        """Bytes that one token takes in the cache."""
        heads, kv_heads = llama.llama_model_n_head(self.pointer), llama.llama_model_n_head_kv(self.pointer)
        width = int(llama.llama_model_n_embd(self.pointer)) * int(kv_heads) // int(heads)
        return 2 * int(llama.llama_model_n_layer(self.pointer)) * width * (4 if cache_type == "f32" else 2)


def offload() -> int:
    """Layers to offload by default: all of them where the installed llama.cpp has a GPU, else none."""
    return 999 if llama.llama_supports_gpu_offload() else 0


def _load_adapter(model: GgufModel, path: Path) -> Any:
    check_gguf(path)
    adapter = llama.llama_adapter_lora_init(model.pointer, os.fsencode(path))
    if not adapter:
        raise StudentError(f"llama.cpp cannot use {path} with {model.path.name}", hint="it belongs to another base")
    return adapter  # freed with the model


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
        guesses: verify tokens guessed by prompt lookup where one greedy sequence is decoded alone.

    Raises:
        StudentError: model and cache exceed the memory, or a context or an adapter cannot be made.
        UsageError: a number is out of range.
    """

    name = "llama.cpp"
    resumes = True

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
        self.model, self.guesses = model, guesses
        self.context = context or min(model.trained_context, 4096)
        self.slots, self.batch = slots, max(batch, slots)
        self.threads = chosen_threads(threads)
        check_memory(model.path, cache_bytes=slots * self.context * model.cache_bytes(cache_type), loaded=True)
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = self.context * slots
        parameters.n_seq_max = slots
        # A stream for each sequence: attention then never looks at another's tokens.
        parameters.kv_unified = False
        parameters.n_batch = parameters.n_ubatch = self.batch
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        parameters.type_k = parameters.type_v = _CACHE_TYPES[cache_type]
        parameters.no_perf = True
        self._pointer = llama.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise StudentError(
                f"llama.cpp cannot make {slots} sequences of {self.context} tokens for {model.path}",
                hint="ask for a smaller context or fewer slots",
            )
        self._adapters = {name: _load_adapter(model, path) for name, path in (adapters or {}).items()}
        self._memory = llama.llama_get_memory(self._pointer)
        self._batch = llama.llama_batch_init(self.batch, 0, 1)
        # The batch's arrays, as what can be written in one go.
        fields = (self._batch.token, self._batch.pos, self._batch.logits)
        self._tokens, self._positions, self._wanted = (_array(field, self.batch) for field in fields)
        self._sequences = [self._batch.seq_id[index] for index in range(self.batch)]
        for index in range(self.batch):
            self._batch.n_seq_id[index] = 1
        self._logits, self._logits_at = np.empty((0, 0), np.float32), 0
        super().__init__(self)

    def free(self) -> None:
        if self._pointer:
            llama.llama_batch_free(self._batch)
            llama.llama_free(self._pointer)
            self._pointer = None

    def decode(self, entries: Sequence[Entry]) -> Any:
        batch, rows = self._batch, 0
        if len(entries) == 1:
            # What one sequence does at every token: three stores are cheaper than three arrays.
            entry = entries[0]
            batch.pos[0], batch.token[0], self._sequences[0][0] = entry.position, entry.token, entry.slot
            batch.logits[0] = rows = int(entry.wanted)
        else:
            slots, positions, tokens, wanted = zip(*entries, strict=True)
            count = len(entries)
            self._tokens[:count], self._positions[:count], self._wanted[:count] = tokens, positions, wanted
            for index, slot in enumerate(slots):
                self._sequences[index][0] = slot
            rows = sum(wanted)
        batch.n_tokens = len(entries)
        status = llama.llama_decode(self._pointer, batch)
        if status != 0:
            raise StudentError(f"llama.cpp failed to decode (status {status})", hint="ask for a smaller context")
        return self._view(rows) if rows else None

    def _view(self, rows: int) -> Any:
        """Logits where llama.cpp put them: they hold until the next decode."""
        pointer = llama.llama_get_logits(self._pointer)
        address = ctypes.addressof(pointer.contents)
        if address != self._logits_at or rows > len(self._logits):
            # Made again only when llama.cpp has moved its buffer.
            shape = (max(rows, self.slots), self.model.vocabulary_size)
            self._logits, self._logits_at = np.ctypeslib.as_array(pointer, shape=shape), address
        return self._logits[:rows]

    def trim(self, slot: int, length: int) -> None:
        llama.llama_memory_seq_rm(self._memory, slot, length, -1)

    def copy(self, source: int, target: int) -> None:
        llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def use(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self._adapters:
            raise StudentError(
                f"there is no adapter {adapter}", hint=f"the engine has: {', '.join(self._adapters) or 'none'}"
            )
        chosen = [] if adapter is None else [self._adapters[adapter]]
        pointers = (llama.llama_adapter_lora_p_ctypes * max(1, len(chosen)))(*chosen)
        scales = (ctypes.c_float * max(1, len(chosen)))(*[1.0] * len(chosen))
        llama.llama_set_adapters_lora(self._pointer, pointers, len(chosen), scales)


def _array(pointer: Any, size: int) -> Any:
    return np.ctypeslib.as_array(pointer, shape=(size,))
