"""Students on the Hugging Face hub: `pull` brings one here, whole and checked."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnc_edge.errors import ExtraMissing, InputError, MissingError, StudentError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import manifest as manifests
from dnc_edge.students.checksums import Verification
from dnc_edge.students.choice import with_files
from dnc_edge.students.resolve import local_root

# As the hub has them: "--" would be read as the slash, and ".." as the folder above.
_REPOSITORY = re.compile(r"(?!.*(?:--|\.\.))\w[\w.-]*/\w[\w.-]*")


def pull(
    repository: str,
    *,
    revision: str | None = None,
    levels: Sequence[str] = (),
    name: str | None = None,
    force: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Download a student to where local students are kept.

    What an interrupted pull has fetched is kept and continued. The student takes its place once every
    checksum of its manifest holds.

    Args:
        repository: OWNER/NAME of a hub repository with student.json at its top.
        revision: branch, tag or commit; None is the main branch.
        levels: quantization levels to fetch; empty fetches every file.
        name: what to call it here; None takes the manifest's name.
        force: replace a local student of that name.
        progress: gets a note for each file that is fetched.

    Returns:
        the student's directory.

    Raises:
        MissingError: the repository or revision is missing, private, or the network is off.
        StudentError: what it holds is no student, or a checksum differs.
        UsageError: the name is taken, or `repository` is none.
        ExtraMissing: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ExtraMissing("huggingface_hub", "hub") from error
    if not _REPOSITORY.fullmatch(repository):
        raise _no_repository(repository)
    partial = local_root() / ".pulls" / repository.replace("/", "--")
    partial.mkdir(parents=True, exist_ok=True)

    def fetch(file: str) -> None:
        progress.note(f"fetching {file}")
        with hub_errors(repository):
            hf_hub_download(repository, file, revision=revision, local_dir=partial)

    fetch(manifests.FILENAME)
    manifest = manifests.load(partial)
    target = local_root() / checked_name(name or manifest.name)
    if target.exists() and not force:
        raise UsageError(f"there is a student named {target.name}", hint="replace it with --force, or choose a --name")
    wanted = [file for file in manifest.files if not levels or file.level in levels or not file.level]
    if levels and not any(file.level in levels for file in wanted):
        raise UsageError(
            f"{repository} has no level {', '.join(levels)}",
            hint=f"it has: {', '.join(dict.fromkeys(file.level for file in manifest.files if file.level))}",
        )
    for file in wanted:
        fetch(file.file)
        try:
            Verification(partial, file).path()
        except StudentError:
            # Left where it is, a damaged file would be taken for a finished one again and again.
            (partial / file.file).unlink(missing_ok=True)
            raise
    manifests.write(partial, with_files(manifest, wanted))
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    return target


def checked_name(name: str) -> str:
    """A student's name, which becomes a folder's.

    Raises:
        InputError: it holds more than letters, digits, dots, dashes and underscores.
    """
    if not manifests.PLAIN_NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a student's name", hint="choose one with --name")
    return name


@contextlib.contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """What huggingface_hub raises, in one line with what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise _no_repository(repository) from error
    except errors.GatedRepoError as error:
        hint = "accept its conditions on the hub, then log in with: hf auth login"
        raise MissingError(f"{repository} is gated", hint=hint) from error
    except errors.RepositoryNotFoundError as error:
        hint = "check the name; for a private one log in with: hf auth login"
        raise MissingError(f"the hub has no repository {repository}, or it is private", hint=hint) from error
    except errors.RevisionNotFoundError as error:
        raise MissingError(f"{repository} has no such revision") from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise _offline(repository) from error
        raise StudentError(f"{repository} lacks a file ({error})".splitlines()[0]) from error
    except errors.OfflineModeIsEnabled as error:
        raise _offline(repository) from error
    except (errors.HfHubHTTPError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingError(f"cannot fetch {repository}: {first}", hint="try again; what was fetched is kept") from error


def _no_repository(name: str) -> UsageError:
    return UsageError(f"{name!r} is no name of a hub repository", hint="write OWNER/NAME")


def _offline(repository: str) -> MissingError:
    return MissingError(
        f"{repository} is not on this machine and the hub cannot be reached",
        hint="check the network, and that neither --offline nor HF_HUB_OFFLINE is set",
    )
