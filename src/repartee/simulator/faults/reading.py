"""Reads requests and answers in pieces."""

from __future__ import annotations

import aiohttp
from aiohttp import WSMsgType, web

from repartee.simulator.faults.shaping import BLOCK_BYTES, Piece, Pieces


async def blocks(body: aiohttp.StreamReader) -> Pieces:
    """Cut a body into blocks; the last is what is left."""
    rest, first = b"", True
    async for data in body.iter_any():
        rest += data
        while len(rest) >= BLOCK_BYTES:
            yield Piece(rest[:BLOCK_BYTES], "audio", first)
            rest, first = rest[BLOCK_BYTES:], False
    if rest:
        yield Piece(rest, "audio", first)


async def answer(response: aiohttp.ClientResponse, *, whole: bool) -> Pieces:
    """Yield an answer's body; in pieces where something is to happen to them, else as it comes."""
    if not whole:
        async for data in response.content.iter_any():
            yield Piece(data)
    elif response.content_type == "text/event-stream":
        async for event in _events(response.content):
            yield event
    elif response.content_type == "application/json":
        yield Piece(await response.read(), first=True)
    else:
        async for block in blocks(response.content):
            yield block


async def _events(body: aiohttp.StreamReader) -> Pieces:
    rest = b""
    async for data in body.iter_any():
        rest += data
        while (at := rest.find(b"\n\n")) >= 0:
            yield Piece(rest[: at + 2])
            rest = rest[at + 2 :]
    if rest:
        yield Piece(rest)


async def messages(source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse) -> Pieces:
    """Yield what a socket is sent until it closes."""
    first = True
    async for message in source:
        if message.type is WSMsgType.TEXT:
            yield Piece(message.data.encode(), first=first)
        elif message.type is WSMsgType.BINARY:
            yield Piece(message.data, "audio", first)
        first = False
