"""Many callers at once, in a process of their own: each arrives when its time has come, whatever became of others.

A caller here costs as little as it can, as it shares the machine with what it measures: audio goes in and out of the
media engine in pieces of 100 ms, and figures are read off the recordings when the last call is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from livekit import rtc

from repartee.errors import MediaError
from repartee.session.link import LineReport
from repartee.session.media_events import hear_own_events
from repartee.simulator import meter
from repartee.simulator.audio import Pcm, noise_floor
from repartee.simulator.tape import Frames, places

RATE_HZ = meter.RATE_HZ
PIECE = RATE_HZ // 10
PIECE_S = PIECE / RATE_HZ
QUEUE_MS = 400
BPS = 96_000
"""What browsers send music with: the encoder takes half as long as for less, and it is not what is measured."""
NEIGHBOURS = 20
"""Pieces whose lateness is compared, to each side."""
QUIET_S = 0.9
GREETING_S = 20.0
ANSWER_S = 8.0
LONGEST_S = 30.0
EARLY_S = 0.05
TOKEN_S = 20.0
JOIN_S = 15.0
LEAVE_S = 10.0
STATS_S = 1.0
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something to say.

    Attributes:
        name: Of the recording.
        pcm: 16 kHz mono.
        start_s: Where speech begins in it.
        end_s: Where it ends.
        text: Its words.
    """

    name: str
    pcm: Pcm = field(repr=False)
    start_s: float
    end_s: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A caller to come.

    Attributes:
        at_s: When, from the start.
        says: Which utterances, by number; a caller who says nothing hears the greeting.
        until_s: Hangs up at the next pause after this time, however much is left to say.
        tries: How often a refused caller comes again, when the refusal says.
    """

    at_s: float
    says: tuple[int, ...]
    until_s: float
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A crowd.

    Attributes:
        url: The server's address.
        arrivals: Who comes when.
        utterances: What there is to say.
        seed: Of the pauses between an answer and the next question.
        one_by_one: Read the figures off each recording as soon as its call is over, and forget it: those of many
            calls that follow each other would not fit into memory. Where calls end together it disturbs the last.
    """

    url: str
    arrivals: tuple[Arrival, ...]
    utterances: tuple[Utterance, ...] = field(repr=False)
    seed: int = 1
    one_by_one: bool = False


async def gather_crowd(plan: Plan) -> list[Row]:
    """Hold all calls of a plan in a process of its own; return a row for each caller.

    Raises:
        MediaError: That process died.
    """
    loop = asyncio.get_running_loop()
    # A process that is new: the media engine does not survive a fork, and its calls are nobody else's load.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return await loop.run_in_executor(pool, run_crowd, plan)
        except BrokenProcessPool as error:
            # livekit 1.2.1 aborts where its own event is not answered in time.
            raise MediaError(
                "the callers' process died, and what they heard with it: its media engine gives up on a machine that "
                "has no time left for it; load it with fewer --calls, or at a lower --rate"
            ) from error


def run_crowd(plan: Plan) -> list[Row]:
    """Hold all calls of a plan in this process."""
    return asyncio.run(_hold_all(plan))


async def _hold_all(plan: Plan) -> list[Row]:
    began_s = time.monotonic()
    callers = [_Caller(plan, arrival, number, began_s) for number, arrival in enumerate(plan.arrivals)]
    async with asyncio.TaskGroup() as calls:
        for caller in callers:
            calls.create_task(caller.call(), name=f"caller {caller.number}")
    return [caller.figures() for caller in callers]


class _Caller:
    """One caller of the crowd."""

    def __init__(self, plan: Plan, arrival: Arrival, number: int, began_s: float) -> None:
        self._plan = plan
        self._arrival = arrival
        self.number = number
        self._began_s = began_s
        self._rng = random.Random(f"{plan.seed}/{number}")  # noqa: S311 - not for secrets
        self._room = rtc.Room()
        self._source: rtc.AudioSource | None = None
        self._track: rtc.Track | None = None
        self._to_say: asyncio.Queue[tuple[Utterance, asyncio.Future[float]]] = asyncio.Queue()
        self._said: list[tuple[Utterance, float]] = []
        self._heard: list[tuple[str, Frames]] = []
        """Pieces of each track, with whose it is: an agent that takes over has its own."""
        self._loud_s = 0.0
        self._sound = asyncio.Event()
        self._listening: list[asyncio.Task[None]] = []
        self._leaving = False
        self._agents: list[tuple[float, str]] = []
        self._row: Row = {"number": number, "outcome": "failed", "refusals": 0}
        self._read: Row | None = None
        """The figures, where they were read already."""

    async def call(self) -> None:
        """Come, ask for a place, talk, leave."""
        await asyncio.sleep(max(0.0, self._began_s + self._arrival.at_s - time.monotonic()))
        self._row["at_s"] = round(time.monotonic() - self._began_s, 2)
        try:
            answer = await self._place()
            if answer is not None:
                await self._talk(answer)
        except (httpx.HTTPError, rtc.ConnectError, TimeoutError) as error:
            self._row["error"] = type(error).__name__
        if self._plan.one_by_one:
            self._read = await asyncio.to_thread(self.figures)
            self._heard, self._said = [], []

    async def _place(self) -> Row | None:
        """Return the place in a room; None when there is none."""
        for left in range(self._arrival.tries, -1, -1):
            asked_s = time.monotonic()
            async with httpx.AsyncClient(timeout=TOKEN_S) as client:
                response = await client.post(f"{self._plan.url}/api/token", json={})
            self._row["token_ms"] = round((time.monotonic() - asked_s) * 1000, 1)
            if response.status_code == httpx.codes.OK:
                answer: Row = response.json()
                return answer
            self._row["refusals"] += 1
            self._row["outcome"] = "refused"
            self._row["status"] = response.status_code
            self._row["retry_after_s"] = float(response.headers.get("Retry-After", 0))
            if left:
                await asyncio.sleep(self._row["retry_after_s"])
        return None

    async def _talk(self, place: Row) -> None:
        self._row["outcome"] = "failed"
        self._room.on("track_subscribed", self._subscribed)
        self._room.on("participant_connected", self._came)
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=QUEUE_MS)
        sending: asyncio.Task[None] | None = None
        try:
            joining_s = time.monotonic()
            async with asyncio.timeout(JOIN_S):
                await self._room.connect(place["server_url"], place["participant_token"])
                hear_own_events(self._room)
                self._row["room"] = place["room_name"]
                track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
                options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
                options.audio_encoding.max_bitrate = BPS
                await self._room.local_participant.publish_track(track, options)
            for participant in self._room.remote_participants.values():
                self._came(participant)
            self._row["joined_ms"] = round((time.monotonic() - joining_s) * 1000, 1)
            self._row["joining_s"] = joining_s
            sending = asyncio.create_task(self._send(self._source), name="microphone")
            if not await self._wait_sound(GREETING_S):
                self._row["outcome"] = "silent"
                return
            await self._wait_quiet()
            for number in self._arrival.says:
                if time.monotonic() - self._began_s >= self._arrival.until_s:
                    break
                await self._exchange(self._plan.utterances[number])
            self._row["outcome"] = "held"
        finally:
            await self._leave(sending)

    async def _leave(self, sending: asyncio.Task[None] | None) -> None:
        self._leaving = True
        self._row["left_s"] = round(time.monotonic(), 3)
        if self._track is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATS_S):
                    report = LineReport.read(await self._track.get_stats())
                    self._row["buffered_ms"] = round(report.buffered_ms)
        if sending is not None:
            await asyncio.wait({sending}, timeout=LEAVE_S)
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        async with asyncio.timeout(LEAVE_S):
            await self._room.disconnect()
        if self._source is not None:
            await self._source.aclose()

    async def _exchange(self, utterance: Utterance) -> None:
        began: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._to_say.put_nowait((utterance, began))
        async with asyncio.timeout(LONGEST_S):
            began_s = await began
        await asyncio.sleep(max(0.0, began_s + utterance.end_s - time.monotonic()))
        if await self._wait_sound(ANSWER_S):
            await self._wait_quiet()
        await asyncio.sleep(self._rng.uniform(0.2, 1.2))

    # --- audio ------------------------------------------------------------------------------------------------

    async def _send(self, source: rtc.AudioSource) -> None:
        quiet = noise_floor(RATE_HZ)
        at = 0
        while not self._leaving:
            if self._to_say.empty():
                await self._capture(source, quiet[at : at + PIECE])
                at = (at + PIECE) % (len(quiet) - PIECE)
                continue
            utterance, began = self._to_say.get_nowait()
            began_s = time.monotonic() + source.queued_duration
            self._said.append((utterance, began_s))
            if not began.done():
                began.set_result(began_s)
            for start in range(0, len(utterance.pcm), PIECE):
                part = utterance.pcm[start : start + PIECE]
                await self._capture(source, np.pad(part, (0, PIECE - len(part))))

    async def _capture(self, source: rtc.AudioSource, piece: Pcm) -> None:
        await source.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE_HZ, 1, PIECE))

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity not in {identity for _, identity in self._agents}:
            self._agents.append((time.monotonic(), participant.identity))

    def _subscribed(self, track: rtc.Track, _: Any, participant: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._track = track
            self._listening.append(asyncio.create_task(self._listen(track, participant.identity)))

    async def _listen(self, track: rtc.Track, identity: str) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=100)
        heard: Frames = []
        self._heard.append((identity, heard))
        try:
            async for event in stream:
                now_s = time.monotonic()
                pcm = np.frombuffer(event.frame.data, dtype=np.int16).copy()
                heard.append((now_s, pcm))
                if np.abs(pcm).max(initial=0) > 2 * meter.LOUD_RMS:
                    self._loud_s = now_s
                    self._sound.set()
        finally:
            await stream.aclose()

    async def _wait_sound(self, limit_s: float) -> bool:
        self._sound.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._sound.wait()
        except TimeoutError:
            return False
        return True

    async def _wait_quiet(self) -> None:
        deadline_s = time.monotonic() + LONGEST_S
        while (now_s := time.monotonic()) < deadline_s:
            left_s = QUIET_S - (now_s - self._loud_s)
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    # --- figures ----------------------------------------------------------------------------------------------

    def figures(self) -> Row:
        """Return what the recording says, once the call is over."""
        if self._read is not None:
            return self._read
        row = {**self._row, "turns": []}
        joining_s = row.pop("joining_s", None)
        tapes = {who: placed(heard, joining_s) for who, heard in self._heard if heard and joining_s}
        if joining_s is None or not tapes:
            return row
        came = {who: round(at_s, 3) for at_s, who in self._agents}
        row["agents"] = [_agent(who, tape, joining_s, came.get(who)) for who, tape in tapes.items()]
        tape = _mixed(list(tapes.values()))
        heard = meter.sounds(tape)
        if heard:
            row["first_audio_ms"] = round(heard[0].start_s * 1000, 1)
            row["last_heard_s"] = round(joining_s + heard[-1].end_s, 3)
        row["voice_s"] = round(sum(span.end_s - span.start_s for span in heard), 2)
        gaps = meter.gaps(tape)
        row["gaps_ms"] = [round((gap.end_s - gap.start_s) * 1000) for gap in gaps]
        row["gaps_at_s"] = [round(gap.start_s, 2) for gap in gaps]
        until_s = joining_s + len(tape) / RATE_HZ
        for utterance, began_s in reversed(self._said):
            row["turns"].insert(0, _turn(utterance, began_s - joining_s, until_s - joining_s, heard))
            until_s = began_s
        return row


def _turn(utterance: Utterance, at_s: float, until_s: float, heard: list[meter.Span]) -> Row:
    start_s, end_s = at_s + utterance.start_s, at_s + utterance.end_s
    cut_in = meter.first_sound(heard, start_s + 0.2, end_s - EARLY_S) is not None
    onset_s = meter.first_sound(heard, end_s - EARLY_S, until_s)
    missed = not cut_in and onset_s is None
    row: Row = {"item": utterance.name, "at_s": round(at_s, 2), "cut_in": cut_in, "missed": missed}
    if onset_s is not None and not cut_in:
        row["latency_ms"] = round((onset_s - end_s) * 1000, 1)
    return row


def _agent(identity: str, tape: Pcm, joining_s: float, came_s: float | None) -> Row:
    """Return when an agent came, and when it was heard first, on the machine's monotonic clock."""
    heard = meter.sounds(tape)
    heard_s = round(joining_s + heard[0].start_s, 3) if heard else None
    return {"identity": identity, "came_s": came_s, "heard_s": heard_s}


def _mixed(tapes: list[Pcm]) -> Pcm:
    out = np.zeros(max(len(tape) for tape in tapes), np.int16)
    for tape in tapes:
        part = out[: len(tape)]
        np.copyto(part, tape, where=np.abs(tape) > np.abs(part))
    return out


def placed(heard: Frames, zero_s: float) -> Pcm:
    """Return one recording of pieces that arrived at times; the earliest of its neighbours tells a piece's place."""
    out = np.zeros(int((max(at_s for at_s, _ in heard) - zero_s + 1.0) * RATE_HZ), np.int16)
    for place_s, pcm in places(heard, zero_s, RATE_HZ, NEIGHBOURS, math.inf):
        at = max(0, int(place_s * RATE_HZ))
        out[at : at + len(pcm)] = pcm[: max(0, len(out) - at)]
    return out
