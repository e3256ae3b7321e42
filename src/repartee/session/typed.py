"""A call without a room and without sound: the caller types, the agent's words are told as they would be heard.

Everything between the room and the vendors' voices is a call's own: the conversation, tiers, model, tools, forms,
goals, gate and record. For tests of what an agent says and does, which need no voice to be paid for or waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from openai import AsyncOpenAI
from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from repartee.agent import Agent
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import Ladder, Rung, Stage
from repartee.providers.patience import Failsafe
from repartee.providers.services import SmallChunkTTS
from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.providers.voices import VoiceChain
from repartee.session.room import RoomHooks
from repartee.session.toolbox import ToolRun
from repartee.session.voice_track import OUT_SAMPLE_RATE_HZ
from repartee.session.wire import Wire

LETTERS_PER_S = 15.0
"""How fast the voice would speak."""
SHORTEST_S = 0.04
LEVEL = 8000
"""Of the sound nobody hears: the gate trims what is silent."""
CHUNK_BYTES = 9600
NOWHERE = "http://127.0.0.1:9/v1"
"""No request is ever sent there."""
Kind = Literal["user", "started", "speaking", "finished", "interrupted", "tool"]


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that a caller, or who looks over their shoulder, notices.

    Attributes:
        kind: user: a turn was taken. started: a reply is made. speaking: it begins to be heard. finished: it was
            heard to its end. interrupted: it was not. tool: one has run.
        text: Of the turn; of the reply, as far as it was heard.
        tool: The tool's run.
    """

    kind: Kind
    reply_id: int = 0
    text: str = ""
    tool: ToolRun | None = None


class TypedLine:
    """The caller's end of a call by typing.

    Args:
        tell: Called with what happens, in order. Must not wait.
        paced: Words take as long to be heard as they would when spoken, so that they can be interrupted.
    """

    def __init__(self, tell: Callable[[Happened], None], *, paced: bool = False) -> None:
        self._tell = tell
        self._paced = paced
        self._hooks: RoomHooks | None = None
        self._started: set[int] = set()
        self._heard: dict[int, str] = {}
        self.open = asyncio.Event()
        """Set when the call can take words."""
        self.greeted = asyncio.Event()
        """Set when what the agent says first is over."""
        self.sink = _Ear(paced=paced)

    # --- what the caller does ---------------------------------------------------------------------------------

    def join(self, identity: str = "caller") -> None:
        """Come into the call; the agent greets."""
        self._there().caller_ready(identity)

    def say(self, text: str) -> None:
        """Say something, whether or not the agent is speaking."""
        self._there().chat(text)

    def hang_up(self) -> None:
        """Leave."""
        self._there().call_over("caller_left")

    def _there(self) -> RoomHooks:
        if self._hooks is None:
            raise RuntimeError("the call has not begun; wait for `open`")
        return self._hooks

    # --- what the session is given ----------------------------------------------------------------------------

    def without_speech(self, agent: Agent) -> Agent:
        """Return an agent that wishes for no vendor's ears and voice, and keeps no sound."""
        models = agent.models.model_copy(update={"stt": None, "tts": None})
        cache = agent.cache.model_copy(update={"voice": False})
        return agent.model_copy(update={"models": models, "cache": cache, "record": False})

    def ladder(self, ladder: Ladder) -> Ladder:
        """Return a ladder without ears and voice."""
        then: dict[Stage, tuple[Rung, ...]] = {"llm": ladder.then.get("llm", ())}
        return replace(
            ladder, stt=Rung("stt", "typed", "-", "typed"), tts=Rung("tts", "typed", "-", "typed"), then=then
        )

    def kit(self, *args: Any, **named: Any) -> ProviderKit:
        """Return the services of the call, as `ProviderKit` does."""
        return TypedKit(*args, letters_per_s=LETTERS_PER_S if self._paced else None, **named)

    def room(self, hooks: RoomHooks, identity: str | None) -> TypedRoom:
        """Return what stands for the room."""
        self._hooks = hooks
        return TypedRoom(identity)

    def wire(self, call_id: str) -> Wire:
        """Return what captions are shown on."""
        return _TypedWire(self, call_id)

    def mark(self, name: str, at_ms: float, values: Mapping[str, Any]) -> None:
        """Take note of a mark of the timeline."""
        del at_ms
        match name:
            case "connected":
                self.open.set()
            case "reply.started":
                self._begun(int(values["reply_id"]))
            case "reply.finished":
                self._over("finished", int(values["reply_id"]))
            case "reply.cancelled":
                self._over("interrupted", int(values["reply_id"]))
            case _:
                pass

    def ran(self, run: ToolRun) -> None:
        """Take note of a tool's run."""
        self._tell(Happened("tool", run.reply_id, tool=run))

    def user_text(self, text: str) -> None:
        """A turn of the caller's was taken."""
        self._tell(Happened("user", text=text))

    def agent_text(self, reply_id: int, text: str) -> None:
        """So much of a reply was heard."""
        if text and reply_id not in self._heard:
            self._begun(reply_id)
            self._tell(Happened("speaking", reply_id))
        if text:
            self._heard[reply_id] = text

    def _begun(self, reply_id: int) -> None:
        # What needs no model, such as the greeting, is not started by the core but heard all the same.
        if reply_id not in self._started:
            self._started.add(reply_id)
            self._tell(Happened("started", reply_id))

    def _over(self, kind: Kind, reply_id: int) -> None:
        self.greeted.set()
        if reply_id in self._started:
            self._started.discard(reply_id)
            self._tell(Happened(kind, reply_id, self._heard.pop(reply_id, "")))


class _TypedWire(Wire):
    """Tells captions to the line instead of a room."""

    def __init__(self, line: TypedLine, call_id: str) -> None:
        super().__init__(lambda: None, lambda: None, call_id)
        self._line = line

    def user_text(self, turn_id: int, text: str, *, final: bool) -> None:
        """Tell a turn that is over."""
        del turn_id
        if text and final:
            self._line.user_text(text)

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        """Tell what was heard."""
        del final
        self._line.agent_text(reply_id, text)


class _Passing(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class TypedRoom:
    """Stands where a call has its LiveKit room: nobody is published, nobody is heard."""

    def __init__(self, identity: str | None) -> None:
        self.client: Any = SimpleNamespace(
            room=SimpleNamespace(local_participant=None),
            caller=identity,
            caller_muted=False,
            is_caller=lambda _: False,
        )

    def input(self) -> FrameProcessor:
        """Return the pipeline's beginning."""
        return _Passing()

    def output(self) -> FrameProcessor:
        """Return the pipeline's end."""
        return _Passing()


class _Ear:
    """Hears what it is given, in no time or at the pace of speech."""

    sample_rate_hz = OUT_SAMPLE_RATE_HZ

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced

    async def write(self, pcm: bytes) -> None:
        """Hear 16-bit mono audio."""
        await asyncio.sleep(len(pcm) / 2 / self.sample_rate_hz if self._paced else 0)

    def clear(self) -> None:
        """Nothing waits."""

    def queued_ms(self) -> float:
        """Nothing waits."""
        return 0.0

    async def drain(self) -> None:
        """Nothing waits."""


# --- services without sound -----------------------------------------------------------------------------------


class TypedKit(ProviderKit):
    """A call's services but for ears and voice.

    Args:
        letters_per_s: How fast the voice speaks; None takes no time.
    """

    def __init__(self, *args: Any, letters_per_s: float | None = None, **named: Any) -> None:
        super().__init__(*args, **named)
        self._silent = _SilentVoice(letters_per_s)
        self._unasked = AsyncOpenAI(api_key="none", base_url=NOWHERE)

    def stt(self) -> STTService:
        """Ears that are never spoken to."""
        return _NoEars(
            ttfs_p99_latency=0.0, settings=STTSettings(model="none", language=None), audio_passthrough=False
        )

    def tts(self) -> TTSService:
        """A voice without words."""
        return SmallChunkTTS(
            self._unasked,
            None,
            self.voices(),
            sample_rate=VOICE_RATE_HZ,
            settings=SmallChunkTTS.Settings(model="none", voice="none", speed=1.0),
        )

    def voices(self) -> VoiceChain:
        """It alone."""
        safe = Failsafe()
        rung = Rung("tts", "typed", "-", "typed")
        return VoiceChain(safe.failover("tts", [rung], ["none"]), [self._silent], safe.budget)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._unasked.close()
        await super().aclose()


class _NoEars(STTService):
    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Hear nothing."""
        del audio
        nothing: tuple[Frame, ...] = ()
        for frame in nothing:
            yield frame


@dataclass
class _SilentVoice:
    """Answers a text with sound that takes as long as its words would."""

    letters_per_s: float | None

    def speak(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._speak(text)

    @asynccontextmanager
    async def _speak(self, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        seconds = len(text) / self.letters_per_s if self.letters_per_s else 0.0
        pcm = np.full(int(max(SHORTEST_S, seconds) * VOICE_RATE_HZ), LEVEL, np.int16).tobytes()

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(pcm), CHUNK_BYTES):
                yield pcm[at : at + CHUNK_BYTES]

        yield chunks()
