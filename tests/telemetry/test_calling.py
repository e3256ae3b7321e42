"""Lines of the log know their call and its turn, in tasks and threads that the call has started."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

from repartee.telemetry.calling import about_call, calling, turn_opened


def line(**said: Any) -> dict[str, Any]:
    return dict(about_call(None, "info", {"event": "x", **said}))


def test_outside_of_a_call_a_line_is_about_none() -> None:
    turn_opened(3)
    assert line() == {"event": "x"}


async def test_a_turn_that_one_task_opens_is_the_call_s() -> None:
    opened, looked = asyncio.Event(), asyncio.Event()
    seen: list[dict[str, Any]] = []

    async def bridge() -> None:
        turn_opened(1)
        opened.set()
        await looked.wait()
        turn_opened(2)

    async def voice() -> None:
        await opened.wait()
        seen.append(line())
        looked.set()

    async def call(call_id: str) -> None:
        with calling(call_id):
            await asyncio.gather(bridge(), voice())
            thread = threading.Thread(
                target=contextvars.copy_context().run, args=(lambda: seen.append(line()),)
            )
            thread.start()
            await asyncio.to_thread(thread.join)

    await call("a")
    assert seen == [
        {"event": "x", "call_id": "a", "turn_id": 1},
        {"event": "x", "call_id": "a", "turn_id": 2},
    ]
    assert line() == {"event": "x"}, "what comes after it is not"


async def test_calls_beside_one_another_are_told_apart() -> None:
    async def call(call_id: str, turn_id: int) -> dict[str, Any]:
        with calling(call_id):
            turn_opened(turn_id)
            await asyncio.sleep(0)
            return line()

    told = await asyncio.gather(call("a", 1), call("b", 7))
    assert [(one["call_id"], one["turn_id"]) for one in told] == [("a", 1), ("b", 7)]


def test_what_a_line_says_itself_goes_first() -> None:
    with calling("a"):
        turn_opened(4)
        assert line(call_id="b") == {"event": "x", "call_id": "b"}, "another call has other turns"
        assert line(turn_id=2) == {"event": "x", "call_id": "a", "turn_id": 2}
