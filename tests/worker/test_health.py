"""A worker's own port: probes answer everybody, metrics whom the door lets in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from repartee.settings import Settings
from repartee.worker import Worker, WorkerConfig
from repartee.worker.door import MetricsDoor
from repartee.worker.health import worker_app
from tests.conftest import FRONT_DESK

TOKEN = "a token for prometheus"
CALLS = 7


@asynccontextmanager
async def port_of(settings: Settings, **update: Any) -> AsyncIterator[TestClient[Any, Any]]:
    counted = settings.model_copy(update={"max_calls": CALLS})
    worker = Worker(WorkerConfig(counted, FRONT_DESK, settings.state_dir))
    door = MetricsDoor(settings.model_copy(update=update))
    async with TestClient(TestServer(worker_app(worker, door))) as client:
        yield client


async def status(client: TestClient[Any, Any], **headers: str) -> int:
    async with client.get("/metrics", headers=headers) as response:
        if response.status == 200:
            assert f"repartee_calls_max {CALLS}.0" in await response.text()
        else:
            body = await response.json()
            assert "repartee_calls" not in str(body)
            assert body["message"]
        return response.status


async def test_without_a_token_this_machine_may_read_them(plain_settings: Settings) -> None:
    async with port_of(plain_settings) as client:
        assert await status(client) == 200
        # Through a proxy, or under a name that somebody else's page has pointed here.
        assert await status(client, **{"X-Forwarded-For": "203.0.113.9"}) == 403
        assert await status(client, Host="evil.example") == 403


async def test_a_worker_that_listens_to_others_shows_nothing_without_a_token(
    plain_settings: Settings,
) -> None:
    async with port_of(plain_settings, host="0.0.0.0") as client:
        assert await status(client) == 403
        for path in ("/livez", "/readyz"):
            async with client.get(path) as probe:
                assert probe.status in (200, 503), "probes are the orchestrator's"


async def test_who_takes_nobody_new_has_no_more_seats_than_calls(plain_settings: Settings) -> None:
    worker = Worker(
        WorkerConfig(plain_settings.model_copy(update={"level": 4}), FRONT_DESK, plain_settings.state_dir)
    )
    assert "repartee_calls_max 0.0" in worker.metrics.text().decode(), "it is closed"
    settings = plain_settings.model_copy(update={"max_calls": CALLS})
    worker = Worker(WorkerConfig(settings, FRONT_DESK, settings.state_dir))
    assert f"repartee_calls_max {CALLS}.0" in worker.metrics.text().decode()
    worker.draining = True
    assert "repartee_calls_max 0.0" in worker.metrics.text().decode()


async def test_the_network_may_be_the_door(plain_settings: Settings) -> None:
    async with port_of(plain_settings, host="0.0.0.0", metrics_open=True) as client:
        assert await status(client) == 200
        assert await status(client, Host="voice-worker.talk.svc:8081") == 200


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_token_is_asked_of_everybody(plain_settings: Settings, is_open: bool) -> None:
    locked = {"metrics_token": SecretStr(TOKEN), "metrics_open": is_open}
    async with port_of(plain_settings, **locked) as client:
        assert await status(client) == 401
        for wrong in ("Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ünfug"):
            assert await status(client, Authorization=wrong) == 401
        assert await status(client, Authorization=f"Bearer {TOKEN}") == 200


async def test_a_header_that_is_no_text_is_a_wrong_one(plain_settings: Settings) -> None:
    async with port_of(plain_settings, metrics_token=SecretStr(TOKEN)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        assert b" 401 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()
