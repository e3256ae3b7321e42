"""What every request cost, by the price list, whether its answer was used or not."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

# USD. Per minute of audio, per million tokens (in, out, in and kept), per million characters. Lists of Sept. 2026.
STT_PER_MINUTE = {
    "whisper-1": 0.006,
    "gpt-4o-transcribe": 0.006,
    "gpt-4o-mini-transcribe": 0.003,
    "gpt-realtime-whisper": 0.017,
    "gpt-live-transcribe": 0.017,
}
LLM_PER_MILLION = {
    "gpt-4o": (2.5, 10.0, 1.25),
    "gpt-4o-mini": (0.15, 0.6, 0.075),
    "gpt-4.1": (2.0, 8.0, 0.5),
    "gpt-4.1-mini": (0.4, 1.6, 0.1),
    "gpt-4.1-nano": (0.1, 0.4, 0.025),
}
SPEECH_PER_MILLION = {
    "gpt-realtime": ((4.0, 16.0, 0.4), (32.0, 64.0, 0.4)),
    "gpt-realtime-mini": ((0.6, 2.4, 0.06), (10.0, 20.0, 0.3)),
}
"""Models that hear and speak: of text and of audio, each in, out, in and kept."""
TTS_PER_MILLION = {
    "tts-1": 15.0,
    "tts-1-hd": 30.0,
    "gpt-4o-mini-tts": 16.7,
    "eleven_flash_v2_5": 50.0,
    "eleven_turbo_v2_5": 50.0,
    "eleven_multilingual_v2": 100.0,
    "sonic-3": 39.0,
    "sonic-2": 39.0,
}
RECENT = 10_000


@dataclass
class Entry:
    """One request. Filled while it runs, booked when it ends, however it ends.

    Charged as vendors do: a transcription for the seconds that came, a voice for the characters it was asked for, a
    model for the tokens until the client left; a request that failed before anything was made, nothing.
    """

    stage: str
    vendor: str
    model: str
    audio_s: float = 0.0
    tokens_in: int = 0
    tokens_cached: int = 0
    """Those of `tokens_in` that the vendor had kept."""
    tokens_out: int = 0
    audio_tokens_in: int = 0
    """Those of `tokens_in` that are sound, and so on."""
    audio_tokens_cached: int = 0
    audio_tokens_out: int = 0
    characters: int = 0
    text: str = ""
    said: str = ""
    """What a model was asked: the last words of the user."""
    told: str = ""
    """And what it was told that the user heard last."""
    pictures: int = 0
    """How many it was shown."""
    voice: str = ""
    """Whose voice was asked for."""
    outcome: str = "cancelled"
    began_s: float = field(default_factory=time.time)
    took_ms: float = 0.0
    usd: float = 0.0
    request_id: str = ""
    """What the client calls it: a header of OpenAI's, a voice's context."""

    def price(self) -> float:
        """Return its price by the list; a model without one is billed like the dearest known."""
        if self.outcome == "failed":
            return 0.0
        if self.stage == "stt":
            return self.audio_s / 60 * STT_PER_MINUTE.get(self.model, max(STT_PER_MINUTE.values()))
        if self.stage == "tts":
            return self.characters / 1e6 * TTS_PER_MILLION.get(self.model, max(TTS_PER_MILLION.values()))
        if self.model in SPEECH_PER_MILLION:
            return self._speech_price(*SPEECH_PER_MILLION[self.model])
        price_in, price_out, price_kept = LLM_PER_MILLION.get(self.model, max(LLM_PER_MILLION.values()))
        fresh = self.tokens_in - self.tokens_cached
        return (fresh * price_in + self.tokens_cached * price_kept + self.tokens_out * price_out) / 1e6

    def _speech_price(self, text: tuple[float, float, float], audio: tuple[float, float, float]) -> float:
        heard, kept, made = self.audio_tokens_in, self.audio_tokens_cached, self.audio_tokens_out
        read, read_kept = self.tokens_in - heard, self.tokens_cached - kept
        of_text = (read - read_kept) * text[0] + read_kept * text[2] + (self.tokens_out - made) * text[1]
        of_audio = (heard - kept) * audio[0] + kept * audio[2] + made * audio[1]
        return (of_text + of_audio) / 1e6


class Bill:
    """Books requests; the newest are kept, all are summed.

    Args:
        path: A file to append each request to, as a line of JSON.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = path.open("a", encoding="utf-8", buffering=1) if path else None
        self.entries: list[Entry] = []
        self._sums: dict[str, Counter[str]] = {}

    def book(self, entry: Entry) -> None:
        """Book a request that has ended."""
        entry.took_ms = round((time.time() - entry.began_s) * 1000, 1)
        entry.usd = round(entry.price(), 8)
        self.entries = [*self.entries[-RECENT:], entry]
        sums = self._sums.setdefault(entry.stage, Counter())
        sums.update({"requests": 1, entry.outcome: 1, "characters": entry.characters})
        sums.update({"tokens_in": entry.tokens_in, "tokens_out": entry.tokens_out})
        sums["tokens_cached"] += entry.tokens_cached
        sums["audio_ms"] += round(entry.audio_s * 1000)
        sums["micro_usd"] += round(entry.usd * 1e6)
        if self._file is not None:
            self._file.write(json.dumps(asdict(entry)) + "\n")

    def summary(self) -> dict[str, Any]:
        """Return the sums by stage and in all."""
        stages = {stage: dict(sums) for stage, sums in self._sums.items()}
        return {"stages": stages, "usd": sum(sums["micro_usd"] for sums in self._sums.values()) / 1e6}

    def reset(self) -> None:
        """Forget what was booked; the file keeps it."""
        self.entries, self._sums = [], {}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
