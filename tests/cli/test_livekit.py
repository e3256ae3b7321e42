"""Ending a LiveKit server of one's own."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from repartee.cli import livekit


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
async def test_a_server_that_ended_by_itself_meanwhile_is_no_error(
    waits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(livekit, "STOP_S", 0.01)
    process = Ended(waits)
    await livekit._stop(cast("asyncio.subprocess.Process", process))
    assert process.waits == 0
