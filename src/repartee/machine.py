"""Whether it is this machine that asks: what may be shown to who sits at it, and to nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Container
from urllib.parse import urlsplit

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(host: str) -> Address | None:
    """Return the address that a text is, with or without brackets and zone; None of a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Say whether a host name or address can only be this machine; names are not looked up."""
    address = address_of(host)
    return host.rstrip(".").lower() == "localhost" or (address is not None and address.is_loopback)


def asked_from_here(peer: str, host: str, headers: Container[str]) -> bool:
    """Say whether somebody at this machine asks: no proxy, and no name of another site that points here.

    Args:
        peer: The address that the connection comes from.
        host: The request's `Host`.
        headers: The request's; names in any case.
    """
    try:
        named = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(peer) and is_loopback(named) and not any(name in headers for name in _FORWARDED)
