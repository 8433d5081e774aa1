"""Which names a service answers to: against pages that make their own name mean this machine (DNS rebinding).

A browser lets a page read what its own name answers. A page whose name first leads to its server and then to 127.0.0.1
could so read a service that listens for this machine alone; its requests still say the page's name as their `Host`.
Source: Jackson et al. 2007, "Protecting Browsers from DNS Rebinding Attacks" (CCS), section 5.1: check Host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from socket import socket

from recurra.base.errors import ConfigError
from recurra.service.errors import RefusedError

# A label of a name is of letters, digits and hyphens; `*.` in front stands for all names below.
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[^\[\]:]*)(?::[0-9]{1,5})?", re.ASCII)
# What tells an operator whether the service lives: asked by address, and no secret.
OPEN = ("/health", "/ready")


class Hosts:
    """The names that may stand in `Host`, with any port. names: beside this machine's own; None: any name may

    Raises ConfigError for what is no name.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names = None if names is None else tuple(_plain(name) for name in names)

    def refuse_stranger(self, host: str, path: str) -> None:
        """Raise RefusedError (421) for another name. Who gives none, which no browser does, is answered."""
        if self._names is None or not host or path in OPEN:
            return
        found = _HOST.fullmatch(host.lower())
        name = found["name"].strip("[]").rstrip(".") if found else ""
        if not (_is_this_machine(name) or any(_fits(name, known) for known in self._names)):
            raise RefusedError(421, f"Host: {host[:100]} is no name of this service; see --allow-host.")


def names_for(bound: socket, given: Iterable[str]) -> list[str] | None:
    """What `Hosts` takes: the names that were given; of a service for other machines any, where none was."""
    given = list(given)
    return given if given or ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback else None


def _plain(name: str) -> str:
    plain = name.lower().rstrip(".")
    if len(plain) > 253 or not (_NAME.fullmatch(plain) or _is_address(plain)):
        raise ConfigError(
            f"--allow-host: expected a name such as models.example.org, without a port, got '{name[:100]}'."
        )
    return plain


def _fits(name: str, known: str) -> bool:
    return name == known or (known.startswith("*.") and name.endswith(known[1:]))


def _is_this_machine(name: str) -> bool:
    """`localhost`, what is below it (RFC 6761, 6.3), and addresses of the loopback."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
