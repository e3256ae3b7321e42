"""Passes clients' signalling on to a media server that only this machine reaches, through the page's own origin.

A page that came over TLS may open no connection without it. Sound does not pass here: it goes between each client and
the media server, encrypted. What is passed on is what the media server's clients send it: the query, the token, the
messages; it judges them itself.
"""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import structlog
from fastapi import FastAPI
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from repartee.urls import http_url, socket_url

log = structlog.get_logger()
PATHS = ("/rtc", "/rtc/v1")
MAX_BYTES = 2 * 1024 * 1024
"""LiveKit takes no larger message."""
MAX_QUERY = 64 * 1024
MAX_SOCKETS = 256
ANSWER_S = 5.0
_GONE = (aiohttp.ClientError, OSError, TimeoutError)


class SignalProxy:
    """Passes connections on.

    Args:
        url: The media server's.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = 0

    def install(self, app: FastAPI) -> None:
        """Add the media server's paths to an application."""
        for path in PATHS:
            app.add_api_websocket_route(path, self.socket)
            app.add_api_route(f"{path}/validate", self.validate, include_in_schema=False)

    async def validate(self, request: Request) -> Response:
        """Say what the media server says of a token: clients ask when their connection was refused."""
        url = http_url(self._url) + _target(request)
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_S)) as session,
                session.get(url, headers=_token(request), allow_redirects=False) as answer,
            ):
                return Response(await answer.content.read(4096), answer.status, media_type="text/plain")
        except _GONE as error:
            log.warning("signal.unreachable", error=type(error).__name__)
            return Response("the media server does not answer", 503, media_type="text/plain")

    async def socket(self, client: WebSocket) -> None:
        """Pass on one connection, both ways, until either side ends it."""
        if self._open >= MAX_SOCKETS or len(client.url.query) > MAX_QUERY:
            await client.send_denial_response(Response(status_code=503))
            return
        self._open += 1
        try:
            async with aiohttp.ClientSession() as session:
                await self._carry(client, session)
        finally:
            self._open -= 1

    async def _carry(self, client: WebSocket, session: aiohttp.ClientSession) -> None:
        url = socket_url(self._url, _target(client))
        timeout = aiohttp.ClientWSTimeout(ws_close=ANSWER_S)
        try:
            async with asyncio.timeout(ANSWER_S):
                server = await session.ws_connect(
                    url, headers=_token(client), max_msg_size=MAX_BYTES, timeout=timeout
                )
        except aiohttp.WSServerHandshakeError as error:
            await client.send_denial_response(Response(status_code=error.status))
            return
        except _GONE as error:
            log.warning("signal.unreachable", error=type(error).__name__)
            await client.send_denial_response(Response(status_code=503))
            return
        async with server:
            await client.accept()
            ways = [asyncio.create_task(_up(client, server)), asyncio.create_task(_down(server, client))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        with contextlib.suppress(RuntimeError):  # the client has closed it already
            await client.close()


async def _up(client: WebSocket, server: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionError):
        while True:
            message = await client.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (data := message.get("bytes")) is not None:
                await server.send_bytes(data)
            elif (text := message.get("text")) is not None:
                await server.send_str(text)


async def _down(server: aiohttp.ClientWebSocketResponse, client: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionError, RuntimeError):
        async for message in server:
            if message.type is aiohttp.WSMsgType.BINARY:
                await client.send_bytes(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await client.send_text(message.data)


def _target(connection: HTTPConnection) -> str:
    """Return path and query as they came."""
    return connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")


def _token(connection: HTTPConnection) -> dict[str, str]:
    given = connection.headers.get("authorization")
    return {"Authorization": given} if given is not None else {}
