"""Reads figures off a recording of a call: when who was heard, which reply it was, where the voice broke off.

Works on the audio alone, in frames of 10 ms, so that every system is measured by the same ear.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from repartee.simulator.providers.voices import DIGIT_HZ, DIGIT_S

RATE_HZ = 16_000
FRAME_S = 0.01
FRAME = int(RATE_HZ * FRAME_S)
LOUD_RMS = 300.0
"""The agent is heard from this level on; its line is silent otherwise."""
MIN_SOUND_S = 0.1
"""Shorter is a click."""
JOIN_S = 0.25
"""Sounds this near to each other are one."""
GAP_S = 0.06
LOWER_DB = 20.0
SILENT_DB = 35.0
STEADY_S = 0.06
"""A level holds when it does for this long."""
DIGIT_MARGIN = 3.0
NUMBER_GAP = 30
"""Frames that a number's digits may lie apart: a voice that stops for a moment goes on in the middle of one."""
GOES_ON = slice(8, 24)
"""Frames after a number in which the voice is looked for."""
Sound = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Code:
    """A reply's number, heard at a time."""

    number: int
    at_s: float


def levels(sound: Sound) -> npt.NDArray[np.float64]:
    """Return the root mean square of each 10 ms."""
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)))


def sounds(sound: Sound, join_s: float = JOIN_S) -> list[Span]:
    """Return where something is heard."""
    spans: list[list[float]] = []
    for start, end in _runs(levels(sound) > LOUD_RMS):
        if spans and start * FRAME_S - spans[-1][1] < join_s:
            spans[-1][1] = end * FRAME_S
        else:
            spans.append([start * FRAME_S, end * FRAME_S])
    return [Span(start, end) for start, end in spans if end - start >= MIN_SOUND_S]


def first_sound(heard: list[Span], after_s: float, before_s: float) -> float | None:
    """Return when the first sound within a time begins."""
    return next((span.start_s for span in heard if after_s <= span.start_s < before_s), None)


def is_heard(heard: list[Span], at_s: float) -> bool:
    """Say whether something is heard at a time."""
    return any(span.start_s <= at_s < span.end_s for span in heard)


def gaps(sound: Sound, longest_s: float = JOIN_S) -> list[Span]:
    """Return the holes of more than 60 ms within what is said."""
    parts = sounds(sound, join_s=0.0)
    return [
        Span(one.end_s, other.start_s)
        for one, other in pairwise(parts)
        if GAP_S < other.start_s - one.end_s < longest_s
    ]


def falls(sound: Sound, onset_s: float, within_s: float, down_db: float) -> float | None:
    """Return how long after an onset the level is down by so many decibels and stays there, None if it never is."""
    level = levels(sound)
    at = int(onset_s / FRAME_S)
    before = level[max(0, at - 50) : at]
    loud = before[before > LOUD_RMS]
    if not loud.size:
        return None
    limit = max(float(np.median(loud)) * 10 ** (-down_db / 20), 8.0)
    steady = int(STEADY_S / FRAME_S)
    low = level[at : at + int(within_s / FRAME_S) + steady] <= limit
    for start, end in _runs(low):
        if end - start >= steady:
            return start * FRAME_S
    return None


def codes(sound: Sound, start_s: float = 0.0, end_s: float | None = None) -> list[Code]:
    """Return the numbers spoken as tones: three digits one after another."""
    piece = sound[int(start_s * RATE_HZ) : None if end_s is None else int(end_s * RATE_HZ)].astype(np.float64)
    digits = _digits(piece)
    found: list[Code] = []
    step = round(DIGIT_S / FRAME_S)
    at = 0
    while at + 3 * step <= len(digits):
        trio = [digits[at + n * step + step // 2] for n in range(3)]
        held = all(digits[at + n * step + step // 2 + d] == trio[n] for n in range(3) for d in (-1, 1))
        if min(trio) >= 0 and held:
            found.append(
                Code(
                    int(trio[0] * 100 + trio[1] * 10 + trio[2]), start_s + _run_start(digits, at + step // 2)
                )
            )
            at += 3 * step
        else:
            at += 1
    return found


def numbers(
    sound: Sound, known: Collection[int], start_s: float = 0.0, end_s: float | None = None
) -> list[Code]:
    """Return which of the known numbers are spoken, where the way may have stretched or blurred a digit.

    Digits next to each other in a number must differ. Two of a number's three digits are enough where the voice goes
    on behind them; where it breaks off in the middle of a number, that number was not heard.
    """
    piece = sound[int(start_s * RATE_HZ) : None if end_s is None else int(end_s * RATE_HZ)]
    loud = levels(piece) > LOUD_RMS
    found: list[Code] = []
    for text, start, end in _groups(_digits(piece.astype(np.float64))):
        number = next((n for n in known if str(n) in text), None)
        after = loud[end:][GOES_ON]
        goes_on = len(after) == GOES_ON.stop - GOES_ON.start and bool(after.all())
        if number is None and len(text) == 3:
            number = int(text)
        elif number is None and len(text) >= 2 and goes_on:
            near = [n for n in known if any(pair in text for pair in _pairs(str(n)))]
            number = near[0] if len(near) == 1 else None
        if number is not None:
            found.append(Code(number, start_s + start * FRAME_S))
    return found


def _pairs(number: str) -> tuple[str, str, str]:
    return number[:2], number[1:], number[0] + number[2]


def _groups(digits: npt.NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """Return digits that follow each other closely, with the first and the last frame of each group."""
    groups: list[tuple[str, int, int]] = []
    for digit, start, end in _held(digits):
        if groups and start - groups[-1][2] <= NUMBER_GAP:
            text, first, _ = groups.pop()
            groups.append((text if text.endswith(digit) else text + digit, first, end))
        else:
            groups.append((digit, start, end))
    return groups


def _held(digits: npt.NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """Return each digit that holds for 20 ms, with its frames."""
    edges = [0, *(np.flatnonzero(np.diff(digits)) + 1).tolist(), len(digits)]
    runs = [(int(digits[a]), a, b) for a, b in pairwise(edges) if b > a]
    return [(str(digit), a, b) for digit, a, b in runs if digit >= 0 and b - a >= 2]


def _run_start(digits: npt.NDArray[np.int64], at: int) -> float:
    while at > 0 and digits[at - 1] == digits[at]:
        at -= 1
    return at * FRAME_S


def _digits(piece: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the digit whose tone stands out in each 10 ms (of 20 ms around it), -1 for none."""
    if len(piece) < 2 * FRAME:
        return np.zeros(0, dtype=np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(piece, 2 * FRAME)[::FRAME]
    window = np.hanning(2 * FRAME)
    at = np.arange(2 * FRAME) / RATE_HZ
    probes = np.exp(-2j * np.pi * np.outer(at, DIGIT_HZ)) * window[:, None]
    power = np.abs(frames @ probes) ** 2
    total = ((frames * window) ** 2).sum(axis=1) * len(at) / 4 + 1.0
    best = power.argmax(axis=1)
    ordered = np.sort(power, axis=1)
    clear = (ordered[:, -1] > DIGIT_MARGIN * ordered[:, -2]) & (ordered[:, -1] > 0.4 * total)
    loud = np.sqrt((frames**2).mean(axis=1)) > LOUD_RMS
    return np.where(clear & loud, best, -1)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))
