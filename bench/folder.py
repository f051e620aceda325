"""A folder for one report: claimed for its settings, its files whole or not there at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnc_edge import files
from dnc_edge.errors import UsageError


def claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Claim a folder for a report with these settings; one with the same settings is continued.

    Raises:
        UsageError: it holds a report that was made with others.
    """
    place = out / "settings.json"
    if place.is_file():
        if json.loads(place.read_text(encoding="utf-8")) != settings:
            raise UsageError(f"{out} holds a report made with other settings", hint="choose another folder")
        return
    write(place, settings)


def write(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, value)
