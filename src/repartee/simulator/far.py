"""A caller in another network: this module run there as a program, driven line by line from here.

`python -m repartee.simulator.far` reads one JSON object per line, `{"call": name, "args": [...]}`, and answers each
with `{"result": ...}` or `{"error": ...}`; at the end of its input it hangs up, and when it is killed it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from repartee.errors import MediaError, ReparteeError
from repartee.simulator.audio import read_audio
from repartee.simulator.caller import RATE_HZ, Caller
from repartee.simulator.invitation import Invitation
from repartee.simulator.netns import CallerNetwork

ANSWER_S = 90.0
STARTS_S = 60.0


class FarCaller:
    """Drives a caller in another network.

    Args:
        process: The program there.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asking = asyncio.Lock()

    async def call(self, name: str, *args: Any) -> Any:
        """Have the caller do something; return what came of it.

        Raises:
            MediaError: It failed, or the program is gone.
        """
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - pipes
        async with self._asking, asyncio.timeout(ANSWER_S):
            self._process.stdin.write(json.dumps({"call": name, "args": args}).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the caller's process has ended"}
        if "error" in answer:
            raise MediaError(f"the caller could not {name}: {answer['error']}")
        return answer["result"]

    def kill(self) -> None:
        """End it as a crash does: it says goodbye to nobody."""
        if self._process.returncode is None:
            self._process.kill()


@contextlib.asynccontextmanager
async def far_caller(network: CallerNetwork, url: str) -> AsyncIterator[FarCaller]:
    """Start a caller in a network; hangs up when the context ends.

    Args:
        network: Where it is.
        url: The HTTP server's address, as seen from there.
    """
    process = await asyncio.create_subprocess_exec(
        *network.command(sys.executable, "-m", "repartee.simulator.far", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=64 * 1024 * 1024,
    )
    far = FarCaller(process)
    try:
        async with asyncio.timeout(STARTS_S):
            await far.call("ready")
        yield far
    finally:
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


class _Desk:
    """The caller's side of the line: what may be asked of it."""

    def __init__(self, url: str) -> None:
        self._caller = Caller(url)
        self._place: Invitation | None = None

    async def ready(self) -> str:
        """Say that imports are done."""
        return "ready"

    async def join(self) -> str:
        """Ask for a place, and take it."""
        self._place = await self._caller.invited()
        await self._caller.join(self._place)
        return self._caller.room_name

    async def place(self) -> dict[str, Any] | None:
        """Return the place, with its token."""
        return asdict(self._place) if self._place else None

    async def enter(self, place: dict[str, str]) -> None:
        """Take a place that was given before."""
        await self._caller.join(Invitation(**place))

    async def wait_for_answer(self, limit_s: float) -> bool:
        """Hear the agent speak and fall silent."""
        return await self._caller.wait_for_answer(limit_s)

    async def wait_for_sound(self, limit_s: float) -> bool:
        """Hear the agent begin to speak."""
        return await self._caller.wait_for_sound(limit_s)

    async def wait_for_quiet(self, quiet_s: float, limit_s: float) -> None:
        """Hear nothing of the agent for so long."""
        await self._caller.wait_for_quiet(quiet_s, limit_s)

    async def exchange(self, path: str) -> dict[str, Any]:
        """Say a recording and hear the answer."""
        return asdict(await self._caller.exchange(Path(path)))

    async def say(self, path: str) -> float:
        """Say a recording."""
        return await self._caller.say(read_audio(Path(path), RATE_HZ))

    async def captions(self, side: Any) -> list[str]:
        """Return what was shown."""
        return self._caller.captions(side)

    async def network(self) -> list[str]:
        """Return what the media client told of its connection."""
        return self._caller.network

    async def routes(self) -> list[str]:
        """Return the ways its media takes."""
        return sorted(await self._caller.routes())

    async def attributes(self) -> dict[str, str]:
        """Return what the agent shows of the call."""
        return self._caller.agent_attributes()

    async def leave(self) -> None:
        """Hang up."""
        await self._caller.leave()


async def _serve(url: str) -> None:
    desk, loop = _Desk(url), asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            result = await getattr(desk, asked["call"])(*asked["args"])
            answer = {"result": asdict(result) if is_dataclass(result) else result}  # type: ignore[arg-type]
        except (ReparteeError, TimeoutError, AttributeError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await desk.leave()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
