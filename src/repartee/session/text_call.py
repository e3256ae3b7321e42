"""A call without audio: what is typed is answered in words. The conversation, tools, team and books are a call's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
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
from repartee.errors import ConfigError, ProviderError
from repartee.providers import Ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.voice_cache import VOICE_RATE_HZ, VoiceCache
from repartee.session.call import Call
from repartee.session.ears import Ears
from repartee.session.gate import AudioSink
from repartee.session.roomless import RoomlessCall, RoomlessChannel
from repartee.session.silent_sink import SilentSink
from repartee.session.spec import SessionSpec
from repartee.settings import Settings

ANSWER_S = 60.0
IDLE_S = 600.0
"""A conversation in which nothing is said for so long is over."""
CLAUSE_BYTES = VOICE_RATE_HZ // 50 * 2
"""A clause lasts 20 ms: silence, which nobody hears, but in which it can be found how far one has come."""

LOUD = (8000).to_bytes(2, "little")
"""A sample of what nobody hears either."""


class TextVoice(FrameProcessor):
    """Stands in for the voice: a clause is spoken at once, or lasts as long as it would.

    Args:
        letters_per_s: How fast it speaks; None takes no time.
    """

    def __init__(self, letters_per_s: float | None = None) -> None:
        super().__init__(name="TextVoice")
        self._letters_per_s = letters_per_s

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
        await self.push_frame(TTSAudioRawFrame(self._sound(frame.text), VOICE_RATE_HZ, 1))
        await self.push_frame(TTSTextFrame(frame.text, TextType.SENTENCE))

    def _sound(self, text: str) -> bytes:
        if self._letters_per_s is None:
            return bytes(CLAUSE_BYTES)
        # Not silence: what a voice begins with of that is not played.
        return LOUD * max(CLAUSE_BYTES // 2, int(len(text) / self._letters_per_s * VOICE_RATE_HZ))


class TextChannel(RoomlessChannel):
    """Carries a call without room, ears and voice."""

    async def ladder(self, call: Call) -> Ladder:
        """Choose what it runs on: nothing of it hears or speaks, so that no speech host is needed.

        Raises:
            ConfigError: There is no language model.
        """
        ladder = await super().ladder(call)
        if ladder.llm.provider == "answers":
            raise ConfigError(
                "a conversation in text needs a language model; set OPENAI_API_KEY, or LLM_BASE_URL for your own"
            )
        return without_sound(ladder)

    def sink(self, call: Call, transport: Any) -> AudioSink:
        """Return what plays nothing."""
        del call, transport
        return SilentSink()

    def kept_voice(self, call: Call, agent: Agent, ladder: Ladder) -> VoiceCache | None:
        """Return None."""
        del call, agent, ladder
        return None  # there is no audio to keep

    def voice(self, kit: ProviderKit) -> Any:
        """Return what stands in for the voice."""
        del kit
        return TextVoice()

    def hearing(self, kit: ProviderKit, ears: Callable[[], Ears]) -> list[FrameProcessor]:
        """Return nothing: nobody is heard."""
        del kit, ears
        return []

    def policies(self, call: Call) -> Policies:
        """Return the agent's, for a caller who reads."""
        policies = super().policies(call)
        return replace(
            policies,
            # Who reads has no need of a word while it takes long, and may take their time.
            waiting=replace(policies.waiting, fillers=False),
            patience=replace(policies.patience, silence_ms=IDLE_S * 1000, silence_asks=0),
        )


def without_sound(ladder: Ladder) -> Ladder:
    """Return a ladder of which nothing hears or speaks on this machine, nor a model itself."""
    stt, tts = (
        replace(rung, provider="openai") if rung.provider == "on-device" else rung
        for rung in (ladder.stt, ladder.tts)
    )
    return replace(ladder, stt=stt, tts=tts, realtime=None)


class TextCall(RoomlessCall):
    """One conversation in text.

    Args:
        spec: The call; its room and token are not used.
        settings: Provider keys and limits.
        caller_id: Who the operator's token says it is; None where none says.
    """

    def __init__(self, spec: SessionSpec, settings: Settings, caller_id: str | None = None) -> None:
        super().__init__(spec, settings, TextChannel())
        self._caller_id = caller_id
        self._answer: asyncio.Future[str] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Begin it.

        Raises:
            ReparteeError: It could not be started.
        """
        await super().__aenter__()
        if self._caller_id is not None:
            self.hooks.identified(self._caller_id)
        return self

    async def say(self, text: str) -> str:
        """Say something and return the answer. One at a time; a second one waits.

        Raises:
            ProviderError: There was no answer in time, or the conversation is over.
        """
        async with self._turn:
            if self._running is None or self._running.done():
                raise ProviderError("the conversation is over", kind="refused", provider="session")
            self._answer = asyncio.get_running_loop().create_future()
            self.hooks.chat(text)
            waited: set[asyncio.Future[Any]] = {self._answer, self._running}
            await asyncio.wait(waited, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            answer, self._answer = self._answer, None
            if not answer.done():
                raise ProviderError("there was no answer in time", kind="timeout", provider="session")
            return answer.result()

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over: it is the answer."""
        del reply_id
        if text.strip() and self._answer is not None and not self._answer.done():
            self._answer.set_result(text.strip())
