"""A call without audio: what is typed is answered in words. The conversation, tools, team and books are a call's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from repartee.agent import Agent
from repartee.conversation import Policies
from repartee.errors import ConfigError, ProviderError, ReparteeError
from repartee.events import EndReason
from repartee.providers import Ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.voice_cache import VOICE_RATE_HZ, VoiceCache
from repartee.session.gate import AudioSink
from repartee.session.keeping import keeping
from repartee.session.policies import policies_of
from repartee.session.room import RoomHooks
from repartee.session.session import Session
from repartee.session.spec import SessionSpec
from repartee.session.tools import ReplyWatcher
from repartee.settings import Settings

START_S, ANSWER_S, END_S = 20.0, 60.0, 20.0
IDLE_S = 600.0
"""A conversation in which nothing is said for so long is over."""
CLAUSE_BYTES = VOICE_RATE_HZ // 50 * 2
"""A clause lasts 20 ms: silence, which nobody hears, but in which it can be found how far one has come."""


class TextVoice(FrameProcessor):
    """Stands in for the voice: a clause is spoken at once."""

    def __init__(self) -> None:
        super().__init__(name="TextVoice")

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speak texts; pass the rest on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, (AggregatedTextFrame, TTSSpeakFrame)):
            await self.push_frame(frame, direction)
            return
        announced = AggregatedTextFrame(frame.text, TextType.SENTENCE)
        announced.will_be_spoken = True
        await self.push_frame(announced)
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSAudioRawFrame(bytes(CLAUSE_BYTES), VOICE_RATE_HZ, 1))
        await self.push_frame(TTSTextFrame(frame.text, TextType.SENTENCE))


class _Passing(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class _NoRoom:
    """Stands in for the room."""

    def __init__(self, caller: str | None) -> None:
        self.client = SimpleNamespace(participant=None, caller=caller)

    def input(self) -> FrameProcessor:
        """What frames come from."""
        return _Passing(name="TextIn")

    def output(self) -> FrameProcessor:
        """And where they go."""
        return _Passing(name="TextOut")


class _AtOnce:
    """A sink that plays in no time."""

    sample_rate_hz = VOICE_RATE_HZ

    async def write(self, pcm: bytes) -> None:
        del pcm
        await asyncio.sleep(0)

    def clear(self) -> None: ...

    def queued_ms(self) -> float:
        return 0.0

    async def drain(self) -> None: ...


class _TextSession(Session):
    hooks: RoomHooks

    async def _ladder(self) -> Ladder:
        """Choose what it runs on: nothing of it hears or speaks, so that no speech host is needed."""
        ladder = await super()._ladder()
        if ladder.llm.provider == "answers":
            raise ConfigError(
                "a conversation in text needs a language model; set OPENAI_API_KEY, or LLM_BASE_URL for your own"
            )
        stt, tts = (
            replace(rung, provider="openai") if rung.provider == "on-device" else rung
            for rung in (ladder.stt, ladder.tts)
        )
        return replace(ladder, stt=stt, tts=tts)

    def _room(self) -> Any:
        self.hooks = self._hooks()
        return _NoRoom(self._spec.caller_identity)

    def _sink(self, transport: Any) -> AudioSink:
        del transport
        return _AtOnce()

    def _kept_voice(self, agent: Agent, ladder: Ladder) -> VoiceCache | None:
        del agent, ladder
        return None  # there is no audio to keep

    def _voice(self, kit: ProviderKit) -> Any:
        del kit
        return TextVoice()

    def _hearing(self, kit: ProviderKit, transport: Any) -> list[FrameProcessor]:
        del kit, transport
        return []

    def _policies(self) -> Policies:
        policies = policies_of(self._agent)
        return replace(
            policies,
            # Who reads has no need of a word while it takes long, and may take their time.
            waiting=replace(policies.waiting, fillers=False),
            patience=replace(policies.patience, silence_ms=IDLE_S * 1000, silence_asks=0),
        )


class TextCall(ReplyWatcher):
    """One conversation in text; an async context manager.

    Args:
        spec: The call; its room and token are not used.
        settings: Provider keys and limits.
        caller_id: Who the operator's token says it is; None where none says.
    """

    def __init__(self, spec: SessionSpec, settings: Settings, caller_id: str | None = None) -> None:
        self._spec = spec
        self._caller_id = caller_id
        self._settings = settings
        self._stop = asyncio.Event()
        self._connected = asyncio.Event()
        self._answer: asyncio.Future[str] | None = None
        self._session: _TextSession | None = None
        self._running: asyncio.Task[EndReason] | None = None
        self._turn = asyncio.Lock()

    @property
    def cost(self) -> Decimal:
        """What it has cost so far, USD."""
        return self._session.cost if self._session is not None else Decimal(0)

    @property
    def over(self) -> bool:
        """Whether the agent has ended it."""
        return self._running is None or self._running.done()

    async def __aenter__(self) -> Self:
        """Begin it.

        Raises:
            ReparteeError: It could not be started.
        """
        kept = await asyncio.to_thread(keeping, self._settings)
        self._session = _TextSession(self._spec, self._settings, kept, self._stop, self._told)
        self._session.watchers = (self,)
        self._running = asyncio.create_task(self._session.run(), name="text call")
        started = asyncio.create_task(self._connected.wait(), name="text call started")
        try:
            await asyncio.wait({self._running, started}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
        if not self._connected.is_set():
            await self.aclose()
            raise ProviderError("the conversation could not be begun", kind="unavailable", provider="text")
        if self._caller_id is not None:
            self._session.hooks.identified(self._caller_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        await self.aclose()

    async def say(self, text: str) -> str:
        """Say something and return the answer. One at a time; a second one waits.

        Raises:
            ProviderError: There was no answer in time, or the conversation is over.
        """
        async with self._turn:
            if self._session is None or self._running is None or self._running.done():
                raise ProviderError("the conversation is over", kind="refused", provider="text")
            self._answer = asyncio.get_running_loop().create_future()
            self._session.hooks.chat(text)
            waited: set[asyncio.Future[Any]] = {self._answer, self._running}
            await asyncio.wait(waited, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            answer, self._answer = self._answer, None
            if not answer.done():
                raise ProviderError("there was no answer in time", kind="timeout", provider="text")
            return answer.result()

    async def aclose(self) -> None:
        """End it; its books are closed first.

        Raises:
            ReparteeError: It had failed.
        """
        self._stop.set()
        if self._running is None:
            return
        await asyncio.wait({self._running}, timeout=END_S)
        if not self._running.done():
            self._running.cancel()
        (end,) = await asyncio.gather(self._running, return_exceptions=True)
        if isinstance(end, ReparteeError):
            raise end

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over: it is the answer."""
        del reply_id
        if text.strip() and self._answer is not None and not self._answer.done():
            self._answer.set_result(text.strip())

    def _told(self, name: str, data: dict[str, Any]) -> None:
        del data
        if name == "connected":
            self._connected.set()
