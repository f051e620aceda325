"""A GGUF base and its adapters as one ONNX graph, with numpy and onnx alone.

The graph is the fused one of `convert/fuse.py`, written down at once: weights dequantized and packed in blocks of
8 bits (`MatMulNBits`), attention with cache and rotation in one operator. Adapters stay beside it: each adapted product
has two more inputs, the adapter's matrices, which are zero unless a run gives them. So one graph serves the base and
every adapter.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnc_edge.convert.fuse import MICROSOFT, quantize_rows
from dnc_edge.convert.metadata import architecture, contents, read
from dnc_edge.errors import ExtraMissing, InputError, StudentError

if TYPE_CHECKING:
    import onnx

ARCHITECTURES = ("llama", "qwen2")
BITS, BLOCK = 8, 32
# Modules that read the same input are one product.
_JOINED = {
    "attn_qkv": ("attn_q", "attn_k", "attn_v"),
    "attn_output": ("attn_output",),
    "ffn_gate_up": ("ffn_gate", "ffn_up"),
    "ffn_down": ("ffn_down",),
}
_FLOAT, _INT64, _INT32 = 1, 7, 6


def write_graph(base: Any, adapters: Iterable[Path], target: Path) -> None:
    """Write the graph of a base, with places for the matrices of its adapters.

    Args:
        base: reader of a GGUF file of an architecture in `ARCHITECTURES`.
        adapters: GGUF LoRA files; only what they change gets a place.
        target: the ONNX file.

    Raises:
        InputError: the architecture is not known here.
        ExtraMissing: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExtraMissing("onnx", "cpu") from error
    changed = {name for file in adapters for name, _ in lora_pairs(file)}
    onnx.save(_Graph(base, changed).model(), target)


def write_adapter(adapter: Path, base: Any, target: Path) -> None:
    """Write an adapter's matrices as the inputs of a graph of `write_graph`, in a NumPy archive.

    Of each product: `NAME.a` (in, rank) and `NAME.b` (rank, out), float32, the scale in `b`.

    Args:
        adapter: GGUF LoRA file. base: reader of the base's file.
        target: the archive.

    Raises:
        StudentError: the adapter does not fit the base.
    """
    pairs = dict(lora_pairs(adapter))
    shapes = {tensor.name.removesuffix(".weight"): tensor.shape for tensor in base.tensors}
    for name, (a, b) in pairs.items():
        if tuple(map(int, shapes.get(name, ()))) != (a.shape[0], b.shape[1]):
            raise StudentError(f"{adapter} does not fit the base: {name} differs", hint="it belongs to another one")
    blocks = sorted({name.rpartition(".")[0] for name in pairs})
    matrices: dict[str, NDArray[np.float32]] = {}
    for block in blocks:
        for joined, modules in _JOINED.items():
            found = [pairs.get(f"{block}.{module}") for module in modules]
            if any(found):
                widths = [int(shapes[f"{block}.{module}"][1]) for module in modules]
                a, b = _joined([pair for pair in found if pair], found, widths)
                matrices[f"{block}.{joined}.a"], matrices[f"{block}.{joined}.b"] = a, b
    with target.open("wb") as file:
        np.savez(file, **matrices)  # type: ignore[arg-type]


def _joined(present: list[Any], found: list[Any], widths: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Several modules' pairs as one: ranks side by side, each of which writes to its own module's part alone."""
    a = np.concatenate([pair[0] for pair in present], axis=1)
    b = np.zeros((a.shape[1], sum(widths)), np.float32)
    row = column = 0
    for pair, width in zip(found, widths, strict=True):
        if pair:
            b[row : row + len(pair[1]), column : column + width] = pair[1]
            row += len(pair[1])
        column += width
    return a, b


def lora_pairs(adapter: Path) -> Iterable[tuple[str, tuple[NDArray[np.float32], NDArray[np.float32]]]]:
    """(module, (a [in, rank], b [rank, out] with the scale)) of a GGUF LoRA file."""
    reader = read(adapter)
    weights = {tensor.name: values_of(tensor) for tensor in reader.tensors}
    alpha = float(contents(reader, "adapter.lora.alpha") or 0)
    for name in weights:
        if name.endswith(".weight.lora_a"):
            a, b = weights[name].T, weights[f"{name[:-1]}b"].T
            scale = alpha / a.shape[1] if alpha else 1.0
            yield name.removesuffix(".weight.lora_a"), (np.ascontiguousarray(a), np.ascontiguousarray(b * scale))


def values_of(tensor: Any) -> NDArray[np.float32]:
    import gguf

    values: NDArray[np.float32] = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    return values


class _Graph:
    """Builds the graph, layer by layer."""

    def __init__(self, reader: Any, changed: set[str]) -> None:
        name = architecture(reader)
        if name not in ARCHITECTURES:
            raise InputError(
                f"the base is of the architecture {name}, for which no graph is known", hint="run it with llama.cpp"
            )
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.changed = changed

        def number(key: str) -> Any:
            return contents(reader, f"{name}.{key}")

        self.layers, self.heads = int(number("block_count")), int(number("attention.head_count"))
        self.kv_heads = int(number("attention.head_count_kv") or self.heads)
        self.width = int(number("embedding_length"))
        self.size = int(number("attention.key_length") or self.width // self.heads)
        self.epsilon = float(number("attention.layer_norm_rms_epsilon"))
        self.theta, self.context = float(number("rope.freq_base") or 10_000.0), int(number("context_length"))
        # llama.cpp keeps a Llama's rows in the order in which neighbours are rotated.
        self.interleaved = int(name == "llama")
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: list[Any] = []

    def model(self) -> onnx.ModelProto:
        from onnx import helper

        self._tables()
        hidden = self._embedding()
        for layer in range(self.layers):
            hidden = self._layer(layer, hidden)
        self._head(self._norm(hidden, "output_norm.weight"))
        cache = [f"{layer}.{part}" for layer in range(self.layers) for part in ("key", "value")]
        shape = ["slots", self.kv_heads, "context", self.size]
        inputs = [
            helper.make_tensor_value_info("input_ids", _INT64, ["slots", "tokens"]),
            helper.make_tensor_value_info("attention_mask", _INT64, ["slots", "held"]),
            *(helper.make_tensor_value_info(f"past_key_values.{name}", _FLOAT, shape) for name in cache),
            *self.inputs,
        ]
        outputs = [
            helper.make_tensor_value_info("logits", _FLOAT, ["slots", "tokens", self.vocabulary]),
            *(helper.make_tensor_value_info(f"present.{name}", _FLOAT, shape) for name in cache),
        ]
        graph = helper.make_graph(self.nodes, "decoder", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="dnc-edge")
        helper.set_model_props(model, {"dnc_edge.fused": "1"})
        return model

    def _add(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def _weight(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _tables(self) -> None:
        """Rotations, and how much of the cache is in use: once for all layers. See `fuse._positions`."""
        frequencies = 1.0 / (self.theta ** (np.arange(0, self.size, 2, dtype=np.float64) / self.size))
        positions = self._weight("positions", np.arange(self.context, dtype=np.float32)[:, None])
        angles = self._add("Mul", [positions, self._weight("frequencies", frequencies.astype("f")[None])], ["angles"])
        self._add("Cos", [angles], ["cosines"])
        self._add("Sin", [angles], ["sines"])
        one, last = self._weight("one", np.array(1, np.int64)), self._weight("last", np.array([1], np.int64))
        self._add("ReduceSum", ["attention_mask", last], ["used"], keepdims=0)
        self._add("Sub", ["used", one], ["last_used"])
        self._add("Cast", ["last_used"], ["lengths"], to=_INT32)
        self._add("Shape", ["attention_mask"], ["mask_shape"])
        self._add("Gather", ["mask_shape", one], ["mask_length"], axis=0)
        self._add("Cast", ["mask_length"], ["total"], to=_INT32)

    def _packed(self, name: str, table: NDArray[np.float32]) -> tuple[str, str]:
        codes, scales = quantize_rows(table, BITS, BLOCK)
        return self._weight(f"{name}.packed", codes), self._weight(f"{name}.scales", scales)

    def _embedding(self) -> str:
        table = values_of(self.tensors["token_embd.weight"])
        self.vocabulary = len(table)
        self.embedding = self._packed("token_embd", table)
        flat = self._weight("token_embd.flat", np.array(table.shape, np.int64))
        rows = self._add("Reshape", [self.embedding[0], flat], ["token_embd.rows"])
        settings = {"gather_axis": 0, "quantize_axis": 1, "block_size": BLOCK, "bits": BITS}
        inputs = [rows, "input_ids", self.embedding[1]]
        return self._add("GatherBlockQuantized", inputs, ["embedded"], MICROSOFT, **settings)

    def _head(self, hidden: str) -> None:
        output = self.tensors.get("output.weight")
        packed = self.embedding if output is None else self._packed("output", values_of(output))
        self._product(hidden, packed, self.width, self.vocabulary, "logits")

    def _product(self, source: str, packed: tuple[str, str], width: int, rows: int, output: str) -> str:
        # Accuracy level 4 multiplies in int8.
        settings = {"K": width, "N": rows, "bits": BITS, "block_size": BLOCK, "accuracy_level": 4}
        return self._add("MatMulNBits", [source, *packed], [output], MICROSOFT, **settings)

    def _norm(self, source: str, weight: str) -> str:
        values = self._weight(weight, values_of(self.tensors[weight]))
        return self._add(
            "SimplifiedLayerNormalization", [source, values], [f"{weight}.normed"], axis=-1, epsilon=self.epsilon
        )

    def _linear(self, source: str, block: str, joined: str) -> str:
        """The product of modules that share an input, with their biases and, if they are adapted, the adapter's."""
        name, modules = f"{block}.{joined}", [f"{block}.{module}" for module in _JOINED[joined]]
        table = np.concatenate([values_of(self.tensors[f"{module}.weight"]) for module in modules])
        rows, width = table.shape
        made = self._product(source, self._packed(name, table), width, rows, f"{name}.product")
        if f"{modules[0]}.bias" in self.tensors:
            biases = np.concatenate([values_of(self.tensors[f"{module}.bias"]) for module in modules])
            made = self._add("Add", [made, self._weight(f"{name}.bias", biases)], [f"{name}.sum"])
        if self.changed & set(modules):
            a, b = self._place(f"{name}.a", [width, "rank"]), self._place(f"{name}.b", ["rank", rows])
            inner = self._add("MatMul", [source, a], [f"{name}.inner"])
            outer = self._add("MatMul", [inner, b], [f"{name}.outer"])
            made = self._add("Add", [made, outer], [f"{name}.adapted"])
        return made

    def _place(self, name: str, shape: list[int | str]) -> str:
        """An input that is zero unless a run gives it, of any rank."""
        from onnx import helper

        self.inputs.append(helper.make_tensor_value_info(name, _FLOAT, shape))
        return self._weight(name, np.zeros([1 if size == "rank" else int(size) for size in shape], np.float32))

    def _layer(self, layer: int, hidden: str) -> str:
        block = f"blk.{layer}"
        packed = self._linear(self._norm(hidden, f"{block}.attn_norm.weight"), block, "attn_qkv")
        past, present = f"past_key_values.{layer}", f"present.{layer}"
        attended = self._add(
            "GroupQueryAttention",
            [packed, "", "", f"{past}.key", f"{past}.value", "lengths", "total", "cosines", "sines"],
            [f"{block}.attended", f"{present}.key", f"{present}.value"],
            MICROSOFT,
            num_heads=self.heads,
            kv_num_heads=self.kv_heads,
            do_rotary=1,
            rotary_interleaved=self.interleaved,
        )
        added = self._add("Add", [hidden, self._linear(attended, block, "attn_output")], [f"{block}.middle"])
        both = self._linear(self._norm(added, f"{block}.ffn_norm.weight"), block, "ffn_gate_up")
        gate, up = f"{block}.gate", f"{block}.up"
        self._add("Split", [both], [gate, up], axis=-1, num_outputs=2)
        self._add("Sigmoid", [gate], [f"{gate}.sigmoid"])
        self._add("Mul", [gate, f"{gate}.sigmoid"], [f"{gate}.silu"])
        self._add("Mul", [f"{gate}.silu", up], [f"{block}.gated"])
        return self._add("Add", [added, self._linear(f"{block}.gated", block, "ffn_down")], [f"{block}.hidden"])
