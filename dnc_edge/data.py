"""The tasks' data sets by name: where each comes from, under which licence, and how to get it here.

`tasks/data.toml` names every file with its repository, commit and SHA-256. Nothing is downloaded unasked.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files, names
from dnc_edge.errors import InputError, MissingError, UsageError
from dnc_edge.progress import SILENT, Progress

# Where GitHub gives out files as they are.
GITHUB = "https://raw.githubusercontent.com"
VARIABLE = "DNC_EDGE_DATA"


@dataclass(frozen=True)
class DataFile:
    """A file: its name under the folder of data sets and in its repository, and what it must be."""

    file: str
    path: str
    bytes: int
    sha256: str

    @property
    def is_here(self) -> bool:
        """Whether it is in the folder, compressed or not; its content is not looked at."""
        return any((root() / name).is_file() for name in (self.file, f"{self.file}.gz"))


@dataclass(frozen=True)
class DataSet:
    """A data set: what it is, the repository and commit that it comes from, its licence and its files."""

    name: str
    what: str
    repository: str
    commit: str
    licence: str
    files: tuple[DataFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def is_here(self) -> bool:
        return all(file.is_here for file in self.files)


def root() -> Path:
    """Folder of the data sets: DNC_EDGE_DATA, else `data` in the user's data folder."""
    if (folder := os.environ.get(VARIABLE)) and folder != "hub":
        return Path(folder).expanduser()
    import platformdirs

    return platformdirs.user_data_path("dnc-edge") / "data"


@functools.cache
def datasets() -> Mapping[str, DataSet]:
    """All data sets by name."""
    import tomllib

    text = (Path(__file__).parent / "tasks" / "data.toml").read_text(encoding="utf-8")
    found: dict[str, DataSet] = {}
    for name, values in tomllib.loads(text).items():
        held = tuple(DataFile(**file) for file in values.pop("files"))
        found[name] = DataSet(name, **values, files=held)
    return found


def holding(file: str) -> DataSet | None:
    """The data set that a file belongs to."""
    return next((one for one in datasets().values() if any(held.file == file for held in one.files)), None)


def pull(name: str, *, progress: Progress = SILENT) -> Path:
    """Download what is not here yet of a data set, from the commit that is named, checked by its SHA-256.

    Args:
        name: of `datasets()`.
        progress: gets the bytes that are there, of all, as steps.

    Returns:
        the folder of the data sets.

    Raises:
        UsageError: there is no such data set. MissingError: a file cannot be fetched, or is not the one that is known;
        what was fetched of it is kept in the first case. InputError: the folder cannot be written.
    """
    from dnc_edge.students import index

    known: Mapping[str, Any] = datasets()
    if name not in known:
        raise UsageError(f"there is no data set {name}", hint=names.hint(name, known))
    chosen: DataSet = known[name]
    for file in chosen.files:
        if file.is_here:
            continue
        target = root() / file.file
        partial = target.with_name(target.name + ".partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            address = f"{GITHUB}/{chosen.repository}/{chosen.commit}/{file.path}"
            index.download(address, partial, f"fetching {file.file}", progress)
            digest = files.sha256_of(partial)
            if digest != file.sha256:
                partial.unlink()
                raise MissingError(
                    f"{file.file} is not the file that is known here (SHA-256 {digest[:12]}, not {file.sha256[:12]})",
                    hint="nothing of it was kept; try again, or through another network",
                )
            partial.replace(target)
        except OSError as error:
            raise InputError(f"cannot write {error.filename or target}: {error.strerror}") from error
    return root()
