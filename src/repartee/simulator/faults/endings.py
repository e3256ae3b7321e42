"""The ways in which a request gets no proper answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from aiohttp import WSMsgType, web

MAX_MESSAGE_BYTES = 16 * 2**20
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""A fatal "handshake failure"."""
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


def cut(request: web.Request, begun: web.StreamResponse | None = None) -> web.StreamResponse:
    """Reset the connection: whoever asked gets no orderly end."""
    transport = request.transport
    if transport is not None:
        if (raw := transport.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return begun or web.Response(status=499)


async def alert(request: web.Request) -> web.StreamResponse:
    """Answer with a TLS alert and close."""
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.write(TLS_ALERT)
        transport.close()
    return web.Response(status=499)


async def ignore(request: web.Request, for_s: float) -> web.StreamResponse:
    """Answer nothing, then reset."""
    await asyncio.sleep(for_s)
    return cut(request)


async def swallow(request: web.Request, for_s: float) -> web.StreamResponse:
    """Open a socket of which nothing comes back, no answer to a ping either."""
    ours = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, autoping=False, autoclose=False)
    await ours.prepare(request)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            while (await ours.receive()).type not in _ENDS:
                pass
            await asyncio.sleep(for_s)  # even its goodbye vanishes; it leaves by itself
    return cut(request, ours)


def refusal(code: int, retry_after_s: int | None) -> web.Response:
    """Return an error as vendors word theirs."""
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else None
    error = {"message": f"failed by the plan of faults with {code}", "type": "server_error", "code": None}
    return web.json_response({"error": error}, status=code, headers=headers)
