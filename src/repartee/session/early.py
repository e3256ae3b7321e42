"""What a caller said before the agent could hear them: recorded by their client, sent when the agent is there.

LiveKit's clients record while they connect (`preConnectBuffer`) and send it as one byte stream; the microphone's
track says that it will come. Until it has come, what comes of the microphone waits, so that words are heard in order,
but not for long. Taken once in a call, of the caller, and of bounded size and length.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping

import av
import numpy as np
import numpy.typing as npt
import soxr
import structlog
from livekit import rtc
from livekit.rtc._proto.track_pb2 import AudioTrackFeature

from repartee.session.inlet import Inlet
from repartee.session.limits import MAX_EARLY_BYTES

log = structlog.get_logger()
TOPIC = "lk.agent.pre-connect-audio-buffer"
WAIT_S = 1.5
"""What the caller says now waits so long for what they said before; LiveKit's own agents drop it after 3 s."""
MAX_S = 10.0
"""Clients record no longer."""
RATE_HZ = 16_000
CONTAINERS = {"webm": "matroska", "ogg": "ogg", "mp4": "mp4"}
"""How it may be wrapped, by a part of its media type, and who unwraps it."""
CODECS = frozenset({"opus", "aac"})
PLAIN_RATES_HZ = range(8_000, 48_001)

Hold = Callable[[], None]
CatchUp = Callable[[bytes], Awaitable[None]]


class UndecodableError(ValueError):
    """It is no sound, or not as it says it is."""


class EarlySpeech:
    """Takes what was said before, once in a call.

    Args:
        inlet: Decides whether it is taken.
        hold: Has the microphone's sound wait.
        catch_up: Takes 16 kHz mono audio that comes before what waits, and ends the waiting.
        mark: Marks the timeline.
    """

    def __init__(self, inlet: Inlet, hold: Hold, catch_up: CatchUp, mark: Callable[..., None]) -> None:
        self._inlet = inlet
        self._hold = hold
        self._catch_up = catch_up
        self._mark = mark
        self._expected: bool | None = None
        self._taken = False
        self._over = False
        self._arrived = asyncio.Event()
        self._pcm = b""
        self._greeted = asyncio.Event()

    def greeted(self) -> None:
        """The agent has begun to greet: from now on it may be interrupted."""
        self._greeted.set()

    def expect(self, features: Iterable[int]) -> bool:
        """Look at the features of the caller's first track; say whether `wait` is to be run."""
        if self._expected is not None:
            return False
        self._expected = AudioTrackFeature.TF_PRECONNECT_BUFFER in features
        if self._expected:
            self._hold()
        return self._expected

    async def wait(self) -> None:
        """Wait for what was said before, hand it over, and let the rest come after it."""
        # Before the greeting has begun it would be a turn of its own, and nobody would be greeted.
        await self._greeted.wait()
        try:
            async with asyncio.timeout(WAIT_S):
                await self._arrived.wait()
        except TimeoutError:
            self._mark("early.missing")
        self._over = True
        pcm, self._pcm = self._pcm, b""
        if pcm:
            self._mark("early.heard", ms=len(pcm) * 1000 // (RATE_HZ * 2))
        await self._catch_up(pcm)

    def may_read(self, reader: rtc.ByteStreamReader, sender: str) -> bool:
        """Say whether a stream is to be read with `read`; one that is not is closed."""
        if self._inlet.admit("audio", sender, reader.info.size or 0, MAX_EARLY_BYTES):
            if not self._taken and not self._over and self._expected is not False:
                self._taken = True
                return True
            self._inlet.refuse("audio", "too_many")
        reader.close()
        return False

    async def read(self, reader: rtc.ByteStreamReader) -> None:
        """Read it and make it audible; what is none ends the waiting all the same."""
        try:
            if data := await self._whole(reader):
                info = reader.info
                self._pcm = await asyncio.to_thread(decode, data, info.mime_type, info.attributes or {})
        except UndecodableError as error:
            log.warning("early.undecodable", why=str(error))
            self._inlet.refuse("audio", "wrong")
        finally:
            self._arrived.set()

    async def _whole(self, reader: rtc.ByteStreamReader) -> bytes:
        data = bytearray()
        try:
            async with asyncio.timeout(MAX_S + WAIT_S):
                async for chunk in reader:
                    data += chunk
                    if len(data) > MAX_EARLY_BYTES:
                        self._inlet.refuse("audio", "too_large")
                        return b""
        except (TimeoutError, rtc.StreamError):
            self._inlet.refuse("audio", "wrong")
            return b""
        finally:
            reader.close()
        return bytes(data)


def decode(data: bytes, mime: str, attributes: Mapping[str, str]) -> bytes:
    """Return 16 kHz mono 16-bit audio, the last ten seconds of it.

    Args:
        data: As it was sent: a container of Opus or AAC, or 16-bit samples.
        mime: Its media type; one that names no container means samples.
        attributes: `sampleRate` in Hz and `channels`, of samples.

    Raises:
        UndecodableError: It is none of these.
    """
    container = next((name for part, name in CONTAINERS.items() if part in mime.lower()), None)
    if container is not None:
        samples, rate_hz = _unwrapped(data, container)
    else:
        samples, rate_hz = _plain(data, attributes)
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    return samples[-int(MAX_S * RATE_HZ) :].astype(np.int16).tobytes()


def _unwrapped(data: bytes, container: str) -> tuple[npt.NDArray[np.int16], int]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    parts: list[npt.NDArray[np.int16]] = []
    limit = int(2 * MAX_S * RATE_HZ)  # a few kilobytes of Opus can be hours of silence
    try:
        with av.open(io.BytesIO(data), mode="r", format=container) as file:
            stream = next(iter(file.streams.audio), None)
            if stream is None or stream.codec_context.name not in CODECS:
                raise UndecodableError("no Opus or AAC in it")
            for frame in file.decode(stream):
                parts += _samples(resampler.resample(frame))
                if sum(map(len, parts)) > limit:
                    raise UndecodableError("longer than a client records")
    except av.FFmpegError as error:
        raise UndecodableError(type(error).__name__) from error
    with contextlib.suppress(av.FFmpegError):
        parts += _samples(resampler.resample(None))
    if not parts:
        raise UndecodableError("no sound in it")
    return np.concatenate(parts), RATE_HZ


def _samples(frames: Iterable[av.AudioFrame]) -> list[npt.NDArray[np.int16]]:
    return [np.asarray(frame.to_ndarray(), dtype=np.int16).reshape(-1) for frame in frames]


def _plain(data: bytes, attributes: Mapping[str, str]) -> tuple[npt.NDArray[np.int16], int]:
    try:
        rate_hz, channels = int(attributes.get("sampleRate", "")), int(attributes.get("channels", "1"))
    except ValueError as error:
        raise UndecodableError("no sample rate is told") from error
    if rate_hz not in PLAIN_RATES_HZ or channels not in (1, 2) or len(data) % (2 * channels):
        raise UndecodableError("no 16-bit samples of one or two channels")
    samples = np.frombuffer(data, dtype="<i2").reshape(-1, channels)
    return samples.astype(np.int32).mean(axis=1).astype(np.int16), rate_hz
