"""What a call leaves in the media engine when the agent leaves the room: nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from livekit import rtc

from repartee.session.room import SENSITIVITY_METHOD, RoomClient, RoomTransport
from tests.session.test_traps import hooks


class Participant:
    """The agent in the room, as the SDK has it."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def register_rpc_method(self, method: str, _: object) -> None:
        self._told.append(f"+{method}")

    def unregister_rpc_method(self, method: str) -> None:
        self._told.append(f"-{method}")


class Room:
    def __init__(self, told: list[str]) -> None:
        self.local_participant = Participant(told)
        self.remote_participants: dict[str, rtc.RemoteParticipant] = {}
        self._told = told

    async def disconnect(self) -> None:
        self._told.append("left")


async def answer(payload: str) -> str:
    return payload


@pytest.fixture
async def told() -> list[str]:
    return []


@pytest.fixture
async def client(told: list[str], monkeypatch: pytest.MonkeyPatch) -> RoomClient:
    """A client that is in a room."""
    wanted = replace(hooks(), rpc={"repartee.voice": answer})
    client = RoomTransport("ws://x", "t", "r", hooks=wanted, caller_identity=None).client
    client._room = cast("Any", Room(told))

    async def enter() -> None:
        client._connected = True
        client._disconnect_counter += 1

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(client, "_enter", enter)
    for name in ("on_before_disconnect", "on_disconnected"):
        monkeypatch.setattr(client._callbacks, name, nothing)
    return client


async def test_no_method_is_registered_any_more_when_the_room_is_left(
    client: RoomClient, told: list[str]
) -> None:
    """The engine never lets go of a room that is left with a method: each call of a process stayed in memory."""
    await client.connect()
    registered = {method for method in told if method.startswith("+")}
    await client.disconnect()
    assert registered == {f"+{SENSITIVITY_METHOD}", "+repartee.voice"}
    assert told[-1] == "left"
    assert {method for method in told if method.startswith("-")} == {f"-{m[1:]}" for m in registered}


async def test_both_halves_of_the_transport_come_and_go(client: RoomClient, told: list[str]) -> None:
    await client.connect()
    await client.connect()
    await client.disconnect()
    await client.disconnect()
    assert told[-1] == "left"
    assert told.count("left") == 1
    assert told.count(f"-{SENSITIVITY_METHOD}") == 1
