"""The recording of one call: the caller left, the agent right, as both were heard here, on the call's clock.

The event loop only hands over audio, and pictures that were looked at; a thread of its own writes them. Time 0 of the
file is time 0 of the call, so a turn is found in it by its time.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr
import structlog

from repartee.session.album import PICTURES, Album

if TYPE_CHECKING:
    from repartee.session.gate import AudioSink

log = structlog.get_logger()
RATE_HZ = 24_000
CALLER_RATE_HZ = 16_000
HORIZON_MS = 1000.0
"""What is older is written: the agent's audio may be taken back as long as it is not heard, at most 100 ms."""
GAP_MS = 100.0
"""Frames follow each other without a gap; only a real pause moves the place of the next one."""
QUEUE_SIZE = 3000
"""A minute of both sides; a disk that is slower for longer loses audio, counted."""
CLOSE_S = 5.0
PART = ".part"
PEAKS = ".peaks"
"""Beside the file, its shape: for each 20 ms the loudest moment of both sides, 0 to 255 each."""
PEAK_SAMPLES = RATE_HZ // 50

Pcm: TypeAlias = npt.NDArray[np.int16]


class Recorder:
    """Records one call.

    Args:
        path: The file, `.flac`. It has its name when it is whole.
        clock_ms: The call's clock.
    """

    def __init__(self, path: Path, clock_ms: Callable[[], float]) -> None:
        self._path = path
        self._part = path.with_name(path.name + PART)
        self._clock_ms = clock_ms
        self._queue: queue.Queue[tuple[float, Callable[[], None]] | None] = queue.Queue(QUEUE_SIZE)
        self._caller, self._agent = _Channel(CALLER_RATE_HZ), _Channel(RATE_HZ)
        self._written = 0
        self._peaks = bytearray()
        self._rest = np.zeros((0, 2), np.int16)
        self._discarded = False
        self._album = Album(path.parent, path.stem)
        self._pictures = 0
        self.lost = 0
        """Frames that were not recorded, because the disk was too slow or full."""
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="recording", daemon=True
        )
        self._thread.start()

    # --- on the event loop ------------------------------------------------------------------------------------

    def caller(self, pcm: bytes) -> None:
        """Take what was just received of the caller, 16-bit mono."""
        at_ms = self._clock_ms()
        self._hand_over(at_ms, lambda: self._caller.put(at_ms, pcm))

    def agent(self, pcm: bytes, queued_ms: float) -> None:
        """Take what was just queued for the caller, 16-bit mono; so much is queued with it."""
        at_ms = self._clock_ms()
        self._hand_over(at_ms, lambda: self._agent.put(at_ms + queued_ms, pcm))

    def cleared(self) -> None:
        """What was queued is not going to be heard."""
        at_ms = self._clock_ms()
        self._hand_over(at_ms, lambda: self._agent.cut(at_ms))

    def picture(self, at_ms: int, jpeg: bytes) -> bool:
        """Take what was looked at, a JPEG; says whether it is kept: so many of a call are."""
        if self._discarded or self._pictures >= PICTURES:
            return False
        self._pictures += 1
        return self._hand_over(self._clock_ms(), lambda: self._album.keep(at_ms, jpeg))

    def discard(self) -> None:
        """Keep nothing of the call."""
        self._discarded = True

    def close(self) -> None:
        """Write the rest and give the file its name; waits a bounded time."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)
        if self.lost or self._thread.is_alive():
            log.warning("recording.incomplete", lost_frames=self.lost)

    def _hand_over(self, at_ms: float, work: Callable[[], None]) -> bool:
        try:
            self._queue.put_nowait((at_ms, work))
        except queue.Full:
            self.lost += 1
            return False
        return True

    # --- in the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._part.touch(mode=0o600)
            with sf.SoundFile(self._part, "w", RATE_HZ, 2, "PCM_16", format="FLAC") as file:
                while (item := self._queue.get()) is not None:
                    at_ms, work = item
                    work()
                    self._write(file, at_ms - HORIZON_MS)
                self._write(file, max(self._caller.end_ms, self._agent.end_ms))
            if self._discarded or not self._written:
                self._part.unlink()
            else:
                peaks = self._path.with_name(self._path.name + PEAKS)
                peaks.touch(mode=0o600)
                peaks.write_bytes(self._peaks)
                self._part.replace(self._path)
        except (OSError, sf.LibsndfileError) as error:
            log.warning("recording.failed", error=type(error).__name__)
            self._discard_queue()
        finally:
            if self._discarded:
                self._album.discard()

    def _write(self, file: sf.SoundFile, until_ms: float) -> None:
        samples = int(until_ms * RATE_HZ / 1000) - self._written
        if samples > 0 and not self._discarded:
            sound = np.stack((self._caller.take(samples), self._agent.take(samples)), axis=1)
            file.write(sound)
            self._written += samples
            self._shape(sound)

    def _shape(self, sound: Pcm) -> None:
        sound = np.concatenate((self._rest, sound))
        whole = len(sound) // PEAK_SAMPLES * PEAK_SAMPLES
        self._rest = sound[whole:]
        loud = np.abs(sound[:whole].astype(np.int32)).reshape(-1, PEAK_SAMPLES, 2).max(axis=1)
        self._peaks += np.minimum(loud >> 7, 255).astype(np.uint8).tobytes()

    def _discard_queue(self) -> None:
        while self._queue.get() is not None:
            self.lost += 1


class _Channel:
    """One side: what is not written yet, from where writing stands."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._stream = self._new_stream()
        self._begin = 0
        self._waiting: list[Pcm] = []
        self._samples = 0

    @property
    def end_ms(self) -> float:
        """Where the newest audio ends."""
        return (self._begin + self._samples) * 1000 / RATE_HZ

    def put(self, end_ms: float, pcm: bytes) -> None:
        """Place audio that ends at a time."""
        sound = np.frombuffer(pcm, dtype=np.int16)
        gap_ms = end_ms - len(sound) * 1000 / self._rate_hz - self.end_ms
        if gap_ms > GAP_MS:
            if self._rate_hz != RATE_HZ:
                self._add(self._stream.resample_chunk(np.zeros(0, np.int16), last=True))
                self._stream = self._new_stream()
            self._add(np.zeros(int(gap_ms * RATE_HZ / 1000), np.int16))
        self._add(sound if self._rate_hz == RATE_HZ else self._stream.resample_chunk(sound))

    def cut(self, end_ms: float) -> None:
        """Take back what would have been heard after a time."""
        keep = max(0, int(end_ms * RATE_HZ / 1000) - self._begin)
        if keep < self._samples:
            self._waiting = [np.concatenate(self._waiting)[:keep]]
            self._samples = keep

    def take(self, samples: int) -> Pcm:
        """Return the next samples; silence where there is nothing."""
        whole = np.concatenate([*self._waiting, np.zeros(max(0, samples - self._samples), np.int16)])
        self._begin += samples
        self._waiting = [whole[samples:]]
        self._samples = len(whole) - samples
        return whole[:samples]

    def _add(self, sound: Pcm) -> None:
        self._waiting.append(sound)
        self._samples += len(sound)

    def _new_stream(self) -> soxr.ResampleStream:
        return soxr.ResampleStream(self._rate_hz, RATE_HZ, 1, dtype="int16", quality="MQ")


class RecordedSink:
    """An audio sink whose audio is recorded as it is going to be heard."""

    def __init__(self, sink: AudioSink, recorder: Recorder) -> None:
        self._sink = sink
        self._recorder = recorder
        self.sample_rate_hz = sink.sample_rate_hz
        self.lead_ms = sink.lead_ms

    async def write(self, pcm: bytes) -> None:
        """Queue audio, waiting while the queue is full."""
        await self._sink.write(pcm)
        if pcm:
            self._recorder.agent(pcm, self._sink.queued_ms())

    def clear(self) -> None:
        """Drop what is queued and not yet sent."""
        self._sink.clear()
        self._recorder.cleared()

    def queued_ms(self) -> float:
        """Return how much audio is queued and not yet sent."""
        return self._sink.queued_ms()

    async def drain(self) -> None:
        """Wait until the queue has been sent."""
        await self._sink.drain()
