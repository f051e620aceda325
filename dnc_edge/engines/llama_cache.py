"""A key-value cache in llama.cpp, as a backend of the scheduler, over the low-level API.

The high-level `Llama` class adds about 0.8 ms a token of Python; here a token costs its share of one
`llama_decode`, a view on its logits and an argmax. What goes into each decode is the scheduler's business.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dnc_edge.engines.llama_bindings import llama
from dnc_edge.engines.memory import check_memory
from dnc_edge.engines.slots import Entry
from dnc_edge.errors import StudentError

if TYPE_CHECKING:
    from dnc_edge.engines.llama_cpp import GgufModel

# Of a larger file on a processor, four tokens of one sequence cost three times one, and prompt lookup brings less.
LOOKED_UP_BYTES = 32 << 20

_CACHE_TYPES = {"f32": llama.GGML_TYPE_F32, "f16": llama.GGML_TYPE_F16}


class LlamaCache:
    """A llama.cpp context: `slots` sequences of at most `context` tokens each.

    Args: see `LlamaCppEngine`.

    Raises:
        StudentError: model and cache exceed the memory, or the context or an adapter cannot be made.
    """

    resumes = True

    def __init__(
        self,
        model: GgufModel,
        *,
        slots: int,
        context: int,
        batch: int,
        threads: int,
        flash_attention: bool,
        cache_type: str,
        adapters: Mapping[str, Path],
        guesses: bool,
    ) -> None:
        self.slots, self.context, self.batch, self.guesses = slots, context, batch, guesses
        self.looks_up = guesses and (model.offloaded or model.bytes <= LOOKED_UP_BYTES)
        self._model = model  # outlives the context
        check_memory(model.path, cache_bytes=slots * context * model.cache_bytes(cache_type), loaded=True)
        # Before the context is made: a file that does not fit leaves nothing behind.
        self._adapters = {name: _load_adapter(model, path) for name, path in adapters.items()}
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = context * slots
        parameters.n_seq_max = slots
        # A stream for each sequence: attention then never looks at another's tokens.
        parameters.kv_unified = False
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = (
            llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        parameters.type_k = parameters.type_v = _CACHE_TYPES[cache_type]
        parameters.no_perf = True
        self._pointer = llama.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise StudentError(
                f"llama.cpp cannot make {slots} sequences of {context} tokens for {model.path}",
                hint="ask for a smaller context or fewer slots",
            )
        self._memory = llama.llama_get_memory(self._pointer)
        self._batch = llama.llama_batch_init(batch, 0, 1)
        # The batch's arrays, as what can be written in one go.
        fields = (self._batch.token, self._batch.pos, self._batch.logits)
        self._tokens, self._positions, self._wanted = (_array(field, batch) for field in fields)
        self._sequences = [self._batch.seq_id[index] for index in range(batch)]
        for index in range(batch):
            self._batch.n_seq_id[index] = 1
        self._logits, self._logits_at = np.empty((0, 0), np.float32), 0

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
            shape = (max(rows, self.slots), self._model.vocabulary_size)
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
        if llama.llama_set_adapters_lora(self._pointer, pointers, len(chosen), scales) != 0:
            raise StudentError(f"llama.cpp cannot use the adapter {adapter}", hint="convert it again")


def _array(pointer: Any, size: int) -> Any:
    return np.ctypeslib.as_array(pointer, shape=(size,))


def _load_adapter(model: GgufModel, path: Path) -> Any:
    adapter = llama.llama_adapter_lora_init(model.pointer, os.fsencode(path))
    if not adapter:
        raise StudentError(f"llama.cpp cannot use {path} with {model.path.name}", hint="it belongs to another base")
    return adapter  # freed with the model
