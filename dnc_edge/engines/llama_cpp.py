"""llama.cpp behind the engine protocol, over its low-level API.

The high-level `Llama` class adds about 0.8 ms a token of Python; here a token costs one `llama_decode`, a
view on its logits and an argmax. The key-value cache keeps the last sequence, so a prompt that continues
it (a calculation's result, the next turn) is decoded only from its end on. A prompt that merely begins
alike is decoded whole: kernels may round differently by batch size, and what came before must not change an answer.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnc_edge.engines.protocol import Request, Step
from dnc_edge.engines.threads import default_threads
from dnc_edge.errors import ExtraMissing, PromptTooLong, StudentError

try:
    from dnc_edge.engines.llama_bindings import llama
except ImportError as error:
    raise ExtraMissing("llama-cpp-python", "gguf") from error

import numpy as np

from dnc_edge.engines.distinct import DistinctSegments
from dnc_edge.engines.sampling import Sampler

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

    Raises:
        StudentError: the file is not there, or llama.cpp cannot load it.
    """

    def __init__(self, path: Path) -> None:
        initialise()
        check_gguf(path)
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = 0
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


class LlamaCppEngine:
    """One sequence at a time on one model; calls from several threads wait for each other.

    Args:
        model: the loaded file; the engine does not own it.
        context: longest sequence in tokens; at most what the model was trained for by default.
        threads: compute threads; None takes a thread for each core that is idle now.
        batch: prompt tokens decoded at once.
        cache_type: "f16" or "f32", what the cache is kept in.
        adapters: GGUF LoRA files by the name that requests use.

    Raises:
        StudentError: a context of that size, or an adapter, cannot be made.
    """

    name = "llama.cpp"

    def __init__(
        self,
        model: GgufModel,
        *,
        context: int | None = None,
        threads: int | None = None,
        batch: int = 512,
        cache_type: str = "f16",
        adapters: Mapping[str, Path] | None = None,
    ) -> None:
        self.model = model
        self.context = context or min(model.trained_context, 4096)
        self.threads = threads or default_threads()
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = self.context
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.type_k = parameters.type_v = _CACHE_TYPES[cache_type]
        parameters.no_perf = True
        self._pointer = llama.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise StudentError(
                f"llama.cpp cannot make a context of {self.context} tokens for {model.path}",
                hint="ask for a smaller context",
            )
        self._adapters = {name: _load_adapter(model, path) for name, path in (adapters or {}).items()}
        self._adapter: str | None = None
        self._memory = llama.llama_get_memory(self._pointer)
        self._batch_size = batch
        self._batch = llama.llama_batch_init(batch, 0, 1)
        self._cached: list[int] = []
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._closed = False
        self._cancelled: set[str] = set()

    def run(self, requests: Iterable[Request]) -> Generator[Step]:
        for request in requests:
            if self._owner == threading.get_ident():
                raise StudentError(
                    "this thread is in the middle of another request to the same engine",
                    hint="finish or close the first stream before the next",
                )
            with self._lock:
                self._owner = threading.get_ident()
                try:
                    if self._closed:
                        raise StudentError("the engine is closed")
                    yield from self._sequence(request)
                finally:
                    self._owner = None
                    if self._closed:
                        self._free()

    def cancel(self, id: str) -> None:
        self._cancelled.add(id)

    def close(self) -> None:
        # A sequence in flight keeps its memory until it ends: closing never waits and never pulls it away.
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._free()
            finally:
                self._lock.release()

    def _free(self) -> None:
        if self._pointer:
            llama.llama_batch_free(self._batch)
            llama.llama_free(self._pointer)
            self._pointer = None

    def logits(self, prompt: Sequence[int], completion: Sequence[int], *, adapter: str | None = None) -> Any:
        """What each token of a given completion would be predicted from: float32, [len(completion), vocabulary]."""
        tokens = [*prompt, *completion[:-1]]
        if len(tokens) > self.context:
            raise PromptTooLong(f"{len(tokens)} tokens do not fit the context of {self.context}")
        with self._lock:
            self._use(adapter)
            self._restart()
            first = len(prompt) - 1
            rows = []
            for start in range(0, len(tokens), self._batch_size):
                part = tokens[start : start + self._batch_size]
                self._decode(part, start, every=True)
                rows += [self._logits(index) for index in range(len(part)) if start + index >= first]
            return np.stack(rows)

    def _use(self, adapter: str | None) -> None:
        """Switch to an adapter, or to the base; what was cached belongs to the other."""
        if adapter == self._adapter:
            return
        if adapter is not None and adapter not in self._adapters:
            raise StudentError(
                f"there is no adapter {adapter}", hint=f"the engine has: {', '.join(self._adapters) or 'none'}"
            )
        chosen = [] if adapter is None else [self._adapters[adapter]]
        pointers = (ctypes.c_void_p * max(1, len(chosen)))(*chosen)
        scales = (ctypes.c_float * max(1, len(chosen)))(*[1.0] * len(chosen))
        llama.llama_set_adapters_lora(self._pointer, pointers, len(chosen), scales)
        self._adapter = adapter
        self._restart()

    def _restart(self) -> None:
        llama.llama_memory_seq_rm(self._memory, 0, 0, -1)
        self._cached.clear()

    def _logits(self, index: int) -> Any:
        pointer = llama.llama_get_logits_ith(self._pointer, index)
        return np.array(np.ctypeslib.as_array(pointer, shape=(self.model.vocabulary_size,)))

    def _sequence(self, request: Request) -> Generator[Step]:
        if len(request.tokens) >= self.context:
            yield Step(request.id, None, finish="too_long")
            return
        self._use(request.adapter)
        sampler = Sampler(request.sampling)
        watch = DistinctSegments(request.distinct, request.stop_ids) if request.distinct else None
        logits = self._prefill(list(request.tokens))
        room = min(request.max_tokens, self.context - len(request.tokens))
        held: list[Step] = []
        made = 0
        try:
            while True:
                token, logprob = sampler.choose(logits)
                if watch and (rewind := watch.add(token, logprob, logits)):
                    token, logprob = rewind.token, rewind.logprob
                    del held[len(held) - rewind.drop :]
                    made -= rewind.drop
                    self._forget(rewind.drop)
                made += 1
                if token in request.stop_ids:
                    held.append(Step(request.id, token, logprob, finish="stop"))
                else:
                    held.append(Step(request.id, token, logprob, finish="length" if made == room else None))
                if held[-1].finish or not (watch and watch.holding):
                    yield from held
                    if held[-1].finish:
                        return
                    held.clear()
                if request.id in self._cancelled:
                    yield Step(request.id, None, finish="cancelled")
                    return
                logits = self._decode([token], len(self._cached))
        finally:
            self._cancelled.discard(request.id)

    def _forget(self, count: int) -> None:
        """Take the last tokens out of the cache."""
        if count:
            del self._cached[-count:]
            llama.llama_memory_seq_rm(self._memory, 0, len(self._cached), -1)

    def _prefill(self, tokens: list[int]) -> Any:
        """Decode a prompt, from the end of the cached sequence if it continues that; logits after its last token."""
        cached = len(self._cached)
        shared = cached if cached < len(tokens) and tokens[:cached] == self._cached else 0
        llama.llama_memory_seq_rm(self._memory, 0, shared, -1)
        del self._cached[shared:]
        for start in range(shared, len(tokens), self._batch_size):
            logits = self._decode(tokens[start : start + self._batch_size], start)
        return logits

    def _decode(self, tokens: list[int], position: int, *, every: bool = False) -> Any:
        batch = self._batch
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = every
        batch.logits[len(tokens) - 1] = 1
        batch.n_tokens = len(tokens)
        status = llama.llama_decode(self._pointer, batch)
        if status != 0:
            raise StudentError(f"llama.cpp failed to decode (status {status})", hint="ask for a smaller context")
        self._cached.extend(tokens)
        pointer = llama.llama_get_logits_ith(self._pointer, len(tokens) - 1)
        return np.ctypeslib.as_array(pointer, shape=(self.model.vocabulary_size,))
