"""Whether an agent is still its call's own. One that was thought dead and taken over may neither speak nor act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from repartee.errors import StoreError

log = structlog.get_logger()
ASK_S = 1.0
CONFIRM_S = 6.0
"""As long as a cut network is noticed late by the database's connections, and a second."""
AGAIN_S = 0.25


class Fence:
    """The fence of one agent in one call.

    A store that is away fences nobody off: who takes over needs the store as well, and removes the old agent from
    the room before the new one acts.

    Args:
        ask: Says whether the call is still this agent's; blocks. None where there is nothing to ask.
    """

    def __init__(self, ask: Callable[[], bool] | None = None) -> None:
        self._ask = ask
        self.lost = asyncio.Event()
        """Set for good when the call is another agent's."""

    async def holds(self) -> bool:
        """Ask whether the call is still this agent's."""
        await self._asked()
        return not self.lost.is_set()

    async def confirmed(self) -> bool:
        """Ask the same after the agent's own connection was broken.

        Whoever was cut off from the room was probably cut off from the store as well, and has been taken for dead: a
        store that does not answer yet is asked again for a while.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + CONFIRM_S
        while not await self._asked() and loop.time() < until_s:  # noqa: ASYNC110 - a store tells nobody that it is back
            await asyncio.sleep(AGAIN_S)
        return not self.lost.is_set()

    async def _asked(self) -> bool:
        """Ask; return whether there was an answer."""
        if self._ask is None or self.lost.is_set():
            return True
        try:
            async with asyncio.timeout(ASK_S):
                if not await asyncio.to_thread(self._ask):
                    self.lost.set()
        except (StoreError, TimeoutError) as error:
            log.warning("fence.unknown", error=type(error).__name__)
            return False
        return True
