"""Speech-to-text over OpenAI's realtime socket, whose pieces are heard by others when it fails.

The audio of a piece is kept until its words are known. A socket that is new, or was away, gets the whole piece at its
commit; a piece whose words do not come goes to the next recogniser as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from pipecat.audio.utils import pcm_to_wav
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.utils.time import time_now_iso8601

from repartee.errors import ProviderError
from repartee.providers.failover import Attempt
from repartee.providers.failures import Failure
from repartee.providers.frames import TranscribeNowFrame, TurnClosedFrame, VoicePausedFrame, VoiceStartedFrame
from repartee.providers.hearing import Transcriber
from repartee.providers.metering import about
from repartee.providers.reconnecting import Reconnecting
from repartee.providers.transcribers import BYTES_PER_SAMPLE, PREROLL_S, TRAILING_SILENCE_S, piece_frame

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
COMMIT_PAUSE_S = 0.08
"""A commit cannot be taken back, so the pause must last this much longer than it took to find."""
MAX_PIECE_S = 120.0
"""Of a piece so much is kept, the newest: nobody speaks for longer without a pause."""


@dataclass(eq=False)
class _Piece:
    """A piece that was committed, or is to be.

    Attributes:
        streamed: The present socket has all of its audio.
        words: What the socket says of it.
    """

    piece_id: int
    segment_id: int
    pcm: bytes
    streamed: bool
    words: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    """Its commit was sent, or will not be."""


class FinalizingRealtimeSTT(Reconnecting, OpenAIRealtimeSTTService):
    """The realtime transcription socket.

    Closes: finals that are never marked final, which costs a time-out on every turn; deltas pushed as if each
    were the whole text; no transcript at all for a commit in which nothing was said; a commit at every short dip
    of the voice, which cuts words in two; silence sent, and billed, for the whole of a call; what was said while the
    socket was away lost.

    Args:
        transcriber: Who else hears a piece; its first rung is this socket.
    """

    def __init__(self, transcriber: Transcriber, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._transcriber = transcriber
        self._so_far: dict[str, str] = {}
        self._unnamed: deque[_Piece] = deque()
        """Commits of which the socket has not told the item, in order."""
        self._items: dict[str, _Piece] = {}
        """Pieces by item: the words of a later one may come before those of an earlier."""
        self._pieces = 0
        self._commit: asyncio.TimerHandle | None = None
        self._sending = False
        self._preroll = b""
        self._piece = bytearray()
        """The audio since the last commit."""
        self._streamed = True
        """All of it was sent to the present socket."""
        self._committing: dict[_Piece, None] = {}
        """Pieces whose commit has not been sent: what is said now comes after it."""
        self._hearing: set[asyncio.Task[None]] = set()

    @property
    def _ready(self) -> bool:
        return self.is_open and self._session_ready

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Send audio from a little before voice begins until it is committed."""
        if self._sending:
            await self._take(self._preroll + audio)
            self._preroll = b""
        else:
            keep = self._bytes(PREROLL_S)
            self._preroll = (self._preroll + audio)[-keep:]
        yield None

    async def _take(self, audio: bytes) -> None:
        self._piece += audio
        del self._piece[: max(0, len(self._piece) - self._bytes(MAX_PIECE_S))]
        self._streamed = self._streamed and self._ready and not self._committing
        if self._streamed:
            await self._send_audio(audio)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Commit at pauses that last, and when the bridge asks."""
        match frame:
            case VoicePausedFrame():
                self._put_off()
                loop = asyncio.get_running_loop()
                self._commit = loop.call_later(COMMIT_PAUSE_S, self._commit_segment, frame.segment_id)
                await self._without_commit(frame, direction)
                return
            case VoiceStartedFrame():
                self._put_off()
                if not self._piece:
                    # A vendor that is left alone is not sent what others will hear.
                    failover = self._transcriber.failover
                    self._streamed = failover.breakers.available(failover.choices[0].key)
                self._sending = True
            case TranscribeNowFrame():
                self._commit_segment(frame.segment_id, speaking=True)
                return
            case TurnClosedFrame():
                await self.push_frame(frame, direction)
                return
            case EndFrame() | CancelFrame():
                self._put_off()
                await self._stop_hearing()
            case _:
                pass
        await super().process_frame(frame, direction)

    async def _without_commit(self, frame: Frame, direction: FrameDirection) -> None:
        # The service would commit at once; everything else it does with the frame is wanted.
        await super(OpenAIRealtimeSTTService, self).process_frame(frame, direction)

    def _put_off(self) -> None:
        if self._commit is not None:
            self._commit.cancel()
            self._commit = None

    # --- pieces -----------------------------------------------------------------------------------------------

    def _commit_segment(self, segment_id: int, *, speaking: bool = False) -> None:
        self._sending = speaking
        self._pieces += 1
        piece = _Piece(self._pieces, segment_id, bytes(self._piece), self._streamed and self._ready)
        self._piece.clear()
        self._streamed = True
        before = next(reversed(self._committing), None)
        self._committing[piece] = None
        task = self.create_task(self._hear(piece, before), f"{self}::piece {piece.piece_id}")
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    async def _hear(self, piece: _Piece, before: _Piece | None) -> None:
        """Find the words of a piece: by the socket, else by whoever can be asked."""
        wav = pcm_to_wav(piece.pcm + bytes(self._bytes(TRAILING_SILENCE_S)), self.sample_rate)
        request, words, sent = self._transcriber.request(), "", False
        try:
            with about(piece_id=piece.piece_id):
                while (attempt := await request.upcoming()) is not None:
                    async with attempt:
                        if attempt.ok and attempt.index == 0 and not sent:
                            sent = True
                            words = await self._by_socket(piece, before, attempt)
                        elif attempt.ok:
                            await self._committed(piece, sent=sent)
                            words = str((await self._transcriber.ask(attempt, wav)).text).strip()
                    if attempt.ok:
                        break
        finally:
            await self._committed(piece, sent=sent)
        if attempt is None:
            error = request.error()
            await FrameProcessor.push_error_frame(self, ErrorFrame(error=str(error), exception=error))
            return
        frame = TranscriptionFrame(words, self._user_id, time_now_iso8601())
        await self.push_frame(piece_frame(frame, piece.piece_id, piece.segment_id))

    async def _by_socket(self, piece: _Piece, before: _Piece | None, attempt: Attempt) -> str:
        """Commit a piece and return its words.

        Raises:
            ProviderError: The socket is away, or was lost before it had answered.
        """
        async with asyncio.timeout(attempt.first_s):
            if before is not None:
                await before.sent.wait()
            if not self._ready:
                raise _lost("is not connected")
            if not piece.streamed:
                await self._clear_audio_buffer()
                await self._send_audio(piece.pcm)
            self._unnamed.append(piece)
            await self._commit_audio_buffer()
            await self._committed(piece, sent=True)
            words = await piece.words
        attempt.first()
        return words

    async def _committed(self, piece: _Piece, *, sent: bool) -> None:
        """The socket is free for what was said since; a piece that it shall not answer is taken back."""
        if piece.sent.is_set():
            return
        piece.sent.set()
        del self._committing[piece]
        if not sent and piece.streamed and self._ready:
            await self._clear_audio_buffer()
        if self._ready and self._piece and not self._committing:
            self._streamed = True
            await self._send_audio(bytes(self._piece))

    async def _commit_audio_buffer(self) -> None:
        self.request_finalize()
        await super()._commit_audio_buffer()

    # --- what the socket says ---------------------------------------------------------------------------------

    async def _receive_messages(self) -> None:
        # As Pipecat's, which does not say which item a commit has become.
        handlers = {
            "session.created": self._handle_session_created,
            "session.updated": self._handle_session_updated,
            "input_audio_buffer.committed": self._handle_committed,
            f"{_TRANSCRIPTION}.delta": self._handle_transcription_delta,
            f"{_TRANSCRIPTION}.completed": self._handle_transcription_completed,
            f"{_TRANSCRIPTION}.failed": self._handle_transcription_failed,
            "error": self._handle_error,
        }
        if self._websocket is None:
            raise _lost("is not connected")
        async for message in self._websocket:
            evt = json.loads(message)
            if handler := handlers.get(evt.get("type", "")):
                await handler(evt)

    async def _handle_committed(self, evt: dict[str, Any]) -> None:
        if self._unnamed:
            self._items[str(evt.get("item_id", ""))] = self._unnamed.popleft()

    async def _handle_transcription_delta(self, evt: dict[str, Any]) -> None:
        item = str(evt.get("item_id", ""))
        self._so_far[item] = text = self._so_far.get(item, "") + str(evt.get("delta", ""))
        if text:
            await self.push_frame(
                InterimTranscriptionFrame(text, self._user_id, time_now_iso8601(), result=evt)
            )

    async def _handle_transcription_completed(self, evt: dict[str, Any]) -> None:
        self.confirm_finalize()
        if (piece := self._ended(evt)) is not None:
            piece.words.set_result(str(evt.get("transcript", "")).strip())

    async def _handle_transcription_failed(self, evt: dict[str, Any]) -> None:
        if (piece := self._ended(evt)) is not None:
            piece.words.set_exception(_lost(f"failed: {(evt.get('error') or {}).get('code', '')}"))

    def _ended(self, evt: dict[str, Any]) -> _Piece | None:
        """Return the piece an item was, where somebody still waits for its words."""
        item = str(evt.get("item_id", ""))
        self._so_far.pop(item, None)
        piece = self._items.pop(item, None)
        return piece if piece is not None and not piece.words.done() else None

    async def dropped(self, failure: Failure) -> None:
        """What the socket had not answered, others hear; what it has of the present piece is sent again."""
        self._streamed = self._streamed and not self._piece
        waiting = [*self._unnamed, *self._items.values()]
        self._unnamed.clear()
        self._items.clear()
        self._so_far.clear()
        for piece in waiting:
            if not piece.words.done():
                piece.words.set_exception(_lost(f"was lost ({failure.why})"))

    async def _disconnect_websocket(self) -> None:
        await self.dropped(Failure("error"))
        await super()._disconnect_websocket()

    def _bytes(self, seconds: float) -> int:
        return int(self.sample_rate * seconds) * BYTES_PER_SAMPLE

    async def _stop_hearing(self) -> None:
        for task in list(self._hearing):
            await self.cancel_task(task)

    async def cleanup(self) -> None:
        """Stop committing."""
        self._put_off()
        await self._stop_hearing()
        await super().cleanup()


def _lost(what: str) -> ProviderError:
    return ProviderError(f"the realtime transcription {what}", kind="unavailable", provider="openai-realtime")
