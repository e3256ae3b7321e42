"""A caller: joins as any client does, speaks recordings, waits its turn, records both sides on one clock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from livekit import rtc

from repartee.errors import MediaError
from repartee.simulator.audio import Pcm, end_of_speech, noise_floor, read_audio
from repartee.simulator.invitation import Invitation, ask_for_place
from repartee.simulator.routes import route_of
from repartee.simulator.tape import Frames, Tape

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
QUEUE_MS = 200
QUIET_LEVEL = 300.0
"""RMS of a 20 ms frame of 16-bit audio; below it the agent is silent."""
QUIET_S = 0.9
ANSWER_S = 20.0
GREETING_S = 15.0
SPEECH_LIMIT_S = 60.0
LEVEL_S = 0.3
"""A level is that of now for so long; who sends nothing is silent."""
FULL_LEVEL = 32768.0
Side = Literal["user", "agent"]


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


@dataclass
class _Utterance:
    pcm: Pcm
    speech_end: int
    began: asyncio.Future[float]
    ended: asyncio.Future[float]


class Caller:
    """A WebRTC caller of one call.

    Args:
        url: The HTTP server's address; its token endpoint invites. Not needed with an invitation.
        dead: The microphone gives nothing, not even the noise of the room.
        channels: Of the microphone; what is said is the same on all.
    """

    def __init__(self, url: str = "", *, dead: bool = False, channels: int = 1) -> None:
        self._dead, self._channels = dead, channels
        self._url = url.rstrip("/")
        self._room = rtc.Room()
        self._source = rtc.AudioSource(RATE_HZ, channels, queue_size_ms=QUEUE_MS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tape = Tape(RATE_HZ)
        self._utterances: asyncio.Queue[_Utterance] = asyncio.Queue()
        self._loud_frames: list[tuple[float, float]] = []
        self._agent_loud_s: float | None = None
        self._first_loud_s: float | None = None
        self._sound = asyncio.Event()
        self._captions: dict[str, dict[str, str]] = {"user": {}, "agent": {}}
        self._order: dict[tuple[Side, str], None] = {}
        """The captions of both sides as they first came."""
        self._levels: dict[Side, tuple[float, float]] = {}
        self.on_caption: Callable[[Side, str, str, bool], None] | None = None
        """Called with a side, a segment, its text so far, and whether that is all of it."""
        self.on_state: Callable[[str], None] | None = None
        """Called with what the agent says it is doing."""
        self._sending: asyncio.Task[None] | None = None
        self._leaving = False
        self.room_name = ""
        self.gone = asyncio.Event()
        """Set when the agent has left the room, or the room has ended; not when another came meanwhile."""
        self.closed = asyncio.Event()
        """Set when the connection has ended for good."""
        self.network: list[str] = []
        """What the media client told of its connection: "reconnecting", "reconnected", "disconnected"."""

    async def join(self, invitation: Invitation | None = None) -> None:
        """Enter the room, by an invitation that is asked for when there is none, and open the microphone.

        Raises:
            MediaError: The server refuses or does not answer.
        """
        invited = invitation or await self.invited()
        self._room.on("track_subscribed", self._subscribed)
        self._room.on("participant_disconnected", lambda *_: self.gone.set())
        self._room.on("participant_connected", lambda *_: self.gone.clear())
        self._room.on("participant_attributes_changed", self._attributes_changed)
        self._room.on("disconnected", lambda *_: self.gone.set())
        self._room.on("disconnected", lambda *_: self.closed.set())
        for sign in ("reconnecting", "reconnected", "disconnected"):
            self._room.on(sign, lambda *_, sign=sign: self.network.append(sign))
        self._room.register_text_stream_handler("lk.transcription", self._caption)
        self.room_name = invited.room
        await self._room.connect(invited.server_url, invited.token)
        self._tape.began_s = time.monotonic()
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self._room.local_participant.publish_track(track, options)
        self._sending = asyncio.create_task(self._send(), name="microphone")

    async def invited(self) -> Invitation:
        """Ask for a place in a room.

        Raises:
            MediaError: The server refuses or does not answer.
        """
        try:
            return await ask_for_place(self._url)
        except httpx.HTTPError as error:
            raise MediaError(f"no server answers at {self._url}; start one with `make run`") from error

    async def leave(self) -> None:
        """Hang up."""
        # A frame on its way into the media engine is waited for: its callback must find us alive.
        self._leaving = True
        if self._sending is not None:
            await self._sending
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._room.disconnect()
        await self._source.aclose()

    async def hear_greeting(self) -> str:
        """Hear what the agent says first, to its end."""
        await self.wait_for_answer(GREETING_S)
        return self._text("agent")

    async def exchange(self, path: Path, speech_end_s: float | None = None) -> Exchange:
        """Say one recording and hear the answer to its end.

        Args:
            path: The recording.
            speech_end_s: Where its speech ends, if that is known better than its level tells.
        """
        before = {side: len(texts) for side, texts in self._captions.items()}
        self._first_loud_s = None
        self._sound.clear()
        ended_s = await self.say(read_audio(path, RATE_HZ), speech_end_s)
        exchange = Exchange(path.name)
        if await self._wait_quiet(ANSWER_S):
            exchange.latency_ms = round((self._heard_at_s() - ended_s) * 1000, 1)
        exchange.heard = self._text("user", before["user"])
        exchange.reply = self._text("agent", before["agent"])
        return exchange

    async def type(self, text: str) -> None:
        """Send a typed message."""
        await self._room.local_participant.send_text(text, topic="lk.chat")

    async def ask(self, method: str, payload: str = "") -> str:
        """Ask the agent by RPC.

        Raises:
            livekit.rtc.RpcError: The agent refuses, or does not answer.
        """
        (agent,) = (
            identity
            for identity, person in self._room.remote_participants.items()
            if person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        )
        return await self._room.local_participant.perform_rpc(
            destination_identity=agent, method=method, payload=payload
        )

    async def say(self, pcm: Pcm, speech_end_s: float | None = None) -> float:
        """Say something; return when its speech ended, on the monotonic clock."""
        end = end_of_speech(pcm, RATE_HZ) if speech_end_s is None else int(speech_end_s * RATE_HZ)
        utterance = self._utter(pcm, end)
        async with asyncio.timeout(len(pcm) / RATE_HZ + SPEECH_LIMIT_S):
            return await utterance.ended

    async def play(self, pcm: Pcm) -> float:
        """Begin to say something; return when it began, in seconds of the recording."""
        utterance = self._utter(pcm, len(pcm))
        async with asyncio.timeout(SPEECH_LIMIT_S):
            return await utterance.began - self._tape.began_s

    def _utter(self, pcm: Pcm, speech_end: int) -> _Utterance:
        loop = asyncio.get_running_loop()
        utterance = _Utterance(
            pcm, min(max(speech_end, 1), len(pcm)), loop.create_future(), loop.create_future()
        )
        self._utterances.put_nowait(utterance)
        return utterance

    def agent_attributes(self) -> dict[str, str]:
        """Return what the agent shows of the call."""
        agents = (
            participant
            for participant in self._room.remote_participants.values()
            if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        )
        agent = next(agents, None)
        return dict(agent.attributes) if agent is not None else {}

    def now_s(self) -> float:
        """Return the time in the recording."""
        return time.monotonic() - self._tape.began_s

    def captions(self, side: Side) -> list[str]:
        """Return what the captions of a side show, one text per turn or reply."""
        return list(self._captions[side].values())

    def transcript(self) -> list[tuple[Side, str]]:
        """Return what the captions of both sides show, in the order in which they came."""
        return [(side, self._captions[side][segment]) for side, segment in list(self._order)]

    def level_db(self, side: Side) -> float:
        """Return how loud a side is now, in dB below the loudest there is; -infinity where nothing is heard."""
        at_s, level = self._levels.get(side, (0.0, 0.0))
        heard = level > 0 and time.monotonic() - at_s < LEVEL_S
        return 20 * math.log10(level / FULL_LEVEL) if heard else -math.inf

    def loud_s(self, since_s: float) -> float:
        """Return for how long the agent has been heard since a time of the recording."""
        since_s += self._tape.began_s
        newest = takewhile(lambda frame: frame[0] > since_s, reversed(self._loud_frames))
        return sum(seconds for _, seconds in newest)

    async def traffic(self) -> tuple[int, int]:
        """Return how many bytes and packets of media and data went over this caller's connections, both ways."""
        found = await self._room.get_rtc_stats()
        ways = [
            stats.transport.transport
            for stats in (*found.publisher_stats, *found.subscriber_stats)
            if stats.WhichOneof("stats") == "transport"
        ]
        return (
            sum(way.bytes_sent + way.bytes_received for way in ways),
            sum(way.packets_sent + way.packets_received for way in ways),
        )

    async def routes(self) -> set[str]:
        """Return the ways its media takes, as `route_of` names them."""
        found = await self._room.get_rtc_stats()
        ways = {route_of(found.publisher_stats), route_of(found.subscriber_stats)}
        return {way for way in ways if way is not None}

    async def send_data(self, payload: bytes, topic: str) -> None:
        """Send a packet of data to everybody in the room, reliably."""
        await self._room.local_participant.publish_data(payload, reliable=True, topic=topic)

    async def wait_for_sound(self, limit_s: float) -> bool:
        """Wait until the agent is heard from now on; return whether it was."""
        self._sound.clear()
        try:
            await asyncio.wait_for(self._sound.wait(), limit_s)
        except TimeoutError:
            return False
        return True

    async def wait_for_answer(self, limit_s: float) -> bool:
        """Wait until the agent has spoken and then been quiet; return whether it spoke."""
        self._sound.clear()
        return await self._wait_quiet(limit_s)

    async def wait_until(self, at_s: float) -> None:
        """Wait until a time of the recording."""
        await asyncio.sleep(max(0.0, at_s - self.now_s()))

    async def wait_for_quiet(self, quiet_s: float, limit_s: float) -> None:
        """Wait until the agent has been quiet for so long."""
        deadline_s = time.monotonic() + limit_s
        while (now_s := time.monotonic()) < deadline_s:
            left_s = quiet_s - (now_s - (self._agent_loud_s or 0.0))
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    async def _wait_quiet(self, limit_s: float) -> bool:
        try:
            await asyncio.wait_for(self._sound.wait(), limit_s)
        except TimeoutError:
            return False
        await self.wait_for_quiet(QUIET_S, SPEECH_LIMIT_S)
        return True

    def _heard_at_s(self) -> float:
        assert self._first_loud_s is not None  # noqa: S101 - a sound sets both
        return self._first_loud_s

    def _own(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        """A microphone never stops: what is said, and a quiet room between."""
        quiet = noise_floor(RATE_HZ) * (not self._dead)
        at = 0
        while not self._leaving:
            if not self._utterances.empty():
                await self._send_utterance(self._utterances.get_nowait())
            await self._send_frame(quiet[at : at + FRAME])
            at = (at + FRAME) % (len(quiet) - FRAME)

    async def _send_utterance(self, utterance: _Utterance) -> None:
        began_s = self._plays_at_s()
        self._tape.said.append((began_s, utterance.pcm))
        utterance.began.set_result(began_s)
        for at in range(0, len(utterance.pcm), FRAME):
            if self._leaving:
                break
            block = np.zeros(FRAME, np.int16)
            part = utterance.pcm[at : at + FRAME]
            block[: len(part)] = part
            plays_s = self._plays_at_s()
            await self._send_frame(block)
            if at <= utterance.speech_end - 1 < at + FRAME and not utterance.ended.done():
                utterance.ended.set_result(plays_s + (utterance.speech_end - at) / RATE_HZ)
        if not utterance.ended.done():
            utterance.ended.set_result(self._plays_at_s())

    def _plays_at_s(self) -> float:
        """When the next frame leaves the queue."""
        return time.monotonic() + self._source.queued_duration

    async def _send_frame(self, block: Pcm) -> None:
        self._levels["user"] = time.monotonic(), _level(block)
        sound = np.repeat(block, self._channels)
        await self._source.capture_frame(rtc.AudioFrame(sound.tobytes(), RATE_HZ, self._channels, FRAME))

    def _subscribed(self, track: rtc.Track, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._own(self._listen(track))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=20)
        heard: Frames = []
        self._tape.heard_on.append(heard)
        try:
            async for event in stream:
                self._hear(np.frombuffer(event.frame.data, dtype=np.int16).copy(), heard)
        finally:
            # Left open, its native thread calls into an interpreter that has ended.
            await stream.aclose()

    def _hear(self, pcm: Pcm, heard: Frames) -> None:
        now_s = time.monotonic()
        heard.append((now_s, pcm))
        level = _level(pcm)
        self._levels["agent"] = now_s, level
        if level > QUIET_LEVEL:
            self._loud_frames.append((now_s, len(pcm) / RATE_HZ))
            self._agent_loud_s = now_s
            if self._first_loud_s is None:
                self._first_loud_s = now_s - len(pcm) / RATE_HZ
            self._sound.set()

    def _caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        side: Side = "user" if identity == self._room.local_participant.identity else "agent"
        self._own(self._read(reader, side))

    async def _read(self, reader: rtc.TextStreamReader, side: Side) -> None:
        segment = (reader.info.attributes or {}).get("lk.segment_id", reader.info.stream_id)
        text = ""
        with contextlib.suppress(rtc.StreamError):  # whose words these are left in the middle of them
            async for part in reader:
                text += part
                self._captions[side][segment] = text
                self._order.setdefault((side, segment))
                self._told(side, segment, text, final=False)
        # A turn's words come as a stream for each update; a reply's as one, which ends with it.
        final = side == "agent" or (reader.info.attributes or {}).get("lk.transcription_final") == "true"
        self._told(side, segment, text, final=final)

    def _told(self, side: Side, segment: str, text: str, *, final: bool) -> None:
        if self.on_caption is not None:
            self.on_caption(side, segment, text, final)

    def _attributes_changed(self, changed: dict[str, str], _: rtc.Participant) -> None:
        if self.on_state is not None and (state := changed.get("lk.agent.state")):
            self.on_state(state)

    def _text(self, side: str, skip: int = 0) -> str:
        return " ".join(list(self._captions[side].values())[skip:]).strip()

    def heard(self) -> Pcm:
        """Return what was heard of the agent since the call began, at 48 kHz."""
        return self._tape.heard()

    def record(self, path: Path) -> None:
        """Write both sides: the caller left, the agent right."""
        self._tape.write(path)


def _level(pcm: Pcm) -> float:
    return float(np.sqrt((pcm.astype(np.float64) ** 2).mean()))
