"""What stands in a GGUF file beside its weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dnc_edge.errors import ExtraMissing, InputError, MissingError


def read(file: Path) -> Any:
    """Open a file with `gguf.GGUFReader`.

    Raises:
        MissingError: there is no such file. InputError: it is no GGUF file, or damaged.
        ExtraMissing: the package gguf is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise ExtraMissing("gguf", "cpu") from error
    if not file.is_file():
        raise MissingError(f"there is no file {file}")
    try:
        return gguf.GGUFReader(file)
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise InputError(f"{file} is no GGUF file, or damaged ({error})", hint="copy or download it again") from error


def contents(reader: Any, key: str) -> Any:
    """Return the value of a metadata key; None if the file does not have it."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def architecture(reader: Any) -> str:
    return str(contents(reader, "general.architecture"))


def copy(reader: Any, target: Path, tensors: Iterable[tuple[str, Any, Any]], unwanted: Sequence[str] = ()) -> None:
    """Write a file's metadata, but for keys that begin with one of `unwanted`, with tensors: (name, data, type)."""
    import gguf

    writer = gguf.GGUFWriter(target, arch=architecture(reader))
    for key, field in reader.fields.items():
        if not key.startswith(("general.architecture", "GGUF.", *unwanted)):
            element = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=element)
    for name, data, kind in tensors:
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def nameless(file: Path, target: Path) -> None:
    """Copy a GGUF file without metadata that names the paths it was made from."""
    reader = read(file)
    tensors = ((tensor.name, tensor.data, tensor.tensor_type) for tensor in reader.tensors)
    copy(reader, target, tensors, unwanted=("general.base_model.", "general.name", "general.tags"))
