"""Sits behind a voice that streams over a socket: watches it, and says the rest of a reply when it fails.

What was heard of the failing voice is known by its words' times. The rest is asked for clause by clause with plain
requests (`providers/voices.py`), of whichever vendor can be had, and goes to the gate as the voice's own would have.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    AggregatedTextFrame,
    CancelFrame,
    ControlFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from repartee.providers.failover import Attempt
from repartee.providers.failures import Failure, Why
from repartee.providers.frames import OtherVoiceFrame, SpeakerFrame, VoiceLostFrame
from repartee.providers.socket_voice import SocketVoice
from repartee.providers.voices import Speaker, VoiceChain, VoiceLostError, behind
from repartee.session.frames import ReplyEndFrame

BYTES_PER_SAMPLE = 2
TOLD = 0.9
"""With so much of its letters told, a text is spoken: vendors write numbers and signs as they like."""
WORD_S = 0.3
"""A word of which less has come was cut, and is said again whole."""
_WORD = re.compile(r"\S+\s*")


@dataclass
class RelievedFrame(ControlFrame):
    """Everything that came of the voice before it was relieved has passed."""

    reply_id: int | None = None


@dataclass
class _Watched:
    """A reply, and what has come of it."""

    reply_id: int | None
    attempt: Attempt | None = None
    failing: Failure | None = None
    """It was relieved, and what came of it before is still passing."""
    taken: bool = False
    """Others speak it."""
    lost: bool = False
    """Nobody does."""
    skip: list[tuple[int, Why]] = field(default_factory=list)
    texts: list[AggregatedTextFrame] = field(default_factory=list)
    announced: set[int] = field(default_factory=set)
    audio_s: float = 0.0
    words: list[tuple[int, float]] = field(default_factory=list)
    """Letters of each word that was told, and when it begins in the audio."""
    first_pts: int | None = None

    @property
    def letters(self) -> int:
        """Letters the vendor was given."""
        return sum(_letters(text.text) for text in self.texts)

    @property
    def owed(self) -> bool:
        """Whether the vendor has not yet given what it was asked for."""
        if not self.texts or not self.audio_s:
            return bool(self.texts)
        if not self.words:
            return False  # it tells no words; its own end is all there is to go by
        told = sum(letters for letters, _ in self.words)
        return told < TOLD * self.letters or self.audio_s < self.words[-1][1]

    def spoken_letters(self) -> int:
        """Return how many letters were heard for sure, or will be: their audio is here."""
        return sum(letters for letters, begin_s in self.words if self.audio_s >= begin_s + WORD_S)


class StandbyVoice(FrameProcessor):
    """Guards a voice.

    Args:
        chain: The voices by plain requests, the guarded one first.
        voice: Which one it guards.
    """

    def __init__(self, chain: VoiceChain, voice: SocketVoice) -> None:
        super().__init__(name="StandbyVoice")
        self._chain = chain
        self._voice = voice
        self.speakers: Mapping[str, Speaker] = {}
        """The agents that this call may be passed to, by name."""
        self._now: _Watched | None = None
        self._waiting: asyncio.Queue[tuple[_Watched, Frame | str]] = asyncio.Queue()
        self._speaking: asyncio.Task[None] | None = None
        self._failing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        voice.guard = self

    # --- what the voice asks and tells ------------------------------------------------------------------------

    async def may_speak(self, reply_id: int | None) -> bool:
        """Say whether the voice shall speak the next text of a reply."""
        now = self._now
        if now is None or now.reply_id != reply_id:
            now = await self._begin(reply_id)
        return not now.taken and now.failing is None

    def sent(self, frame: AggregatedTextFrame) -> None:
        """A text is given to the vendor, who owes its audio from now on."""
        if (now := self._now) is not None:
            now.texts.append(frame)
            self._arm(now)

    async def failed(self, failure: Failure) -> None:
        """The voice failed: what has come of it passes, then others go on."""
        now = self._now
        if now is None or now.attempt is None or now.failing is not None or now.taken:
            return
        now.failing = failure
        self._disarm()
        await self._voice.relieve(RelievedFrame(reply_id=now.reply_id))

    async def interrupted(self) -> None:
        """What was being said is said no more; told before anything of the next reply is."""
        await self._end(done=False)
        self._now = None

    async def _begin(self, reply_id: int | None) -> _Watched:
        await self._end(done=True)
        now = self._now = _Watched(reply_id)
        failover = self._chain.failover
        first = failover.choices[0].key
        attempt = self._chain.request().next() if failover.breakers.available(first) else None
        if attempt is None or attempt.index != 0:
            if attempt is not None:
                await attempt.leave(done=False)
            now.taken = True
            return now
        await attempt.__aenter__()
        if attempt.ok and not await self._voice.connected():
            attempt.fail(Failure("error"))
        if attempt.failure is not None:
            await attempt.leave(done=False)
            now.taken, now.skip = True, [(0, attempt.failure.why)]
        else:
            now.attempt = attempt
        return now

    async def _end(self, *, done: bool) -> None:
        """The present reply is over for the voice."""
        self._disarm()
        now = self._now
        if now is not None and now.attempt is not None:
            attempt, now.attempt = now.attempt, None
            # What we cut off, and what nothing was asked of, says nothing about the vendor.
            await attempt.leave(done=done and bool(now.texts) and not now.owed)

    # --- time -------------------------------------------------------------------------------------------------

    def _arm(self, now: _Watched) -> None:
        """Wait for the next of the audio that is owed, no longer than its vendor usually takes."""
        if now.attempt is None or now.failing is not None or (self._timer is not None and now.audio_s == 0):
            return
        self._disarm()
        if now.owed:
            wait_s = now.attempt.first_s if now.audio_s == 0 else now.attempt.choice.idle_s
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        now = self._now
        failure = Failure("timeout" if now is not None and now.audio_s == 0 else "cut")
        self._failing = self.create_task(self.failed(failure), "StandbyVoice::failed")

    # --- frames -----------------------------------------------------------------------------------------------

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Watch what comes of the voice; say the rest where it failed; pass everything else on, in order."""
        await super().process_frame(frame, direction)
        if isinstance(frame, (InterruptionFrame, EndFrame, CancelFrame)):
            await self._be_silent()
        if isinstance(frame, SystemFrame) or direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        now = self._now
        if isinstance(frame, RelievedFrame):
            if now is not None and not now.taken and now.reply_id == frame.reply_id:
                await self._take_over(now, now.failing or Failure("error"))
        elif now is None:
            self._become(frame)
            await self.push_frame(frame, direction)
        elif now.taken:
            self._while_taken(now, frame)
        else:
            await self._watch(now, frame)

    def _become(self, frame: Frame) -> None:
        """Speak for another agent from here on."""
        if isinstance(frame, SpeakerFrame) and (speaker := self.speakers.get(frame.agent)) is not None:
            self._chain = speaker.chain

    async def _watch(self, now: _Watched, frame: Frame) -> None:
        self._become(frame)
        match frame:
            case TTSAudioRawFrame():
                if now.attempt is not None:
                    now.attempt.first()
                now.audio_s += len(frame.audio) / BYTES_PER_SAMPLE / frame.sample_rate
                self._arm_again(now)
            case TTSTextFrame() if frame.pts:
                now.first_pts = frame.pts if now.first_pts is None else now.first_pts
                now.words.append((_letters(frame.text), (frame.pts - now.first_pts) / 1e9))
                self._arm_again(now)
            case AggregatedTextFrame():
                now.announced.add(frame.id)
            case ReplyEndFrame():
                if now.attempt is not None and now.owed:
                    # Its stream ended, and not all of it has come.
                    await self._take_over(now, now.failing or Failure("error"))
                    self._put(now, frame)
                    return
                await self._end(done=True)
            case _:
                pass
        await self.push_frame(frame)

    def _arm_again(self, now: _Watched) -> None:
        self._disarm()
        self._arm(now)

    def _while_taken(self, now: _Watched, frame: Frame) -> None:
        match frame:
            case TTSAudioRawFrame() | TTSStartedFrame() | TTSStoppedFrame() | TTSTextFrame():
                return  # late, of a voice that was relieved
            case AggregatedTextFrame() if frame.id in now.announced:
                return  # told already, when its voice was relieved
            case AggregatedTextFrame():
                now.announced.add(frame.id)
                self._put(now, frame)
                self._put(now, frame.text)
            case _:
                self._put(now, frame)

    # --- in the voice's place ---------------------------------------------------------------------------------

    async def _take_over(self, now: _Watched, failure: Failure) -> None:
        """Others say what is left, and what is still to come."""
        now.taken = True
        self._disarm()
        if now.attempt is not None:
            attempt, now.attempt = now.attempt, None
            why: Why = "cut" if now.audio_s and failure.why in {"error", "timeout"} else failure.why
            attempt.fail(Failure(why, failure.retry_after_s))
            await attempt.leave(done=False)
            now.skip = [(0, why)]
        for frame, rest in _rest(now):
            if frame.id not in now.announced:
                now.announced.add(frame.id)
                frame.will_be_spoken = True
                self._put(now, frame)
            if rest:
                self._put(now, rest)

    def _put(self, now: _Watched, item: Frame | str) -> None:
        self._waiting.put_nowait((now, item))
        if self._speaking is None or self._speaking.done():
            self._speaking = self.create_task(self._speak_waiting(), "StandbyVoice::speak")

    async def _speak_waiting(self) -> None:
        while True:
            now, item = await self._waiting.get()
            if not isinstance(item, str):
                self._become(item)
                await self.push_frame(item)
            elif not now.lost:
                await self._say(now, item)

    async def _say(self, now: _Watched, text: str) -> None:
        """Speak a text, and tell its words as they come."""
        await self.push_frame(OtherVoiceFrame())
        await self.push_frame(TTSStartedFrame())
        words = _Words(text, self.get_clock().get_time())
        received_s = 0.0
        for word in words.until(0.0):
            await self.push_frame(word)
        try:
            async for sound in self._chain.speak(text, skip=now.skip):
                rate = self._voice.sample_rate
                if sound.index > len(now.skip):
                    now.skip = behind(sound.index)
                await self.push_frame(TTSAudioRawFrame(sound.pcm, rate, 1))
                received_s += len(sound.pcm) / BYTES_PER_SAMPLE / rate
                for word in words.until(received_s * self._chain.pace(sound.index), received_s):
                    await self.push_frame(word)
        except VoiceLostError as error:
            now.lost = True
            await self.push_frame(VoiceLostFrame(spoken=error.spoken))
            return
        for word in words.until(float("inf"), received_s):
            await self.push_frame(word)

    async def _be_silent(self) -> None:
        for task in (self._speaking, self._failing):
            if task is not None and not task.done():
                await self.cancel_task(task)
        self._speaking = self._failing = None
        self._waiting = asyncio.Queue()

    async def cleanup(self) -> None:
        """Stop speaking."""
        await self._end(done=False)
        await self._be_silent()
        await super().cleanup()


class _Words:
    """The words of a text, each told when the audio has come to it.

    Args:
        text: The text.
        base_ns: When its audio begins, on the pipeline's clock.
    """

    def __init__(self, text: str, base_ns: int) -> None:
        self._words = [(match.start(), match.group().strip()) for match in _WORD.finditer(text)]
        self._base_ns = base_ns
        self._length = max(1, len(text))

    def until(self, letters: float, audio_s: float = 0.0) -> Iterator[TTSTextFrame]:
        """Return the words that begin within so many letters of which so much audio has come."""
        while self._words and self._words[0][0] <= letters:
            at, word = self._words.pop(0)
            into = min(1.0, at / letters) if 0 < letters < float("inf") else at / self._length
            frame = TTSTextFrame(word, TextType.WORD)
            frame.pts = self._base_ns + int(into * audio_s * 1e9)
            yield frame


def _rest(now: _Watched) -> Iterator[tuple[AggregatedTextFrame, str]]:
    """Return each text the vendor was given, and what of it was not heard."""
    left = now.spoken_letters()
    for frame in now.texts:
        letters = _letters(frame.text)
        if left >= TOLD * letters:
            left -= letters
            yield frame, ""
            continue
        begin = 0
        for match in _WORD.finditer(frame.text):
            if left <= 0:
                break
            left -= _letters(match.group())
            begin = match.end()
        left = 0
        yield frame, frame.text[begin:].strip()


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)
