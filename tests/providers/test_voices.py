"""A clause's audio: silence is no speech, and the next voice goes on with what was not spoken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from repartee.providers.ladder import Rung
from repartee.providers.patience import Failsafe
from repartee.providers.voices import BYTES_PER_S, Voice, VoiceChain, VoiceLostError

TEXT = "We are open from nine to five, and on Saturdays until noon."
CHUNK_S = 0.04


def sound(seconds: float, peak: int = 6000) -> bytes:
    samples = np.arange(int(seconds * BYTES_PER_S / 2))
    return bytes((np.sin(samples / 9) * peak).astype(np.int16).tobytes())


def silence(seconds: float) -> bytes:
    return sound(seconds, peak=20)


class Recorded:
    """A voice that always sends the same, in small chunks."""

    def __init__(self, pcm: bytes) -> None:
        self.pcm = pcm
        self.texts: list[str] = []
        self.sent = 0

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.texts.append(text)
        yield self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = int(CHUNK_S * BYTES_PER_S) + 1  # a chunk may end in the middle of a sample
        for at in range(0, len(self.pcm), size):
            self.sent = min(at + size, len(self.pcm))
            yield self.pcm[at : at + size]


def chain(*voices: Voice) -> VoiceChain:
    failsafe = Failsafe()
    rungs = [Rung("tts", f"vendor-{number}", "m", "") for number in range(len(voices))]
    return VoiceChain(failsafe.failover("tts", rungs, ["none"] * len(rungs)), voices, failsafe.budget)


async def spoken(by: VoiceChain) -> tuple[bytes, set[int]]:
    heard = [sound async for sound in by.speak(TEXT)]
    return b"".join(chunk.pcm for chunk in heard), {chunk.index for chunk in heard}


async def test_a_voice_begins_with_its_first_sound() -> None:
    said = sound(1.0)
    pcm, _ = await spoken(chain(Recorded(silence(0.4) + said + silence(0.3) + said)))
    assert len(silence(0.3) + said + said) <= len(pcm) <= len(silence(0.4) + said + silence(0.3) + said)
    assert np.abs(np.frombuffer(pcm[: len(said) // 2], np.int16)).max() > 5000


@pytest.mark.parametrize("pcm", [silence(0.5), silence(9.0), b""], ids=["short", "long", "nothing"])
async def test_a_silent_voice_is_no_voice(pcm: bytes) -> None:
    silent, other = Recorded(pcm), Recorded(sound(1.0))
    heard, voices = await spoken(chain(silent, other))
    assert heard == other.pcm
    assert voices == {1}
    assert other.texts == [TEXT], "nothing of it had been spoken"
    assert silent.sent < 2.0 * BYTES_PER_S, "the silence is not waited for"


async def test_only_silence_is_a_lost_voice() -> None:
    with pytest.raises(VoiceLostError) as lost:
        await spoken(chain(Recorded(silence(9.0))))
    assert lost.value.spoken == 0
