"""Latency profiles: how long each stage takes, drawn so that the same request waits as long in every run."""

from __future__ import annotations

import difflib
import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from repartee.errors import ConfigError

Stage = Literal["stt", "llm", "tts"]
P95 = 1.645


@dataclass(frozen=True, slots=True)
class Spread:
    """A lognormal latency by its median and its 95th percentile."""

    p50_ms: float
    p95_ms: float
    cap_ms: float = math.inf

    def at(self, quantile: float) -> float:
        """Return the latency at a quantile of (0, 1)."""
        if self.p50_ms <= 0 or self.p95_ms <= self.p50_ms:
            return self.p50_ms
        sigma = math.log(self.p95_ms / self.p50_ms) / P95
        return min(self.cap_ms, self.p50_ms * math.exp(sigma * NormalDist().inv_cdf(quantile)))


@dataclass(frozen=True, slots=True)
class Profile:
    """How fast a set of providers is.

    Attributes:
        stt: From the end of the upload, or the commit, to the transcript.
        stt_per_audio_s: Added for each second of audio uploaded, in ms.
        llm: To the first token.
        tokens_per_s: After it.
        tts: To the first audio.
        real_time_factor: Seconds it takes to make one second of audio.
        error_rate: Share of requests that fail with 500.
        stall_rate: Share of requests that say nothing for ten seconds.
    """

    stt: Spread
    llm: Spread
    tts: Spread
    stt_per_audio_s: float = 0.0
    tokens_per_s: float = 80.0
    real_time_factor: float = 0.2
    error_rate: float = 0.0
    stall_rate: float = 0.0


_OPENAI_LLM, _OPENAI_TTS = Spread(553, 1947, 6500), Spread(500, 1000)
_FAST_STT, _FAST_TTS = Spread(47, 98), Spread(188, 290)
PROFILES: dict[str, Profile] = {
    "instant": Profile(Spread(0, 0), Spread(0, 0), Spread(0, 0), 0, 10_000, 0.01),
    "openai-batch": Profile(Spread(700, 1370), _OPENAI_LLM, _OPENAI_TTS, 15, 60, 0.18, 0.003, 0.002),
    "openai-batch-slow": Profile(
        Spread(1200, 1990), Spread(851, 2135), Spread(900, 1800), 15, 62, 0.18, 0.003, 0.002
    ),
    "openai-realtime-stt": Profile(Spread(437, 765), _OPENAI_LLM, _OPENAI_TTS, 0, 60, 0.18, 0.003, 0.002),
    "fast": Profile(_FAST_STT, Spread(350, 580), _FAST_TTS, 0, 80, 0.2, 0.001),
    "fastest": Profile(_FAST_STT, Spread(98, 217), _FAST_TTS, 0, 250, 0.2, 0.001),
}


def profile(name: str) -> Profile:
    """Return a profile by name, or `fixed:STT/FIRST TOKEN/FIRST AUDIO` in milliseconds.

    Raises:
        ConfigError: There is no such profile.
    """
    if name in PROFILES:
        return PROFILES[name]
    if name.startswith("fixed:"):
        try:
            stt, llm, tts = (float(part) for part in name.removeprefix("fixed:").split("/"))
        except ValueError as error:
            raise ConfigError(
                f"profile '{name}' is not three numbers in ms; write it like fixed:300/350/250"
            ) from error
        return Profile(Spread(stt, stt), Spread(llm, llm), Spread(tts, tts), 0, 200, 0.1)
    near = difflib.get_close_matches(name, PROFILES, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        f"there is no profile '{name}'; {hint}there are: {', '.join(PROFILES)}, and fixed:300/350/250"
    )


class Draws:
    """Random numbers that depend on the request, not on the order of requests.

    Args:
        seed: Another seed draws other latencies.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._attempts: dict[str, int] = {}

    def quantile(self, stage: Stage, key: str, purpose: str = "latency") -> float:
        """Return a number of (0, 1) for a request; a repeated request is a new attempt and draws anew."""
        name = f"{self._seed}/{stage}/{purpose}/{key}"
        attempt = self._attempts[name] = self._attempts.get(name, 0) + 1
        digest = hashlib.sha256(f"{name}/{attempt}".encode()).digest()
        return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
