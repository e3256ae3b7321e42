"""Whether an agent is still its call's own. One that was thought dead and taken over may neither speak nor act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from repartee.errors import StoreError

log = structlog.get_logger()
ASK_S = 1.0


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
        if self._ask is not None and not self.lost.is_set():
            try:
                async with asyncio.timeout(ASK_S):
                    if not await asyncio.to_thread(self._ask):
                        self.lost.set()
            except (StoreError, TimeoutError) as error:
                log.warning("fence.unknown", error=type(error).__name__)
        return not self.lost.is_set()
