"""A LiveKit server's answers, and clients of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server.livekit import LiveKit


@pytest.fixture
async def livekit() -> AsyncIterator[LiveKit]:
    server = LiveKit()
    await server.start()
    yield server
    await server.runner.cleanup()
