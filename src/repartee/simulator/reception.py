"""A place for callers to ask at, in front of a system that has none: the same crowd calls peers as calls repartee."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from aiohttp import web

from repartee.errors import MediaError
from repartee.simulator.systems import System

HOST = "127.0.0.1"
BUSY_S = 5


class Reception:
    """Hands out rooms with an agent in them, as `/api/token` does.

    Args:
        system: Returns a system for one more call: the same for all, or a new one where each call has a process.
    """

    def __init__(self, system: Callable[[], System]) -> None:
        self._system = system
        self._systems: list[System] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Reception]:
        """Take callers while the context lasts; at its end all systems are ended."""
        app = web.Application()
        app.router.add_post("/api/token", self._token)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, 0)
            await site.start()
            self.url = f"http://{HOST}:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()
            await self.close()

    async def close(self) -> None:
        """End all systems."""
        systems, self._systems = self._systems, []
        await asyncio.gather(*(system.stop() for system in systems))

    def roots(self) -> Sequence[int]:
        """Return the processes whose trees do the work."""
        return [pid for system in self._systems if (pid := system.pid()) is not None]

    def _of_call(self) -> System:
        system = self._system()
        if system not in self._systems:
            self._systems.append(system)
        return system

    async def _token(self, _: web.Request) -> web.Response:
        system = self._of_call()
        try:
            invitation = await system.invite()
        except asyncio.CancelledError:
            # The caller has given up: an agent of their own would wait for them for ever.
            await asyncio.shield(system.hang_up())
            raise
        except MediaError as error:
            return web.json_response({"error": str(error)}, status=503, headers={"Retry-After": str(BUSY_S)})
        return web.json_response(
            {
                "server_url": invitation.server_url,
                "participant_token": invitation.token,
                "room_name": invitation.room,
            }
        )
