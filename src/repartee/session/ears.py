"""Hears the caller: voice activity and end-of-turn evidence, and nothing of anyone else.

First processor after the room. Turns the caller's audio into `SpeechStarted`, `SpeechStopped` and `TurnScored`
events, and tells the speech-to-text service where a stretch of voice begins and ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
    UserAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.events import Event, SpeechStarted, SpeechStopped, TurnScored

SAMPLE_RATE_HZ = 16_000
WINDOW_S = 8
"""The end-of-turn model hears this much."""
IDLE_STOP_S = 1.0
"""Audio that stops arriving in the middle of speech (muted, gone) ends the stretch of voice after this."""

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
        start_s: Voice this long is speech.
        stop_s: Silence this long is a pause.
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
        start_s: float = 0.1,
        stop_s: float = 0.2,
    ) -> None:
        super().__init__(name="Ears")
        self._submit = submit
        self._clock_ms = clock_ms
        self._score_turn = score_turn
        self._executor = executor
        self._is_caller = is_caller
        self._on_stt_failed = on_stt_failed
        self._stop_s = stop_s
        self._start_s = start_s
        # min_volume 0: Pipecat's loudness gate adds 160 ms before an onset is reported (0.4 s window).
        self._vad = SileroVADAnalyzer(
            sample_rate=SAMPLE_RATE_HZ,
            params=VADParams(start_secs=start_s, stop_secs=stop_s, min_volume=0.0),
        )
        self._vad.set_sample_rate(SAMPLE_RATE_HZ)
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._segment_id = 0
        self._speaking = False
        self._started_at_ms = 0.0
        self._last_audio_ms = 0.0
        self._idle_check: asyncio.TimerHandle | None = None
        self._scoring: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listen to the caller's audio; drop everyone else's."""
        await super().process_frame(frame, direction)
        if isinstance(frame, UserAudioRawFrame) and not self._is_caller(frame.user_id):
            return
        if isinstance(frame, ErrorFrame) and direction is FrameDirection.UPSTREAM:
            self._on_stt_failed(frame.error)
        if isinstance(frame, (EndFrame, CancelFrame)):
            await self._stop_work()
        if isinstance(frame, StartFrame):
            self._last_audio_ms = self._clock_ms()
        if isinstance(frame, InputAudioRawFrame):
            await self._hear(frame)
        else:
            await self.push_frame(frame, direction)

    async def _hear(self, frame: InputAudioRawFrame) -> None:
        self._last_audio_ms = self._clock_ms()
        self._remember(frame.audio)
        # Pipecat's `analyze_audio` makes a thread round trip for 0.2 ms of work, fifty times a second.
        state = self._vad._run_analyzer(frame.audio)  # noqa: SLF001
        if state is VADState.SPEAKING and not self._speaking:
            await self._voice_began()
            await self.push_frame(frame)
        elif state is VADState.QUIET and self._speaking:
            await self.push_frame(frame)
            await self._voice_ended(silent_s=self._stop_s)
        else:
            await self.push_frame(frame)

    def _remember(self, audio: bytes) -> None:
        self._recent.append(audio)
        self._recent_bytes += len(audio)
        while self._recent_bytes > WINDOW_S * SAMPLE_RATE_HZ * 2:
            self._recent_bytes -= len(self._recent.popleft())

    async def _voice_began(self) -> None:
        self._speaking = True
        self._segment_id += 1
        self._cancel_scoring()
        now = self._clock_ms()
        self._started_at_ms = now - self._start_s * 1000
        self._submit(SpeechStarted(now, self._segment_id))
        self._watch_idle()
        await self.push_frame(VADUserStartedSpeakingFrame(start_secs=self._start_s))

    async def _voice_ended(self, *, silent_s: float) -> None:
        self._speaking = False
        now = self._clock_ms()
        ended = now - silent_s * 1000
        spoken = max(0.0, ended - self._started_at_ms)
        self._submit(SpeechStopped(now, self._segment_id, ended, spoken))
        await self.push_frame(VADUserStoppedSpeakingFrame(stop_secs=self._stop_s))
        self._scoring = self.create_task(self._score(self._segment_id), "Ears::score")

    async def _score(self, segment_id: int) -> None:
        pcm = np.frombuffer(b"".join(self._recent), dtype=np.int16).astype(np.float32) / 32768.0
        loop = asyncio.get_running_loop()
        probability = await loop.run_in_executor(self._executor, self._score_turn, pcm)
        self._submit(TurnScored(self._clock_ms(), segment_id, probability))

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
        if not self._speaking:
            return
        if self._clock_ms() - self._last_audio_ms >= IDLE_STOP_S * 1000:
            self.create_task(self._voice_ended(silent_s=IDLE_STOP_S), "Ears::idle")
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
