"""Offline: nothing beyond this machine is reached, whichever library would try."""

from __future__ import annotations

import os
import sys
from typing import Any

# Also for the processes that this one starts.
VARIABLE = "DNC_EDGE_OFFLINE"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_SENDINGS = ("socket.connect", "socket.sendto", "socket.sendmsg")

_enforced = False


class OfflineError(OSError):
    """Somebody tried all the same; libraries take it for a network that is not there."""

    def __init__(self, host: object) -> None:
        super().__init__(f"{host} is not on this machine, and --offline was given")
        self.strerror = str(self)


def is_on() -> bool:
    """Whether the environment asks for it."""
    return os.environ.get(VARIABLE, "").lower() not in ("", "0", "false", "no")


def is_here(host: str) -> bool:
    """Whether a host is this machine, by a name or number that needs no look-up."""
    import ipaddress

    host = host.strip("[]").partition("%")[0]
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(host: str) -> None:
    """Raise OfflineError if a host must not be reached."""
    if is_on() and host and not is_here(host):
        raise OfflineError(host)


def enforce() -> None:
    """Refuse every socket that leaves this machine and every look-up of a name, for the rest of the process."""
    global _enforced
    os.environ[VARIABLE] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in [name for name in os.environ if name.lower() in _PROXIES]:
        del os.environ[name]
    if not _enforced:
        _enforced = True
        sys.addaudithook(_guard)


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _LOOK_UPS:
        host = arguments[0]
    elif event in _SENDINGS:
        host = arguments[1]
        if not isinstance(host, tuple):  # a socket of this machine's files, or one that is connected already
            return
        host = host[0]
    else:
        return
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "localhost")
    # A socket bound to any address of this machine asks for these.
    if text not in ("0.0.0.0", "::") and not is_here(text):
        raise OfflineError(text)
