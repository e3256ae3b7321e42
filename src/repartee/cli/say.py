"""Recordings made by the on-device voice, to talk to an agent without a microphone."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import soundfile as sf

from repartee.errors import ConfigError, ProviderError
from repartee.providers.ondevice import SpeechHost
from repartee.providers.ondevice.registry import OWN_VOICE

RATE_HZ = 24_000
BEFORE_S, AFTER_S = 0.3, 0.5
SAY_S = 60.0


async def say(texts: list[tuple[str, Path]], voice: str = OWN_VOICE, models: Path = Path()) -> None:
    """Speak each text into its file.

    Args:
        texts: What is said, and where it is written.
        voice: A voice of this machine.
        models: Where fetched models are.

    Raises:
        ConfigError: There is nothing to say, or a file cannot be written.
        ProviderError: The voice failed.
    """
    if not all(text.strip() for text, _ in texts):
        raise ConfigError('nothing to say: give a text, as in `repartee say "Good morning."`')
    async with SpeechHost.start(models=models) as host, httpx.AsyncClient(timeout=SAY_S) as client:
        for text, path in texts:
            response = await client.post(f"{host.url}/v1/audio/speech", json={"input": text, "voice": voice})
            if response.status_code != httpx.codes.OK:
                message = response.json()["error"]["message"]
                raise ProviderError(f"the voice failed: {message}", kind="refused", provider="on-device")
            _write(path, np.frombuffer(response.content, np.int16))


def _write(path: Path, pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    quiet = [np.zeros(int(seconds * RATE_HZ), np.int16) for seconds in (BEFORE_S, AFTER_S)]
    try:
        sf.write(path, np.concatenate([quiet[0], pcm, quiet[1]]), RATE_HZ)
    except (sf.LibsndfileError, OSError, TypeError) as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
