"""Processes that were started here, and how they are ended."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process


async def end(process: Process, within_s: float) -> None:
    """End a process in order, or without, where it takes longer than it may."""
    if process.returncode is not None:
        return
    # One that has ended, and of which asyncio has not been told yet, takes no signal.
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
