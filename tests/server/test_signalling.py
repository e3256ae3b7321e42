"""The media server's signalling through the page's origin, over real sockets; and the key in the page's address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from pydantic import SecretStr

from repartee.server import signalling
from repartee.server.app import create_app
from repartee.server.signalling import SignalProxy
from repartee.server.visits import COOKIE
from repartee.settings import Settings
from tests.server.livekit import LiveKit
from tests.server.test_door import client_of, settings_with, site

KEY = "k" * 22


class Upstream:
    """A media server's signalling: says back what it is sent, and keeps how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closed = asyncio.Event()
        self.url = ""

    async def socket(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, dict(request.headers)))
        if request.query.get("access_token") == "wrong":
            return web.Response(status=401, text="no")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT and message.data == "end":
                break
            await (socket.send_bytes if message.type is aiohttp.WSMsgType.BINARY else socket.send_str)(
                message.data
            )
        await socket.close()
        self.closed.set()
        return socket

    async def validate(self, request: web.Request) -> web.Response:
        self.asked.append((request.path_qs, dict(request.headers)))
        return web.Response(status=401, text="invalid token")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made, app = Upstream(), web.Application()
    for path in ("/rtc", "/rtc/v1"):
        app.router.add_get(path, made.socket)
        app.router.add_get(f"{path}/validate", made.validate)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def proxy(url: str) -> AsyncIterator[str]:
    app = FastAPI()
    SignalProxy(url).install(app)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", ws_max_size=signalling.MAX_BYTES)
    )
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


async def test_both_ways_with_the_token_and_nothing_else_of_the_client(upstream: Upstream) -> None:
    headers = {"Authorization": "Bearer t", "Cookie": f"{COOKIE}={KEY}", "X-Other": "1"}
    async with (
        proxy(upstream.url) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/rtc/v1?access_token=a%2Bb&sdk=js", headers=headers) as socket,
    ):
        await socket.send_bytes(b"\x00\x01" * 100_000)
        assert (await socket.receive_bytes()) == b"\x00\x01" * 100_000
        await socket.send_str("ping")
        assert await socket.receive_str() == "ping"
    await asyncio.wait_for(upstream.closed.wait(), 10)
    ((path, told),) = upstream.asked
    assert path == "/rtc/v1?access_token=a%2Bb&sdk=js"
    assert told["Authorization"] == "Bearer t"
    assert not {"Cookie", "X-Other"} & told.keys()


async def test_an_end_at_the_media_server_is_the_client_s_too(upstream: Upstream) -> None:
    async with (
        proxy(upstream.url) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/rtc?access_token=t") as socket,
    ):
        await socket.send_str("end")
        assert (await asyncio.wait_for(socket.receive(), 10)).type is aiohttp.WSMsgType.CLOSE


async def test_a_refusal_is_passed_on_and_its_reason(upstream: Upstream) -> None:
    async with proxy(upstream.url) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/rtc?access_token=wrong")
        async with session.get(f"{url}/rtc/validate?access_token=wrong") as answer:
            assert (answer.status, await answer.text()) == (401, "invalid token")
    assert refused.value.status == 401


async def test_a_media_server_that_is_away_is_no_traceback() -> None:
    async with proxy("ws://127.0.0.1:9") as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/rtc")
        async with session.get(f"{url}/rtc/validate") as answer:
            assert answer.status == 503
    assert refused.value.status == 503


async def test_too_many_and_too_long_are_refused(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "MAX_SOCKETS", 1)
    monkeypatch.setattr(signalling, "MAX_QUERY", 100)
    async with proxy(upstream.url) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/rtc?{'x' * 200}")
        async with session.ws_connect(f"{url}/rtc"):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{url}/rtc")
    assert len(upstream.asked) == 1


@pytest.fixture
def visited(plain_settings: Settings) -> Settings:
    return settings_with(plain_settings, visit_key=SecretStr(KEY), host="192.168.1.20")


async def test_the_address_with_its_key_lets_in_and_the_one_without_does_not(
    visited: Settings, livekit: LiveKit
) -> None:
    app = create_app(visited, site(livekit.url))
    async with client_of(app, base="https://192.168.1.20:8080", peer="192.168.1.33") as client:
        closed = await client.post("/api/token")
        wrong = await client.get("/?key=wrong")
        opened = await client.get(f"/?key={KEY}")
        allowed = await client.post("/api/token")
        calls = await client.get("/api/calls")
    assert (closed.status_code, closed.json()["error"]) == (401, "unauthorized")
    assert "QR code" in closed.json()["message"]
    assert COOKIE not in wrong.cookies
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    cookie: Any = opened.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "secure", "samesite=strict"))
    assert allowed.status_code == 200
    assert calls.status_code in (403, 404), "who may call does not see what others said"


@pytest.mark.parametrize("given", ["", "x", KEY + "x", "é"])
async def test_another_cookie_is_none(visited: Settings, livekit: LiveKit, given: str) -> None:
    async with client_of(create_app(visited, site(livekit.url)), base="https://192.168.1.20:8080") as client:
        headers = {b"Cookie": f"{COOKIE}={given}".encode()}
        assert (await client.post("/api/token", headers=headers)).status_code == 401
