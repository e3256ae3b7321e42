"""The reply gate: holds a reply until it may be heard, plays it, and knows how much of it was heard.

Last processor before the room. The core decides, through the bridge, by calling `open`, `release`, `lower`,
`restore` and `cancel`; synthesised audio arrives as frames tagged by `ReplyStartFrame`. At most 200 ms of audio
are ever ahead of the ear, and a stop drops them. Audio of a cancelled reply is dropped here whatever its source.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.conversation.policies import asked_for
from repartee.events import Event, ReplyAudible, ReplyFailed, ReplyFinished
from repartee.providers.frames import (
    ItemHeard,
    OtherVoiceFrame,
    SpokenAudioFrame,
    SpokenTextFrame,
    VoiceLostFrame,
)
from repartee.session.frames import AsideFrame, KeptAudioFrame, ReplyEndFrame, ReplyStartFrame
from repartee.session.spoken import SpokenReply

CHUNK_MS = 40
MOST_READY_MS = 160.0
"""So much audio is waited for at the most before a voice begins."""
FADE_MS = 20
SILENT_LEVEL = 200
ATTACK_MS = 5
"""Kept before the first sound: the attack of a consonant."""
MAX_TRIM_MS = 600
ON_THE_WAY_MS = 200.0
"""What was sent so short a time before a connection broke had not arrived."""
RESTORE_REWIND_MS = 60
"""A restored voice starts this much before the point where it was held, so no sound is missing."""


class AudioSink(Protocol):
    """Where the gate plays to: the room's audio track.

    Attributes:
        lead_ms: So much is queued before `write` waits.
    """

    sample_rate_hz: int
    lead_ms: float

    async def write(self, pcm: bytes) -> None:
        """Queue audio, waiting while the queue is full."""

    def clear(self) -> None:
        """Drop what is queued and not yet sent."""

    def queued_ms(self) -> float:
        """Return how much audio is queued and not yet sent."""

    async def drain(self) -> None:
        """Wait until the queue has been sent."""


class ReplyGate(FrameProcessor):
    """Plays released replies to the sink, one at a time.

    Args:
        sink: The room's audio.
        submit: Takes the events `ReplyAudible` and `ReplyFinished`.
        clock_ms: The call's clock.
        on_progress: Called with (reply_id, heard text so far, whether it is final) as the reply is played.
    """

    def __init__(
        self,
        sink: AudioSink,
        submit: Callable[[Event], None],
        clock_ms: Callable[[], float],
        on_progress: Callable[[int, str, bool], None],
    ) -> None:
        super().__init__(name="ReplyGate")
        self._sink = sink
        self._submit = submit
        self._clock_ms = clock_ms
        self._on_progress = on_progress
        self._replies: dict[int, SpokenReply] = {}
        self._incoming: int | None = None
        self._wake = asyncio.Event()
        self._player: asyncio.Task[None] | None = None
        self._fade_out = b""
        self._last: SpokenReply | None = None
        """The reply that was finished last."""
        self.on_first_audio: Callable[[int], None] | None = None
        self.on_heard: Callable[[int, str, bytes], None] | None = None
        """Called with a reply's text and audio when all of it was heard."""
        self.on_cut: Callable[[int, str], None] | None = None
        """Called with what was not heard of a reply that is cut off, before its end is told."""
        self.on_aside: Callable[[str, bytes], None] | None = None
        """Called with what is said while a reply takes long, and its audio, when all of that has come."""
        self.late_ms: Callable[[], float] = lambda: 0.0
        """Returns how late this process's event loop has been lately."""

    # --- what the bridge calls --------------------------------------------------------------------------------

    def open(self, reply_id: int, *, held: bool, is_line: bool = False) -> None:
        """Expect a reply; while `held`, keep it silent. A line whose voice is lost is not followed by another."""
        reply = SpokenReply(reply_id, self._sink.sample_rate_hz, released=not held, is_line=is_line)
        self._replies[reply_id] = reply

    def release(self, reply_id: int) -> None:
        """Let a held reply be heard."""
        if reply := self._replies.get(reply_id):
            reply.released = True
            self._wake.set()

    def lower(self, reply_id: int) -> None:
        """Fade the reply out at once and hold it there."""
        reply = self._replies.get(reply_id)
        if reply is None or reply.lowered:
            return
        self._rewind(reply)
        reply.lowered = True
        self._wake.set()

    def restore(self, reply_id: int) -> None:
        """Go on where the reply was held."""
        if reply := self._replies.get(reply_id):
            reply.position = max(0, reply.position - self._samples(RESTORE_REWIND_MS))
            reply.lowered = False
            self._wake.set()

    def cancel(self, reply_id: int) -> str:
        """Stop a reply for good; return what was heard of it."""
        reply = self._replies.pop(reply_id, None)
        if reply is None:
            return ""
        if reply.audible:
            if not reply.lowered:
                self._rewind(reply)
            if self.on_cut:
                self.on_cut(reply_id, reply.rest_text(reply.position))
            self._on_progress(reply_id, reply.heard_text(reply.position, asides=True), True)
        self._wake.set()
        return reply.heard_text(reply.position) if reply.audible else ""

    def lost(self, since_ms: float) -> int | None:
        """The caller has heard nothing since a time: take back what was played after it, and hold it.

        Returns:
            The reply that was finished already, of which the end was not heard.
        """
        since_ms -= ON_THE_WAY_MS
        for reply in self._replies.values():
            if reply.audible and not reply.lowered and not reply.finished:
                self._sink.clear()
                reply.position = min(self._played(reply), reply.played_at(since_ms))
                reply.lowered = True
                self._on_progress(reply.reply_id, reply.heard_text(reply.position, asides=True), False)
        last = self._last
        if last is None or self._replies or last.played_at(since_ms) >= last.samples:
            return None
        last.position, last.lowered, last.released, last.finished = (
            last.played_at(since_ms),
            True,
            True,
            False,
        )
        self._replies[last.reply_id] = last
        self._last = None
        return last.reply_id

    def repeat(self, reply_id: int, aside: tuple[str, bytes] | None = None) -> None:
        """Go on with a held reply from the beginning of the clause it was held in.

        Args:
            reply_id: Which reply.
            aside: What is said before: its text and its audio.
        """
        if reply := self._replies.get(reply_id):
            reply.repeat()
            if aside is not None:
                reply.insert_aside(*aside)
            reply.lowered = False
            self._wake.set()

    def made(self, reply_id: int) -> str:
        """Return what of a live reply was given to the voice so far."""
        reply = self._replies.get(reply_id)
        return reply.full_text() if reply is not None else ""

    def heard(self, reply_id: int) -> str:
        """Return what was heard of a live reply so far."""
        reply = self._replies.get(reply_id)
        return reply.heard_text(self._played(reply)) if reply is not None and reply.audible else ""

    def ahead_ms(self, reply_id: int) -> tuple[list[float], float]:
        """Return in how many ms each of a live reply's next words will be heard, and for how long that is known."""
        reply = self._replies.get(reply_id)
        if reply is None or reply.lowered:
            return [], math.inf
        played = self._played(reply)
        return reply.words_ahead_ms(played), reply.known_ms(played)

    def heard_of_items(self, reply_id: int) -> list[ItemHeard]:
        """Return how much was heard of each part that a model has spoken itself."""
        reply = self._replies.get(reply_id)
        heard = reply.heard_of_items(self._played(reply)) if reply is not None else {}
        return [ItemHeard(item_id, ms) for item_id, ms in heard.items()]

    def has_audio(self, reply_id: int) -> bool:
        """Say whether any audio of this reply has arrived."""
        reply = self._replies.get(reply_id)
        return reply is not None and reply.arrived

    def quiet(self, reply_id: int) -> bool:
        """Say whether a live reply may be heard, is not held back, and has nothing to be played now."""
        reply = self._replies.get(reply_id)
        waiting = reply is not None and reply.released and not reply.lowered and not reply.ended
        return waiting and reply is not None and reply.position >= reply.samples and not reply.in_aside

    # --- frames -----------------------------------------------------------------------------------------------

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Keep a reply's audio and text; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                self._player = self.create_task(self._play(), "ReplyGate::play")
            case EndFrame() | CancelFrame():
                await self._stop_player()
            case ReplyStartFrame():
                self._incoming = frame.reply_id
            case ReplyEndFrame():
                self._ended(frame.reply_id)
            case TTSAudioRawFrame() | KeptAudioFrame() | SpokenAudioFrame():
                self._sound(frame)
                return
            case TTSStartedFrame() | TTSTextFrame() | AggregatedTextFrame() | AsideFrame():
                if reply := self._current():
                    self._text(reply, frame)
            case VoiceLostFrame() | OtherVoiceFrame() | SpokenTextFrame():
                if reply := self._current():
                    self._text(reply, frame)
            case _:
                pass
        await self.push_frame(frame, direction)

    def _current(self) -> SpokenReply | None:
        return self._replies.get(self._incoming) if self._incoming is not None else None

    def _sound(self, frame: TTSAudioRawFrame | KeptAudioFrame | SpokenAudioFrame) -> None:
        match frame:
            case TTSAudioRawFrame():
                self._audio(frame)
            case KeptAudioFrame():
                self._kept(frame)
            case SpokenAudioFrame():
                self._spoken(frame)

    def _audio(self, frame: TTSAudioRawFrame) -> None:
        reply = self._current()
        if reply is None:
            return  # audio of a cancelled reply
        if reply.context_started_ns is None:
            reply.context_started_ns = self.get_clock().get_time()
        if not reply.arrived and not reply.in_aside:
            reply.arrived, reply.own_start = True, reply.samples
            if self.on_first_audio:
                self.on_first_audio(reply.reply_id)
        reply.pcm += frame.audio if reply.pcm else self._without_silence(reply, frame.audio)
        self._wake.set()

    def _kept(self, frame: KeptAudioFrame) -> None:
        if reply := self._current():
            reply.begin_sentence(frame.text)
            start = reply.samples
            self._audio(TTSAudioRawFrame(frame.audio, reply.sample_rate_hz, 1))
            reply.end_sentence()
            reply.place_words(frame.text, start)

    def _spoken(self, frame: SpokenAudioFrame) -> None:
        if (reply := self._current()) is None:
            return
        start, cut_off = reply.items.get(frame.item_id, (reply.samples, 0))
        before = reply.trimmed
        self._audio(TTSAudioRawFrame(frame.audio, reply.sample_rate_hz, 1))
        reply.items[frame.item_id] = (start, cut_off + reply.trimmed - before)

    def _without_silence(self, reply: SpokenReply, pcm: bytes) -> bytes:
        """Trim the silence a voice begins with: the listener would wait through it."""
        loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype=np.int16).astype(np.int32)) > SILENT_LEVEL)
        attack = self._samples(ATTACK_MS)
        silent = max(0, int(loud[0]) - attack) if loud.size else max(0, len(pcm) // 2 - attack)
        if reply.trimmed + silent > self._samples(MAX_TRIM_MS):
            return pcm
        reply.trimmed += silent
        reply.context_start -= silent
        return pcm[silent * 2 :]

    def _text(self, reply: SpokenReply, frame: Frame) -> None:
        match frame:
            case TTSStartedFrame():
                reply.context_start, reply.context_started_ns = reply.samples, None
            case AsideFrame():
                self._aside(reply, frame)
            case TTSTextFrame() if frame.pts:
                if reply.context_started_ns is None:
                    # Words may overtake the audio they belong to; the first begins with it.
                    reply.context_started_ns = frame.pts
                into_context_s = max(0, frame.pts - reply.context_started_ns) / 1e9
                at = max(0, reply.context_start + int(into_context_s * reply.sample_rate_hz))
                reply.add_word(frame.text, at)
            case TTSTextFrame():
                reply.end_sentence()
            case AggregatedTextFrame() if frame.will_be_spoken:
                reply.begin_sentence(frame.text)
            case VoiceLostFrame():
                reply.lose(frame.spoken)
                if not reply.arrived:
                    self._submit(ReplyFailed(self._clock_ms(), reply.reply_id))
            case OtherVoiceFrame():
                reply.other_voice = True
            case SpokenTextFrame():
                reply.say(frame.text)
            case _:
                pass

    def _aside(self, reply: SpokenReply, frame: AsideFrame) -> None:
        reply.end_sentence()
        reply.in_aside = frame.begins
        if frame.begins:
            reply.aside_start = reply.samples
        elif self.on_aside and reply.aside_start is not None and (pcm := reply.pcm[reply.aside_start * 2 :]):
            self.on_aside(frame.text, bytes(pcm))

    def _ended(self, reply_id: int) -> None:
        if reply := self._replies.get(reply_id):
            reply.end_sentence()
            reply.ended = True
            self._wake.set()

    # --- playing ----------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        while True:
            reply = self._playable()
            if self._fade_out:
                fade, self._fade_out = self._fade_out, b""
                await self._sink.write(_ramp(fade, rising=False))
            elif reply is None:
                self._wake.clear()
                await self._wake.wait()
            elif reply.drained:
                await self._finish(reply)
            elif (lacks_ms := self._lacks_ms(reply)) > 0:
                await self._gather(lacks_ms)
            else:
                await self._play_chunk(reply)

    def _playable(self) -> SpokenReply | None:
        for reply in self._replies.values():
            if reply.released and not reply.lowered and (reply.position < reply.samples or reply.drained):
                return reply
        return None

    def _lacks_ms(self, reply: SpokenReply) -> float:
        """Return how long to wait for more audio before the voice is heard, at its beginning or after it ran dry.

        What comes next will be as late as others have been lately: with less in hand the voice would break off again.
        On a machine with time to spare that is less than the smallest piece, and nothing waits.
        """
        ready_ms = min(MOST_READY_MS, self.late_ms())
        there = self._sink.queued_ms() > 0 or reply.samples - reply.position >= self._samples(ready_ms)
        if there or reply.ended:
            reply.short_since_ms = None
            return 0.0
        if reply.short_since_ms is None:
            reply.short_since_ms = self._clock_ms()
        return reply.short_since_ms + ready_ms - self._clock_ms()

    async def _gather(self, most_ms: float) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(most_ms / 1000):
                await self._wake.wait()

    async def _play_chunk(self, reply: SpokenReply) -> None:
        reply.short_since_ms = None
        queued_ms = self._sink.queued_ms()
        fade_in = reply.audible and queued_ms <= 0 and reply.position > 0
        # All there is room for: on a busy machine the loop is back here later than a chunk lasts.
        chunk = reply.take(self._samples(max(CHUNK_MS, self._sink.lead_ms - queued_ms)))
        await self._sink.write(_faded_in(chunk, self._samples(CHUNK_MS)) if fade_in else chunk)
        if reply.reply_id not in self._replies or reply.lowered:
            # Stopped while this chunk waited for room in the queue.
            self._sink.clear()
            if reply.lowered:
                reply.position = max(0, reply.position - len(chunk) // 2)
            return
        if not reply.audible:
            reply.audible = True
            await self.broadcast_frame(BotStartedSpeakingFrame)
        if not reply.told and reply.own_start is not None and reply.position > reply.own_start:
            reply.told = True
            self._submit(ReplyAudible(self._clock_ms(), reply.reply_id))
        played = self._played(reply)
        reply.played_log.append((self._clock_ms(), played))
        self._on_progress(reply.reply_id, reply.heard_text(played, asides=True), False)

    async def _finish(self, reply: SpokenReply) -> None:
        await self._sink.drain()
        if self._replies.get(reply.reply_id) is not reply or reply.lowered:
            return
        if reply.audible:
            self._on_progress(reply.reply_id, reply.full_text(asides=True), True)
            if self.on_heard and not reply.has_aside and not reply.other_voice:
                self.on_heard(reply.reply_id, reply.full_text(), bytes(reply.pcm))
            await self.broadcast_frame(BotStoppedSpeakingFrame)
        if reply.lost and not reply.is_line:
            reply.released = False
            self._submit(ReplyFailed(self._clock_ms(), reply.reply_id))
            return
        asked = asked_for(reply.full_text())
        self._submit(ReplyFinished(self._clock_ms(), reply.reply_id, asked))
        # Kept until the bridge has read it: `heard` of a finished reply is its whole text.
        reply.released, reply.finished = False, True
        reply.played_log.append((self._clock_ms(), reply.samples))

    def close(self, reply_id: int) -> str:
        """Forget a finished reply; return its text."""
        reply = self._replies.pop(reply_id, None)
        if reply is None or not reply.audible:
            return ""
        self._last = reply
        return reply.full_text()

    def _rewind(self, reply: SpokenReply) -> None:
        """Take back what is queued but unsent and let the voice fade from there."""
        reply.position = self._played(reply)
        self._sink.clear()
        if reply.audible:
            end = reply.position + self._samples(FADE_MS)
            self._fade_out = bytes(reply.pcm[reply.position * 2 : end * 2])
            self._wake.set()

    def _played(self, reply: SpokenReply) -> int:
        return max(0, reply.position - self._samples(self._sink.queued_ms()))

    def _samples(self, duration_ms: float) -> int:
        return int(duration_ms * self._sink.sample_rate_hz / 1000)

    async def _stop_player(self) -> None:
        if self._player is not None:
            await self.cancel_task(self._player)
            self._player = None

    async def cleanup(self) -> None:
        """Stop playing."""
        await self._stop_player()
        await super().cleanup()


def _faded_in(pcm: bytes, samples: int) -> bytes:
    return _ramp(pcm[: samples * 2], rising=True) + pcm[samples * 2 :]


def _ramp(pcm: bytes, *, rising: bool) -> bytes:
    samples = np.frombuffer(pcm, dtype=np.int16)
    gain = np.linspace(0.0, 1.0, num=len(samples)) if rising else np.linspace(1.0, 0.0, num=len(samples))
    return bytes((samples * gain).astype(np.int16).tobytes())
