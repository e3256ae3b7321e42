"""Hears the caller: voice activity and end-of-turn evidence, and nothing of anyone else.

First processor after the room. Turns the caller's audio into `SpeechStarted`, `SpeechStopped` and `TurnScored`
events, and tells the speech-to-text service where a stretch of voice begins and ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
    UserAudioRawFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.conversation.degradation import Level
from repartee.events import Event, SpeechStarted, SpeechStopped, TurnScored
from repartee.providers.frames import PauseScoredFrame, TurnClosedFrame, VoicePausedFrame, VoiceStartedFrame
from repartee.session.listening import voice_model
from repartee.session.voice import SAMPLE_RATE_HZ, VoiceActivity

WINDOW_S = 8
"""The end-of-turn model hears this much."""
BYTES_PER_MS = SAMPLE_RATE_HZ * 2 / 1000
FRAME_BYTES = int(20 * BYTES_PER_MS)
BLOCK_BYTES = int(100 * BYTES_PER_MS)
"""In silence audio is handed on by so much: nobody waits for it, and each piece is two wake-ups and a queue."""
HELD_FRAMES = 600
"""12 s: the oldest of what waits longer is dropped."""
IDLE_STOP_S = 1.0
"""Audio that stops arriving in the middle of speech (muted, gone) ends the stretch of voice after this."""

SCORE_AT_MS = (120, 260, 400, 520, 640, 780, 920, 1100, 1320)
"""Silence after which the end-of-turn model is asked. More silence makes an end easier to hear, so a finished
sentence that sounded unfinished at first is found out early; one that is unfinished stays so. Four of five gaps
within a spoken sentence are shorter than the first of these, and its words take longer to be known."""
AT_ONCE_MS = 60
"""The first time where nothing else is waited for: a model that hears for itself begins with the answer."""
SPARSE_AT_MS = SCORE_AT_MS[::3]
"""The same where processors are short: each answer takes 50 ms of one."""
SURE = 0.9
"""A probability that need not be asked for again."""


def asked_at_ms(level: Level, *, at_once: bool = False) -> Sequence[int]:
    """Return the silences after which the end-of-turn model is asked at a level of load.

    Args:
        level: The level.
        at_once: The answer is waited for as soon as there is a pause.
    """
    if level >= Level.PLAIN:
        return ()
    at_ms = SPARSE_AT_MS if level >= Level.LEAN else SCORE_AT_MS
    return (AT_ONCE_MS, *at_ms[1:]) if at_once else at_ms


Scorer = Callable[[npt.NDArray[np.float32]], float]
"""Takes up to 8 s of 16 kHz audio and returns the probability that the turn is over. Runs in a thread."""


class Ears(FrameProcessor):
    """Voice activity and end-of-turn evidence for one caller.

    Args:
        submit: Takes the events.
        clock_ms: The call's clock.
        score_turn: The end-of-turn model.
        executor: Where the model runs.
        is_caller: Says whether a participant identity is the caller.
        on_stt_failed: Called when speech-to-text reports an error: a transcript that will not come.
        listeners: Called with the caller's audio as it comes, and when it came.
        score_at_ms: Returns when in a pause the model is asked at present; nothing where it is not.
    """

    def __init__(
        self,
        *,
        submit: Callable[[Event], None],
        clock_ms: Callable[[], float],
        score_turn: Scorer,
        executor: ThreadPoolExecutor,
        is_caller: Callable[[str], bool],
        on_stt_failed: Callable[[str], None],
        listeners: Sequence[Callable[[bytes, float], None]] = (),
        score_at_ms: Callable[[], Sequence[int]] = lambda: SCORE_AT_MS,
    ) -> None:
        super().__init__(name="Ears")
        self._submit = submit
        self._clock_ms = clock_ms
        self._score_turn = score_turn
        self._executor = executor
        self._is_caller = is_caller
        self._on_stt_failed = on_stt_failed
        self._listeners = tuple(listeners)
        self._score_at_ms = score_at_ms
        # Pipecat's own voice activity adds a loudness gate of 160 ms, a thread round trip for each 20 ms of audio,
        # and hears a pause only by Silero's probability, 100 ms late.
        self._voice = VoiceActivity(voice_model())
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._segment_id = 0
        self._began_ms = 0.0
        self._last_audio_ms = 0.0
        self._idle_check: asyncio.TimerHandle | None = None
        self._scoring: asyncio.Task[None] | None = None
        self._started = False
        self._heard_ms = 0.0
        """Of audio, all in all; what is caught up comes faster than it was said."""
        self._held: deque[bytes] | None = None
        self._whose = ""
        self._silence = bytearray()
        """What was heard in silence and is not handed on yet."""

    def hold(self) -> None:
        """Have what comes from now on wait: something that was said before it is still to come."""
        if self._held is None:
            self._held = deque(maxlen=HELD_FRAMES)

    async def catch_up(self, pcm: bytes) -> None:
        """Hear 16 kHz audio that was said before what waits, then that, and wait no more."""
        for begin in range(0, len(pcm), FRAME_BYTES):
            await self._attend(pcm[begin : begin + FRAME_BYTES])
        while self._held:
            await self._attend(self._held.popleft())
        self._held = None

    async def hear(self, pcm: bytes, identity: str) -> None:
        """Take 16 kHz audio straight from the room; of anyone else than the caller it is dropped.

        On the usual way through Pipecat's transport each 20 ms would pass four more queues.
        """
        if self._started and self._is_caller(identity):
            await self._hear(pcm, identity)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listen to the caller's audio; drop everyone else's."""
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame) and direction is FrameDirection.UPSTREAM:
            self._on_stt_failed(frame.error)
        if isinstance(frame, (EndFrame, CancelFrame)):
            await self._stop_work()
        if isinstance(frame, StartFrame):
            self._last_audio_ms = self._clock_ms()
            self._started = True
        if isinstance(frame, TurnClosedFrame):
            # The end-of-turn model knows single turns: what was said before would be taken for the same sentence.
            self._recent.clear()
            self._recent_bytes = 0
            self._cancel_scoring()  # the question is settled: each answer more would cost 50 ms of a core
        elif isinstance(frame, InputAudioRawFrame):
            whose = frame.user_id if isinstance(frame, UserAudioRawFrame) else self._whose
            if not isinstance(frame, UserAudioRawFrame) or self._is_caller(whose):
                await self._hear(frame.audio, whose)
        else:
            await self.push_frame(frame, direction)

    async def _hear(self, pcm: bytes, whose: str) -> None:
        self._whose = whose
        self._last_audio_ms = self._clock_ms()
        for listener in self._listeners:
            listener(pcm, self._last_audio_ms)
        if self._held is None:
            await self._attend(pcm)
        else:
            self._held.append(pcm)

    async def _attend(self, pcm: bytes) -> None:
        self._heard_ms += len(pcm) / BYTES_PER_MS
        self._remember(pcm)
        change = self._voice.hear(pcm)
        if self._voice.rests:
            self._silence += pcm
            if len(self._silence) >= BLOCK_BYTES:
                await self._hand_on_silence()
            return
        await self._hand_on_silence()
        if change == "started":
            await self._voice_began()
        await self._hand_on(pcm)
        if change == "stopped":
            await self._voice_ended(silent_ms=self._voice.silent_ms)

    async def _hand_on_silence(self) -> None:
        if self._silence:
            silence, self._silence = bytes(self._silence), bytearray()
            await self._hand_on(silence)

    async def _hand_on(self, pcm: bytes) -> None:
        await self.push_frame(UserAudioRawFrame(pcm, SAMPLE_RATE_HZ, 1, user_id=self._whose))

    def _remember(self, audio: bytes) -> None:
        self._recent.append(audio)
        self._recent_bytes += len(audio)
        while self._recent_bytes > WINDOW_S * SAMPLE_RATE_HZ * 2:
            self._recent_bytes -= len(self._recent.popleft())

    async def _voice_began(self) -> None:
        self._segment_id += 1
        self._cancel_scoring()
        now = self._clock_ms()
        self._began_ms = self._heard_ms - self._voice.voiced_ms
        self._submit(SpeechStarted(now, self._segment_id))
        self._watch_idle()
        await self.push_frame(
            VoiceStartedFrame(start_secs=self._voice.voiced_ms / 1000, segment_id=self._segment_id)
        )

    async def _voice_ended(self, *, silent_ms: float, heard: bool = True) -> None:
        now = self._clock_ms()
        ended = now - silent_ms
        spoken = max(0.0, self._heard_ms - (silent_ms if heard else 0.0) - self._began_ms)
        self._submit(SpeechStopped(now, self._segment_id, ended, spoken))
        await self.push_frame(VoicePausedFrame(stop_secs=silent_ms / 1000, segment_id=self._segment_id))
        self._cancel_scoring()
        if self._score_at_ms():
            self._scoring = self.create_task(self._score(self._segment_id, ended), "Ears::score")

    async def _score(self, segment_id: int, ended_ms: float) -> None:
        """Ask whether the turn is over, and ask again while it sounds as if it were not."""
        loop = asyncio.get_running_loop()
        for silent_ms in self._score_at_ms():
            await asyncio.sleep(max(0.0, ended_ms + silent_ms - self._clock_ms()) / 1000)
            pcm = np.frombuffer(b"".join(self._recent), dtype=np.int16).astype(np.float32) / 32768.0
            probability = await loop.run_in_executor(self._executor, self._score_turn, pcm)
            self._submit(TurnScored(self._clock_ms(), segment_id, probability))
            await self.push_frame(PauseScoredFrame(probability=probability))
            if probability >= SURE:
                return

    def _cancel_scoring(self) -> None:
        # The thread finishes its 50 ms; its answer is about an older segment and nobody waits for it.
        if self._scoring is not None and not self._scoring.done():
            self._scoring.cancel()

    # --- audio that stops arriving ----------------------------------------------------------------------------

    def _watch_idle(self) -> None:
        if self._idle_check is not None:
            self._idle_check.cancel()
        self._idle_check = asyncio.get_running_loop().call_later(IDLE_STOP_S, self._check_idle)

    def _check_idle(self) -> None:
        if not self._voice.speaking:
            return
        if self._clock_ms() - self._last_audio_ms >= IDLE_STOP_S * 1000:
            self._voice.stop()
            self.create_task(self._voice_ended(silent_ms=IDLE_STOP_S * 1000, heard=False), "Ears::idle")
        else:
            self._watch_idle()

    async def _stop_work(self) -> None:
        if self._idle_check is not None:
            self._idle_check.cancel()
        if self._scoring is not None and not self._scoring.done():
            await self.cancel_task(self._scoring)

    async def cleanup(self) -> None:
        """Stop listening."""
        await self._stop_work()
        await super().cleanup()
