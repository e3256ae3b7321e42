"""Voices compared: what is read off their audio, what counts as misheard, and what is chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from repartee.providers.prices import load_prices
from repartee.simulator.voices.measure import (
    Candidate,
    Row,
    Spoken,
    figures_of,
    fitting,
    rows_of,
    speak,
    speak_all,
)
from repartee.simulator.voices.page import page
from repartee.simulator.voices.sound import Pcm, clipped, loudness_lufs, silence_ms
from repartee.simulator.voices.texts import TEXTS, Sample, word_errors

RATE_HZ = 24_000
YES = Sample("yes", "Yes, of course.")


def tone(seconds: float, dbfs: float, hz: float = 997.0, rate_hz: int = RATE_HZ) -> Pcm:
    at_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.asarray(32767 * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * at_s)).astype(np.int16)


def quiet(seconds: float) -> Pcm:
    return np.zeros(int(seconds * RATE_HZ), np.int16)


class Tones:
    """A voice that beeps."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.asked: list[str] = []

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(text)
        yield self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


class Refuses:
    """A voice that cannot be reached."""

    @asynccontextmanager
    async def speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        raise ConnectionRefusedError(text)
        yield  # type: ignore[unreachable]


def candidate(voice: object, *, simulated: bool = False, provider: str = "openai") -> Candidate:
    return Candidate(provider, "tts-1", "alloy", voice, simulated)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
def test_loudness_is_that_of_the_recommendation(rate_hz: int) -> None:
    # BS.1770-4: 997 Hz at full scale in one channel is -3.01 LUFS.
    assert loudness_lufs(tone(3, 0.0, rate_hz=rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.05)
    assert loudness_lufs(tone(3, -20.0, rate_hz=rate_hz), rate_hz) == pytest.approx(-23.01, abs=0.05)


def test_low_tones_count_less_than_high_ones() -> None:
    low, high = loudness_lufs(tone(2, -20, 60), RATE_HZ), loudness_lufs(tone(2, -20, 3000), RATE_HZ)
    assert low is not None
    assert high is not None
    assert low < -24
    assert high > -20.5


def test_pauses_do_not_make_a_voice_quieter() -> None:
    said = np.concatenate([quiet(2), tone(3, -20), quiet(4)])
    assert loudness_lufs(said, RATE_HZ) == pytest.approx(-23.0, abs=0.5)


def test_a_word_shorter_than_a_block_has_a_loudness_and_silence_has_none() -> None:
    assert loudness_lufs(tone(0.2, -20), RATE_HZ) == pytest.approx(-26.0, abs=0.6)
    assert loudness_lufs(quiet(1), RATE_HZ) is None


def test_silence_before_and_after_is_found_to_five_milliseconds() -> None:
    said = np.concatenate([quiet(0.12), tone(0.5, -20), quiet(0.3)])
    before_ms, after_ms = silence_ms(said, RATE_HZ)
    assert before_ms == pytest.approx(120, abs=5)
    assert after_ms == pytest.approx(300, abs=6)
    assert silence_ms(quiet(0.5), RATE_HZ) == (500.0, 500.0)


def test_clipping_is_counted() -> None:
    assert clipped(tone(0.5, -6)) == 0
    assert clipped(np.full(100, 32767, np.int16)) == 1


def test_words_may_be_written_in_several_ways() -> None:
    time = next(sample for sample in TEXTS["en"] if sample.name == "time")
    assert word_errors(time, "we have a free slot on tuesday at 9:30 in the morning")[0] == 0
    assert word_errors(time, "We have a free slot on Tuesday at half-past nine in the morning.")[0] == 0
    errors, words = word_errors(time, "We have a free lot on Tuesday at 9:30 in the morning.")
    assert (errors, words) == (1, 13)
    assert word_errors(YES, "")[0] == 3


@pytest.mark.parametrize("language", TEXTS)
def test_every_language_has_texts_of_its_own_names(language: str) -> None:
    names = [sample.name for sample in TEXTS[language]]
    assert len(set(names)) == len(names)
    assert {"yes", "greeting", "goodbye"} <= set(names)


async def test_every_voice_says_every_text_and_the_first_request_is_not_counted() -> None:
    voice, samples = Tones(tone(0.5, -20).tobytes()), TEXTS["en"][:3]
    one = candidate(voice)
    said = await speak_all([one], samples, 2, lambda *_: None)
    assert [(s.sample.name, s.repeat) for s in said[one]] == [(s.name, r) for r in (0, 1) for s in samples]
    assert len(voice.asked) == 7


async def test_a_voice_that_fails_is_counted_and_told_of() -> None:
    one = candidate(Refuses())
    said = [await speak(one.voice, YES, 0), await speak(Tones(), YES, 1)]
    assert [spoken.error for spoken in said] == ["ConnectionRefusedError", "no audio"]
    figures = figures_of(one, await rows_of(one, said, None), load_prices())
    assert figures["failed"] == 2
    assert "first_audio_ms" not in figures


def at(first_s: float, whole_s: float, pcm: Pcm, text: str = YES.text) -> Spoken:
    return Spoken(Sample("yes", text), 0, first_s, whole_s, pcm)


async def heard(_: Pcm) -> str:
    return "Yes of horse."


async def test_a_real_voice_s_figures() -> None:
    one = candidate(None)
    said = [at(0.2, 1.0, np.concatenate([quiet(0.1), tone(1.9, -20)]))]
    rows = await rows_of(one, said, heard)
    figures = figures_of(one, rows, load_prices())
    assert figures["first_audio_ms"]["p50"] == 200
    assert figures["first_sound_ms"]["p50"] == pytest.approx(300, abs=5)
    assert figures["real_time_factor"]["p50"] == 0.5
    assert figures["word_error"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["loudness_lufs"] == pytest.approx(-23, abs=0.5)
    # 15 characters in 2 s at 15 USD a million.
    assert figures["usd_per_minute"] == pytest.approx(15 * 30 * 15 / 1e6, rel=1e-3)


async def test_nobody_listens_to_a_stand_in() -> None:
    one = candidate(None, simulated=True)
    (row,) = await rows_of(one, [at(0.2, 1.0, tone(1, -20))], heard)
    assert not {"heard", "words", "loudness_lufs"} & set(row)
    assert "word_error" not in figures_of(one, [row], load_prices())


def voice(name: str, p95_ms: float, error: float | None, usd: float | None) -> Row:
    row: Row = {
        "model": name,
        "first_sound_ms": {"p50": p95_ms / 2, "p95": p95_ms},
        "usd_per_minute": usd,
    }
    return row if error is None else row | {"word_error": error}


def test_the_cheapest_of_those_that_fit_comes_first() -> None:
    voices = [
        voice("slow", 900, 0.01, 0.01),
        voice("dear", 200, 0.01, 0.05),
        voice("good", 290, 0.04, 0.02),
        voice("unpriced", 200, 0.01, None),
        voice("mumbles", 100, 0.2, 0.0),
        voice("unheard", 100, None, 0.0),
        {"model": "failed"},
    ]
    assert [row["model"] for row in fitting(voices, 300, 0.05)] == ["good", "dear", "unpriced"]
    assert [row["model"] for row in fitting(voices, 300, None)][:2] == ["mumbles", "unheard"]


def test_the_page_plays_real_voices_and_no_stand_ins() -> None:
    real, fake = candidate(None), candidate(None, simulated=True, provider="cartesia")
    said = {one: [at(0.2, 1.0, tone(1, -20), "Yes & <b>no</b>.")] for one in (real, fake)}
    row = {"text": "yes", "repeat": 0, "heard": "Yes & <no>.", "word_errors": 1}
    figures = {"provider": "openai", "model": "tts-1", "rows": [row]}
    report = {
        "machine": "m",
        "at": "now",
        "voices": [figures],
        "simulated": [{**figures, "provider": "cartesia"}],
    }
    text = page(report, said)
    assert text.count("<audio") == 1
    assert "data:audio/mpeg;base64," in text
    assert "Yes &amp; &lt;b&gt;no&lt;/b&gt;." in text
    assert "http" not in text
