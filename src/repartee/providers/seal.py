"""Seals a process: what would connect to another machine is refused before a packet is sent.

Python tells its audit hooks of every connection and every name that is looked up, by whichever library, in whichever
thread. It does not tell of what native code does on its own: see docs/private.md for what that is here, and for locks
that the kernel holds. Sealing cannot be undone.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import structlog

from repartee.machine import is_loopback

log = structlog.get_logger()
_TO_ADDRESSES = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_OF_NAMES = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
_OF_THIS_MACHINE = frozenset(
    {socket.AF_UNIX, *((socket.AF_NETLINK,) if hasattr(socket, "AF_NETLINK") else ())}
)


class SealedError(PermissionError):
    """A connection to another machine, in a process that has none to make."""

    def __init__(self, host: str) -> None:
        super().__init__(
            errno.EACCES,
            f"privacy: on-device lets this process connect to this machine only, and it was to connect to '{host}'; "
            "use a service on this machine (127.0.0.1), or remove 'privacy' from the agent file",
        )


class _Seal:
    """The rule of this process.

    Attributes:
        hosts: Other machines it may connect to, by name or address.
    """

    def __init__(self) -> None:
        self.hosts: frozenset[str] = frozenset()
        self._known: set[str] = set()
        """Addresses that names among the hosts had."""
        self._told: set[str] = set()

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge what Python is about to do.

        Raises:
            SealedError: It would leave this machine.
        """
        if event in _TO_ADDRESSES:
            made, address = arguments
            if address is not None and made.family not in _OF_THIS_MACHINE:
                host = str(address[0]) if made.family in _INTERNET else f"address family {made.family}"
                if not self._may_connect(host):
                    self._refuse(host)
        elif event in _OF_NAMES:
            name = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
            if name and not self._may_look_up(str(name)):
                self._refuse(str(name))

    def _may_look_up(self, name: str) -> bool:
        """Names are asked of a server elsewhere; an address is not."""
        return (
            _is_address(name)
            or is_loopback(name)
            or name.lower() in {*self.hosts, socket.gethostname().lower()}
        )

    def _may_connect(self, host: str) -> bool:
        if _is_here(host) or host in self.hosts or host in self._known:
            return True
        for name in self.hosts:
            if not _is_address(name):
                try:
                    self._known.update(str(found[4][0]) for found in socket.getaddrinfo(name, None))
                except OSError:
                    continue
        return host in self._known

    def _refuse(self, host: str) -> None:
        if host not in self._told:
            self._told.add(host)
            log.error("privacy.refused", host=host)
        raise SealedError(host)


_seal: _Seal | None = None


def seal(hosts: Iterable[str] = ()) -> None:
    """Let this process connect to this machine only, and to some hosts; for as long as it lives.

    Args:
        hosts: Names or addresses; added to those of an earlier call.
    """
    global _seal  # noqa: PLW0603 - an audit hook is the process's, and stays
    if _seal is None:
        _seal = _Seal()
        sys.addaudithook(_seal.heard)
    _seal.hosts |= frozenset(host.lower() for host in hosts)


def sealed() -> bool:
    """Say whether this process is sealed."""
    return _seal is not None


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_here(host: str) -> bool:
    # To nowhere in particular is to oneself: how servers name the address they listen on.
    return is_loopback(host) or host in {"0.0.0.0", "::", "<any>", ""}
