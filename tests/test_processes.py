"""Ending processes that were started here."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import pytest

from repartee.processes import end


class Ended:
    """A process that has ended, as asyncio sees it before and after it was told."""

    returncode: int | None = None

    def __init__(self, waits: int) -> None:
        self.waits = waits

    def terminate(self) -> None:
        raise ProcessLookupError

    kill = terminate

    async def wait(self) -> int:
        if self.waits:
            self.waits -= 1
            await asyncio.Event().wait()
        return 0


@pytest.mark.parametrize("waits", [0, 1])
async def test_one_that_ended_by_itself_meanwhile_is_no_error(waits: int) -> None:
    process = Ended(waits)
    await end(cast("asyncio.subprocess.Process", process), 0.01)
    assert process.waits == 0


async def test_one_that_does_not_end_is_ended() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", deaf, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    await end(process, 0.05)
    assert process.returncode == -9
