"""Pipecat's services with their measured defects closed. Each override names what it closes, so it can go later."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
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

from repartee.providers.answering import ModelChain
from repartee.providers.brevity import Brevity, shorten
from repartee.providers.frames import ReplyContext, SpeakerFrame, VoiceLostFrame
from repartee.providers.ladder import Rung
from repartee.providers.metering import about, current
from repartee.providers.patience import Failsafe
from repartee.providers.socket_voice import ForReplies
from repartee.providers.vendor_voices import OpenAIVoice
from repartee.providers.voice_cache import VoiceCache
from repartee.providers.voices import Speaker, VoiceChain, VoiceLostError, behind

MAX_AHEAD = 2
"""Clauses asked for before the voice has come to them."""
MOST_S, AHEAD_SHARE = 0.2, 1 / 3
"""Audio is handed on in pieces no longer than so much, and than so much of what the listener has not come to yet."""
__all__ = [
    "CartesiaTTSService",
    "ElevenLabsTTSService",
    "SharedClientLLM",
    "SmallChunkTTS",
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
        self.chain: ModelChain | None = None
        """The models an answer may come from, this one among them; None asks this one alone, unwatched."""
        super().__init__(api_key=client.api_key, base_url=str(client.base_url), **kwargs)

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        """Return the client every call of this process shares."""
        return self._shared

    def _has_async_tools(self) -> bool:
        return False

    def instruct(self, instruction: str) -> None:
        """Be told to be somebody else from the next request on."""
        # Pipecat makes the settings' instruction of this one anew whenever a function is registered.
        self._base_system_instruction = instruction
        self._compose_system_instruction()

    async def get_chat_completions(self, context: LLMContext) -> Any:
        """Return the stream of an answer: this model's, or that of one that stands by."""
        return await self.ask(context) if self.chain is None else self.chain.answer(context)

    async def ask(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """Ask this model, for the reply the question belongs to."""
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

    Closes: the first 0.5 s of audio held back; voices limited to a built-in list; errors other than a bad request
    escaping the generator; a clause asked for only when the one before has come whole; a voice given up for the
    whole of a call after three silent texts; a silent text told as an error of whatever is said now.

    Args:
        client: The client every call of this process shares.
        cache: Audio made before.
        chain: The voices a text may be spoken by, this one first; None is this one alone.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        cache: VoiceCache | None = None,
        chain: VoiceChain | None = None,
        **kwargs: Any,
    ) -> None:
        # A client of its own, thrown away at once, would read certificates for 40 ms while no call is served.
        super().__init__(
            api_key=client.api_key,
            base_url=str(client.base_url),
            http_client=client._client,  # noqa: SLF001
            **kwargs,
        )
        self._client = client
        self._lost: int | None = None
        """The reply whose voice was lost: what is left of it is not spoken."""
        self._other: tuple[int | None, int] = (None, 0)
        """A reply, and which of the voices it has come to: it stays with it."""
        self._ahead: dict[str, _Stream] = {}
        self._speaker = self._coming = (cache, chain or self._alone(client))
        """Whose the text is that is spoken, and whose those that are asked for ahead."""
        self.speakers: Mapping[str, Speaker] = {}
        """The agents that this call may be passed to, by name."""
        self.on_clause: Callable[[str, bool], None] | None = None
        """Called with each text as its audio is wanted, and whether it came from the cache."""
        self.on_spoken: Callable[[int | None, str, str | None], None] | None = None
        """Called with a reply, its next text, and the request that makes its audio; None from the cache."""

    def _alone(self, client: AsyncOpenAI) -> VoiceChain:
        settings: Any = self._settings
        failsafe, rung = Failsafe(), Rung("tts", "openai", str(settings.model), "")
        voice = OpenAIVoice(client, str(settings.model), str(settings.voice), settings.speed or 1.0)
        return VoiceChain(failsafe.failover("tts", [rung], ["none"]), [voice], failsafe.budget)

    def speaks_next(self, name: str) -> None:
        """Make the audio of what is asked for ahead from now on in an agent's voice."""
        if (speaker := self.speakers.get(name)) is not None:
            self._coming = (speaker.cache, speaker.chain)

    def prefetch(self, text: str, reply_id: int | None) -> None:
        """Begin to make the audio of a text that will be spoken soon; at most two are on their way."""
        prepared = self._prepare_text_for_tts(text)
        cache, chain = self._coming
        kept = cache is not None and cache.get(prepared) is not None
        if len(self._ahead) < MAX_AHEAD and prepared not in self._ahead and not kept:
            self._ahead[prepared] = self._begin(prepared, reply_id, "ahead", chain)

    def _tell(self, text: str, request: str | None) -> None:
        if self.on_spoken is not None:
            self.on_spoken(self.reply_id, text, request)

    def _begin(self, text: str, reply_id: int | None, name: str, chain: VoiceChain) -> _Stream:
        stream = _Stream(reply_id)
        with about(reply_id=reply_id, name=stream.name):
            stream.task = self.create_task(self._fetch(text, stream, chain), f"{self}::{name}")
        return stream

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Speak one text; yields audio frames, or that the voice was lost."""
        if self.reply_id is not None and self._lost == self.reply_id:
            return
        cache, chain = self._speaker
        kept = cache.get(text) if cache is not None and text not in self._ahead else None
        if self.on_clause is not None:
            self.on_clause(text, kept is not None)
        if kept is not None:
            self._tell(text, None)
            most = int(MOST_S * self._bytes_per_s)
            for at in range(0, len(kept), most):
                yield TTSAudioRawFrame(kept[at : at + most], self.sample_rate, 1, context_id=context_id)
            return
        await self.start_tts_usage_metrics(text)
        stream = self._ahead.pop(text, None) or self._begin(text, self.reply_id, "fetch", chain)
        self._tell(text, stream.name)
        whole, began_s = bytearray(), 0.0
        try:
            while pcm := await stream.take(self._least_s(len(whole), began_s), self._bytes_per_s):
                await self.stop_ttfb_metrics()
                began_s = began_s or time.monotonic()
                whole += pcm
                yield TTSAudioRawFrame(pcm, self.sample_rate, 1, context_id=context_id)
            if stream.lost is not None:
                self._lost = self.reply_id
                yield stream.lost
            elif cache is not None and stream.own:
                cache.put(text, bytes(whole))
        finally:
            if stream.task is not None and not stream.task.done():
                stream.task.cancel()

    def _least_s(self, handed_on: int, began_s: float) -> float:
        """Return how much is worth a way through the pipeline: more the further the voice is ahead."""
        ahead_s = handed_on / self._bytes_per_s - (time.monotonic() - began_s) if began_s else 0.0
        return min(MOST_S, max(0.0, ahead_s * AHEAD_SHARE))

    @property
    def _bytes_per_s(self) -> int:
        return self.sample_rate * 2

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Besides speaking: an interruption closes what was asked for ahead."""
        if isinstance(frame, (InterruptionFrame, EndFrame, CancelFrame)):
            for stream in self._ahead.values():
                if stream.task is not None:
                    stream.task.cancel()
            self._ahead.clear()
        if isinstance(frame, SpeakerFrame) and (speaker := self.speakers.get(frame.agent)) is not None:
            self._speaker = (speaker.cache, speaker.chain)
            await self._update_settings(speaker.settings)
        await super().process_frame(frame, direction)

    async def _record_context_audio_outcome(self, context_id: str, received_audio: bool) -> None:
        """Nothing: a text without audio has been told, with the reply it belongs to."""

    async def _fetch(self, text: str, stream: _Stream, chain: VoiceChain) -> None:
        try:
            skip = behind(self._other[1]) if self._other[0] == stream.reply_id else []
            async for sound in chain.speak(text, skip):
                if sound.index:
                    self._other = (stream.reply_id, sound.index)
                stream.own = stream.own and sound.index == 0
                stream.put(sound.pcm)
            stream.end()
        except VoiceLostError as error:
            stream.end(VoiceLostFrame(spoken=error.spoken))


@dataclass
class _Stream:
    """A text's audio on its way. Bounded by the text: one clause."""

    reply_id: int | None
    lost: VoiceLostFrame | None = None
    """Told where no more of it comes though there should."""
    task: asyncio.Task[None] | None = None
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    own: bool = True
    """All of it is of the first voice: another's must not be kept for it."""
    _pcm: bytearray = field(default_factory=bytearray)
    _over: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, pcm: bytes) -> None:
        """More has come."""
        self._pcm += pcm
        self._more.set()

    def end(self, lost: VoiceLostFrame | None = None) -> None:
        """No more comes."""
        self._over, self.lost = True, lost
        self._more.set()

    async def take(self, least_s: float, bytes_per_s: int) -> bytes:
        """Wait for a byte, then for so much, but no longer than that lasts; return all there is, none at the end."""
        await self._until(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(least_s):
                await self._until(int(least_s * bytes_per_s))
        pcm, self._pcm = bytes(self._pcm), bytearray()
        return pcm

    async def _until(self, count: int) -> None:
        while len(self._pcm) < count and not self._over:
            self._more.clear()
            await self._more.wait()
