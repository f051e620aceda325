"""Stored keys: one for each address, in a file that only its owner can read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dnc_edge import files
from dnc_edge.errors import InputError, UsageError


def keys_path() -> Path:
    """Where keys are stored: DNC_EDGE_KEYS, else `keys.json` in the user's configuration folder."""
    if path := os.environ.get("DNC_EDGE_KEYS"):
        return Path(path).expanduser()
    import platformdirs

    return platformdirs.user_config_path("dnc-edge") / "keys.json"


def origin(url: str) -> str:
    """Return the part of a URL that a key belongs to: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def stored() -> Mapping[str, str]:
    """Return all stored keys by origin.

    Raises:
        InputError: the file cannot be read; nothing of it is shown.
    """
    path = keys_path()
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError:
        # The parser's own error would hold what it could not read.
        raise InputError(f"{path} does not hold keys", hint="move it away, and store them again") from None
    return values


def set_key(url: str, key: str) -> None:
    """Store the key of an address, in place of an earlier one.

    Args:
        url: of the server; its path does not matter.
        key: white space around it is left out.

    Raises:
        UsageError: it is empty or holds what cannot be sent. InputError: the file cannot be read or written.
    """
    if not (key := key.strip()):
        raise UsageError("the key is empty; nothing was stored")
    check_sendable(key, "the key", "stored")
    _write({**stored(), origin(url): key})


def remove_key(url: str) -> None:
    """Delete the key of an address.

    Raises:
        UsageError: none is stored. InputError: the file cannot be read or written.
    """
    keys = dict(stored())
    if keys.pop(origin(url), None) is None:
        raise UsageError(f"no key is stored for {origin(url)}", hint="dnc-edge keys list")
    _write(keys)


def check_sendable(value: str, name: str, done: str) -> None:
    """Refuse a key that no header may hold; the value is not shown.

    Raises:
        UsageError: it holds white space, or a character that cannot be sent.
    """
    for place, character in enumerate(value, start=1):
        if not "!" <= character <= "~":
            what = "white space" if character.isspace() else "a character that cannot be sent"
            raise UsageError(f"{name} holds {what} at position {place}; nothing was {done}", hint="set it again")


def _write(keys: Mapping[str, str]) -> None:
    path = keys_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # whose mode the new one takes
            path.chmod(0o600)
        with files.writing(path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(keys, indent=2).encode() + b"\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
