"""Turns of a call without a room and without ears: from the words of a turn to the audio of its answer.

The same tiers, model, tracker, clauses, voice and gate as in a call; what is heard is played in no time. For
measuring what a turn costs and how soon it begins to be answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipecat.frames.frames import LLMContextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import NOT_GIVEN
from pipecat.workers.runner import WorkerRunner

from repartee.agent import ToolContext
from repartee.conversation.history import History
from repartee.errors import ProviderError
from repartee.events import Event, ReplyFinished
from repartee.providers.frames import ReplyContext
from repartee.providers.kit import ProviderKit
from repartee.providers.services import SmallChunkTTS
from repartee.session.clauses import Clauses
from repartee.session.frames import ReplyStartFrame
from repartee.session.gate import ReplyGate
from repartee.session.silent_sink import SilentSink
from repartee.session.tiering import tier_parts, voice_parts
from repartee.session.tiers import Standing, Tiers
from repartee.session.tracker import ReplyTracker

RATE_HZ = 24_000
START_S, TURN_S = 20.0, 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One turn.

    Attributes:
        text: What was answered.
        tier: Who answered: "cached", "small" or "large".
        first_text_ms: From the turn to its answer's first words.
        first_audio_ms: From the turn to its answer's first audio.
    """

    text: str
    tier: str
    first_text_ms: float
    first_audio_ms: float


@dataclass
class _Now:
    """The turn that is being answered."""

    began_s: float = 0.0
    reply_id: int = 0
    times_ms: dict[str, float] = field(default_factory=dict)
    tier: str = ""
    text: str = ""
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class TextTurns:
    """Asks one turn after another.

    Args:
        kit: The services of the call.
        data_dir: Where tools and learned answers are kept.
        standing: Asked at each turn.
    """

    def __init__(self, kit: ProviderKit, data_dir: Path, standing: Callable[[], Standing] = Standing) -> None:
        self.history = History()
        self._now = _Now()
        llm, self._tools = kit.llm(ToolContext(call_id="measured", caller=None, data_dir=data_dir))
        voice = kit.tts()
        self._tiers = Tiers(tier_parts(kit, llm, voice, data_dir), self._mark, standing)
        tracker = ReplyTracker(self.history.remember_tools, lambda _: self._time("text"))
        self._gate = ReplyGate(SilentSink(), self._event, self._clock_ms, lambda *_: None)
        self._gate.on_first_audio = lambda _: self._time("audio")
        self._gate.on_heard = self._heard
        self._clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        speaking = voice_parts(kit, voice)
        self.worker = PipelineWorker(
            Pipeline([self._tiers, llm, tracker, self._clauses, *speaking, self._gate]),
            params=PipelineParams(audio_out_sample_rate=RATE_HZ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            cancel_runner_on_idle_timeout=False,
        )

    @staticmethod
    @asynccontextmanager
    async def start(
        kit: ProviderKit, data_dir: Path, standing: Callable[[], Standing] = Standing
    ) -> AsyncIterator[TextTurns]:
        """Start the pipeline and stop it at the end."""
        turns = TextTurns(kit, data_dir, standing)
        started = asyncio.Event()

        @turns.worker.event_handler("on_pipeline_started")
        async def on_started(*_: object) -> None:
            started.set()

        await kit.prewarm()
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(turns.worker)
        running = asyncio.create_task(runner.run(), name="text-turns")
        try:
            await asyncio.wait_for(started.wait(), START_S)
            yield turns
        finally:
            await turns.worker.cancel()
            await asyncio.wait_for(running, START_S)

    async def ask(self, text: str) -> Answered:
        """Ask one turn and hear its answer to the end.

        Raises:
            ProviderError: There was no answer, or none in time.
        """
        now = self._now = _Now(time.monotonic(), self._now.reply_id + 1)
        self._gate.open(now.reply_id, held=False)
        tools: Any = NOT_GIVEN if self._tools is None else self._tools
        context = ReplyContext(self.history.messages(text), tools=tools, reply_id=now.reply_id)
        self.history.remember_user(text)
        await self.worker.queue_frames(
            [ReplyStartFrame(reply_id=now.reply_id, context=context), LLMContextFrame(context=context)]
        )
        await self._clauses.allow(now.reply_id)
        try:
            await asyncio.wait_for(now.finished.wait(), TURN_S)
        except TimeoutError as error:
            raise ProviderError(
                f"turn {now.reply_id} was not answered in {TURN_S:g} s", kind="timeout", provider=now.tier
            ) from error
        if not now.text:
            # A turn that failed must not pass for one that cost nothing.
            raise ProviderError(
                f"turn {now.reply_id} was not answered", kind="unavailable", provider=now.tier
            )
        self.history.remember_heard(self._gate.close(now.reply_id))
        await self._tiers.settled()  # a caller takes seconds until the next turn
        missing = float("nan")
        return Answered(
            now.text, now.tier, now.times_ms.get("text", missing), now.times_ms.get("audio", missing)
        )

    def _clock_ms(self) -> float:
        return time.monotonic() * 1000

    def _time(self, what: str) -> None:
        self._now.times_ms.setdefault(what, (time.monotonic() - self._now.began_s) * 1000)

    def _mark(self, name: str, **values: Any) -> None:
        if name == "reply.tier":
            self._now.tier = values["tier"]

    def _heard(self, reply_id: int, text: str, pcm: bytes) -> None:
        self._now.text = text
        self._tiers.heard(reply_id, text, pcm)

    def _event(self, event: Event) -> None:
        if isinstance(event, ReplyFinished):
            self._now.finished.set()
