"""Pipecat's services with their measured defects closed. Each override names what it closes, so it can go later."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from openai import APIError, AsyncOpenAI
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService, OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.utils.time import time_now_iso8601

TTS_CHUNK_BYTES = 1920
"""40 ms at 24 kHz."""
TRAILING_SILENCE_S = 0.2
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.2, 2.0
__all__ = [
    "CartesiaTTSService",
    "ElevenLabsTTSService",
    "FinalizingRealtimeSTT",
    "SharedClientLLM",
    "SharedClientSTT",
    "SmallChunkTTS",
    "cartesia",
    "elevenlabs",
]


class SharedClientSTT(OpenAISTTService):
    """HTTP transcription.

    Closes: 0.5 s of silence appended to every upload; a client of its own per call, with hidden retries; an empty
    transcript never told, so that "nothing was said" cannot be known.
    """

    def __init__(self, client: AsyncOpenAI, **kwargs: Any) -> None:
        super().__init__(
            api_key=client.api_key,
            base_url=str(client.base_url),
            push_empty_transcripts=True,
            trailing_silence_secs=TRAILING_SILENCE_S,
            **kwargs,
        )
        self._client = client


class FinalizingRealtimeSTT(OpenAIRealtimeSTTService):
    """The realtime transcription socket.

    Closes: finals that are never marked final, which costs a time-out on every turn; deltas pushed as if each
    were the whole text; no transcript at all for a commit in which nothing was said.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            reconnect_backoff_min_wait=RECONNECT_MIN_S, reconnect_backoff_max_wait=RECONNECT_MAX_S, **kwargs
        )
        self._so_far: dict[str, str] = {}

    async def _commit_audio_buffer(self) -> None:
        self.request_finalize()
        await super()._commit_audio_buffer()

    async def _handle_transcription_delta(self, evt: dict[str, Any]) -> None:
        item = str(evt.get("item_id", ""))
        self._so_far[item] = text = self._so_far.get(item, "") + str(evt.get("delta", ""))
        if text:
            await self.push_frame(
                InterimTranscriptionFrame(text, self._user_id, time_now_iso8601(), result=evt)
            )

    async def _handle_transcription_completed(self, evt: dict[str, Any]) -> None:
        self._so_far.pop(str(evt.get("item_id", "")), None)
        self.confirm_finalize()
        if evt.get("transcript", "").strip():
            await super()._handle_transcription_completed(evt)
        else:
            await self.push_frame(TranscriptionFrame("", self._user_id, time_now_iso8601(), result=evt))


class SharedClientLLM(OpenAILLMService):
    """Chat completions.

    Closes: a cold client per call; retries with seconds of back-off hidden inside the SDK.
    """

    def __init__(self, client: AsyncOpenAI, **kwargs: Any) -> None:
        self._shared = client
        super().__init__(api_key=client.api_key, base_url=str(client.base_url), **kwargs)

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        """Return the client every call of this process shares."""
        return self._shared


class SmallChunkTTS(OpenAITTSService):
    """OpenAI's voice, and any server that speaks its wire format.

    Closes: the first 0.5 s of audio held back (`chunk_size`); voices limited to a built-in list; errors other than
    a bad request escaping the generator.
    """

    def __init__(self, client: AsyncOpenAI, **kwargs: Any) -> None:
        super().__init__(api_key=client.api_key, base_url=str(client.base_url), **kwargs)
        self._client = client

    @property
    def chunk_size(self) -> int:
        """Bytes read before audio is handed on."""
        return TTS_CHUNK_BYTES

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Speak one text; yields audio frames, or one error frame."""
        settings: Any = self._settings
        request: dict[str, Any] = {
            "input": text,
            "model": settings.model,
            "voice": settings.voice,
            "response_format": "pcm",
        }
        if settings.instructions:
            request["instructions"] = settings.instructions
        if settings.speed:
            request["speed"] = settings.speed
        try:
            async with self._client.audio.speech.with_streaming_response.create(**request) as response:
                await self.start_tts_usage_metrics(text)
                odd = b""
                async for chunk in response.iter_bytes(self.chunk_size):
                    await self.stop_ttfb_metrics()
                    # A chunk may end in the middle of a sample; the half waits for the next one.
                    data = odd + chunk
                    odd = data[len(data) & ~1 :]
                    if data := data[: len(data) & ~1]:
                        yield TTSAudioRawFrame(data, self.sample_rate, 1, context_id=context_id)
        except APIError as error:
            yield ErrorFrame(error=f"{self}: voice failed: {type(error).__name__}")


def elevenlabs(**kwargs: Any) -> ElevenLabsTTSService:
    """ElevenLabs' socket, reconnecting in 0.2 s; Pipecat waits four seconds."""
    return ElevenLabsTTSService(
        reconnect_backoff_min_wait=RECONNECT_MIN_S, reconnect_backoff_max_wait=RECONNECT_MAX_S, **kwargs
    )


def cartesia(**kwargs: Any) -> CartesiaTTSService:
    """Cartesia's socket, reconnecting in 0.2 s; Pipecat waits four seconds."""
    return CartesiaTTSService(
        reconnect_backoff_min_wait=RECONNECT_MIN_S, reconnect_backoff_max_wait=RECONNECT_MAX_S, **kwargs
    )
