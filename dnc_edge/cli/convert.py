"""`dnc-edge convert`: checkpoints to students."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnc_edge import output

app = typer.Typer(no_args_is_help=True, help="Convert a checkpoint to a quantized student.")


@app.command()
def gguf(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint directory, as `dnc-edge train` writes it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The student's directory.")],
    levels: Annotated[str, typer.Option(help="Quantization levels.")] = "f16,q8_0",
    name: Annotated[str | None, typer.Option(help="The student's name [default: that of the directory].")] = None,
    llama_cpp: Annotated[Path | None, typer.Option("--llama-cpp", help="A llama.cpp checkout to convert with.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing directory.")] = False,
) -> None:
    """Convert to GGUF with llama.cpp's own converter, and quantize in process.

    Examples:

      dnc-edge convert gguf runs/base -o students/mine --levels f16,q8_0,q4_k_m
    """
    from dnc_edge.convert.gguf import gguf as convert_gguf
    from dnc_edge.convert.quantize import parse_levels

    convert_gguf(
        checkpoint,
        out,
        levels=parse_levels(levels),
        name=name,
        llama_cpp=llama_cpp,
        force=force,
        progress=output.note,
    )
    output.print_text(f"wrote {out}")
