"""A Hugging Face checkpoint to a student directory of GGUF files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from dnc_edge.convert.quantize import quantize
from dnc_edge.convert.source import converter
from dnc_edge.errors import InputError, UsageError
from dnc_edge.students.manifest import FILENAME, SCHEMA, sha256_of


def gguf(
    checkpoint: Path,
    out: Path,
    *,
    levels: Sequence[str],
    name: str | None = None,
    llama_cpp: Path | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Convert a checkpoint once, quantize it to every level, and write the student around the files.

    Args:
        checkpoint: directory with config.json, safetensors, tokenizer and train.json.
        out: the student directory; it appears whole or not at all.
        levels: see `quantize.LEVELS`.
        name: the student's name; None takes that of `out`.
        llama_cpp: a llama.cpp checkout to convert with.
        force: replace an existing `out`.
        progress: told what is being done.

    Returns:
        `out`.

    Raises:
        InputError: the checkpoint lacks something, or its weights are pickled.
        UsageError: `out` exists.
    """
    check_checkpoint(checkpoint)
    if out.exists() and not force:
        raise UsageError(f"{out} exists", hint="remove it, or replace it with --force")
    facts = json.loads((checkpoint / "train.json").read_text(encoding="utf-8"))
    name = name or out.name
    out.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed, so that a half-made student is never taken for one.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.partial-") as scratch:
        made = Path(scratch, "student")
        made.mkdir()
        progress("converting to f16")
        f16 = made / f"{name}-f16.gguf"
        run_converter(converter(llama_cpp), checkpoint, f16, log=Path(scratch, "convert.log"))
        files = []
        for level in levels:
            path = made / f"{name}-{level}.gguf"
            if level != "f16":
                progress(f"quantizing to {level}")
                quantize(f16, path, level)
            files.append(
                {
                    "file": path.name,
                    "engine": "llama.cpp",
                    "level": level,
                    "sha256": sha256_of(path),
                    "bytes": path.stat().st_size,
                }
            )
        if "f16" not in levels:
            f16.unlink()
        student = facts["student"]
        manifest = {
            "schema": SCHEMA,
            "name": name,
            "roles": student["roles"],
            "stop": student["stop"],
            "context": student["context"],
            "max_subquestions": student["max_subquestions"],
            "default_level": "q8_0" if "q8_0" in levels else levels[0],
            "files": files,
            "probes": student["probes"],
            "about": {fact: facts[fact] for fact in ("training", "licences", "card") if fact in facts},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (made / FILENAME).write_text(text, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return out


def check_checkpoint(checkpoint: Path) -> None:
    """Refuse what cannot be converted, before any work.

    Raises:
        InputError: says what is missing, or that the weights are pickled.
    """
    if not (checkpoint / "config.json").is_file():
        raise InputError(f"{checkpoint} is not a checkpoint: it has no config.json")
    if not list(checkpoint.glob("*.safetensors")):
        pickled = list(checkpoint.glob("*.bin")) + list(checkpoint.glob("*.pt"))
        if pickled:
            raise InputError(
                f"{pickled[0]} is a pickle, which can run code when it is read",
                hint="save the model as safetensors: model.save_pretrained(..., safe_serialization=True)",
            )
        raise InputError(f"{checkpoint} has no weights: no *.safetensors")
    if not (checkpoint / "train.json").is_file():
        raise InputError(
            f"{checkpoint} has no train.json, which tells roles, templates and probes",
            hint="dnc-edge train writes it; docs/training.md describes it",
        )


def run_converter(source: Path, checkpoint: Path, target: Path, *, log: Path) -> None:
    """Run llama.cpp's converter in a process of its own.

    Raises:
        InputError: it failed; its last lines are shown, its log is kept and named.
    """
    # Run from the checkpoint's folder: paths of this machine must not end up in the file.
    script = str(source.resolve() / "convert_hf_to_gguf.py")
    command = [sys.executable, script, ".", "--outfile", str(target.resolve()), "--outtype", "f16"]
    with log.open("w", encoding="utf-8") as out:
        run = subprocess.run(command, cwd=checkpoint, stdout=out, stderr=subprocess.STDOUT, check=False)
    if run.returncode != 0 or not target.is_file():
        kept = target.parent.parent.parent / f"{target.stem}-convert.log"
        shutil.copyfile(log, kept)
        tail = " / ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:])
        raise InputError(f"llama.cpp's converter failed: {tail}", hint=f"its whole log is in {kept}")
