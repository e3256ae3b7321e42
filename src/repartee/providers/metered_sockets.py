"""Voices and transcription over sockets, metered: what was sent, by context or by commit.

Mixed in before Pipecat's services. A voice is charged for the characters a context was sent, a transcriber for the
seconds that were appended; neither takes anything back for what is cut off later.
"""

from __future__ import annotations

import base64
from collections import deque
from decimal import Decimal
from typing import Any

from pipecat.frames.frames import Frame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService

from repartee.providers.metering import Meter, Record, about
from repartee.providers.realtime import FinalizingRealtimeSTT
from repartee.providers.socket_voice import SocketVoice

REALTIME_BYTES_PER_S = 48_000
"""24 kHz, 16 bit, mono."""


class MeteredContexts(SocketVoice):
    """Mixed into a voice that speaks contexts: one record for each, of the characters it was sent."""

    meter: Meter
    provider: str
    model: str

    def meter_with(self, meter: Meter, provider: str, model: str) -> None:
        """Say where requests are reported; before the first."""
        self.meter, self.provider, self.model = meter, provider, model
        self._records: dict[str, Record] = {}
        self._answered: set[str] = set()

    def sent(self, context_id: str, text: str) -> None:
        """Take note of a text that leaves."""
        characters = len(text.strip())
        if not characters:
            return
        record = self._records.get(context_id)
        if record is None:
            # A context that had ended and is sent more text is another request.
            with about(reply_id=self.reply_id, name=context_id):
                record = self.meter.begin("tts", self.provider, self.model)
            record.left = True
            self._records[context_id] = record
        record.quantities["characters"] = record.quantities.get("characters", Decimal(0)) + characters

    async def append_to_audio_context(self, context_id: str | None, frame: Any) -> None:
        """Take note that the vendor answers."""
        if isinstance(frame, TTSAudioRawFrame) and context_id:
            self._answered.add(context_id)
        await super().append_to_audio_context(context_id, frame)

    async def on_audio_context_completed(self, context_id: str) -> None:
        """A context has spoken all it was sent; one that said nothing has failed."""
        answered = context_id in self._answered
        self._over(context_id, answered=answered)
        await super().on_audio_context_completed(context_id)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """A context was cut off."""
        if record := self._records.pop(context_id, None):
            record.end("cancelled")
        self._answered.discard(context_id)
        await super().on_audio_context_interrupted(context_id)

    def _over(self, context_id: str, *, answered: bool) -> None:
        if record := self._records.pop(context_id, None):
            record.end("done" if answered else "failed", billed=answered)
        self._answered.discard(context_id)


class MeteredElevenLabs(MeteredContexts, ElevenLabsTTSService):
    """ElevenLabs' socket."""

    async def _send_text(self, text: str, context_id: str) -> None:
        if self._websocket and context_id:
            self.sent(context_id, text)
        await super()._send_text(text, context_id)

    async def _close_context(self, context_id: str) -> None:
        # A reply that others spoke has opened none.
        if context_id in self._context_init_sent:
            await super()._close_context(context_id)


class MeteredCartesia(MeteredContexts, CartesiaTTSService):
    """Cartesia's socket."""

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Take note of a context that the vendor refused: it is stopped before anything was heard of it."""
        if isinstance(frame, TTSStoppedFrame) and frame.context_id not in self._answered:
            self._over(str(frame.context_id), answered=False)
        await super().push_frame(frame, direction)

    async def _receive_messages(self) -> None:
        # Pipecat connects again in here, where nobody learns that what was being spoken is lost.
        await self._process_messages()

    def _build_msg(self, text: str = "", *args: Any, **kwargs: Any) -> Any:
        # Built to be sent in the same breath.
        self.sent(str(kwargs.get("context_id", "")), text)
        return super()._build_msg(text, *args, **kwargs)


class MeteredRealtimeSTT(FinalizingRealtimeSTT):
    """The realtime transcription socket: one record for each commit, of the seconds appended for it."""

    def meter_with(self, meter: Meter, provider: str, model: str) -> None:
        """Say where requests are reported; before the first."""
        self._meter, self._provider, self._metered_model = meter, provider, model
        self._appending: Record | None = None
        self._awaited: deque[Record] = deque()
        self._commits = 0

    async def _ws_send(self, message: dict[str, Any]) -> None:
        if self._websocket is not None and not self._disconnecting:
            match message.get("type"):
                case "input_audio_buffer.append":
                    self._appended(str(message.get("audio", "")))
                case "input_audio_buffer.commit":
                    self._commits += 1
                    if self._appending is not None:
                        self._awaited.append(self._appending)
                        self._appending = None
                case "input_audio_buffer.clear" if self._appending is not None:
                    self._appending.end("cancelled")  # it was heard, and nobody wants its words
                    self._appending = None
                case _:
                    pass
        await super()._ws_send(message)

    def _appended(self, audio: str) -> None:
        if self._appending is None:
            with about(piece_id=self._commits + 1):
                self._appending = self._meter.begin("stt", self._provider, self._metered_model)
            self._appending.left = True
        seconds = Decimal(len(base64.b64decode(audio))) / REALTIME_BYTES_PER_S
        before = self._appending.quantities.get("audio_s", Decimal(0))
        self._appending.quantities["audio_s"] = before + seconds

    async def _handle_transcription_completed(self, evt: dict[str, Any]) -> None:
        if self._awaited:
            self._awaited.popleft().end("done")
        await super()._handle_transcription_completed(evt)

    async def _handle_transcription_failed(self, evt: dict[str, Any]) -> None:
        if self._awaited:
            self._awaited.popleft().end("failed", billed=False)
        await super()._handle_transcription_failed(evt)

    async def _disconnect_websocket(self) -> None:
        # What was appended and never committed, or not answered, went with the socket.
        for record in (*self._awaited, *([self._appending] if self._appending is not None else ())):
            record.end("cancelled")
        self._awaited.clear()
        self._appending = None
        await super()._disconnect_websocket()
