"""The recordings that come with the program: they say what the program says, can be played, and need nobody."""

from __future__ import annotations

import numpy as np
import pytest

from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.session.clips import BUSY, RECORDED_LINES, clips_for
from repartee.session.lines import lines_for

SECONDS_A_LETTER = (0.03, 0.13)


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_recordings_say_what_the_program_says(language: str) -> None:
    lines = lines_for(language)
    expected = {**{name: lines[name] for name in RECORDED_LINES}, "busy": BUSY[language]}  # type: ignore[index]
    assert {name: clip.text for name, clip in clips_for(language).items()} == expected, "run scripts/clips.py"


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_every_recording_is_a_voice_of_the_length_of_its_text_and_begins_at_once(language: str) -> None:
    for name, clip in clips_for(language).items():
        samples = np.frombuffer(clip.pcm(), np.int16)
        seconds = len(samples) / VOICE_RATE_HZ
        least, most = (share * len(clip.text) for share in SECONDS_A_LETTER)
        assert least < seconds < most, (name, seconds)
        assert 10_000 < int(np.max(np.abs(samples.astype(np.int32)))) < 32_767
        assert np.any(np.abs(samples[: VOICE_RATE_HZ // 20]) > 300), "silence at the beginning"


def test_a_dialect_has_its_language_s_and_an_unknown_language_english() -> None:
    assert clips_for("de-AT") == clips_for("de")
    assert clips_for("fr") == clips_for("en")
