"""Recognising in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from repartee.errors import ConfigError
from repartee.simulator.audio import read_audio
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.recogniser import Recogniser


async def test_answers_belong_to_their_questions_also_when_one_is_given_up(speech: Path) -> None:
    recogniser = await Recogniser.start(speech, None, ())
    try:
        gemini, mcp = (
            np.asarray(read_audio(speech / "aiewf" / name, 16_000) / 32768, dtype=np.float32)
            for name in ("turn_001.flac", "turn_003.flac")
        )
        given_up = asyncio.create_task(recogniser.recognise(gemini, 16_000))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(recogniser.recognise(mcp, 16_000))
        await asyncio.sleep(0)
        given_up.cancel()
        async with asyncio.timeout(30):
            assert (await waiting).text == "Is there a track about MCP?"
            assert (await recogniser.recognise(gemini, 16_000)).complete
    finally:
        await recogniser.aclose()
    assert recogniser._process.returncode is not None


async def test_a_folder_without_recordings_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no index\.json of recordings"):
        async with Simulator.start(SimulatorConfig(speech=tmp_path)):
            raise AssertionError
