"""What the agent shows, as a client receives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from livekit import rtc

from repartee.session.wire import Wire


class Writer:
    def __init__(self) -> None:
        self.text, self.closed = "", False

    async def write(self, text: str) -> None:
        self.text += text

    async def aclose(self, **_: Any) -> None:
        self.closed = True


class Participant:
    """The agent's own, in a room that keeps what it is told."""

    track_publications: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.streams: list[Writer] = []

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.shown.append(dict(attributes))

    async def stream_text(self, **_: Any) -> Writer:
        self.streams.append(Writer())
        return self.streams[-1]


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - nothing announces what is waited for
            await asyncio.sleep(0)


async def test_who_comes_back_is_shown_everything_and_the_reply_from_its_beginning() -> None:
    participant = Participant()
    wire = Wire(lambda: cast("rtc.LocalParticipant", participant), lambda: "ann", "call")
    running = asyncio.create_task(wire.run())
    wire.state("speaking")
    wire.show("repartee.network", "good")
    wire.agent_text(1, "We are open", final=False)
    await until(lambda: participant.streams and participant.shown)
    wire.again()
    wire.agent_text(1, "We are open from eight", final=False)
    wire.agent_text(1, "We are open from eight to six.", final=True)
    await until(lambda: len(participant.streams) == 2 and participant.streams[1].closed)
    await until(lambda: len(participant.shown) == 2)
    running.cancel()
    first, second = participant.streams
    assert (first.text, first.closed) == ("We are open", True)
    assert second.text == "We are open from eight to six."
    assert participant.shown[1] == {
        "lk.agent.state": "speaking",
        "repartee.call": "call",
        "repartee.network": "good",
    }
