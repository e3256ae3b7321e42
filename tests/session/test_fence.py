"""An agent whose connection was broken says nothing before it knows that the call is still its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from repartee.errors import StoreError
from repartee.session import fence as module
from repartee.session import room as room_module
from repartee.session.fence import Fence
from repartee.session.room import RoomTransport
from tests.session.test_traps import hooks


def answering(*answers: bool | None) -> tuple[Fence, list[bool | None]]:
    """Return a fence whose store answers so, None being away."""
    left = list(answers)

    def ask() -> bool:
        answer = left.pop(0)
        if answer is None:
            raise StoreError("it is away")
        return answer

    return Fence(ask), left


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    monkeypatch.setattr(room_module, "HEARS_S", 0.0)


async def test_a_store_that_is_away_fences_nobody_off() -> None:
    fence, _ = answering(None, True)
    assert await fence.holds()
    assert await fence.holds()


async def test_who_was_cut_off_asks_until_there_is_an_answer() -> None:
    fence, left = answering(None, None, False)
    assert not await fence.confirmed()
    assert left == []
    assert fence.lost.is_set()
    fence, left = answering(None, True, False)
    assert await fence.confirmed()
    assert left == [False]


async def test_it_does_not_ask_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONFIRM_S", 0.0)
    fence, left = answering(None, True)
    assert await fence.confirmed(), "a store that is away for everybody takes no call from anybody"
    assert left == [True]


@pytest.mark.parametrize(("ours", "mended"), [(True, True), (False, False)])
async def test_the_line_is_mended_when_the_call_is_known_to_be_ours(ours: bool, mended: bool) -> None:
    said: list[Any] = []
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def still_ours() -> bool:
        return await answer

    told = replace(hooks(said), still_ours=still_ours)
    transport = RoomTransport("ws://x", "t", "r", hooks=told, caller_identity=None)
    client = transport.client
    client._on_reconnecting()
    client._on_reconnected()
    assert client._confirming is not None
    await asyncio.sleep(0)
    assert client.link.causes == {"agent"}, "nothing is said while nobody has answered"
    answer.set_result(ours)
    await client._confirming
    if mended:
        async with asyncio.timeout(5):
            while client.link.broken:  # noqa: ASYNC110 - a timer of the client's ends it
                await asyncio.sleep(0)
    assert client.link.broken is not mended


async def test_a_connection_that_breaks_again_is_not_confirmed() -> None:
    asked = asyncio.Event()

    async def still_ours() -> bool:
        asked.set()
        never: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        return await never

    client = RoomTransport(
        "ws://x", "t", "r", hooks=replace(hooks(), still_ours=still_ours), caller_identity=None
    ).client
    client._on_reconnecting()
    client._on_reconnected()
    await asked.wait()
    client._on_reconnecting()
    assert client._confirming is not None
    with pytest.raises(asyncio.CancelledError):
        await client._confirming
    assert client.link.causes == {"agent"}
    for timer in (client._rejoining, *client._mending.values()):
        if timer is not None:
            timer.cancel()
