"""From a student's name to its directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dnc_edge.errors import StudentError
from dnc_edge.students.manifest import FILENAME

# What is taken if nobody names one: the first that can run here, or else the last.
DEFAULTS = ("smollm2-135m-dnc", "dnc-11m")
BUNDLED = DEFAULTS[-1]
_BUNDLED_ROOT = Path(__file__).parent / "bundled"


def local_root() -> Path:
    """Where converted and pulled students are kept: DNC_EDGE_STUDENTS, else the user's data folder."""
    if root := os.environ.get("DNC_EDGE_STUDENTS"):
        return Path(root)
    import platformdirs

    return platformdirs.user_data_path("dnc-edge") / "students"


def roots() -> list[Path]:
    return [local_root(), _BUNDLED_ROOT]


def known() -> dict[str, Path]:
    """Every student by name; a local one hides a bundled one of the same name."""
    found: dict[str, Path] = {}
    for root in roots():
        if root.is_dir():
            for directory in sorted(root.iterdir()):
                if (directory / FILENAME).is_file():
                    found.setdefault(directory.name, directory)
    return found


def is_bundled(directory: Path) -> bool:
    return directory.parent == _BUNDLED_ROOT


def default(students: Mapping[str, Path]) -> str:
    """Name of the student that is taken if nobody names one: the first of `DEFAULTS` whose base is here."""
    from dnc_edge.students import adapted

    for name in DEFAULTS[:-1]:
        if name in students and adapted.ready(students[name]):
            return name
    return BUNDLED


def resolve(name: str | None = None) -> Path:
    """Directory of a student: a path that holds student.json, or a known name; None is the default one.

    Raises:
        StudentError: there is none; the known names are listed.
    """
    if name is not None and (os.sep in name or name.startswith(".")):
        directory = Path(name).expanduser()
        if (directory / FILENAME).is_file():
            return directory
        raise StudentError(f"{name} is not a student: it has no {FILENAME}")
    students = known()
    name = name or default(students)
    try:
        return students[name]
    except KeyError:
        raise StudentError(
            f"there is no student named {name}",
            hint=f"known students: {', '.join(students) or 'none'}; a path must hold a slash",
        ) from None
