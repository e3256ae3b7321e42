"""No token when the day's money is spent: told from what is known, without waiting for the store."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from livekit.protocol.models import Room
from livekit.protocol.room import CreateRoomRequest

from repartee.errors import ProviderError, StoreError
from repartee.server.admission import FRESH_S, Admission, DayLimits
from repartee.server.app import Site, create_app
from repartee.server.rooms import EMPTY_S, SOON_S, VACANT_S
from repartee.session.budget import Today
from repartee.settings import Settings
from repartee.store import Held, Seats
from repartee.store import Store as Calls
from tests.server.livekit import LiveKit

NOON = datetime(2026, 9, 29, 12, 0, tzinfo=UTC)
TEN = DayLimits(agent=Decimal(10), installation=Decimal(100))


class Store:
    """A store whose answer can be changed, held back or refused."""

    def __init__(self, *spent: Today) -> None:
        self.spent = list(spent) or [Today()]
        self.reads = 0
        self.away = False
        self.open = threading.Event()
        self.open.set()

    def read(self) -> Today:
        self.reads += 1
        assert self.open.wait(10)
        if self.away:
            raise ProviderError("the database is away", kind="unavailable", provider="store")
        return self.spent.pop(0) if len(self.spent) > 1 else self.spent[0]


class Clock:
    def __init__(self) -> None:
        self.s = 100.0
        self.time = NOON

    def admission(self, store: Store, limits: DayLimits = TEN) -> Admission:
        return Admission(limits, store.read, clock_s=lambda: self.s, now=lambda: self.time)


async def read_again(admission: Admission) -> None:
    if admission._reading is not None:
        await asyncio.wait_for(asyncio.shield(admission._reading), 10)


@pytest.mark.parametrize(
    ("spent", "limits", "refused"),
    [
        (Today(Decimal("9.99"), Decimal(99)), TEN, None),
        (Today(Decimal(10), Decimal(20)), TEN, "day"),
        (Today(Decimal(1), Decimal(100)), TEN, "installation"),
        (Today(Decimal(11), Decimal(101)), TEN, "installation"),
        (Today(Decimal(99), Decimal(99)), DayLimits(installation=Decimal(100)), None),
        (Today(Decimal(99), Decimal(999)), DayLimits(), None),
    ],
)
async def test_a_limit_that_is_reached_refuses(spent: Today, limits: DayLimits, refused: str | None) -> None:
    refusal = await Clock().admission(Store(spent), limits).refusal()
    assert (refusal.limit if refusal else None) == refused
    if refusal:
        assert refusal.retry_after_s == 12 * 3600 + 1
        assert not re.search(r"[$]|\b1\d", refusal.message), "amounts are nobody else's business"


async def test_many_callers_cost_one_reading() -> None:
    store, clock = Store(Today(Decimal(10))), Clock()
    admission = clock.admission(store)
    refusals = await asyncio.gather(*(admission.refusal() for _ in range(200)))
    assert all(refusals)
    assert store.reads == 1
    clock.s += FRESH_S
    assert await admission.refusal()
    await read_again(admission)
    assert store.reads == 2


async def test_nobody_waits_for_a_slow_store_and_the_last_reading_answers() -> None:
    store, clock = Store(Today(Decimal(10)), Today(Decimal(0))), Clock()
    admission = clock.admission(store)
    assert await admission.refusal()
    store.open.clear()
    clock.s += FRESH_S
    assert await admission.refusal(), "answered while the store is being read"
    store.open.set()
    await read_again(admission)
    assert await admission.refusal() is None


async def test_a_store_that_is_away_refuses_nobody() -> None:
    store, clock = Store(), Clock()
    store.away = True
    admission = clock.admission(store)
    assert await admission.refusal() is None
    assert await admission.refusal() is None
    assert store.reads == 1, "and is left alone for some seconds"


async def test_at_midnight_calls_are_taken_again() -> None:
    store, clock = Store(Today(Decimal(10)), Today(Decimal(0))), Clock()
    admission = clock.admission(store)
    assert await admission.refusal()
    clock.time = datetime(2026, 9, 30, 0, 0, 1, tzinfo=UTC)
    assert await admission.refusal() is None
    await admission.aclose()


async def test_no_token_is_given_out_and_no_agent_sent_for(plain_settings: Settings) -> None:
    site = Site("http://127.0.0.1:9", "wss://rtc.example", "key", "s" * 32, "Desk", {})

    def client(spent: Today) -> httpx.AsyncClient:
        app = create_app(plain_settings, site, Clock().admission(Store(spent)))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")

    async with client(Today(Decimal(10))) as browser:
        full = await browser.post("/api/token")
    async with client(Today(Decimal(1))) as browser:
        free = await browser.post("/api/token")
    assert (full.status_code, full.json()["error"]) == (503, "budget_spent")
    assert full.headers["retry-after"] == str(12 * 3600 + 1)
    assert full.headers["cache-control"] == "no-store"
    assert "00:00 UTC" in full.json()["message"]
    assert free.json()["error"] == "no_agent", "this one went on to the media server, which is not there"


# --- seats ------------------------------------------------------------------------------------------------------


@pytest.fixture
def seats(tmp_path: Path) -> Iterator[Seats]:
    store = Calls.open(f"sqlite:///{tmp_path / 'seats.db'}")
    yield Seats(store)
    store.close()


class Dispatches:
    """LiveKit's room API; counts who was sent for."""

    def __init__(self) -> None:
        self.rooms: list[str] = []
        self.status = 200

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/twirp/livekit.RoomService/CreateRoom", self._create)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"ws://127.0.0.1:{self.runner.addresses[0][1]}"

    async def _create(self, request: web.Request) -> web.Response:
        asked = CreateRoomRequest()
        asked.ParseFromString(await request.read())
        if self.status != 200:
            return web.json_response({"code": "unavailable", "msg": "no"}, status=self.status)
        assert len(asked.agents) == 1
        self.rooms.append(asked.name)
        body = Room(name=asked.name).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")


@pytest.fixture
async def dispatches() -> AsyncIterator[Dispatches]:
    server = Dispatches()
    server.url = await server.start()  # type: ignore[attr-defined]
    yield server
    await server.runner.cleanup()


def full_house(settings: Settings, seats: Seats, dispatches: Any) -> httpx.AsyncClient:
    admission = Admission(DayLimits(), Store().read, seats)
    site = Site(dispatches.url, "ws://there", "k", "s" * 40, "Desk", {})
    settings = settings.model_copy(update={"token_rate": 1000})
    transport = httpx.ASGITransport(create_app(settings, site, admission))
    return httpx.AsyncClient(transport=transport, base_url="http://here", timeout=30)


async def test_fifty_at_once_get_as_many_tokens_as_there_are_seats(
    plain_settings: Settings, seats: Seats, dispatches: Any
) -> None:
    seats.announce("w", 20)
    async with full_house(plain_settings, seats, dispatches) as client:
        answers = await asyncio.gather(*(client.post("/api/token") for _ in range(50)))
    admitted = [answer.json()["room_name"] for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert (len(admitted), len(refused)) == (20, 30)
    assert sorted(admitted) == sorted(dispatches.rooms), "an agent for each token, none for a refusal"
    for number, room in enumerate(admitted):  # each of them still has its seat when its agent comes
        assert seats.take(Held(room, f"call-{number}", "w", "agent", 0)) == 1
    assert (seats.seating().seats, seats.seating().taken) == (20, 20)
    body = refused[0].json()
    assert body["error"] == "capacity"
    assert "busy" in body["message"]
    waits = {int(answer.headers["retry-after"]) for answer in refused}
    assert len(waits) > 1, "not all of them come again at the same time"
    assert min(waits) >= 5


@pytest.mark.parametrize(
    ("age_s", "says_vacant", "entered", "given_up"),
    [
        (VACANT_S + 5, True, False, True),
        (1, True, False, False),
        (VACANT_S + 5, True, True, False),
        (VACANT_S + 5, False, False, False),
        (EMPTY_S + 60, True, False, False),
    ],
    ids=["a page that is looked at", "on their way", "in the call", "cut off", "over"],
)
async def test_who_only_looks_gives_way_when_all_seats_are_taken(
    plain_settings: Settings,
    seats: Seats,
    livekit: LiveKit,
    age_s: int,
    says_vacant: bool,
    entered: bool,
    given_up: bool,
) -> None:
    seats.announce("w", 1)
    async with full_house(plain_settings, seats, livekit) as client:
        room = (await client.post("/api/token")).json()["room_name"]
        livekit.made_at[room] = int(time.time()) - age_s
        livekit.vacant = {room} if says_vacant else set()
        if entered:
            livekit.enters(room)
        refused = await client.post("/api/token")
    assert refused.json()["error"] == "capacity"
    assert livekit.deleted == ([room] if given_up else [])
    assert (int(refused.headers["retry-after"]) == SOON_S) is given_up


async def test_a_call_that_cannot_begin_keeps_no_seat(
    plain_settings: Settings, seats: Seats, dispatches: Any
) -> None:
    seats.announce("w", 1)
    dispatches.status = 503
    async with full_house(plain_settings, seats, dispatches) as client:
        assert (await client.post("/api/token")).json()["error"] == "no_agent"
        dispatches.status = 200
        assert (await client.post("/api/token")).status_code == 200


async def test_a_store_that_is_away_refuses_nobody_for_seats(
    plain_settings: Settings, seats: Seats, dispatches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(seats, "promise", away)
    async with full_house(plain_settings, seats, dispatches) as client:
        assert (await client.post("/api/token")).status_code == 200
