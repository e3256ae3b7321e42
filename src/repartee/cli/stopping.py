"""What ends a command: SIGTERM lets calls end first, Ctrl+C and a second signal do not wait."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


class Stop(asyncio.Event):
    """Set to end.

    Attributes:
        at_once: Set as well when nobody wants to wait for the calls that go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at_once = asyncio.Event()

    def listen(self) -> None:
        """Be set by this process's signals, from now on."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._hurry)
        loop.add_signal_handler(signal.SIGTERM, self._end)

    def _end(self) -> None:
        if self.is_set():
            self.at_once.set()
        self.set()

    def _hurry(self) -> None:
        self.at_once.set()
        self.set()


def run_to_end(work: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run until the work is done; Ctrl+C and SIGTERM set the event it is given."""

    async def main() -> None:
        stop = Stop()
        stop.listen()
        await work(stop)

    asyncio.run(main())
