"""Where a request comes from, and how often requests may come from there.

Behind a proxy every request has the proxy's address; only proxies that the operator has named are believed about
whom they speak for.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

from starlette.requests import Request

from repartee.errors import ConfigError
from repartee.machine import address_of

MAX_CLIENTS = 10_000
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies that are believed.

    Args:
        listed: Addresses and networks, separated by commas.

    Raises:
        ConfigError: One is neither.
    """

    def __init__(self, listed: str = "") -> None:
        self._networks: list[_Network] = []
        for item in filter(None, (part.strip() for part in listed.split(","))):
            try:
                self._networks.append(ipaddress.ip_network(item, strict=False))
            except ValueError as error:
                raise ConfigError(
                    f"REPARTEE_TRUSTED_PROXIES: '{item}' is no address or network, e.g. 127.0.0.1 or 10.0.0.0/8"
                ) from error

    def client(self, request: Request) -> str:
        """Return the address a request comes from; "unknown" where there is none."""
        peer = request.client.host if request.client else "unknown"
        hops = [hop.strip() for hop in ",".join(request.headers.getlist("x-forwarded-for")).split(",")]
        while self._trusts(peer) and hops and (hop := hops.pop()):
            if address_of(hop) is None:
                break  # a proxy that writes no addresses is where it ends
            peer = hop
        return peer

    def secure(self, request: Request) -> bool:
        """Say whether the client itself came over TLS."""
        peer = request.client.host if request.client else ""
        if self._trusts(peer) and (told := request.headers.get("x-forwarded-proto")):
            return told.split(",")[-1].strip() == "https"
        return request.url.scheme == "https"

    def _trusts(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and any(address in network for network in self._networks)


def household(host: str) -> str:
    """Return whom an address belongs to: one has a whole /64 of IPv6, and would have that many buckets."""
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class RateLimit:
    """A token bucket for each of those who ask, bounded in number."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, now_s: float, *, take: bool = True) -> float:
        """Return 0, or how long until there is a token; take it if there is one.

        Args:
            who: Whose bucket.
            now_s: Monotonic.
            take: False only looks.
        """
        level, at = self._buckets.get(who, (float(self._per_minute), now_s))
        level = min(float(self._per_minute), level + (now_s - at) * self._per_minute / 60)
        allowed = level >= 1
        if take:
            self._buckets[who] = (level - 1 if allowed else level, now_s)
            self._buckets.move_to_end(who)
            while len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) * 60 / self._per_minute
