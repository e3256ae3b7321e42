"""A made-up voice: syllables of a buzzing tone, as long as the text would take, and numbers as tones.

Every letter takes the same time, so that it is known to the word what of a text has sounded; a number's digits are
pure tones, so that a recording tells which reply it holds.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

MS_PER_CHARACTER = 62
PITCH_HZ = 130.0
DIGIT_HZ = tuple(1000.0 + 180.0 * digit for digit in range(10))
DIGIT_S = MS_PER_CHARACTER / 1000
BETWEEN_WORDS = 0.35
"""Level between words: the voice itself has no holes, so a hole that is heard was made on the way."""
Pcm = npt.NDArray[np.int16]


def words_with_times(text: str) -> list[tuple[str, float, float]]:
    """Return each word with its start and end in seconds."""
    at, timed = 0, []
    for word in text.split():
        start = at
        at += (len(word) + 1) * MS_PER_CHARACTER
        timed.append((word, start / 1000, (at - MS_PER_CHARACTER) / 1000))
    return timed


def speak(text: str, rate_hz: int) -> Pcm:
    """Return a text as sound, the same every time."""
    spoken = " ".join(text.split())
    words = words_with_times(spoken)
    total_s = (len(spoken) + 1) * MS_PER_CHARACTER / 1000
    at_s = np.arange(int(total_s * rate_hz)) / rate_hz
    buzz = sum(np.sin(2 * np.pi * PITCH_HZ * n * at_s) / n for n in range(1, 9))
    level = np.full_like(at_s, BETWEEN_WORDS)
    for _, start, end in words:
        inside = (at_s >= start) & (at_s < end)
        level[inside] = 0.75 + 0.25 * np.sin(2 * np.pi * 5 * (at_s[inside] - start))
    voice = buzz * level * 0.12
    for match in re.finditer(r"\d", spoken):
        start = match.start() * DIGIT_S
        inside = (at_s >= start) & (at_s < start + DIGIT_S)
        voice[inside] = 0.2 * np.sin(2 * np.pi * DIGIT_HZ[int(match.group())] * at_s[inside])
    return np.asarray(voice * 32767).clip(-32768, 32767).astype(np.int16)
