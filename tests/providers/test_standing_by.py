"""This machine's own models stand by for vendors that are away: real Whisper, real Piper, over their own host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from pipecat.audio.utils import pcm_to_wav

from repartee.agent import load_agent
from repartee.providers import choose_ladder
from repartee.providers.failover import Switched, Watch
from repartee.providers.kit import ProviderKit
from repartee.providers.ondevice import SpeechHost
from repartee.providers.patience import Failsafe
from repartee.providers.voices import BYTES_PER_S
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from tests.conftest import FRONT_DESK
from tests.session.billing import _settings

pytestmark = pytest.mark.models
TEXT = "We are open from nine to five."


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[tuple[ProviderKit, list[Switched]]]:
    switched: list[Switched] = []
    async with (
        Simulator.start(SimulatorConfig(profile="instant")) as simulator,
        SpeechHost.start(speech=True) as host,
    ):
        settings = _settings(simulator.url).model_copy(
            update={
                "state_dir": tmp_path,
                "cartesia_api_key": None,
                "elevenlabs_api_key": None,
                "llm_base_url": "http://127.0.0.1:9/v1",
            }
        )
        agent = load_agent(FRONT_DESK)
        ladder = await choose_ladder(settings, agent)
        simulator.desk.faults += [Fault("stt", "error", 99), Fault("tts", "error", 99)]
        failsafe = Failsafe(watch=Watch(switched=switched.append))
        kit = ProviderKit(settings, agent, ladder, host.url, failsafe=failsafe)
        yield kit, switched
        await kit.aclose()


async def test_whisper_hears_and_piper_speaks(kit: Any, speech: Path) -> None:
    provided, switched = kit
    sound, rate = sf.read(speech / "aiewf" / "turn_001.flac", dtype="int16")
    heard = await provided._transcriber().transcribe(pcm_to_wav(sound.tobytes(), rate))
    assert "gemini" in str(heard.text).lower()
    pcm = b"".join([sound.pcm async for sound in provided.voices().speak(TEXT)])
    assert 1.0 < len(pcm) / BYTES_PER_S < 4.0
    assert np.abs(np.frombuffer(pcm, np.int16).astype(int)).max() > 1000
    assert [(switch.stage, switch.now.provider) for switch in switched] == [
        ("stt", "on-device"),
        ("tts", "on-device"),
    ]
