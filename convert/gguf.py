"""A checkpoint to GGUF files by llama.cpp's own converter, quantized in process."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dnc_edge.convert.assembly import Assembly, ConversionSettings
from dnc_edge.convert.checkpoint import Checkpoint, check_adapter, check_checkpoint, located, open_checkpoint, probes
from dnc_edge.convert.decoders import GgufDecoder
from dnc_edge.convert.loads import check_loads
from dnc_edge.convert.metadata import architecture, contents, nameless, read
from dnc_edge.convert.quantize import quantize
from dnc_edge.convert.source import converter
from dnc_edge.convert.unpack import HEADER, pack
from dnc_edge.errors import InputError, UsageError
from dnc_edge.files import replacing
from dnc_edge.students import bases
from dnc_edge.students.manifest import BaseFile
from dnc_edge.students.measured import Measured
from dnc_edge.typed_json import plain

ENGINE = "llama.cpp"
# What llama.cpp reads from a checkpoint's own type; anything else becomes 32 bits.
_OUTTYPES = {"float16": "f16", "bfloat16": "bf16"}
# K-quants pack 256 weights together; a row that is no multiple gets another type instead.
PACKED = ("q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k", "iq4_xs")

# What an adapter alone can be made at.
ADAPTER_LEVELS = ("f32", "f16", "q8_0")


def gguf(
    checkpoint: str | Path,
    out: Path,
    *,
    levels: Sequence[str],
    adapter: Path | None = None,
    llama_cpp: Path | None = None,
    settings: ConversionSettings | None = None,
) -> Assembly:
    """Convert a checkpoint once, quantize it to every level, measure each, and write the student around them.

    Args:
        checkpoint: a directory with config.json, safetensors and tokenizer, a GGUF file, or a hub repository.
        out: the student directory; it appears whole or not at all.
        levels: see `quantize.LEVELS`.
        adapter: a PEFT LoRA adapter to merge in first.
        llama_cpp: a llama.cpp checkout to convert with.
        settings: name, what may be replaced, how fidelity is measured.

    Returns:
        the finished assembly: `out`, and which levels were left out.

    Raises:
        InputError: the checkpoint or adapter cannot be converted.
        UsageError: `out` exists.
        StudentError: the converted tokenizer is not that of training.
    """
    settings = settings or ConversionSettings()
    with Assembly(out, settings) as assembly:
        opened = open_checkpoint(str(checkpoint), adapter=adapter, scratch=assembly.scratch, progress=settings.progress)
        if opened.encoder_decoder:
            raise InputError(
                f"{opened.name} is an encoder-decoder, which the llama.cpp engine does not run",
                hint="convert it with: dnc-edge convert onnx",
            )
        whole = assembly.scratch / f"{assembly.name}.gguf"
        if (opened.path / HEADER).is_file():
            settings.progress.step("packing")
            pack(opened.path, whole)
        else:
            settings.progress.step("converting with llama.cpp")
            stored = _OUTTYPES.get(str(opened.config.get("dtype") or opened.config.get("torch_dtype")), "f32")
            script = converter(llama_cpp) / "convert_hf_to_gguf.py"
            run_converter(script, [".", "--outtype", stored], opened.path, whole, keep_log=out.parent)
        with_facts(whole, opened, assembly.name)
        check_loads(whole)
        for level in levels:
            settings.progress.step(f"quantizing to {level}")
            path = assembly.folder / f"{assembly.name}-{level}.gguf"
            quantize(whole, path, level)
            decoder = GgufDecoder(path, context=opened.facts.context, exact=level == "f32")
            if level == levels[0]:
                assembly.measure_against(opened, decoder.tokenizer)
            assembly.add(ENGINE, level, {"model": path}, decoder, tensors(path, level))
            decoder.close()
        assembly.finish()
    return assembly


def gguf_adapter(
    checkpoint: str | Path, adapter: Path, out: Path, *, level: str = "q8_0", llama_cpp: Path | None = None
) -> Path:
    """Convert a LoRA adapter alone: a GGUF file to be used over the base it was trained on.

    Args:
        checkpoint: that base: a directory, a GGUF file or a hub repository.
        adapter: directory of the PEFT adapter.
        out: the file to write.
        level: of `ADAPTER_LEVELS`. In q8_0, what is no multiple of 32 weights wide (a rank of 16) stays in 16 bits.
        llama_cpp: a llama.cpp checkout to convert with.

    Raises:
        InputError: the adapter is for another base, on embeddings or head, or the converter fails.
        UsageError: `out` exists, or the level is unknown.
    """
    if level not in ADAPTER_LEVELS:
        raise UsageError(f"an adapter cannot be made at {level}", hint=f"levels: {', '.join(ADAPTER_LEVELS)}")
    if out.exists():
        raise UsageError(f"{out} exists", hint="choose another file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.partial-") as scratch:
        base, _ = located(str(checkpoint), Path(scratch))
        check_checkpoint(base)
        check_adapter(adapter, base)
        made, clean = Path(scratch) / out.name, Path(scratch) / "clean"
        arguments = ["--base", str(base.resolve()), "--outtype", level, "."]
        run_converter(converter(llama_cpp) / "convert_lora_to_gguf.py", arguments, adapter, made, keep_log=out.parent)
        nameless(made, clean)
        clean.rename(out)
    return out


def adapter_student(
    base: str,
    adapter: Path,
    out: Path,
    *,
    level: str = "q8_0",
    llama_cpp: Path | None = None,
    settings: ConversionSettings | None = None,
) -> Assembly:
    """Convert an adapter to a student that names its base by hash, measured over the base's own file.

    The role that the adapter was trained for uses it; the base's other role stays as it is. A solver's adapter is for
    the kinds of question that it was trained on: the role `chat` answers the others with the base as it is.

    Args:
        base: a base by name, or its GGUF file.
        adapter: directory of the PEFT adapter.
        out: the student directory; with `settings.add` the adapter goes into the one that is there.
        level: of `ADAPTER_LEVELS`, of the adapter's matrices.
        llama_cpp: a llama.cpp checkout to convert with.
        settings: name, what may be replaced, how fidelity is measured.

    Raises:
        InputError: the adapter cannot be converted, or the base is none that has a name.
        StudentError: the base reads the prompts otherwise than training did.
        UsageError: `out` exists.
    """
    settings = settings or ConversionSettings()
    file = bases.path(base) if base in bases.BASES else Path(base)
    known = bases.known_as(file)
    with Assembly(out, settings) as assembly:
        opened = open_checkpoint(str(file), adapter=adapter, scratch=assembly.scratch, progress=settings.progress)
        untrained = open_checkpoint(str(file), scratch=assembly.scratch)
        trained = opened.facts.roles
        name = f"{assembly.name}-{'-'.join(trained)}-{level}.gguf"
        converted = gguf_adapter(
            assembly.scratch / "unpacked", adapter, assembly.folder / name, level=level, llama_cpp=llama_cpp
        )
        adapted = {role: replace(prompted, adapter=name) for role, prompted in trained.items()}
        if "solve" in trained and (kinds := opened.facts.about.training.get("kinds")):
            adapted |= {"solve": replace(adapted["solve"], kinds=tuple(kinds)), "chat": trained["solve"]}
        roles = {**untrained.facts.roles, **adapted}
        facts = replace(opened.facts, roles=roles, probes=probes(opened.path, roles))
        opened = replace(opened, facts=facts)
        decoder = GgufDecoder(file, context=facts.context, adapter=converted)
        assembly.measure_against(opened, decoder.tokenizer, role=next(iter(trained)))
        assembly.base = BaseFile(known.name, known.sha256)
        assembly.add(ENGINE, known.level, {"adapter": converted}, decoder, tensors(converted, level))
        decoder.close()
        assembly.finish()
    return assembly


def run_converter(script: Path, arguments: list[str], folder: Path, target: Path, *, keep_log: Path) -> None:
    """Run one of llama.cpp's converters in a process of its own.

    Raises:
        InputError: it failed; its last lines are shown, its log is kept in `keep_log` and named.
    """
    # Run from the checkpoint's folder: paths of this machine must not end up in the file.
    command = [sys.executable, str(script.resolve()), *arguments, "--outfile", str(target.resolve())]
    run = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if run.returncode != 0 or not target.is_file():
        log = run.stdout.decode("utf-8", errors="replace")
        target.unlink(missing_ok=True)
        kept = keep_log / f"{target.stem.strip('.')}-convert.log"
        kept.write_text(log, encoding="utf-8")
        known = _known_architectures(log)
        tail = known or " / ".join(log.strip().splitlines()[-3:])
        raise InputError(f"llama.cpp's converter failed: {tail}", hint=f"its whole log is in {kept}")


def _known_architectures(log: str) -> str | None:
    """Return which architecture the converter does not know, and which it does; None if the log names none."""
    marker = "ERROR:hf-to-gguf:Model "
    if marker not in log or "is not supported" not in log:
        return None
    name = log.split(marker, 1)[1].split(" is not supported", 1)[0]
    return f"{name} is not an architecture that it takes; Llama, Mistral, Qwen2, Qwen3, Gemma and GPT-2 are"


def with_facts(path: Path, checkpoint: Checkpoint, name: str) -> None:
    """Write name, roles, stop pieces and limits into the file itself, under `dnc_edge.student`."""
    import gguf as package
    from gguf.constants import Keys
    from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

    values = plain(checkpoint.facts)
    facts = {"name": name, **{key: values[key] for key in ("roles", "stop", "context", "max_subquestions")}}
    details = {"dnc_edge.student": MetadataDetails(package.GGUFValueType.STRING, json.dumps(facts))}
    # llama.cpp would call the file after the folder that it was converted from.
    details["general.name"] = MetadataDetails(package.GGUFValueType.STRING, name)
    if licences := sorted({text.split(",")[0] for text in checkpoint.facts.about.licences.values()}):
        details["general.license"] = MetadataDetails(package.GGUFValueType.STRING, " AND ".join(licences))
    reader = package.GGUFReader(path)
    if contents(reader, Keys.Tokenizer.MODEL) == "llama" and not (checkpoint.path / HEADER).is_file():
        # The converter asks the tokenizer's settings for it, and not for every architecture; its behaviour is surer.
        details[Keys.Tokenizer.ADD_PREFIX] = MetadataDetails(package.GGUFValueType.BOOL, adds_space(checkpoint.path))
    # It draws a progress bar of its own.
    with replacing(path) as partial, contextlib.redirect_stderr(io.StringIO()):
        writer = package.GGUFWriter(partial, arch=architecture(reader), endianess=reader.endianess)
        copy_with_new_metadata(reader, writer, details, [])


def adds_space(checkpoint: Path) -> bool:
    """Return whether the checkpoint's tokenizer adds a space before a text."""
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(checkpoint).backend_tokenizer.encode("a", add_special_tokens=False).tokens
    return bool(tokens[0].startswith("\u2581"))


def tensors(path: Path, level: str) -> Measured:
    """Return the bits per weight of a GGUF file, its tensors by type, and those that could not get the level's type."""
    found = read(path).tensors
    fell_back = [
        str(tensor.name) for tensor in found if level in PACKED and len(tensor.shape) > 1 and tensor.shape[0] % 256
    ]
    types = Counter(tensor.tensor_type.name.lower() for tensor in found)
    bits = 8 * sum(int(tensor.n_bytes) for tensor in found) / sum(int(tensor.n_elements) for tensor in found)
    return Measured(bits_per_weight=round(bits, 2), types=dict(types.most_common()), fell_back=tuple(fell_back) or None)
