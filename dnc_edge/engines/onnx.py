"""ONNX Runtime behind the engine protocol: no compiler to install, and the same scheduler.

A graph says in its metadata whether it was fused (`convert/fuse.py`). A fused decoder reads and writes one
buffer of keys and values in place; any other takes its cache as input and gives a longer one as output,
which costs a copy a token.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnc_edge.engines.loading import loading
from dnc_edge.engines.memory import check_memory
from dnc_edge.engines.onnx_caches import CopiedCache, EncoderDecoderCache, SharedCache
from dnc_edge.engines.scheduled import ScheduledEngine, check_slots
from dnc_edge.engines.threads import chosen_threads
from dnc_edge.errors import StudentError, UsageError

with loading("onnxruntime"):
    import onnxruntime

import numpy as np

# Of a GPU that is not there it writes two long lines for every session; one of ours says what matters.
onnxruntime.set_default_logger_severity(4)

# What `provider` may name; a GPU that turns out not to be there is left with one warning.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


class OnnxEngine(ScheduledEngine):
    """Many sequences at once on one exported student; calls from several threads share its slots.

    Args:
        files: the graphs by part: "model", or "encoder" and "decoder".
        context: longest sequence in tokens.
        threads: compute threads; None takes a thread for each core that is idle now.
        slots: sequences decoded at once.
        batch: most tokens of one decode.
        provider: "cpu", "cuda", "coreml" or "directml"; None takes CUDA where it is, else the CPU.
        start: the token with which an encoder-decoder begins to write.
        adapters: archives of `convert/direct.py` by the name that requests use.

    Raises:
        StudentError: a graph cannot be loaded, or would not fit the memory.
        UsageError: a number or the provider is none that can be had.
    """

    name = "onnxruntime"

    def __init__(
        self,
        files: Mapping[str, Path],
        *,
        context: int,
        threads: int | None = None,
        slots: int = 1,
        batch: int = 512,
        provider: str | None = None,
        start: int | None = None,
        adapters: Mapping[str, Path] | None = None,
    ) -> None:
        check_slots(slots)
        self.threads = chosen_threads(threads)
        sessions = {
            part: _session(path, self.threads, provider)
            for part, path in files.items()
            if part in ("model", "encoder", "decoder")
        }
        self.provider = next(iter(sessions.values())).get_providers()[0]
        cache: SharedCache | CopiedCache | EncoderDecoderCache
        if "model" not in sessions:
            if start is None:
                raise StudentError("the manifest does not say with which token the decoder starts")
            cache = EncoderDecoderCache(sessions["encoder"], sessions["decoder"], slots, context, start)
        else:
            fused = "dnc_edge.fused" in sessions["model"].get_modelmeta().custom_metadata_map
            in_place = fused and self.provider == PROVIDERS["cpu"]
            check_memory(files["model"], cache_bytes=slots * context * cache_bytes(sessions["model"]), loaded=True)
            matrices = {name: _matrices(path, sessions["model"]) for name, path in (adapters or {}).items()}
            kind = SharedCache if in_place else CopiedCache
            cache = kind(sessions["model"], slots, context, max(batch, slots), matrices)
        self.vocabulary_size = cache.vocabulary_size
        super().__init__(cache)


def _matrices(path: Path, session: Any) -> dict[str, Any]:
    """An adapter's inputs, by name.

    Raises:
        StudentError: it cannot be read, or the graph has no place for it.
    """
    try:
        with np.load(path) as archive:
            matrices = {name: onnxruntime.OrtValue.ortvalue_from_numpy(matrix) for name, matrix in archive.items()}
    except (OSError, ValueError) as error:
        raise StudentError(f"cannot read the adapter {path} ({error})", hint="pull the base again") from error
    places = {entry.name for entry in session.get_overridable_initializers()}
    if not places.issuperset(matrices):
        raise StudentError(f"{path} does not fit the graph", hint="it belongs to another base")
    return matrices


def cache_bytes(session: Any) -> int:
    """Bytes that one token takes in the cache, by the shapes of its inputs."""
    shapes = [entry.shape for entry in session.get_inputs() if entry.name.startswith("past_key_values")]
    return sum(4 * int(shape[1]) * int(shape[3]) for shape in shapes)


def _session(path: Path, threads: int, provider: str | None) -> Any:
    if not path.is_file():
        raise StudentError(f"cannot read {path}: no such file", hint="convert or pull the student again")
    check_memory(path)
    available = onnxruntime.get_available_providers()
    if provider is None:
        wanted = PROVIDERS["cuda"] if PROVIDERS["cuda"] in available else PROVIDERS["cpu"]
    elif provider not in PROVIDERS or PROVIDERS[provider] not in available:
        have = [name for name, long in PROVIDERS.items() if long in available]
        raise UsageError(f"onnxruntime has no provider {provider} here", hint=f"it has: {', '.join(have)}")
    else:
        wanted = PROVIDERS[provider]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=list(dict.fromkeys([wanted, PROVIDERS["cpu"]]))
        )
    except Exception as error:  # onnxruntime's own classes share no base but this
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StudentError(f"onnxruntime cannot load {path}: {first}"[:300], hint="convert it again") from error
    if session.get_providers()[0] != wanted:
        warnings.warn(f"onnxruntime found no usable {wanted}; it runs on the CPU", RuntimeWarning, stacklevel=4)
    return session
