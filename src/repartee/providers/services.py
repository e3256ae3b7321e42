"""Pipecat's services with their measured defects closed. Each override names what it closes, so it can go later."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from httpx2 import HTTPError
from openai import APIError, AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.tts import OpenAITTSService

from repartee.providers.brevity import Brevity, shorten
from repartee.providers.frames import ReplyContext
from repartee.providers.metered_sockets import ForReplies, MeteredCartesia, MeteredElevenLabs
from repartee.providers.metering import about, current
from repartee.providers.voice_cache import VoiceCache

TTS_CHUNK_BYTES = 1920
"""40 ms at 24 kHz."""
MAX_AHEAD = 2
"""Clauses asked for before the voice has come to them."""
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.2, 2.0
__all__ = [
    "CartesiaTTSService",
    "ElevenLabsTTSService",
    "SharedClientLLM",
    "SmallChunkTTS",
    "cartesia",
    "elevenlabs",
]


class SharedClientLLM(ForReplies, OpenAILLMService):
    """Chat completions.

    Closes: a cold client per call; retries with seconds of back-off hidden inside the SDK; a paragraph added to the
    persona as soon as one tool outlives an interruption, about results that arrive by themselves, which ours do not.

    Args:
        client: The client every call of this process shares.
        brevity: How short an answer must be at present; None where it never must.
    """

    def __init__(self, client: AsyncOpenAI, brevity: Brevity | None = None, **kwargs: Any) -> None:
        self._shared = client
        self._brevity = brevity
        super().__init__(api_key=client.api_key, base_url=str(client.base_url), **kwargs)

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        """Return the client every call of this process shares."""
        return self._shared

    def _has_async_tools(self) -> bool:
        return False

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """Ask the model, for the reply the question belongs to."""
        reply_id = context.reply_id if isinstance(context, ReplyContext) else self.reply_id
        with about(reply_id=reply_id):
            return await super().get_chat_completions(context)

    def build_chat_completion_params(self, params_from_context: Any) -> dict[str, Any]:
        """Build a request; a reply's is kept short when it must be."""
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        if self._brevity is not None and self._brevity.wanted() and current().reply_id is not None:
            shorten(params, self._brevity)
        return params


class SmallChunkTTS(ForReplies, OpenAITTSService):
    """OpenAI's voice, and any server that speaks its wire format.

    Closes: the first 0.5 s of audio held back (`chunk_size`); voices limited to a built-in list; errors other than
    a bad request escaping the generator; a clause asked for only when the one before has come whole.

    Args:
        client: The client every call of this process shares.
        cache: Audio made before.
    """

    def __init__(self, client: AsyncOpenAI, cache: VoiceCache | None = None, **kwargs: Any) -> None:
        super().__init__(api_key=client.api_key, base_url=str(client.base_url), **kwargs)
        self._client = client
        self._cache = cache
        self._ahead: dict[str, _Stream] = {}
        self.on_clause: Callable[[str, bool], None] | None = None
        """Called with each text as its audio is wanted, and whether it came from the cache."""
        self.on_spoken: Callable[[int | None, str, str | None], None] | None = None
        """Called with a reply, its next text, and the request that makes its audio; None from the cache."""

    @property
    def chunk_size(self) -> int:
        """Bytes read before audio is handed on."""
        return TTS_CHUNK_BYTES

    def prefetch(self, text: str, reply_id: int | None) -> None:
        """Begin to make the audio of a text that will be spoken soon; at most two are on their way."""
        prepared = self._prepare_text_for_tts(text)
        if len(self._ahead) < MAX_AHEAD and prepared not in self._ahead and not self._kept(prepared):
            self._ahead[prepared] = self._begin(prepared, reply_id, "ahead")

    def _tell(self, text: str, request: str | None) -> None:
        if self.on_spoken is not None:
            self.on_spoken(self.reply_id, text, request)

    def _begin(self, text: str, reply_id: int | None, name: str) -> _Stream:
        stream = _Stream()
        with about(reply_id=reply_id, name=stream.name):
            stream.task = self.create_task(self._fetch(text, stream), f"{self}::{name}")
        return stream

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Speak one text; yields audio frames, or one error frame."""
        kept = self._cache.get(text) if self._cache is not None and text not in self._ahead else None
        if self.on_clause is not None:
            self.on_clause(text, kept is not None)
        if kept is not None:
            self._tell(text, None)
            for at in range(0, len(kept), TTS_CHUNK_BYTES):
                yield TTSAudioRawFrame(
                    kept[at : at + TTS_CHUNK_BYTES], self.sample_rate, 1, context_id=context_id
                )
            return
        await self.start_tts_usage_metrics(text)
        if text not in self._ahead:
            self.prefetch(text, self.reply_id)
        stream = self._ahead.pop(text, None) or self._begin(text, self.reply_id, "fetch")
        self._tell(text, stream.name)
        whole = bytearray()
        try:
            while (item := await stream.queue.get()) is not None:
                if isinstance(item, ErrorFrame):
                    yield item
                    return
                await self.stop_ttfb_metrics()
                whole += item
                yield TTSAudioRawFrame(item, self.sample_rate, 1, context_id=context_id)
            if self._cache is not None:
                self._cache.put(text, bytes(whole))
        finally:
            if stream.task is not None and not stream.task.done():
                stream.task.cancel()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Besides speaking: an interruption closes what was asked for ahead."""
        if isinstance(frame, (InterruptionFrame, EndFrame, CancelFrame)):
            for stream in self._ahead.values():
                if stream.task is not None:
                    stream.task.cancel()
            self._ahead.clear()
        await super().process_frame(frame, direction)

    def _kept(self, text: str) -> bool:
        return self._cache is not None and self._cache.get(text) is not None

    async def _fetch(self, text: str, stream: _Stream) -> None:
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
                odd = b""
                async for chunk in response.iter_bytes(self.chunk_size):
                    # A chunk may end in the middle of a sample; the half waits for the next one.
                    data = odd + chunk
                    odd = data[len(data) & ~1 :]
                    if data := data[: len(data) & ~1]:
                        stream.queue.put_nowait(data)
            stream.queue.put_nowait(None)
        except (APIError, HTTPError) as error:
            stream.queue.put_nowait(ErrorFrame(error=f"{self}: voice failed: {type(error).__name__}"))


@dataclass
class _Stream:
    """A text's audio on its way. Bounded by the text: one clause."""

    queue: asyncio.Queue[bytes | ErrorFrame | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


def elevenlabs(**kwargs: Any) -> MeteredElevenLabs:
    """ElevenLabs' socket, reconnecting in 0.2 s; Pipecat waits four seconds."""
    return MeteredElevenLabs(
        reconnect_backoff_min_wait=RECONNECT_MIN_S, reconnect_backoff_max_wait=RECONNECT_MAX_S, **kwargs
    )


def cartesia(**kwargs: Any) -> MeteredCartesia:
    """Cartesia's socket, reconnecting in 0.2 s; Pipecat waits four seconds."""
    return MeteredCartesia(
        reconnect_backoff_min_wait=RECONNECT_MIN_S, reconnect_backoff_max_wait=RECONNECT_MAX_S, **kwargs
    )
