"""What a token server counts, and who may read it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from repartee.server.admission import DayLimits
from repartee.server.app import create_app
from repartee.server.busy import Busy
from repartee.server.door import FAILURES_PER_MINUTE
from repartee.server.keys import digest_of, new_key
from repartee.session.budget import Today
from repartee.settings import Settings
from tests.server.livekit import LiveKit
from tests.server.test_admission import Clock, Store
from tests.server.test_door import basic, bearer, settings_with, site
from tests.server.test_door import client_of as client_at

TOKEN = "a token for prometheus"
HERE = "http://127.0.0.1:8080"


def client_of(app: FastAPI, *, base: str = HERE, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    return client_at(app, base=base, peer=peer)


async def read(client: httpx.AsyncClient, **headers: Any) -> dict[str, float]:
    answer = await client.get("/metrics", **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_callers_are_counted_with_why_they_got_no_place(
    plain_settings: Settings, livekit: LiveKit
) -> None:
    settings = settings_with(plain_settings, token_rate=3)
    async with client_of(create_app(settings, site(livekit.url))) as client:
        before = await read(client)
        answers = [(await client.post("/api/token")).status_code for _ in range(5)]
        after = await read(client)
    assert answers == [200, 200, 200, 429, 429]
    assert before["repartee_places_given_total"] == 0
    assert before['repartee_places_refused_total{why="capacity"}'] == 0, "there from the start"
    assert after["repartee_places_given_total"] == 3
    assert after['repartee_places_refused_total{why="rate_limited"}'] == 2


async def test_a_machine_that_takes_nobody_and_money_that_is_spent_are_told_apart(
    plain_settings: Settings, livekit: LiveKit
) -> None:
    spent = Clock().admission(Store(Today(Decimal(8), Decimal(100))), DayLimits(Decimal(10), Decimal(100)))
    app = create_app(plain_settings, site(livekit.url), spent)
    async with client_of(app) as client:
        assert (await read(client))["repartee_budget_spent_ratio"] == 0, "nobody has asked yet"
        assert (await client.post("/api/token")).status_code == 503
        counted = await read(client)
    assert counted["repartee_budget_spent_ratio"] == 1
    assert counted['repartee_places_refused_total{why="budget_spent"}'] == 1
    busy = Busy(plain_settings.state_dir, "en", pinned=4)
    async with client_of(create_app(plain_settings, site(livekit.url), busy=busy)) as client:
        assert (await client.post("/api/token")).status_code == 503
        assert (await read(client))['repartee_places_refused_total{why="closed"}'] == 1


async def test_a_worker_in_the_same_process_is_shown_too(plain_settings: Settings, livekit: LiveKit) -> None:
    app = create_app(plain_settings, site(livekit.url), beside=lambda: b"repartee_calls_active 2.0\n")
    async with client_of(app) as client:
        assert (await read(client))["repartee_calls_active"] == 2


async def test_the_token_opens_metrics_and_nothing_else(plain_settings: Settings, livekit: LiveKit) -> None:
    locked = settings_with(
        plain_settings, metrics_token=SecretStr(TOKEN), api_token=SecretStr("for callers"), host="0.0.0.0"
    )
    async with client_of(create_app(locked, site(livekit.url)), peer="203.0.113.7") as client:
        refused = [(await client.get("/metrics", headers=how)).status_code for how in ({}, bearer("x" * 20))]
        assert refused == [401, 401]
        await read(client, headers=bearer(TOKEN))
        await read(client, headers=basic(TOKEN))
        assert (await client.post("/api/token", headers=bearer(TOKEN))).status_code == 401


async def test_guesses_are_few(plain_settings: Settings, livekit: LiveKit) -> None:
    locked = settings_with(
        plain_settings, metrics_token=SecretStr(TOKEN), host="0.0.0.0", api_token=SecretStr("c")
    )
    async with client_of(create_app(locked, site(livekit.url)), peer="203.0.113.7") as client:
        for guess in range(FAILURES_PER_MINUTE):
            answer = await client.get("/metrics", headers=bearer(f"guess {guess}"))
            assert answer.status_code == 401
        assert (await client.get("/metrics", headers=bearer(TOKEN))).status_code == 429


@pytest.mark.parametrize(
    ("update", "peer", "headers", "status"),
    [
        ({}, "127.0.0.1", {}, 200),
        ({}, "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"host": "0.0.0.0"}, "203.0.113.7", {}, 403),
        ({"host": "0.0.0.0", "metrics_open": True}, "203.0.113.7", {}, 403),
        ({"metrics_token": SecretStr(TOKEN), "api_token": SecretStr("c")}, "127.0.0.1", {}, 401),
    ],
)
async def test_without_a_token_only_this_machine(
    plain_settings: Settings,
    livekit: LiveKit,
    update: dict[str, Any],
    peer: str,
    headers: dict[str, str],
    status: int,
) -> None:
    app = create_app(settings_with(plain_settings, **update), site(livekit.url))
    async with client_of(app, peer=peer) as client:
        assert (await client.get("/metrics", headers=headers)).status_code == status


async def test_who_may_see_calls_may_see_metrics(plain_settings: Settings, livekit: LiveKit) -> None:
    key, calling = new_key(), new_key()
    keys = {"operator_keys": f"me={digest_of(key)}", "api_keys": f"shop={digest_of(calling)}"}
    app = create_app(settings_with(plain_settings, host="0.0.0.0", **keys), site(livekit.url))
    async with client_of(app, peer="203.0.113.7") as client:
        await read(client, headers=bearer(key))
        assert (await client.get("/metrics", headers=bearer(calling))).status_code == 403
