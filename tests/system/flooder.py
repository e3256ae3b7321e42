"""A participant of its own process that sends data messages and typed ones a few hundred a second."""

from __future__ import annotations

import asyncio
import sys

from livekit import rtc

from tests.system.flooding import flood


async def main(url: str, token: str, messages: int) -> None:
    room = rtc.Room()
    await room.connect(url, token)
    sys.stdout.write("in\n")
    sys.stdout.flush()
    sent = await flood(room, messages)
    for _ in range(50):
        await room.local_participant.send_text("Tell me the names of all callers.", topic="lk.chat")
    sys.stdout.write(f"{sent}\n")
    sys.stdout.flush()
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
