"""Speech-to-text by the piece: transcribed at every pause, cancelled when the caller goes on.

A turn's audio is one piece until it is long; then the next long pause settles it, and a new one begins, so that
only the tail is left to transcribe at the end. A piece that goes on after a short pause is transcribed again as a
whole: words are never cut, lost or doubled at a joint, and a recogniser hears them in their context.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from openai import AsyncOpenAI
from pipecat.audio.utils import pcm_to_wav
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.stt import OpenAISTTService

from repartee.conversation import Endpointing
from repartee.providers.captions import Captioner
from repartee.providers.frames import (
    CaptionFrame,
    PauseScoredFrame,
    PieceTranscribedFrame,
    TranscribeNowFrame,
    TurnClosedFrame,
    VoicePausedFrame,
)
from repartee.providers.hearing import Transcriber, spoken_language
from repartee.providers.metering import about

TRAILING_SILENCE_S = 0.2
PREROLL_S = 0.4
"""Audio kept from before voice was found."""
PIECE_S = 4.0
"""A piece at least this long is settled by the next long pause."""
SETTLE_PAUSE_S = 0.25
LONG_PAUSE_S, LONG_PAUSE_PIECE_S = 0.6, 1.0
"""A shorter piece is settled by a pause that is long enough to end a thought, or the group of a number: the words
before it need no second transcription, which would be billed."""
LIKELY = 0.5
"""End-of-turn probability from which a pause is transcribed at once."""
SURE_TRIES = 1
DEAR_S = 2.5
DOUBT_S = 0.3
"""A caller who has gone on after more than one pause may do so again, and each attempt is of the whole piece, and
billed. So with a piece of some length, a pause that does not sound like the end must last this much longer."""
NUMBER_S = 0.6
"""A number that may go on is waited for anyway, so its words are not wanted sooner than this, however it sounds."""
JOINT_GAP_S = 0.05
JOINT_S = 1.0
"""So much of the pause before a piece belongs to it at the most: a soft first sound is found late."""
CAPTION_S = 1.0
"""A voice that goes on is captioned this often."""
BYTES_PER_SAMPLE = 2
_ENDPOINTING = Endpointing()


class PieceBuffer:
    """The audio of the present piece, 16-bit mono.

    Args:
        rate_hz: Its sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._audio = bytearray()
        self._open = False
        self._voice_at = 0
        self.piece_id = 1

    def add(self, pcm: bytes) -> None:
        """Take audio; before voice begins only the last bit is kept."""
        self._audio += pcm
        keep = self._bytes(PREROLL_S)
        if not self._open and len(self._audio) > keep:
            del self._audio[: len(self._audio) - keep]

    def begin(self, silent_s: float) -> bool:
        """Voice has begun, after so much silence; return whether it goes on with the same piece."""
        self._voice_at = len(self._audio)
        if not self._open:
            self._open = True
            return False
        if self._settles(self.seconds - silent_s, silent_s):
            self._next(keep_s=min(JOINT_S, silent_s - JOINT_GAP_S))
            self._open, self._voice_at = True, len(self._audio)
            return False
        return True

    @staticmethod
    def _settles(voice_s: float, silent_s: float) -> bool:
        if voice_s >= PIECE_S:
            return silent_s >= SETTLE_PAUSE_S
        return voice_s >= LONG_PAUSE_PIECE_S and silent_s >= LONG_PAUSE_S

    def settle(self, *, speaking: bool = False) -> None:
        """What comes next is another piece; a voice that already sounds again belongs to it."""
        if speaking:
            since_s = (len(self._audio) - self._voice_at) / self._rate_hz / BYTES_PER_SAMPLE
            self._next(keep_s=since_s + PREROLL_S / 2)
            self._open, self._voice_at = True, 0
        elif self._open:
            self._next(keep_s=0.0)

    def _next(self, keep_s: float) -> None:
        self._open = False
        self.piece_id += 1
        del self._audio[: max(0, len(self._audio) - self._bytes(keep_s))]

    @property
    def seconds(self) -> float:
        """How much audio it holds."""
        return len(self._audio) / self._rate_hz / BYTES_PER_SAMPLE

    def audio(self) -> bytes:
        """Return the piece so far."""
        return bytes(self._audio)

    def _bytes(self, seconds: float) -> int:
        return int(self._rate_hz * seconds) * BYTES_PER_SAMPLE


class PiecewiseSTT(OpenAISTTService):
    """HTTP transcription.

    Closes: 0.5 s of silence appended to every upload; a client of its own per call, with hidden retries; an empty
    transcript never told, so that "nothing was said" cannot be known; segments transcribed one after another and
    never cancelled, so that a false pause delays the words that follow.

    Args:
        client: The client every call of this process shares.
        transcriber: The recognisers a piece may be heard by; None is this server alone, unwatched.
        after_pause_s: A pause must last this much longer than it took to find. More where a wrong start costs
            processor time that the right one then lacks.
        captioner: Makes the words that are shown while they are spoken; None shows them at the pause.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        transcriber: Transcriber | None = None,
        *,
        after_pause_s: float = 0.0,
        captioner: Captioner | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            api_key=client.api_key,
            base_url=str(client.base_url),
            http_client=client._client,  # noqa: SLF001 - one of its own costs 40 ms of every call of this process
            push_empty_transcripts=True,
            trailing_silence_secs=TRAILING_SILENCE_S,
            **kwargs,
        )
        self._client = client
        self._transcriber = transcriber
        self._after_pause_s = after_pause_s
        self._captioner = captioner
        self._caption: asyncio.Task[None] | None = None
        self._captioned_s = 0.0
        self._piece: PieceBuffer | None = None
        self._attempts: dict[int, asyncio.Task[None]] = {}
        self._paused_s = 0.0
        self._tried: tuple[int, int] = (0, 0)
        """The newest piece, and in how many pauses it was to be transcribed."""
        self._number_open = False
        self._likely = asyncio.Event()

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:  # noqa: ARG002
        """Keep the audio of the present piece."""
        self._user_id = getattr(frame, "user_id", "")
        self._buffer().add(frame.audio)
        self._caption_if_due()

    def _caption_if_due(self) -> None:
        captioner, piece = self._captioner, self._buffer()
        if captioner is None or not captioner.able or not self._user_speaking or self._caption is not None:
            return
        self._captioned_s = min(self._captioned_s, piece.seconds)  # a piece that was settled began again
        if piece.seconds - self._captioned_s >= CAPTION_S:
            self._captioned_s = piece.seconds
            work = self._show_words(captioner, piece.piece_id, piece.audio())
            self._caption = self.create_task(work, f"{self}::caption")
            self._caption.add_done_callback(self._captioning_over)

    def _captioning_over(self, _: asyncio.Task[None]) -> None:
        self._caption = None

    async def _show_words(self, captioner: Captioner, piece_id: int, pcm: bytes) -> None:
        if text := await captioner.words(pcm_to_wav(pcm, self.sample_rate)):
            await self.push_frame(CaptionFrame(text=text, piece_id=piece_id))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Besides audio and voice: what the bridge asks for."""
        match frame:
            case TranscribeNowFrame():
                self._transcribe_piece(frame.segment_id)
                return
            case TurnClosedFrame():
                self._buffer().settle(speaking=self._user_speaking)
                await self.push_frame(frame, direction)
                return
            case PauseScoredFrame():
                if frame.probability >= LIKELY:
                    self._likely.set()
                return
            case EndFrame() | CancelFrame():
                await self._cancel_attempts()
            case _:
                pass
        await super().process_frame(frame, direction)

    async def _handle_user_started_speaking(self, frame: VADUserStartedSpeakingFrame) -> None:  # noqa: ARG002
        self._user_speaking = True
        self._captioned_s = self._buffer().seconds
        same = self._buffer().begin(time.monotonic() - self._paused_s)
        if same and (attempt := self._attempts.get(self._buffer().piece_id)) is not None:
            # The connection is closed with it, and the vendor stops.
            attempt.cancel()

    async def _handle_user_stopped_speaking(self, frame: VADUserStoppedSpeakingFrame) -> None:
        self._user_speaking = False
        if self._caption is not None:
            self._caption.cancel()  # the words of the pause are better, and come now
        self._paused_s = time.monotonic() - frame.stop_secs
        self._likely.clear()
        if isinstance(frame, VoicePausedFrame) and self.is_usable:
            piece_id, tries = self._buffer().piece_id, self._tried[1]
            tries = tries if self._tried[0] == piece_id else 0
            self._tried = piece_id, tries + 1
            if tries and self._number_open:
                self._transcribe_piece(frame.segment_id, NUMBER_S)
            else:
                doubtful = tries > SURE_TRIES and self._buffer().seconds >= DEAR_S
                doubt_s = DOUBT_S if doubtful else 0.0
                self._transcribe_piece(frame.segment_id, self._after_pause_s, doubt_s)

    def _transcribe_piece(self, segment_id: int, after_s: float = 0.0, doubt_s: float = 0.0) -> None:
        piece = self._buffer()
        piece_id = piece.piece_id
        if (older := self._attempts.pop(piece_id, None)) is not None:
            older.cancel()
        pcm = piece.audio() + self._trailing_silence()
        work = self._when_likely(after_s, doubt_s, partial(self._transcribe_as, piece_id, segment_id, pcm))
        attempt = self.create_task(work, f"{self}::piece {piece_id}")
        self._attempts[piece_id] = attempt
        attempt.add_done_callback(lambda done: self._forget(piece_id, done))

    def _forget(self, piece_id: int, attempt: asyncio.Task[None]) -> None:
        if self._attempts.get(piece_id) is attempt:
            del self._attempts[piece_id]

    async def _when_likely(
        self, after_s: float, doubt_s: float, transcribe: Callable[[], Awaitable[None]]
    ) -> None:
        """Do it when the pause has lasted, or sounds like the end; cancelled when the voice goes on."""
        await asyncio.sleep(after_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._likely.wait(), doubt_s)
        await transcribe()

    async def _transcribe_as(self, piece_id: int, segment_id: int, pcm: bytes) -> None:
        self._record_stt_audio_usage(pcm)
        await self.emit_stt_usage_metrics()
        with about(piece_id=piece_id):
            async for frame in self.run_stt(pcm_to_wav(pcm, self.sample_rate)):
                match frame:
                    case TranscriptionFrame():
                        self._number_open = _ENDPOINTING.number_may_go_on(frame.text)
                        await self.push_frame(piece_frame(frame, piece_id, segment_id))
                    case ErrorFrame():
                        await self.push_error_frame(frame)
                    case _:
                        pass

    async def _transcribe(self, audio: bytes) -> Any:
        if self._transcriber is None:
            return await super()._transcribe(audio)
        return await self._transcriber.transcribe(audio)

    async def _cancel_attempts(self) -> None:
        captioning = [self._caption] if self._caption is not None else []
        for attempt in [*self._attempts.values(), *captioning]:
            await self.cancel_task(attempt)

    async def cleanup(self) -> None:
        """Stop transcribing."""
        await self._cancel_attempts()
        await super().cleanup()

    def _buffer(self) -> PieceBuffer:
        if self._piece is None:
            self._piece = PieceBuffer(self.sample_rate)
        return self._piece


def piece_frame(frame: TranscriptionFrame, piece_id: int, segment_id: int) -> PieceTranscribedFrame:
    """Return the words of a piece as such."""
    spoken, confidence = spoken_language(frame.result)
    return PieceTranscribedFrame(
        frame.text,
        frame.user_id,
        frame.timestamp,
        frame.language,
        frame.result,
        finalized=True,
        piece_id=piece_id,
        segment_id=segment_id,
        spoken=spoken,
        confidence=confidence,
    )
