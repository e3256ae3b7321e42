"""A caller: joins as any client does, speaks recordings, waits its turn, records both sides on one clock."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr
from livekit import rtc

from repartee.errors import ConfigError, MediaError

RATE_HZ = 48_000
FRAME_S = 0.02
QUIET_LEVEL = 300.0
"""RMS of a 20 ms frame of 16-bit audio; below it the agent is silent."""
QUIET_S = 0.9
ANSWER_S = 20.0
GREETING_S = 15.0
Pcm = npt.NDArray[np.int16]


@dataclass
class Exchange:
    """One thing the caller said and what came back."""

    audio: str
    heard: str = ""
    reply: str = ""
    latency_ms: float | None = None
    """From the end of speech in the recording to the agent's first sound."""


@dataclass
class CallReport:
    """What a call came to."""

    greeting: str = ""
    exchanges: list[Exchange] = field(default_factory=list)


def read_audio(path: Path) -> Pcm:
    """Read any sound file as 48 kHz mono.

    Raises:
        ConfigError: It is missing or no audio.
    """
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise ConfigError(f"{path} is no sound file that can be read") from error
    return (
        np.asarray(soxr.resample(audio.mean(axis=1), rate, RATE_HZ) * 32767)
        .clip(-32768, 32767)
        .astype(np.int16)
    )


def end_of_speech(pcm: Pcm) -> int:
    """Return the sample after the last sound, by level: 30 dB below the loudest 20 ms."""
    size = int(RATE_HZ * FRAME_S)
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-30 / 20))
    return int((loud[-1] + 1) * size) if loud.size else len(pcm)


class Caller:
    """A WebRTC caller of one call.

    Args:
        url: The HTTP server's address; its token endpoint invites.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=200)
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = time.monotonic()
        self._said: list[tuple[float, Pcm]] = []
        self._agent: list[tuple[float, Pcm]] = []
        self._agent_loud_s: float | None = None
        self._first_loud_s: float | None = None
        self._sound = asyncio.Event()
        self._captions: dict[str, dict[str, str]] = {"user": {}, "agent": {}}

    async def join(self) -> None:
        """Ask for an invitation and enter the room.

        Raises:
            MediaError: The server refuses or does not answer.
        """
        try:
            async with httpx.AsyncClient(timeout=15) as client:
                response = await client.post(f"{self._url}/api/token", json={})
        except httpx.HTTPError as error:
            raise MediaError(f"no server answers at {self._url}; start one with `make run`") from error
        if response.status_code != 200:
            raise MediaError(f"the server refused the call: {response.json().get('message', response.text)}")
        self._room.on("track_subscribed", self._subscribed)
        self._room.register_text_stream_handler("lk.transcription", self._caption)
        invitation = response.json()
        await self._room.connect(invitation["server_url"], invitation["participant_token"])
        self._began_s = time.monotonic()
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)

    async def leave(self) -> None:
        """Hang up."""
        await self._room.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._source.aclose()

    async def hold(self, files: list[Path]) -> CallReport:
        """Hold the whole conversation: hear the greeting, say each recording, hear each answer."""
        report = CallReport()
        await self._wait_for_answer(GREETING_S)
        report.greeting = self._text("agent")
        for path in files:
            pcm = read_audio(path)
            before = {side: len(texts) for side, texts in self._captions.items()}
            ended_s = await self._speak(pcm)
            exchange = Exchange(path.name)
            self._first_loud_s = None
            if await self._wait_for_answer(ANSWER_S) and self._first_loud_s is not None:
                exchange.latency_ms = round((self._first_loud_s - ended_s) * 1000, 1)
            exchange.heard = self._text("user", before["user"])
            exchange.reply = self._text("agent", before["agent"])
            report.exchanges.append(exchange)
        return report

    async def type(self, text: str) -> None:
        """Send a typed message."""
        await self._room.local_participant.send_text(text, topic="lk.chat")

    async def _speak(self, pcm: Pcm) -> float:
        """Say a recording, then silence; return when its speech ended."""
        size = int(RATE_HZ * FRAME_S)
        speech_end = end_of_speech(pcm)
        start_s = time.monotonic()
        self._said.append((start_s, pcm))
        for at in range(0, len(pcm), size):
            block = np.zeros(size, np.int16)
            block[: len(pcm[at : at + size])] = pcm[at : at + size]
            await self._source.capture_frame(rtc.AudioFrame(block.tobytes(), RATE_HZ, 1, size))
        await self._source.wait_for_playout()
        return time.monotonic() - max(0.0, (len(pcm) - speech_end) / RATE_HZ)

    async def _wait_for_answer(self, limit_s: float) -> bool:
        """Wait until the agent has spoken and then been quiet."""
        self._sound.clear()
        deadline_s = time.monotonic() + limit_s
        try:
            async with asyncio.timeout(limit_s):
                await self._sound.wait()
        except TimeoutError:
            return False
        while time.monotonic() < deadline_s + 30:
            quiet_s = time.monotonic() - (self._agent_loud_s or 0.0)
            if quiet_s >= QUIET_S:
                return True
            await asyncio.sleep(QUIET_S - quiet_s)
        return True

    def _subscribed(self, track: rtc.Track, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            task = asyncio.create_task(self._listen(track), name="listen")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=20):
            now_s = time.monotonic()
            pcm = np.frombuffer(event.frame.data, dtype=np.int16).copy()
            self._agent.append((now_s, pcm))
            if np.sqrt((pcm.astype(np.float64) ** 2).mean()) > QUIET_LEVEL:
                self._agent_loud_s = now_s
                if self._first_loud_s is None:
                    self._first_loud_s = now_s
                self._sound.set()

    def _caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        side = "user" if identity == self._room.local_participant.identity else "agent"
        task = asyncio.create_task(self._read(reader, side), name="caption")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: rtc.TextStreamReader, side: str) -> None:
        segment = (reader.info.attributes or {}).get("lk.segment_id", reader.info.stream_id)
        text = ""
        async for part in reader:
            text += part
            self._captions[side][segment] = text

    def _text(self, side: str, skip: int = 0) -> str:
        return " ".join(list(self._captions[side].values())[skip:]).strip()

    def record(self, path: Path) -> None:
        """Write both sides: the caller left, the agent right."""
        end_s = max([s + len(p) / RATE_HZ for s, p in [*self._said, *self._agent]], default=self._began_s)
        stereo = np.zeros((int((end_s - self._began_s + 0.1) * RATE_HZ), 2), np.int16)
        for channel, parts in ((0, self._said), (1, self._agent)):
            next_at = 0
            for at_s, pcm in parts:
                # Frames follow each other without gaps; only a real pause moves the place of the next one.
                wanted = int((at_s - self._began_s) * RATE_HZ) - (len(pcm) if channel else 0)
                at = next_at if abs(wanted - next_at) < RATE_HZ * 0.1 else max(0, wanted)
                piece = pcm[: max(0, len(stereo) - at)]
                stereo[at : at + len(piece), channel] = piece
                next_at = at + len(pcm)
        sf.write(path, stereo, RATE_HZ)


async def call(url: str, audio: list[Path], record: Path | None) -> CallReport:
    """Make one call and return what happened.

    Raises:
        ConfigError: A recording cannot be read.
        MediaError: The call could not be made.
    """
    for path in audio:
        read_audio(path)
    caller = Caller(url)
    await caller.join()
    try:
        return await caller.hold(audio)
    finally:
        await caller.leave()
        if record is not None:
            caller.record(record)


def as_json(report: CallReport) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), indent=2)
