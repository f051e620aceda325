"""A student directory in the making: files with their fidelity, a manifest, and one rename at the end."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnc_edge.convert import fidelity
from dnc_edge.convert.checkpoint import Checkpoint
from dnc_edge.convert.decoders import Decoder, TransformersDecoder
from dnc_edge.errors import InputError, StudentError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students.checksums import recorded
from dnc_edge.students.choice import CHOSEN_BY, with_files
from dnc_edge.students.manifest import FILENAME, BaseFile, Manifest, WeightFile, load, write
from dnc_edge.students.measured import Measured
from dnc_edge.students.tokenizer import Tokenizer, encode_prompt
from dnc_edge.tasks.problem import Problem


@dataclass(frozen=True)
class ConversionSettings:
    """Settings of a conversion that all engines share.

    Attributes:
        name: the student's name; None takes that of the directory.
        force: replace an existing directory. add: put the files into the student that is there.
        questions: how many fidelity is measured on, at least 1.
        keep_poor: keep levels that lose more plan F1, or agree on fewer tokens, than `convert.fidelity` allows.
        progress: gets a step for each level and each comparison.
    """

    name: str | None = None
    force: bool = False
    add: bool = False
    questions: int = 100
    keep_poor: bool = False
    progress: Progress = SILENT


class Assembly(AbstractContextManager["Assembly"]):
    """Gathers the files of a student beside its place; `finish` puts it there.

    Whatever stops it before, a kill included, leaves a hidden folder that nothing takes for a student.

    Raises:
        UsageError: `out` exists and neither `force` nor `add` is set, or there is nothing to add to.
    """

    def __init__(self, out: Path, settings: ConversionSettings) -> None:
        if settings.add and not (out / FILENAME).is_file():
            raise UsageError(f"{out} is no student to add to: it has no {FILENAME}")
        if out.exists() and not (settings.force or settings.add):
            raise UsageError(f"{out} exists", hint="replace it with --force, or add to it with --add")
        self.out, self.settings = out, settings
        self._there = load(out) if settings.add else None
        self.name = settings.name or (self._there.name if self._there else out.name)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.partial-")
        except OSError as error:
            raise _unwritable(out, error) from error
        self.scratch = Path(self._temporary.name)
        self.folder = self.scratch / "student"
        self.folder.mkdir()
        self._files: list[WeightFile] = []
        self.dropped: list[str] = []
        # Of a student that consists of adapters.
        self.base: BaseFile | None = None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._temporary.cleanup()
        if isinstance(error, OSError):
            raise _unwritable(self.out, error) from error

    def measure_against(self, checkpoint: Checkpoint, tokenizer: Tokenizer, *, role: str | None = None) -> None:
        """Check the tokenizer by the checkpoint's probes; what is added from now on is compared with it.

        Args:
            checkpoint, tokenizer: of what was trained.
            role: the one that is compared; None takes the decomposer's, if there is one.

        Raises:
            StudentError: the tokenizer reads a probe otherwise than training did.
        """
        self.checkpoint = checkpoint
        roles = checkpoint.facts.roles
        for probe in checkpoint.facts.probes:
            ids = encode_prompt(tokenizer, roles[probe.role].template, probe.user)
            if ids != list(probe.tokens):
                raise StudentError(
                    f"the converted tokenizer reads {probe.user[:40]!r} otherwise than the trained one "
                    f"({ids[:8]}..., not {list(probe.tokens[:8])}...)",
                    hint="nothing was written; convert a tokenizer of a kind that llama.cpp knows",
                )
        self._tokenizer = tokenizer
        self._role = role or ("decompose" if "decompose" in roles else next(iter(roles)))
        self._stop = frozenset(tokenizer.control(piece) for piece in checkpoint.facts.stop)

    @functools.cached_property
    def _questions(self) -> tuple[str, list[Problem]]:
        return fidelity.questions(self.settings.questions)

    @functools.cached_property
    def reference(self) -> fidelity.Reference:
        """What the checkpoint itself decodes, and its logits."""
        checkpoint = self.checkpoint
        role = checkpoint.facts.roles[self._role]
        name, problems = self._questions
        return fidelity.Reference(
            TransformersDecoder(checkpoint.path, encoder_decoder=checkpoint.encoder_decoder),
            self._tokenizer,
            role.template,
            self._stop,
            problems,
            on=name,
            plans=self._role == "decompose",
            scratch=self.scratch / "reference",
            limit=min(160, role.max_tokens),
            progress=self.settings.progress,
        )

    def add(
        self,
        engine: str,
        level: str,
        files: Mapping[str, Path],
        decoder: Decoder | None,
        measured: Measured | None = None,
    ) -> None:
        """Add the files of a level, and compare it with what was trained; a poor one is dropped without `keep_poor`.

        Args:
            files: by part, in the student's folder.
            decoder: of the files; None compares nothing.
            measured: what is known of the level already.
        """
        if decoder is not None:
            compared = fidelity.compare(
                self.reference, decoder, what=f"comparing {level}", progress=self.settings.progress
            )
            if compared.poor and not self.settings.keep_poor:
                for path in files.values():
                    path.unlink()
                loses = f"loses {compared.f1_lost.value:.3f} plan F1 and " if compared.f1_lost else ""
                self.dropped.append(
                    f"{level} was left out: it {loses}agrees on {compared.top_tokens:.1%} of tokens; "
                    "--keep-poor keeps it"
                )
                return
            measured = replace(measured or Measured(), fidelity=fidelity.rounded(compared))
        self._files += [
            recorded(path, engine, level, part, measured if part in CHOSEN_BY else None) for part, path in files.items()
        ]

    def finish(self) -> Path:
        """Write the manifest, put the student in its place and return that place.

        Raises:
            InputError: no level is left, or the files belong to another student than is there.
        """
        manifest = self._manifest() if self._there is None else self._added(self._there)
        if not manifest.levels:
            raise InputError("no level is left", hint="; ".join(self.dropped) or "name one with --levels")
        write(self.folder, manifest)
        if self.out.exists():
            self.out.rename(self.scratch / "old")
        self.folder.rename(self.out)
        return self.out

    def _manifest(self) -> Manifest:
        """Return the manifest of what was made."""
        checkpoint, facts = self.checkpoint, self.checkpoint.facts
        made = Manifest(
            name=self.name,
            architecture=checkpoint.architecture,
            roles=facts.roles,
            stop=facts.stop,
            context=facts.context,
            max_subquestions=facts.max_subquestions,
            probes=facts.probes,
            about=facts.about,
            files=(),
            default_level="",
            start=checkpoint.config.get("decoder_start_token_id"),
            base=self.base,
        )
        return with_files(made, self._files)

    def _added(self, there: Manifest) -> Manifest:
        """Return the manifest of the student that is there with what was made; link its other files into the folder."""
        made = self._manifest()
        if self.base and there.base == self.base:
            # An adapter for another role joins those that are there.
            added = {name: role for name, role in made.roles.items() if role.adapter or name not in there.roles}
            about: dict[str, Any] = {name: made.about for name, role in added.items() if role.adapter}
            there = replace(
                there,
                roles={**there.roles, **added},
                probes=(
                    *(probe for probe in there.probes if probe.role not in added),
                    *(probe for probe in made.probes if probe.role in added),
                ),
                about=replace(there.about, **about),
            )
        elif (there.roles, there.stop, there.probes, there.base) != (made.roles, made.stop, made.probes, made.base):
            raise InputError(f"{self.out} was made from another checkpoint", hint="choose another directory")
        replaced = {file.file for file in self._files}
        others = [file for file in there.files if file.file not in replaced]
        for file in others:
            (self.folder / file.file).hardlink_to(self.out / file.file)
        return with_files(there, [*others, *self._files])


def _unwritable(out: Path, error: OSError) -> InputError:
    what = error.filename or out
    return InputError(f"cannot write {what}: {error.strerror}", hint="nothing was left behind; make room and try again")
