"""One file out of a Python package index: fetched without installing, and gone on with where it broke off.

The index is asked directly, with pip's settings, whether pip is installed or not: pip cannot go on with a download
across runs, and environments of uv and pipx have none.
"""

from __future__ import annotations

import base64
import configparser
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from dnc_edge import offline
from dnc_edge.errors import MissingError
from dnc_edge.progress import SILENT, Progress

PYPI = "https://pypi.org/simple"
# (bytes there, bytes in all); of 0 if the server does not say.
# Code of the error of a download that can be gone on with.
BROKEN_OFF = "broken_off"
_JSON = "application/vnd.pypi.simple.v1+json"
_SECONDS = 60
_PIECE = 1 << 20


def indexes(environment: Mapping[str, str] | None = None) -> list[str]:
    """Addresses of the simple indexes that pip is set up for, in its order.

    The variables PIP_INDEX_URL and PIP_EXTRA_INDEX_URL, uv's UV_DEFAULT_INDEX, then pip's configuration files.

    Raises:
        MissingError: pip is set up to use no index (PIP_NO_INDEX).
    """
    environment = os.environ if environment is None else environment
    settings = _pip_settings(environment)
    if environment.get("PIP_NO_INDEX", settings.get("no-index", "0")).lower() in ("1", "true", "yes", "on"):
        raise MissingError("pip is set up to use no package index", hint="unset PIP_NO_INDEX for this command")
    first = environment.get("PIP_INDEX_URL") or environment.get("UV_DEFAULT_INDEX") or settings.get("index-url", PYPI)
    extra = environment.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url", "")
    return [address.rstrip("/") for address in [first, *extra.split()]]


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What pip's configuration files say for `pip download`, the user's over the machine's."""
    import platformdirs

    own = environment.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return {}
    paths = [
        Path("/etc/pip.conf"),
        platformdirs.site_config_path("pip") / "pip.conf",
        Path.home() / ".pip" / "pip.conf",
        platformdirs.user_config_path("pip") / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(own)] if own else []),
    ]
    settings: dict[str, str] = {}
    for section in ("global", "download"):
        for path in paths:
            parser = configparser.RawConfigParser()
            try:
                parser.read(path, encoding="utf-8")
            except (configparser.Error, UnicodeDecodeError):
                continue  # pip says what is wrong with it
            if parser.has_section(section):
                settings |= dict(parser.items(section))
    return settings


def find(package: str, file: str) -> str:
    """Address of a package's file on the first index that has it.

    Raises:
        MissingError: no index has it, or none can be reached; each is named with its reason.
    """
    reasons = []
    for index in indexes():
        page = f"{index}/{package}/"
        try:
            for address in _links(page):
                if urllib.parse.unquote(urllib.parse.urlsplit(address).path).endswith(f"/{file}"):
                    return address
            reasons.append(f"{_public(index)} does not have {file}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A folder that serves as an index (file://) says it by errno.
            lacks = (error.code == 404) if isinstance(error, urllib.error.HTTPError) else "[Errno 2]" in str(error)
            why = f"does not have {package}" if lacks else f"cannot be reached ({_reason(error)})"
            reasons.append(f"{_public(index)} {why}")
    raise MissingError("; ".join(reasons), hint="name an index that has it: export PIP_INDEX_URL=https://.../simple")


def _links(page: str) -> Iterator[str]:
    with _opened(page, {"Accept": f"{_JSON}, text/html;q=0.5"}) as reply:
        body, kind = reply.read().decode(), reply.headers.get("Content-Type", "")
        # Relative links count from where the index redirected to.
        page = reply.geturl()
    if kind.startswith(_JSON):
        found = [file["url"] for file in json.loads(body)["files"]]
    else:
        parser = _Anchors()
        parser.feed(body)
        found = parser.found
    for link in found:
        yield urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def download(address: str, target: Path, what: str = "", progress: Progress = SILENT) -> None:
    """Fetch a file; what an earlier call has fetched into `target` is gone on with.

    Raises:
        MissingError: it cannot be had, or the connection broke off; what was fetched is kept.
    """
    held = target.stat().st_size if target.is_file() else 0
    done = total = held
    try:
        with _opened(address, {"Range": f"bytes={held}-"} if held else {}) as reply:
            if getattr(reply, "status", None) != 206:
                done = 0  # the server begins again
            total = done + int(reply.headers.get("Content-Length") or 0)
            with target.open("ab" if done else "wb") as file:
                while piece := reply.read(_PIECE):
                    file.write(piece)
                    done += len(piece)
                    progress.step(what, done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and held:
            return  # nothing is missing: the last call ended between the last byte and the check
        raise _broken(address, 0, 0, _reason(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _broken(address, done, total, _reason(error)) from error
    if done < total:
        raise _broken(address, done, total, "the connection was closed")


def _broken(address: str, done: int, total: int, reason: str) -> MissingError:
    parts = urllib.parse.urlsplit(_public(address))
    name = parts.path.rpartition("/")[2]
    if not done:
        return MissingError(f"cannot fetch {name} from {parts.netloc}: {reason}")
    of = f" of {total / 1e6:.1f}" if total else ""
    return MissingError(
        f"fetching {name} broke off at {done / 1e6:.1f}{of} MB: {reason}",
        hint="run it again: what was fetched is kept",
        code=BROKEN_OFF,
    )


def _opened(address: str, headers: dict[str, str]) -> Any:
    parts = urllib.parse.urlsplit(address)
    offline.check(parts.hostname or "")
    if parts.username is not None:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers = headers | {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        address = _public(address)
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_SECONDS)


def _public(address: str) -> str:
    """The address without a name and password in it."""
    parts = urllib.parse.urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(reason) or type(error).__name__
