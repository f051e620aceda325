"""`dnc-edge convert`: checkpoints to students. Needs the extra `train`, and `onnx-export` for ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.cli.options import require
from dnc_edge.cli.terminal import TerminalProgress
from dnc_edge.errors import UsageError

if TYPE_CHECKING:
    from dnc_edge.convert.assembly import Assembly

app = typer.Typer(no_args_is_help=True, help="Convert a checkpoint to a quantized student.")

Checkpoint = Annotated[str, typer.Argument(help="A checkpoint directory, GGUF file, base by name, or hub repository.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The student's directory.")]
Adapter = Annotated[Path | None, typer.Option("--adapter", "-a", help="A PEFT LoRA adapter to merge in first.")]
Base = Annotated[
    str | None, typer.Option("--base", "-b", help="What CHECKPOINT, an adapter, was trained on, as in training.")
]
Name = Annotated[str | None, typer.Option(help="The student's name [default: that of the directory].")]
Add = Annotated[bool, typer.Option("--add", help="Add to the student that is there, made from the same checkpoint.")]
Questions = Annotated[int, typer.Option(min=1, help="How many questions to compare each level on.")]
KeepPoor = Annotated[
    bool, typer.Option("--keep-poor", help="Keep levels that lose over 0.02 plan F1 or 10 % of the likeliest tokens.")
]


@app.command()
def gguf(
    checkpoint: Checkpoint,
    out: Out,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Of f32, f16, q8_0, q6_k, q5_k_m, q4_k_m, q3_k_m, q2_k, iq4_xs [default: f16,q8_0; an adapter: q8_0]"
        ),
    ] = None,
    adapter: Adapter = None,
    base: Base = None,
    adapter_only: Annotated[
        bool,
        typer.Option("--adapter-only", help="The adapter alone: a student on its base, or a file if --out is X.gguf."),
    ] = False,
    name: Name = None,
    llama_cpp: Annotated[Path | None, typer.Option("--llama-cpp", help="A llama.cpp checkout to convert with.")] = None,
    force: options.Force = False,
    add: Add = False,
    questions: Questions = 100,
    keep_poor: KeepPoor = False,
    json: options.Json = False,
) -> None:
    """Convert to GGUF with llama.cpp's own converter, quantize in process, and compare with the original.

    Examples:

      dnc-edge convert gguf runs/base -o students/mine --levels f16,q8_0,q4_k_m

      dnc-edge convert gguf Qwen/Qwen2.5-0.5B-Instruct --adapter runs/sft -o students/qwen

      dnc-edge convert gguf runs/sft --base smollm2-135m --adapter-only -o students/mine
    """
    require("torch", "transformers", extra="train")
    from dnc_edge.convert.assembly import ConversionSettings
    from dnc_edge.convert.gguf import adapter_student, gguf_adapter
    from dnc_edge.convert.gguf import gguf as convert_gguf
    from dnc_edge.convert.quantize import parse_levels

    checkpoint, adapter = _trained_on(base, checkpoint, adapter)
    if adapter_only:
        if adapter is None:
            raise UsageError("--adapter-only needs --base or --adapter")
        if out.suffix == ".gguf":
            made = gguf_adapter(checkpoint, adapter, out, level=levels or "q8_0", llama_cpp=llama_cpp)
            output.print_text(f"wrote {made}")
            return
        with TerminalProgress() as progress:
            settings = ConversionSettings(name, force, add, questions, keep_poor, progress)
            student = adapter_student(
                checkpoint, adapter, out, level=levels or "q8_0", llama_cpp=llama_cpp, settings=settings
            )
        _report(student, json)
        return
    wanted = parse_levels(levels or "f16,q8_0")
    with TerminalProgress() as progress:
        settings = ConversionSettings(name, force, add, questions, keep_poor, progress)
        student = convert_gguf(checkpoint, out, levels=wanted, adapter=adapter, llama_cpp=llama_cpp, settings=settings)
    _report(student, json)


@app.command()
def onnx(
    checkpoint: Checkpoint,
    out: Out,
    levels: Annotated[str, typer.Option(help="Of fp32, int8, int4.")] = "int8",
    adapter: Adapter = None,
    base: Base = None,
    name: Name = None,
    force: options.Force = False,
    add: Add = False,
    questions: Questions = 100,
    keep_poor: KeepPoor = False,
    json: options.Json = False,
) -> None:
    """Convert to ONNX with optimum, fuse and quantize, and compare with the original.

    Examples:

      dnc-edge convert onnx runs/base -o students/mine --levels fp32,int8,int4

      dnc-edge convert onnx runs/base -o students/mine --levels int8 --add
    """
    require("torch", "transformers", extra="train")
    require("optimum.exporters.onnx", "onnx", "onnx_ir", extra="onnx-export")
    from dnc_edge.convert.assembly import ConversionSettings
    from dnc_edge.convert.onnx import LEVELS
    from dnc_edge.convert.onnx import onnx as convert_onnx
    from dnc_edge.convert.quantize import parse_levels

    checkpoint, adapter = _trained_on(base, checkpoint, adapter)
    wanted = parse_levels(levels, known=LEVELS)
    with TerminalProgress() as progress:
        settings = ConversionSettings(name, force, add, questions, keep_poor, progress)
        made = convert_onnx(checkpoint, out, levels=wanted, adapter=adapter, settings=settings)
    _report(made, json)


def _trained_on(base: str | None, checkpoint: str, adapter: Path | None) -> tuple[str, Path | None]:
    """(checkpoint, adapter) of the options: with a base, the argument is the adapter."""
    if base is None:
        return checkpoint, adapter
    if adapter is not None:
        raise UsageError("with --base the argument is the adapter", hint="leave --adapter out")
    return base, Path(checkpoint)


def _report(made: Assembly, as_json: bool) -> None:
    from dnc_edge.students.manifest import load
    from dnc_edge.students.table import table
    from dnc_edge.typed_json import plain

    files = load(made.out).files
    if as_json:
        output.print_json({"student": str(made.out), "files": plain(files), "left_out": made.dropped})
    else:
        output.print_text(f"wrote {made.out}\n\n{table(files)}")
    for note in made.dropped:
        output.note(note)
