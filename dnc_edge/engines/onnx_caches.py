"""The three ways in which exported students keep keys and values, each a backend of the scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from dnc_edge.engines.slots import Entry
from dnc_edge.errors import StudentError

# Inputs of the graph (OrtValue by name), by the adapter that they are of.
Adapters = Mapping[str, Mapping[str, Any]]


def _cache_inputs(session: Any) -> list[Any]:
    return [entry for entry in session.get_inputs() if entry.name.startswith("past_key_values")]


def _by_slot(entries: Sequence[Entry]) -> Iterator[tuple[int, list[Entry]]]:
    for slot, group in groupby(entries, key=lambda entry: entry.slot):
        yield slot, list(group)


class _Cache:
    """What all backends are."""

    resumes = True
    guesses = looks_up = False

    def __init__(self, session: Any, slots: int, context: int, batch: int) -> None:
        self.session, self.slots, self.context, self.batch = session, slots, context, batch
        self.vocabulary_size = int(session.get_outputs()[0].shape[-1])

    def use(self, adapter: str | None) -> None:
        if adapter is not None:
            raise StudentError(f"there is no adapter {adapter}", hint="an encoder-decoder has its adapter merged in")

    def trim(self, slot: int, length: int) -> None:
        """What lies past a sequence's end is never looked at, and written over."""

    def free(self) -> None:
        """Sessions and buffers go with the last reference to them."""

    def decode(self, entries: Sequence[Entry]) -> Any:
        """Slots with one token go together in one run, each prompt in one of its own."""
        logits: dict[int, Any] = {}  # by place among the entries
        single: list[tuple[int, Entry]] = []
        place = 0
        for slot, group in _by_slot(entries):
            if len(group) == 1 and group[0].position > 0:
                single.append((place, group[0]))
            else:
                rows = self._prompt(slot, group[0].position, [entry.token for entry in group])
                logits |= {place + n: rows[n - len(group)] for n, entry in enumerate(group) if entry.wanted}
            place += len(group)
        if single:
            rows = self._tokens([entry for _, entry in single])
            logits |= {place: row for (place, entry), row in zip(single, rows, strict=True) if entry.wanted}
        return np.stack([logits[place] for place in sorted(logits)]) if logits else None

    def _prompt(self, slot: int, position: int, tokens: list[int]) -> Any:
        """Logits of at least the last of several tokens of one slot: [tokens or fewer, vocabulary]."""
        raise NotImplementedError

    def _tokens(self, entries: list[Entry]) -> Any:
        """Logits of one token for each of several slots: [entries, vocabulary]."""
        raise NotImplementedError


class _Buffers(_Cache):
    """Keys and values of all slots, by input name: float32, [slots, heads, context, head size].

    An adapter's matrices are inputs of the graph, which without them is the base.
    """

    def __init__(self, session: Any, slots: int, context: int, batch: int, adapters: Adapters) -> None:
        super().__init__(session, slots, context, batch)
        self._adapters = adapters
        self._adapter: str | None = None
        self._buffers = {
            entry.name: np.zeros((slots, int(entry.shape[1]), context, int(entry.shape[3])), np.float32)
            for entry in _cache_inputs(session)
        }

    def use(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self._adapters:
            raise StudentError(
                f"there is no adapter {adapter}", hint=f"the engine has: {', '.join(self._adapters) or 'none'}"
            )
        self._adapter = adapter

    @property
    def matrices(self) -> Mapping[str, Any]:
        """Inputs of the adapter in use."""
        return self._adapters[self._adapter] if self._adapter else {}

    def copy(self, source: int, target: int) -> None:
        for buffer in self._buffers.values():
            buffer[target] = buffer[source]


class SharedCache(_Buffers):
    """A fused decoder: one buffer for all slots, written in place by GroupQueryAttention."""

    def __init__(self, session: Any, slots: int, context: int, batch: int, adapters: Adapters) -> None:
        super().__init__(session, slots, context, batch, adapters)
        self._held = [0] * slots
        self._bindings: dict[tuple[int, int, str | None], Any] = {}
        self._columns = np.arange(context)
        self._logits = np.empty((slots, 1, self.vocabulary_size), np.float32)

    def trim(self, slot: int, length: int) -> None:
        self._held[slot] = length

    def copy(self, source: int, target: int) -> None:
        super().copy(source, target)
        self._held[target] = self._held[source]

    def _prompt(self, slot: int, position: int, tokens: list[int]) -> Any:
        ids = np.array([tokens], np.int64)
        logits = np.empty((1, len(tokens), self.vocabulary_size), np.float32)
        self._held[slot] = position + len(tokens)
        self._run(slot, slot + 1, ids, np.array([self._held[slot]]), logits)
        return logits[0]

    def _tokens(self, entries: list[Entry]) -> Any:
        # All slots from the first to the last: one that has nothing to say writes just past what it holds.
        slots = [entry.slot for entry in entries]
        first, last = min(slots), max(slots) + 1
        lengths = np.minimum(np.array(self._held[first:last]) + 1, self.context)
        ids = np.zeros((last - first, 1), np.int64)
        for entry in entries:
            ids[entry.slot - first, 0] = entry.token
            self._held[entry.slot] = entry.position + 1
        logits = self._logits[: last - first]
        self._run(first, last, ids, lengths, logits)
        return logits[[slot - first for slot in slots], 0]

    def _run(self, first: int, last: int, ids: Any, lengths: Any, logits: Any) -> None:
        binding = self._binding(first, last)
        mask = (self._columns[: int(lengths.max())] < lengths[:, None]).astype(np.int64)
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", mask)
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        self.session.run_with_iobinding(binding)

    def _binding(self, first: int, last: int) -> Any:
        """Keys and values of the slots first to last, in and out the same memory."""
        key = first, last, self._adapter
        if key not in self._bindings:
            binding = self.session.io_binding()
            for name, matrix in self.matrices.items():
                binding.bind_ortvalue_input(name, matrix)
            for name, buffer in self._buffers.items():
                rows = buffer[first:last]
                place = ("cpu", 0, np.float32, rows.shape, rows.ctypes.data)
                binding.bind_input(name, *place)
                binding.bind_output(name.replace("past_key_values", "present"), *place)
            self._bindings[key] = binding
        return self._bindings[key]


class CopiedCache(_Buffers):
    """Any other decoder: the cache goes in and a longer one comes out. Shorter rows are padded and masked."""

    def __init__(self, session: Any, slots: int, context: int, batch: int, adapters: Adapters) -> None:
        super().__init__(session, slots, context, batch, adapters)
        self._inputs = {entry.name for entry in session.get_inputs()}
        self._outputs = [output.name for output in session.get_outputs()]
        # Without position_ids a graph counts what the mask holds; padding would move its positions.
        self._pads = "position_ids" in self._inputs

    def _prompt(self, slot: int, position: int, tokens: list[int]) -> Any:
        return self._run([slot], np.array([tokens], np.int64), np.array([position]))[0]

    def _tokens(self, entries: list[Entry]) -> Any:
        if self._pads or len({entry.position for entry in entries}) == 1:
            ids = np.array([[entry.token] for entry in entries], np.int64)
            positions = np.array([entry.position for entry in entries])
            return self._run([entry.slot for entry in entries], ids, positions)[:, -1]
        return np.concatenate([self._tokens([entry]) for entry in entries])

    def _run(self, slots: list[int], ids: Any, positions: Any) -> Any:
        """Logits [slots, tokens, vocabulary] of new tokens; their keys and values are kept."""
        past, new = int(positions.max()), ids.shape[1]
        feed: dict[str, Any] = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            held = np.arange(past) < positions[:, None]
            feed["attention_mask"] = np.concatenate([held, np.ones(ids.shape, bool)], axis=1).astype(np.int64)
        if "position_ids" in self._inputs:
            feed["position_ids"] = positions[:, None] + np.arange(new)
        for name, buffer in self._buffers.items():
            feed[name] = buffer[slots, :, :past]
        feed |= {name: matrix.numpy() for name, matrix in self.matrices.items()}
        outputs = dict(zip(self._outputs, self.session.run(None, feed), strict=True))
        for name, buffer in self._buffers.items():
            present = outputs[name.replace("past_key_values", "present")]
            for row, slot in enumerate(slots):
                buffer[slot, :, positions[row] : positions[row] + new] = present[row, :, past:]
        return outputs["logits"]


class EncoderDecoderCache(_Cache):
    """An encoder that reads the prompt once, and a decoder that writes; rows of equal length go together."""

    resumes = False

    def __init__(self, encoder: Any, decoder: Any, slots: int, context: int, start: int) -> None:
        # The encoder takes a prompt whole.
        super().__init__(decoder, slots, context, context * slots)
        self._encoder, self._start = encoder, start
        self._outputs = [output.name for output in decoder.get_outputs()]
        self._heads = {entry.name: (int(entry.shape[1]), int(entry.shape[3])) for entry in _cache_inputs(decoder)}
        self._encoded: list[Any] = [None] * slots
        self._cross: list[dict[str, Any]] = [{} for _ in range(slots)]
        self._own: list[dict[str, Any]] = [{} for _ in range(slots)]
        self._prompts = [0] * slots

    def copy(self, source: int, target: int) -> None:
        raise NotImplementedError("an encoder's prompt is never shared")

    def trim(self, slot: int, length: int) -> None:
        """Forget what was written from `length` on; a prompt alone goes as a whole."""
        written = max(0, length - self._prompts[slot]) + 1
        self._own[slot] = {name: value[:, :, :written] for name, value in self._own[slot].items()}

    def _prompt(self, slot: int, position: int, tokens: list[int]) -> Any:
        ids = np.array([tokens], np.int64)
        self._encoded[slot] = self._encoder.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        self._own[slot], self._cross[slot], self._prompts[slot] = {}, {}, len(tokens)
        return self._run([slot], [self._start])[0][-1:]

    def _tokens(self, entries: list[Entry]) -> Any:
        groups: dict[tuple[int, int], list[int]] = {}
        for place, entry in enumerate(entries):
            shape = (entry.position - self._prompts[entry.slot], self._encoded[entry.slot].shape[1])
            groups.setdefault(shape, []).append(place)
        rows: dict[int, Any] = {}
        for places in groups.values():
            logits = self._run([entries[place].slot for place in places], [entries[place].token for place in places])
            rows |= {place: logits[row, -1] for row, place in enumerate(places)}
        return np.stack([rows[place] for place in sorted(rows)])

    def _run(self, slots: list[int], tokens: list[int]) -> Any:
        begun = bool(self._own[slots[0]])
        encoded: Any = np.concatenate([self._encoded[slot] for slot in slots])
        feed: dict[str, Any] = {
            "input_ids": np.array([[token] for token in tokens], np.int64),
            "encoder_hidden_states": encoded,
            "encoder_attention_mask": np.ones(encoded.shape[:2], np.int64),
            "use_cache_branch": np.array([begun]),
        }
        for name, (heads, size) in self._heads.items():
            parts = [(self._cross if "encoder" in name else self._own)[slot].get(name) for slot in slots]
            feed[name] = np.concatenate(parts) if begun else np.zeros((len(slots), heads, 0, size), np.float32)  # type: ignore[arg-type]
        names = {entry.name for entry in self.session.get_inputs()}
        outputs = self.session.run(None, {name: value for name, value in feed.items() if name in names})
        for name, value in zip(self._outputs, outputs, strict=True):
            # Cross-attention comes once, with the first token, and empty ever after.
            if name.startswith("present") and value.size and not ("encoder" in name and begun):
                kept = self._cross if "encoder" in name else self._own
                for row, slot in enumerate(slots):
                    kept[slot][name.replace("present", "past_key_values")] = value[row : row + 1]
        return outputs[self._outputs.index("logits")]
