"""Connections to the providers: one pool in a process, for all calls it has. A new call finds them open.

A client of its own for each call costs 20 ms to build, in which no other call of the process is served (certificates
are read anew), and the first request of each call a handshake.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
import weakref
from functools import cache
from typing import Any

import httpcore2  # noqa: F401 - imported by httpx2 when it is first used, which takes a second; here it is preloaded
import httpx
import httpx2

KEEP_S = 60.0
"""An idle connection is kept so long."""
MAX_CONNECTIONS = 1000
MAX_IDLE = 100


@cache
def tls() -> ssl.SSLContext:
    """Return the certificates to check against, read once."""
    return httpx2.create_ssl_context()


class Pooled(httpx2.AsyncBaseTransport):
    """What clients of one call use of the process's pool; closing it closes nothing of the others'."""

    def __init__(self, pool: httpx2.AsyncHTTPTransport) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request on a connection of the pool."""
        return await self._pool.handle_async_request(request)

    async def aclose(self) -> None:
        """Leave the pool open: it is the process's."""


_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncHTTPTransport] = (
    weakref.WeakKeyDictionary()
)


def shared(**kwargs: Any) -> dict[str, Any]:
    """Return a client's arguments with the process's pool, or only its certificates where a proxy is set."""
    if {"http", "https", "all"} & set(urllib.request.getproxies()):
        return {"verify": tls(), **kwargs}
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return {"verify": tls(), **kwargs}
    pool = _pools.get(loop)
    if pool is None:
        limits = httpx2.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE, keepalive_expiry=KEEP_S
        )
        pool = _pools[loop] = httpx2.AsyncHTTPTransport(verify=tls(), limits=limits)
    return {"transport": Pooled(pool), "verify": tls(), **kwargs}


@cache
def plain_tls() -> ssl.SSLContext:
    """The same for the other of the two HTTP libraries."""
    return httpx.create_ssl_context()
