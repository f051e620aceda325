"""A checkpoint to ONNX by optimum, then fused, tied and quantized for onnxruntime."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge.convert.assembly import Assembly, ConversionSettings
from dnc_edge.convert.checkpoint import Checkpoint, open_checkpoint, read_json
from dnc_edge.convert.decoders import OnnxDecoder
from dnc_edge.convert.fuse import fuse, fusible, plain_products, tie
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.students.measured import Measured
from dnc_edge.students.tokenizer import JsonTokenizer

if TYPE_CHECKING:
    import onnx as onnx_package

ENGINE = "onnxruntime"
# Level to (bits, weights that share a scale); fp32 is the export itself.
LEVELS: dict[str, tuple[int, int] | None] = {"fp32": None, "int8": (8, 128), "int4": (4, 32)}
# Above this a file cannot hold its weights (protobuf), and they go into a file of their own.
LARGEST_FILE = 2**31 - 2**20


def onnx(
    checkpoint: str | Path,
    out: Path,
    *,
    levels: Sequence[str],
    adapter: Path | None = None,
    settings: ConversionSettings | None = None,
) -> Assembly:
    """Export a checkpoint once, fuse and quantize it to every level, measure each, and write the student.

    Args:
        checkpoint: a directory with config.json, safetensors and tokenizer, a GGUF file, or a hub repository;
            decoder-only or encoder-decoder.
        out: the student directory; it appears whole or not at all.
        levels: of fp32, int8 and int4 (weights only, with int8 products).
        adapter: a PEFT LoRA adapter to merge in first.
        settings: name, what may be replaced, how fidelity is measured.

    Returns:
        the finished assembly: `out`, and which levels were left out.

    Raises:
        InputError: the checkpoint cannot be exported.
        UsageError: `out` exists, or a level is unknown.
        ExtraMissing: optimum-onnx is not installed.
    """
    settings = settings or ConversionSettings()
    if unknown := [level for level in levels if level not in LEVELS]:
        raise UsageError(f"unknown level {', '.join(unknown)}", hint=f"levels: {', '.join(LEVELS)}")
    with Assembly(out, settings) as assembly:
        opened = open_checkpoint(str(checkpoint), adapter=adapter, scratch=assembly.scratch, progress=settings.progress)
        settings.progress.step("exporting with optimum")
        exported = export(opened, assembly.scratch / "exported")
        # Without the indentation: half its size.
        tokenizer = assembly.folder / f"{assembly.name}-tokenizer.json"
        tokenizer.write_text(
            json.dumps(read_json(exported.tokenizer, ""), ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
        )
        assembly.measure_against(opened, JsonTokenizer(tokenizer))
        for level in levels:
            settings.progress.step(f"making {level}")
            files: dict[str, Path] = {}
            for part, graph in exported.graphs.items():
                suffix = "" if part == "model" else f"-{part}"
                files |= save(at_level(graph, level), assembly.folder / f"{assembly.name}-{level}{suffix}.onnx", part)
            start = opened.config.get("decoder_start_token_id")
            assembly.add(ENGINE, level, files, OnnxDecoder(files, start=start), Measured(fused=exported.fused))
        assembly.add(ENGINE, "", {"tokenizer": tokenizer}, None)
        assembly.finish()
    return assembly


class Exported:
    """What optimum made of a checkpoint: graphs by part, loaded anew for each level, and the tokenizer."""

    def __init__(self, graphs: dict[str, Callable[[], onnx_package.ModelProto]], tokenizer: Path, fused: bool) -> None:
        self.graphs, self.tokenizer, self.fused = graphs, tokenizer, fused


def export(checkpoint: Checkpoint, folder: Path) -> Exported:
    """Run optimum's exporter, with the key-value cache among inputs and outputs.

    Raises:
        InputError: optimum cannot export it.
        ExtraMissing: optimum-onnx or onnx is not installed.
    """
    try:
        import onnx
        from optimum.exporters.onnx import main_export
        from transformers import AutoConfig
    except ImportError as error:
        raise ExtraMissing(error.name or "optimum-onnx", "onnx-export") from error
    task = "text2text-generation-with-past" if checkpoint.encoder_decoder else "text-generation-with-past"
    said = io.StringIO()
    try:
        # The tracer warns of each Python branch it passes; what it traced is checked by fidelity.
        with warnings.catch_warnings(), _quiet_logs(), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            main_export(str(checkpoint.path), folder, task=task, do_validation=False, device="cpu")
    except (ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"optimum cannot export {checkpoint.architecture}: {first}"[:400],
            hint="known to work: Llama, Mistral, Qwen2, Qwen3, Gemma, GPT-2 and T5",
        ) from error
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise InputError(f"{checkpoint.name} has no fast tokenizer", hint="save it with tokenizer.json")
    config = AutoConfig.from_pretrained(checkpoint.path)
    if checkpoint.encoder_decoder:
        paths = {"encoder": folder / "encoder_model.onnx", "decoder": folder / "decoder_model_merged.onnx"}
        return Exported({part: lambda path=path: onnx.load(path) for part, path in paths.items()}, tokenizer, False)  # type: ignore[misc]

    def fused() -> onnx_package.ModelProto:
        model = onnx.load(folder / "model.onnx")
        if fusible(config):
            fuse(model, config)
        return model

    return Exported({"model": fused}, tokenizer, fusible(config))


def at_level(graph: Callable[[], onnx_package.ModelProto], level: str) -> onnx_package.ModelProto:
    """Return the graph with its products' weights at a level; an embedding that the head shares is stored once."""
    model = graph()
    setting = LEVELS[level]
    if setting is None:
        return model
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    bits, block = setting
    plain_products(model)
    # Accuracy level 4 multiplies in int8; the others unpack to float first and are some thirty times slower.
    quantizer = MatMulNBitsQuantizer(model, block_size=block, is_symmetric=True, accuracy_level=4, bits=bits)
    with _quiet_logs():
        quantizer.process()
    quantized: Any = quantizer.model
    model = getattr(quantized, "model", quantized)
    tie(model, bits, block)
    return model


def save(model: onnx_package.ModelProto, path: Path, part: str) -> dict[str, Path]:
    """Write a graph; weights too large for one file go beside it. Returns the files by part."""
    import onnx

    if model.ByteSize() < LARGEST_FILE:
        onnx.save(model, path)
        return {part: path}
    weights = path.with_suffix(".onnx.data")
    onnx.save(model, path, save_as_external_data=True, location=weights.name)
    return {part: path, "data" if part == "model" else f"{part}-data": weights}


@contextlib.contextmanager
def _quiet_logs() -> Any:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
