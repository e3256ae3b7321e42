"""Recognises which library recording, and how much of it, an upload holds: a premature upload gets a partial text.

A fingerprint of the upload (how the differences between neighbouring bands change in time) is found again in the
fingerprints of all recordings by normalised cross-correlation, one window at a time. That survives Opus,
resampling, gain and noise, and does not take other speech for speech it knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from repartee.errors import ConfigError
from repartee.simulator.audio import read_audio

RATE_HZ = 16_000
HOP = 160
WINDOW = 1024
LAG = 3
BANDS = 24
FFT_SIZE = 1024
SEARCH_FRAMES = 45
BLOCK = 1024
SEARCH_STEP = 20
MIN_FRAMES = 14
NEAR_FRAMES = 3
FLOOR = 0.5
SHORT_FLOOR = 0.25
"""Correlation from which a window counts as found."""
WORD_HEARD = 0.5
"""A word is heard when this share of it was."""
Frames = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: its words with the time each ends."""

    name: str
    words: tuple[tuple[str, float, float], ...]
    """Word, start and end in seconds."""


@dataclass(frozen=True, slots=True)
class Composed:
    """Sound that is in no folder, put together from recordings, and its words.

    Attributes:
        pcm: 16 kHz mono, 16 bit.
    """

    name: str
    pcm: npt.NDArray[np.int16]
    words: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an upload holds."""

    text: str
    names: tuple[str, ...]
    complete: bool
    """Whether every recording was heard to its last word."""


class SpeechLibrary:
    """The recordings of a folder with an `index.json`.

    Args:
        folder: It holds `index.json`: a list of {file, transcript, speech: [{segments: [[start, end]]}]}; those
            without words are left out.
        composed: Sounds put together from recordings, too short each to be recognised alone.
        transcripts: JSON with the words of recordings that have no transcript: {words: {file: [[word, start, end]]}}.

    Raises:
        ConfigError: The folder is not such a library.
    """

    def __init__(
        self, folder: Path, transcripts: Path | None = None, composed: Sequence[Composed] = ()
    ) -> None:
        try:
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            more = json.loads(transcripts.read_text(encoding="utf-8"))["words"] if transcripts else {}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{folder} has no index.json of recordings; give its folder with --speech"
            ) from error
        self._recordings: list[Recording] = []
        starts, parts, at = [], [], 0
        # One whose words nobody knows is to be recognised as nothing, like any other sound: it need not be known.
        whole = [
            Composed(entry["file"], read_audio(folder / entry["file"], RATE_HZ), words)
            for entry in index
            if (words := _timed(entry, more))
        ]
        # What is composed comes first: it is found before the recordings it consists of, where both fit equally.
        for sound in (*composed, *whole):
            frames = _frames(np.asarray(sound.pcm / 32768, dtype=np.float32))
            self._recordings.append(Recording(sound.name, sound.words))
            starts.append(at)
            # A gap as long as the search window: no window finds the end of one and the start of the next.
            parts += [frames, np.zeros((SEARCH_FRAMES, BANDS - 1), np.float32)]
            at += len(frames) + SEARCH_FRAMES
        if not parts:
            raise ConfigError(f"{folder} holds no recordings whose words are known")
        self._starts = np.array(starts)
        self._all = np.concatenate(parts)
        # Searched in overlapping blocks: the transform of a window is then short, and a search takes milliseconds.
        step = BLOCK - SEARCH_FRAMES + 1
        padded = np.pad(self._all, ((0, BLOCK + step), (0, 0)))
        blocks = [padded[at : at + BLOCK] for at in range(0, len(self._all), step)]
        self._blocks = np.fft.rfft(np.stack(blocks), axis=1).astype(np.complex64)
        self._energy = np.concatenate([[0.0], np.cumsum((self._all.astype(np.float64) ** 2).sum(axis=1))])

    @property
    def recordings(self) -> int:
        """How many recordings can be recognised."""
        return len(self._recordings)

    def recognise(self, audio: npt.NDArray[np.float32]) -> Heard:
        """Return the words an upload holds.

        Args:
            audio: 16 kHz mono, -1..1.
        """
        found: dict[int, list[float]] = {}
        order: list[int] = []
        for start_s, end_s, which in self._matches(audio):
            if which not in found:
                found[which] = [start_s, end_s]
                order.append(which)
            found[which] = [min(found[which][0], start_s), max(found[which][1], end_s)]
        texts, complete = [], bool(order)
        for which in order:
            recording, (start_s, end_s) = self._recordings[which], found[which]
            words = [
                w for w, s, e in recording.words if s + (e - s) * WORD_HEARD <= end_s and s >= start_s - 0.3
            ]
            texts.append(" ".join(words))
            complete &= len(words) == len(recording.words)
        text = " ".join(t for t in texts if t)
        return Heard(text, tuple(self._recordings[which].name for which in order), complete)

    def _matches(self, audio: npt.NDArray[np.float32]) -> list[tuple[float, float, int]]:
        """Return what is found in order: start and end in the recording in seconds, and which recording."""
        frames, loud = _frames(audio), _loud(audio)
        matches: list[tuple[float, float, int]] = []
        at, count = 0, min(len(frames), len(loud))
        place: int | None = None
        """Where in the library frame 0 of the upload would be, by the last match."""
        while at < count:
            if not loud[at]:
                at += 1
                continue
            size = min(SEARCH_FRAMES, count - at)
            while size > MIN_FRAMES and not loud[at + size - 1]:
                size -= 1
            if size >= MIN_FRAMES:
                window = frames[at : at + size]
                best = self._near(window, place + at) if place is not None else None
                best = self._find(window) if best is None else best
                if best is not None:
                    place = best - at
                    which = int(np.searchsorted(self._starts, best, side="right")) - 1
                    offset = best - int(self._starts[which])
                    matches.append((offset * HOP / RATE_HZ, (offset + size) * HOP / RATE_HZ, which))
            at += min(SEARCH_STEP, max(1, size))
        return _agreeing(matches)

    def _near(self, window: Frames, expected: int) -> int | None:
        """Return where the window is if it goes on where the last one was."""
        best, at = FLOOR, None
        for start in range(max(0, expected - NEAR_FRAMES), expected + NEAR_FRAMES + 1):
            there = self._all[start : start + len(window)]
            if len(there) == len(window):
                norm = float(np.linalg.norm(there) * np.linalg.norm(window))
                score = float((there * window).sum()) / norm if norm else 0.0
                if score >= best:
                    best, at = score, start
        return at

    def _find(self, window: Frames) -> int | None:
        """Return where in the whole library the window is."""
        size = len(window)
        spectrum = np.fft.rfft(window[::-1], BLOCK, axis=0).astype(np.complex64)
        parts = np.fft.irfft(np.einsum("bfk,fk->bf", self._blocks, spectrum), BLOCK, axis=1)
        step = BLOCK - SEARCH_FRAMES + 1
        dot = parts[:, size - 1 : size - 1 + step].reshape(-1)[: len(self._all) - size + 1]
        energy = self._energy[size:] - self._energy[:-size]
        norm = np.sqrt(np.maximum(energy[: len(dot)], 1e-6) * max(1e-6, float((window**2).sum())))
        score = dot / np.maximum(norm, 0.3 * norm.max())
        best = int(np.argmax(score))
        # The shorter the window, the likelier it resembles something by chance.
        floor = FLOOR + SHORT_FLOOR * (1 - min(size, SEARCH_FRAMES) / SEARCH_FRAMES)
        return best if score[best] >= floor else None


def _agreeing(matches: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Drop a lone window that points elsewhere than both its neighbours."""
    kept = []
    for index, match in enumerate(matches):
        near = {matches[i][2] for i in (index - 1, index + 1) if 0 <= i < len(matches)}
        if len(matches) < 3 or match[2] in near:
            kept.append(match)
    return kept


def _frames(audio: npt.NDArray[np.float32]) -> Frames:
    """Fingerprint frames every 10 ms; frame n covers the sound around n * 10 ms."""
    half = WINDOW // 2
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (half, half)), WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(cut * np.hanning(WINDOW), FFT_SIZE, axis=1)) ** 2
    mel = np.log(power @ _MEL + 1e-4)
    slope = np.diff(mel, axis=1)
    change = np.zeros_like(slope)
    change[LAG:] = slope[LAG:] - slope[:-LAG]
    return np.tanh(change).astype(np.float32)


def _loud(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (HOP, HOP)), 2 * HOP)[::HOP]
    level = np.sqrt((cut.astype(np.float64) ** 2).mean(axis=1))
    return np.asarray(level > max(0.002, float(level.max()) * 10 ** (-35 / 20)))


def _mel_filters() -> npt.NDArray[np.float64]:
    def mel(hz: float) -> float:
        return float(2595 * np.log10(1 + hz / 700))

    points = 700 * (10 ** (np.linspace(mel(120), mel(6500), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FFT_SIZE, 1 / RATE_HZ)[:, None]
    low, centre, high = points[:-2], points[1:-1], points[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


_MEL = _mel_filters()


def _timed(
    entry: dict[str, Any], more: dict[str, list[tuple[str, float, float]]]
) -> tuple[tuple[str, float, float], ...]:
    segments = [(float(s), float(e)) for channel in entry.get("speech") or [] for s, e in channel["segments"]]
    return in_speech(more.get(entry["file"], ()), segments) or _words(entry)


def in_speech(
    words: Iterable[tuple[str, float, float]], segments: Sequence[tuple[float, float]]
) -> tuple[tuple[str, float, float], ...]:
    """Return words with their times cut to where there is speech: a recogniser's reach into the pauses."""
    placed = []
    for word, start, end in words:
        shares = [(min(end, e) - max(start, s), s, e) for s, e in segments]
        overlap, s, e = max(shares, default=(0.0, start, end))
        inside = (max(start, s), min(end, e)) if overlap > 0 else (start, end)
        placed.append((word, *inside))
    return tuple(placed)


def _words(entry: dict[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """Spread the words over the speech segments by their letters, each to the middle of its share.

    Where they are is a guess, and what is marked as speech ends in breath: the last word is heard before that.
    """
    words = str(entry.get("transcript") or "").split()
    segments = [s for channel in entry.get("speech") or [] for s in channel["segments"]] or [
        [0.0, entry["seconds"]]
    ]
    speech_s = sum(end - start for start, end in segments)
    letters = sum(len(word) + 1 for word in words)
    timed, spent = [], 0
    for word in words:
        size = len(word) + 1
        start, middle = (_at(segments, speech_s * place / letters) for place in (spent, spent + size / 2))
        timed.append((word, start, middle))
        spent += size
    return tuple(timed)


def _at(segments: list[list[float]], speech_s: float) -> float:
    for start, end in segments:
        if speech_s <= end - start + 1e-9:
            return float(start + speech_s)
        speech_s -= end - start
    return float(segments[-1][1])
