"""What the tools of a call have changed, in the store before it is done: who takes the call over repeats none of it.

Written and asked in the way of the fence: a store that is away holds up no act, as nobody can take a call over then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

import structlog

from repartee.errors import StoreError
from repartee.session.spec import PastAct
from repartee.store import Acts

log = structlog.get_logger()
ASK_S = 1.0
T = TypeVar("T")


class ActBook:
    """The acts of one call.

    Args:
        acts: Of all calls.
        call_id: The call.
        epoch: This agent's.
        past: What agents before this one have done in the call.
    """

    def __init__(self, acts: Acts, call_id: str, epoch: int, past: Collection[PastAct] = ()) -> None:
        self._acts = acts
        self._call_id = call_id
        self._epoch = epoch
        self._past = {act.key: act for act in past}

    def past(self, key: str) -> PastAct | None:
        """Return what an agent before this one has done, or begun, under a key."""
        return self._past.get(key)

    async def begin(self, key: str, tool: str) -> bool:
        """Write down that an act is about to be done; return False where another agent was faster."""
        begun = await self._ask("begin", lambda: self._acts.begin(self._call_id, key, tool, self._epoch))
        return begun is not False

    async def done(self, key: str, undone: Collection[str] = ()) -> None:
        """Write down that an act is done, and that it has made void what some tools did before."""
        self._past = {past: act for past, act in self._past.items() if act.tool not in undone}
        await self._ask("done", lambda: self._acts.done(self._call_id, key, undone))

    async def failed(self, key: str) -> None:
        """Write down that nothing came of an act: it may be tried again."""
        await self._ask("failed", lambda: self._acts.failed(self._call_id, key, self._epoch))

    async def _ask(self, what: str, work: Callable[[], T]) -> T | None:
        try:
            async with asyncio.timeout(ASK_S):
                return await asyncio.to_thread(work)
        except (StoreError, TimeoutError) as error:
            log.warning("acts.unknown", what=what, error=type(error).__name__)
            return None
