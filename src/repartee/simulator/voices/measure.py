"""Voices through one interface: each says the same texts, and what it took and how it sounds is written down.

First all voices speak, text by text in turn, one request at a time; only then Whisper listens, so that its work is in
nobody's time. A voice that runs on this machine is asked in the same way as a vendor's.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean
from typing import Any

import httpx
import numpy as np
import soundfile as sf

from repartee.errors import ProviderError
from repartee.providers.failures import PROVIDER_ERRORS
from repartee.providers.prices import PriceTable
from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.providers.voices import Voice
from repartee.simulator.voices.sound import Pcm, clipped, loudness_lufs, silence_ms
from repartee.simulator.voices.texts import Sample, word_errors
from repartee.telemetry.usage import Usage

Row = dict[str, Any]
Hear = Callable[[Pcm], Awaitable[str]]
SPEAK_S = 30.0
HEAR_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A voice that is compared.

    Attributes:
        provider: As in `provider:model`.
        model: As the provider calls it.
        name: The voice's name there.
        voice: Speaks.
        simulated: A stand-in: its audio is no voice, its times are those of a profile.
    """

    provider: str
    model: str
    name: str
    voice: Voice
    simulated: bool = False

    @property
    def title(self) -> str:
        """What it is called in tables."""
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One text, said once.

    Attributes:
        sample: The text.
        repeat: Which time, from 0.
        first_audio_s: From the request to the first bytes of audio.
        whole_s: From the request to the last.
        pcm: 24 kHz; empty where the request failed.
        error: Why it failed.
    """

    sample: Sample
    repeat: int
    first_audio_s: float = 0.0
    whole_s: float = 0.0
    pcm: Pcm = field(default_factory=lambda: np.zeros(0, np.int16))
    error: str | None = None


Said = dict[Candidate, list[Spoken]]


async def speak_all(
    candidates: Sequence[Candidate],
    samples: Sequence[Sample],
    repeats: int,
    tell: Callable[[Candidate, Sample], None],
) -> Said:
    """Have every voice say every text; the first request of each opens its connection and is not counted."""
    said: Said = {candidate: [] for candidate in candidates}
    for candidate in candidates:
        tell(candidate, samples[0])
        await speak(candidate.voice, samples[0], 0)
    for repeat in range(repeats):
        for sample in samples:
            for candidate in candidates:
                tell(candidate, sample)
                said[candidate].append(await speak(candidate.voice, sample, repeat))
    return said


async def speak(voice: Voice, sample: Sample, repeat: int) -> Spoken:
    """Have a voice say a text; one that fails is told of, not raised."""
    began_s, first_s, audio = time.perf_counter(), 0.0, bytearray()
    try:
        async with asyncio.timeout(SPEAK_S), voice.speak(sample.text) as coming:
            async for chunk in coming:
                if chunk and not audio:
                    first_s = time.perf_counter() - began_s
                audio += chunk
    except PROVIDER_ERRORS as error:
        return Spoken(sample, repeat, error=type(error).__name__)
    whole_s = time.perf_counter() - began_s
    pcm = np.frombuffer(bytes(audio[: len(audio) & ~1]), np.int16)
    return Spoken(sample, repeat, first_s, whole_s, pcm, None if len(pcm) else "no audio")


def listener(client: httpx.AsyncClient, language: str) -> Hear:
    """Return what hears audio: this machine's recogniser, behind its client."""

    async def hear(pcm: Pcm) -> str:
        buffer = io.BytesIO()
        sf.write(buffer, pcm, VOICE_RATE_HZ, format="WAV")
        response = await client.post(
            "/v1/audio/transcriptions",
            files={"file": ("said.wav", buffer.getvalue(), "audio/wav")},
            data={"model": "whisper", "language": language},
            timeout=HEAR_S,
        )
        if response.status_code != httpx.codes.OK:
            message = response.json()["error"]["message"]
            raise ProviderError(f"the recogniser failed: {message}", kind="refused", provider="on-device")
        return str(response.json()["text"])

    return hear


async def rows_of(candidate: Candidate, said: Iterable[Spoken], hear: Hear | None) -> list[Row]:
    """Return what was measured of each text; words only where there is a voice to be heard.

    Args:
        candidate: Whose.
        said: What it said.
        hear: None where no recogniser knows the language.
    """
    rows = []
    for spoken in said:
        row: Row = {"text": spoken.sample.name, "repeat": spoken.repeat}
        if spoken.error is not None:
            rows.append(row | {"error": spoken.error})
            continue
        audio_s = len(spoken.pcm) / VOICE_RATE_HZ
        before_ms, after_ms = silence_ms(spoken.pcm, VOICE_RATE_HZ)
        row |= {
            "first_audio_ms": round(spoken.first_audio_s * 1000, 1),
            "whole_ms": round(spoken.whole_s * 1000, 1),
            "audio_s": round(audio_s, 3),
            "characters": len(spoken.sample.text),
            "leading_silence_ms": round(before_ms, 1),
        }
        if not candidate.simulated:
            loudness = loudness_lufs(spoken.pcm, VOICE_RATE_HZ)
            row |= {
                "trailing_silence_ms": round(after_ms, 1),
                "loudness_lufs": None if loudness is None else round(loudness, 2),
                "clipped": round(clipped(spoken.pcm), 6),
            }
            if hear is not None:
                heard = await hear(spoken.pcm)
                errors, words = word_errors(spoken.sample, heard)
                row |= {"heard": heard, "word_errors": errors, "words": words}
        rows.append(row)
    return rows


def figures_of(candidate: Candidate, rows: Sequence[Row], prices: PriceTable) -> Row:
    """Return a voice's figures: medians, the word error over all words, loudness and its spread, the price."""
    good = [row for row in rows if "error" not in row]
    figures: Row = {
        "provider": candidate.provider,
        "model": candidate.model,
        "voice": candidate.name,
        "said": len(rows),
        "failed": len(rows) - len(good),
    }
    if not good:
        return figures
    minutes = sum(row["audio_s"] for row in good) / 60
    characters = sum(row["characters"] for row in good)
    figures |= {
        "first_audio_ms": _spread(row["first_audio_ms"] for row in good),
        "first_sound_ms": _spread(row["first_audio_ms"] + row["leading_silence_ms"] for row in good),
        "real_time_factor": _spread((row["whole_ms"] / 1000 / row["audio_s"] for row in good), 3),
        "leading_silence_ms": _spread(row["leading_silence_ms"] for row in good),
        "characters_per_s": round(characters / minutes / 60, 1),
        "usd_per_minute": _price(candidate, characters, minutes, prices),
    }
    if louds := [row["loudness_lufs"] for row in good if row.get("loudness_lufs") is not None]:
        figures["loudness_lufs"] = round(fmean(louds), 1)
        figures["loudness_spread_lu"] = round(max(louds) - min(louds), 1)
    if words := sum(row.get("words", 0) for row in good):
        figures["word_error"] = round(sum(row["word_errors"] for row in good) / words, 4)
        figures["words"] = words
    return figures


def fitting(figures: Iterable[Row], first_sound_ms: float | None, word_error: float | None) -> list[Row]:
    """Return the voices that are quick enough and clear enough, the cheapest first.

    Args:
        figures: Of real voices.
        first_sound_ms: The 95th percentile may be this.
        word_error: Of what is heard, this share may be wrong.
    """
    good = [
        row
        for row in figures
        if "first_sound_ms" in row
        and (first_sound_ms is None or row["first_sound_ms"]["p95"] <= first_sound_ms)
        and (word_error is None or row.get("word_error", 1.0) <= word_error)
    ]
    return sorted(good, key=_cheapest)


def _cheapest(row: Row) -> tuple[bool, float, float]:
    price = row["usd_per_minute"]
    return price is None, price or 0.0, row["first_sound_ms"]["p50"]


def _spread(values: Iterable[float], digits: int = 1) -> dict[str, float]:
    numbers = list(values)
    return {f"p{share}": round(float(np.quantile(numbers, share / 100)), digits) for share in (50, 95)}


def _price(candidate: Candidate, characters: int, minutes: float, prices: PriceTable) -> float | None:
    usage = Usage("bench", "tts", candidate.provider, candidate.model, {"characters": Decimal(characters)})
    cost = prices.cost(usage)
    return None if cost is None or not minutes else round(float(cost) / minutes, 5)
