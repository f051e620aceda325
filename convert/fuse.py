"""Fuse an exported decoder of the Llama family for onnxruntime: a few nodes a layer instead of a hundred and sixty.

optimum exports attention as it is traced: masks, rotations and cache updates node by node, and onnxruntime spends
its time dispatching them. Module scopes survive in the node names, so each block is found by name and replaced by
the operator that computes the same: GroupQueryAttention (rotary embedding and cache inside),
SimplifiedLayerNormalization, one product for queries, keys and values, one for gate and up.
Inputs and outputs of the graph stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

# Architectures whose blocks have the shape that is looked for here.
FUSIBLE = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
MICROSOFT = "com.microsoft"


def fusible(config: Any) -> bool:
    """Return whether the architecture is in `FUSIBLE`, has no attention window and no scaled rotations."""
    return config.architectures[0] in FUSIBLE and _plain_rotations(config)


def fuse(model: onnx.ModelProto, config: Any) -> None:
    """Fuse `model` in place.

    Args:
        model: optimum's export with past, weights inside.
        config: the checkpoint's transformers configuration, a `fusible` one.
    """
    from onnx import helper

    graph = _Graph(model.graph)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    _norms(graph, config.rms_norm_eps)
    _positions(graph, config)
    for layer in range(config.num_hidden_layers):
        _attention(graph, layer, heads, kv_heads)
        _gate_and_up(graph, layer)
    graph.without_unused()
    if not any(entry.domain == MICROSOFT for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    # The engine keeps the cache of a fused graph in one place.
    helper.set_model_props(model, {"dnc_edge.fused": "1"})


def _plain_rotations(config: Any) -> bool:
    scaling = getattr(config, "rope_scaling", None)
    kind = (scaling or {}).get("rope_type", (scaling or {}).get("type", "default"))
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return kind == "default" and (window is None or window >= config.max_position_embeddings)


class _Graph:
    """A graph with its nodes and weights by name."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.node}
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        # Equal weights are kept once by optimum, the others being names for them.
        for node in graph.node:
            if node.op_type == "Identity" and node.input[0] in self.weights:
                self.weights[node.output[0]] = self.weights[node.input[0]]
        self.made: list[onnx.NodeProto] = []

    def weight(self, name: str) -> NDArray[Any]:
        from onnx import numpy_helper

        values: NDArray[Any] = numpy_helper.to_array(self.weights[name])
        return values

    def add_weight(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.graph.initializer.append(tensor)
        self.weights[name] = tensor
        return name

    def add(
        self, kind: str, inputs: list[str], outputs: list[str], *, domain: str = "", **attributes: Any
    ) -> onnx.NodeProto:
        from onnx import helper

        node = helper.make_node(kind, inputs, outputs, name=f"{outputs[0]}/{kind}", domain=domain, **attributes)
        self.made.append(node)
        return node

    def product(self, prefix: str) -> tuple[str, NDArray[Any], NDArray[Any] | None, str]:
        """Return (input, weight (in, out), bias or None, output) of a linear module."""
        product = self.nodes[f"{prefix}/MatMul"]
        weight = self.weight(product.input[1])
        add = self.nodes.get(f"{prefix}/Add")
        if add is None:
            return product.input[0], weight, None, product.output[0]
        bias = next(name for name in add.input if name in self.weights)
        return product.input[0], weight, self.weight(bias), add.output[0]

    def joined(self, prefixes: list[str], name: str) -> str:
        """Replace several linear modules of the same input by one product; return its output."""
        parts = [self.product(prefix) for prefix in prefixes]
        weight = self.add_weight(f"{name}.weight", np.concatenate([weight for _, weight, _, _ in parts], axis=1))
        self.add("MatMul", [parts[0][0], weight], [f"{name}_product"])
        biases = [bias for _, _, bias, _ in parts if bias is not None]
        if not biases:
            return f"{name}_product"
        bias = self.add_weight(f"{name}.bias", np.concatenate(biases))
        self.add("Add", [f"{name}_product", bias], [f"{name}_sum"])
        return f"{name}_sum"

    def without_unused(self) -> None:
        """Remove nodes and weights that no output needs, and sort the other nodes topologically."""
        replaced = {output for node in self.made for output in node.output}
        nodes = [node for node in self.graph.node if not replaced & set(node.output)] + self.made
        producer = {output: node for node in nodes for output in node.output if output}
        ordered: list[onnx.NodeProto] = []
        seen: set[str] = set()
        # Depth first without recursion: a deep model would exceed Python's limit.
        stack = [(output.name, False) for output in reversed(self.graph.output)]
        placed: set[int] = set()
        while stack:
            name, ready = stack.pop()
            node = producer.get(name)
            if node is None or id(node) in placed:
                continue
            if ready:
                placed.add(id(node))
                ordered.append(node)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((needed, False) for needed in reversed(node.input) if needed)
        used = {name for node in ordered for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.node[:]
        self.graph.node.extend(ordered)
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        del self.graph.value_info[:]


def _norms(graph: _Graph, epsilon: float) -> None:
    for name, node in list(graph.nodes.items()):
        if name.endswith("norm/Mul_1"):
            scope = name.removesuffix("/Mul_1")
            source = graph.nodes[f"{scope}/Cast"].input[0]
            weight = next(input for input in node.input if input in graph.weights)
            graph.add("SimplifiedLayerNormalization", [source, weight], list(node.output), axis=-1, epsilon=epsilon)


def _positions(graph: _Graph, config: Any) -> None:
    """Add the rotation tables and the lengths of the cache, once for all layers."""
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    theta = getattr(config, "rope_theta", 10_000.0)
    frequencies = 1.0 / (theta ** (np.arange(0, size, 2, dtype=np.float64) / size))
    # float32 throughout, as transformers computes them.
    # The tables are worked out once, when onnxruntime loads the graph; kept in it, they would be half a megabyte.
    graph.add_weight("rotation.positions", np.arange(config.max_position_embeddings, dtype=np.float32)[:, None])
    graph.add_weight("rotation.frequencies", frequencies.astype(np.float32)[None])
    graph.add("Mul", ["rotation.positions", "rotation.frequencies"], ["rotation.angles"])
    graph.add("Cos", ["rotation.angles"], ["cos_cache"])
    graph.add("Sin", ["rotation.angles"], ["sin_cache"])
    one, axis = graph.add_weight("one", np.array(1, np.int64)), graph.add_weight("last_axis", np.array([1], np.int64))
    graph.add("ReduceSum", ["attention_mask", axis], ["used"], keepdims=0)
    graph.add("Sub", ["used", one], ["last_used"])
    graph.add("Cast", ["last_used"], ["seqlens_k"], to=6)
    graph.add("Shape", ["attention_mask"], ["mask_shape"])
    graph.add("Gather", ["mask_shape", one], ["mask_length"], axis=0)
    graph.add("Cast", ["mask_length"], ["total_sequence_length"], to=6)


def _attention(graph: _Graph, layer: int, heads: int, kv_heads: int) -> None:
    scope = f"/model/layers.{layer}/self_attn"
    packed = graph.joined([f"{scope}/{part}_proj" for part in "qkv"], f"{scope}/qkv")
    past = f"past_key_values.{layer}"
    graph.add(
        "GroupQueryAttention",
        [
            packed, "", "", f"{past}.key", f"{past}.value", "seqlens_k", "total_sequence_length",
            "cos_cache", "sin_cache",
        ],
        [graph.nodes[f"{scope}/o_proj/MatMul"].input[0], f"present.{layer}.key", f"present.{layer}.value"],
        domain=MICROSOFT,
        num_heads=heads,
        kv_num_heads=kv_heads,
        do_rotary=1,
    )  # fmt: skip


def _gate_and_up(graph: _Graph, layer: int) -> None:
    scope = f"/model/layers.{layer}/mlp"
    both = graph.joined([f"{scope}/gate_proj", f"{scope}/up_proj"], f"{scope}/gate_up")
    gate, up = (graph.product(f"{scope}/{part}_proj")[3] for part in ("gate", "up"))
    graph.add("Split", [both], [gate, up], axis=-1, num_outputs=2)


def plain_products(model: onnx.ModelProto) -> None:
    """Turn every Gemm over constant weights into a product and a sum: the quantizer sees products alone."""
    from onnx import helper

    for graph in _graphs(model.graph):
        for node in [node for node in graph.node if node.op_type == "Gemm"]:
            settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            if settings.get("transA") or settings.get("transB"):
                continue
            if (settings.get("alpha", 1.0), settings.get("beta", 1.0)) != (1.0, 1.0):
                continue
            product = f"{node.output[0]}.product"
            made = [helper.make_node("MatMul", node.input[:2], [product], name=f"{node.name}/MatMul")]
            made.append(helper.make_node("Add", [product, node.input[2]], node.output, name=f"{node.name}/Add"))
            _replace(graph, node, made)


def tie(model: onnx.ModelProto, bits: int, block: int) -> None:
    """Quantize embeddings, and make a head with the same weights read the quantized ones.

    optimum leaves a tied head as a product with the transposed embedding, which the quantizer of onnxruntime
    passes by: both would stay in 32 bits, a third of a small model.

    Args:
        model: a decoder or encoder, in place; branches inside it included.
        bits: 4 or 8. block: weights of a row that share a scale.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    tokens = {"input_ids", "decoder_input_ids"}
    graphs = list(_graphs(model.graph))
    tables = {
        node.input[0]
        for graph in graphs
        for node in graph.node
        if node.op_type == "Gather" and node.input[0] in weights and _origin(graph, node.input[1]) in tokens
    }
    for name in tables:
        table = numpy_helper.to_array(weights[name])
        if table.ndim != 2 or table.shape[1] % block:
            continue
        packed, scales = quantize_rows(table, bits, block)
        rows, width = table.shape
        flat = np.array([rows, width * bits // 8], np.int64)
        for suffix, values in (("packed", packed), ("scales", scales), ("flat", flat)):
            model.graph.initializer.append(numpy_helper.from_array(values, f"{name}.{suffix}"))
        for graph in graphs:
            _read_packed(graph, name, rows, width, bits, block)
    used = {name for graph in graphs for node in graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _read_packed(graph: onnx.GraphProto, name: str, rows: int, width: int, bits: int, block: int) -> None:
    """Make the lookups and products of one graph read the packed weights of a table."""
    from onnx import helper

    packed, scales, flat = (f"{name}.{suffix}" for suffix in ("packed", "scales", "flat"))
    turned = {node.output[0]: node for node in graph.node if node.op_type == "Transpose" and node.input[0] == name}
    for number, node in enumerate(list(graph.node)):
        if node.op_type == "Gather" and node.input[0] == name:
            shaped = f"{node.output[0]}.rows"
            lookup = helper.make_node(
                "GatherBlockQuantized", [shaped, node.input[1], scales], node.output, domain=MICROSOFT,
                name=f"{node.name}/packed", gather_axis=0, quantize_axis=1, block_size=block, bits=bits,
            )  # fmt: skip
            reshape = helper.make_node("Reshape", [packed, flat], [shaped], name=f"{node.name}/rows{number}")
            _replace(graph, node, [reshape, lookup])
        elif node.op_type == "MatMul" and node.input[1] in turned:
            product = helper.make_node(
                "MatMulNBits", [node.input[0], packed, scales], node.output, domain=MICROSOFT,
                name=f"{node.name}/packed", K=width, N=rows, bits=bits, block_size=block, accuracy_level=4,
            )  # fmt: skip
            _replace(graph, node, [product])
    needed = {input for node in graph.node for input in node.input} | {output.name for output in graph.output}
    for output, node in turned.items():
        if output not in needed:
            graph.node.remove(node)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs in its branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, made: list[onnx.NodeProto]) -> None:
    nodes = list(graph.node)
    place = nodes.index(node)
    nodes[place : place + 1] = made
    del graph.node[:]
    graph.node.extend(nodes)


def _origin(graph: onnx.GraphProto, name: str) -> str:
    """Return the source of a value, through nodes that only change its shape."""
    producer = {output: node for node in graph.node for output in node.output}
    while name in producer and producer[name].op_type in ("Reshape", "Identity", "Cast"):
        name = producer[name].input[0]
    return name


def quantize_rows(table: NDArray[np.float32], bits: int, block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantize weights blockwise and symmetrically, packed as onnxruntime reads them.

    Args:
        table: (rows, width), `width` a multiple of `block`.
        bits: 4 or 8.
        block: number of weights that share a scale.

    Returns:
        packed (rows, blocks, block * bits / 8), low half-byte first; scales (rows, blocks). A weight is
        (packed - 2 ** (bits - 1)) * scale.
    """
    middle = 1 << (bits - 1)
    blocks = table.reshape(table.shape[0], -1, block)  # (rows, blocks, block)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)  # (rows, blocks, 1)
    # The extreme itself is met exactly by the one value more that the negative side has.
    scales = extreme / -middle
    safe = np.where(scales == 0, 1, scales)
    codes = np.clip(np.rint(blocks / safe) + middle, 0, 2 * middle - 1).astype(np.uint8)
    if bits == 4:
        codes = codes[:, :, 0::2] | codes[:, :, 1::2] << 4
    return codes, scales[:, :, 0].astype(np.float32)
