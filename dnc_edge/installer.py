"""How dnc-edge was installed, and the command that adds an optional extra in the same way."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PACKAGE = "dnc-edge"


def command(extra: str, *, again: bool = False) -> str:
    """Return the shell command that installs an extra beside what is installed.

    A tool's environment (uv's, pipx's) is replaced as a whole, so that its command names the extras that are there too.

    Args:
        extra: its name.
        again: also replace packages that are there, downloaded or compiled anew.
    """
    installed = _installed(PACKAGE)
    source, editable = _source(installed)
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").is_file():
        start, extras = "uv tool install --force", [*_complete(installed), extra]
    elif (prefix / "pipx_metadata.json").is_file():
        start, extras = "pipx install --force", [*_complete(installed), extra]
    elif _made_by_uv(prefix):
        start, extras = "uv pip install" + (" --reinstall --no-cache" if again else ""), [extra]
    else:
        start, extras = "pip install" + (" --force-reinstall --no-cache-dir" if again else ""), [extra]
    names = ",".join(dict.fromkeys(extras))
    return f"{start} {'-e ' if editable else ''}'{source}[{names}]'"


def _source(installed: Distribution | None) -> tuple[str, bool]:
    """(what to install, whether it is editable): the folder that it was installed from, or the package's name."""
    import urllib.parse
    import urllib.request

    text = installed.read_text("direct_url.json") if installed else None
    if text:
        origin = json.loads(text)
        parts = urllib.parse.urlsplit(origin.get("url", ""))
        folder = Path(urllib.request.url2pathname(parts.path))
        if parts.scheme == "file" and folder.is_dir():
            return str(folder), bool(origin.get("dir_info", {}).get("editable"))
    return PACKAGE, False


def _made_by_uv(prefix: Path) -> bool:
    settings = prefix / "pyvenv.cfg"
    return settings.is_file() and re.search(r"^uv = ", settings.read_text("utf-8"), re.MULTILINE) is not None


def _complete(installed: Distribution | None) -> list[str]:
    """Return the extras whose packages are all here; `dev` is all of them."""
    needed: dict[str, list[str]] = {}
    for requirement in (installed.requires if installed else None) or ():
        wanted = re.match(r"([\w.-]+).*;.*\bextra == ['\"]([\w-]+)['\"]", requirement)
        if wanted:
            needed.setdefault(wanted[2], []).append(wanted[1])
    return [extra for extra, packages in needed.items() if extra != "dev" and all(map(_installed, packages))]


def _installed(package: str) -> Distribution | None:
    # Not at the top: it takes longer than the rest of a command line that has no hint to give.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(package)
    except PackageNotFoundError:
        return None
