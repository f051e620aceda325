"""One student three ways, for comparison: as transformers runs it, as GGUF, as ONNX.

Plain and unhurried: what counts here is that each computes what its file says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dnc_edge.engines.protocol import Request

Logits = NDArray[np.float32]


class Decoder(Protocol):
    """A model that can be asked for its logits and its greedy continuation."""

    def logits(self, prompt: Sequence[int], completion: Sequence[int]) -> Logits:
        """Return the logits from which each token of `completion` is predicted: (len(completion), vocabulary)."""
        ...

    def greedy(self, prompt: Sequence[int], stop: frozenset[int], limit: int) -> list[int]:
        """Return the likeliest tokens after `prompt`, up to a stop token (included) or `limit` tokens."""
        ...


class TransformersDecoder:
    """The checkpoint in float32, as it was trained; what everything else is compared with."""

    def __init__(self, checkpoint: Path, *, encoder_decoder: bool = False) -> None:
        import torch

        from dnc_edge.convert.checkpoint import model_class

        self._torch = torch
        self.model: Any = model_class(encoder_decoder).from_pretrained(checkpoint, dtype=torch.float32).eval()
        self._encoder_decoder = encoder_decoder

    def logits(self, prompt: Sequence[int], completion: Sequence[int]) -> Logits:
        torch = self._torch
        with torch.no_grad():
            if self._encoder_decoder:
                start = self.model.config.decoder_start_token_id
                inputs = torch.tensor([[start, *completion[:-1]]])
                logits = self.model(input_ids=torch.tensor([list(prompt)]), decoder_input_ids=inputs).logits[0]
            else:
                tokens = torch.tensor([[*prompt, *completion[:-1]]])
                logits = self.model(input_ids=tokens).logits[0, len(prompt) - 1 :]
        return np.asarray(logits, dtype=np.float32)

    def greedy(self, prompt: Sequence[int], stop: frozenset[int], limit: int) -> list[int]:
        torch = self._torch
        made: list[int] = []
        with torch.no_grad():
            step, begun, past = list(prompt), {}, None
            if self._encoder_decoder:
                begun = {"encoder_outputs": self.model.get_encoder()(input_ids=torch.tensor([step]))}
                step = [self.model.config.decoder_start_token_id]
            name = "decoder_input_ids" if self._encoder_decoder else "input_ids"
            while not made or (made[-1] not in stop and len(made) < limit):
                output = self.model(**{name: torch.tensor([step])}, **begun, past_key_values=past, use_cache=True)
                past = output.past_key_values
                step = [int(output.logits[0, -1].argmax())]
                made += step
        return made


class GgufDecoder:
    """A GGUF file on llama.cpp; a cache in 32 bits where the file is."""

    def __init__(self, file: Path, *, context: int, exact: bool = False, adapter: Path | None = None) -> None:
        from dnc_edge.engines.llama_cpp import GgufModel, LlamaCppEngine
        from dnc_edge.students.tokenizer import GgufTokenizer

        self.model = GgufModel(file)
        self.tokenizer = GgufTokenizer(self.model)
        adapters = {"adapter": adapter} if adapter else {}
        self._adapter = "adapter" if adapter else None
        self._engine = LlamaCppEngine(
            self.model,
            context=context,
            cache_type="f32" if exact else "f16",
            flash_attention=not exact,
            guesses=not exact,
            adapters=adapters,
        )

    def logits(self, prompt: Sequence[int], completion: Sequence[int]) -> Logits:
        logits: Logits = self._engine.logits(prompt, completion, adapter=self._adapter)
        return logits

    def greedy(self, prompt: Sequence[int], stop: frozenset[int], limit: int) -> list[int]:
        request = Request("greedy", prompt, limit, stop, adapter=self._adapter)
        return [step.token for step in self._engine.run([request]) if step.token is not None]

    def close(self) -> None:
        self._engine.close()


class OnnxDecoder:
    """ONNX graphs in a plain session loop: the whole cache out of one run and into the next."""

    def __init__(self, files: Mapping[str, Path], *, start: int | None = None) -> None:
        """`files` by part: "model" alone, or "encoder" and "decoder"; `start` begins what a decoder writes."""
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.log_severity_level = 3
        self._sessions = {
            part: InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for part, path in files.items()
            if part in ("model", "encoder", "decoder")
        }
        self._start = start

    def logits(self, prompt: Sequence[int], completion: Sequence[int]) -> Logits:
        if "model" in self._sessions:
            logits, _ = self._step([*prompt, *completion[:-1]], {}, 0)
            return logits[len(prompt) - 1 :]
        assert self._start is not None
        logits, _ = self._step([self._start, *completion[:-1]], {}, 0, self._encoded(prompt))
        return logits

    def greedy(self, prompt: Sequence[int], stop: frozenset[int], limit: int) -> list[int]:
        if "model" in self._sessions:
            encoded, step = None, list(prompt)
        else:
            assert self._start is not None
            encoded, step = self._encoded(prompt), [self._start]
        made: list[int] = []
        cache: dict[str, Any] = {}
        used = 0
        while not made or (made[-1] not in stop and len(made) < limit):
            logits, cache = self._step(step, cache, used, encoded)
            used += len(step)
            step = [int(logits[-1].argmax())]
            made += step
        return made

    def _encoded(self, prompt: Sequence[int]) -> Any:
        ids = np.array([list(prompt)], np.int64)
        return self._sessions["encoder"].run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]

    def _step(
        self, tokens: Sequence[int], cache: Mapping[str, Any], used: int, encoded: Any = None
    ) -> tuple[Logits, dict[str, Any]]:
        """Return the logits of these tokens after `used` earlier ones, and the cache that includes them."""
        session = self._sessions["model" if encoded is None else "decoder"]
        ids = np.array([list(tokens)], np.int64)
        feed: dict[str, Any] = {"input_ids": ids}
        for entry in session.get_inputs():
            if entry.name == "attention_mask":
                feed[entry.name] = np.ones((1, used + len(tokens)), np.int64)
            elif entry.name == "position_ids":
                feed[entry.name] = np.arange(used, used + len(tokens))[None]
            elif entry.name == "encoder_hidden_states":
                feed[entry.name] = encoded
            elif entry.name == "encoder_attention_mask":
                feed[entry.name] = np.ones((1, encoded.shape[1]), np.int64)
            elif entry.name == "use_cache_branch":
                feed[entry.name] = np.array([used > 0])
            elif entry.name.startswith("past_key_values"):
                feed[entry.name] = cache.get(entry.name, _empty(entry.shape))
        outputs = session.run(None, feed)
        names = [output.name for output in session.get_outputs()]
        kept = dict(cache)
        for name, value in zip(names, outputs, strict=True):
            # A merged decoder gives its cross-attention cache once, and an empty one ever after.
            if name.startswith("present") and value.size:
                kept[name.replace("present", "past_key_values")] = value
        return outputs[names.index("logits")][0], kept


def _empty(shape: Sequence[Any]) -> NDArray[np.float32]:
    """Return an empty cache: one sequence, the graph's heads and head size, no positions."""
    sizes = [size if isinstance(size, int) else 0 for size in shape]
    return np.zeros([1, *sizes[1:]], np.float32)
