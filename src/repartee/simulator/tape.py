"""The recording of a call: what was said and what was heard, each at its place on one clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile as sf

from repartee.simulator.audio import Pcm

NEIGHBOURS = 100
"""Frames of 20 ms whose lateness is compared."""
BREAK_S = 1.0
"""Frames that come so long after the last were not late: there were none."""
SEAM_S = 0.1
"""What is said follows without gaps; only a real pause moves the place of the next."""
Frames = list[tuple[float, Pcm]]
"""When each came, on the monotonic clock, and what was in it."""


class Tape:
    """Both sides of a call.

    Args:
        rate_hz: Of all sound.

    Attributes:
        began_s: When the call began, on the monotonic clock.
        said: When each thing was said, and its sound.
        heard_on: What was heard of the agent, for each track on its own: an agent that takes over has another.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.began_s = time.monotonic()
        self.said: Frames = []
        self.heard_on: list[Frames] = []

    def heard(self) -> Pcm:
        """Return what was heard of the agent since the call began.

        A frame's place is told by the earliest of its neighbours: the network can only make frames late.
        """
        out = np.zeros(int((self._ended_s() - self.began_s + 1.0) * self._rate_hz), np.int32)
        for frames in filter(None, self.heard_on):
            for place_s, pcm in places(frames, self.began_s, self._rate_hz):
                at = max(0, int(place_s * self._rate_hz))
                out[at : at + len(pcm)] += pcm[: max(0, len(out) - at)]
        return out.clip(-32768, 32767).astype(np.int16)

    def write(self, path: Path) -> None:
        """Write both sides: the caller left, the agent right."""
        heard = self.heard()
        stereo = np.zeros((len(heard), 2), np.int16)
        stereo[:, 1] = heard
        next_at = 0
        for at_s, pcm in self.said:
            wanted = int((at_s - self.began_s) * self._rate_hz)
            at = next_at if abs(wanted - next_at) < self._rate_hz * SEAM_S else max(0, wanted)
            piece = pcm[: max(0, len(stereo) - at)]
            stereo[at : at + len(piece), 0] = piece
            next_at = at + len(pcm)
        sf.write(path, stereo, self._rate_hz)

    def _ended_s(self) -> float:
        said = [at_s + len(pcm) / self._rate_hz for at_s, pcm in self.said]
        return max([self.began_s, *said, *(frames[-1][0] for frames in self.heard_on if frames)])


def places(
    frames: Frames, zero_s: float, rate_hz: int, neighbours: int = NEIGHBOURS, break_s: float = BREAK_S
) -> Iterator[tuple[float, Pcm]]:
    """Yield a track's frames with their places in seconds; where none came for long, the place begins anew.

    Args:
        frames: In their order.
        zero_s: Where places are counted from, on the monotonic clock.
        rate_hz: Of their sound.
        neighbours: Frames whose lateness is compared, to each side.
        break_s: So long is long.
    """
    times = np.array([at for at, _ in frames]) - zero_s
    breaks = [0, *(np.flatnonzero(np.diff(times) > break_s) + 1).tolist(), len(frames)]
    for start, end in pairwise(breaks):
        part = frames[start:end]
        lengths = np.array([len(pcm) for _, pcm in part]) / rate_hz
        sounded = np.cumsum(lengths) - lengths
        late = times[start:end] - lengths - sounded
        early = np.array([late[max(0, i - neighbours) : i + neighbours].min() for i in range(len(late))])
        yield from zip((sounded + early).tolist(), (pcm for _, pcm in part), strict=True)
