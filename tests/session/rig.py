"""A call without a room: the real bridge, tracker and gate around scripted model and voice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    FunctionCallFromLLM,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType
from pipecat.workers.runner import WorkerRunner

from repartee.conversation import Policies, State
from repartee.conversation.history import History
from repartee.events import Event, ReplyWorded
from repartee.providers.services import SmallChunkTTS
from repartee.session.agenda import Agenda
from repartee.session.asides import Asides
from repartee.session.bridge import Bridge
from repartee.session.clauses import Clauses
from repartee.session.degrading import Degrading
from repartee.session.fillers import Fillers, words_for
from repartee.session.gate import ReplyGate
from repartee.session.languages import CallLanguage
from repartee.session.lines import lines_for
from repartee.session.parts import Parts, Script
from repartee.session.remembering import Remembering
from repartee.session.tiers import Tiers
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.session.watching import AgentState, Watcher
from repartee.telemetry.timeline import Timeline

RATE = 24_000
MS_PER_LETTER = 60


@dataclass
class Ask:
    """One scripted answer: text, or a tool call before it; `wait` keeps the model thinking until set."""

    text: str = ""
    tool: str | None = None
    fail: bool = False
    wait: asyncio.Event | None = None


class ScriptedModel(FrameProcessor):
    def __init__(self, script: list[Ask]) -> None:
        super().__init__()
        self.script = script
        self.asked: list[list[dict[str, object]]] = []
        self.cancelled = 0
        self.result = "9:20 is free"

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self.asked.append([dict(message) for message in frame.context.get_messages()])  # type: ignore[arg-type]
        ask = self.script.pop(0)
        try:
            if ask.wait is not None:
                await ask.wait.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if ask.fail:
            await self.push_error("the model is not there")
            return
        await self.push_frame(LLMFullResponseStartFrame())
        if ask.tool is not None:
            call = FunctionCallFromLLM(ask.tool, "call_1", {"day": "friday"}, frame.context)
            await self.push_frame(FunctionCallsStartedFrame(function_calls=[call]))
            await self.push_frame(FunctionCallResultFrame(ask.tool, "call_1", {"day": "friday"}, self.result))
        for word in ask.text.split(" "):
            await self.push_frame(LLMTextFrame(word + " "))
        await self.push_frame(LLMFullResponseEndFrame())


class ScriptedVoice(FrameProcessor):
    """Speaks each clause, 60 ms a letter."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case AggregatedTextFrame():
                await self._speak(frame.text)
                return
            case TTSSpeakFrame():
                await self._speak(frame.text)
                return
            case _:
                pass
        await self.push_frame(frame, direction)

    async def _speak(self, text: str) -> None:
        self.spoken.append(text)
        announced = AggregatedTextFrame(text, TextType.SENTENCE)
        announced.will_be_spoken = True
        await self.push_frame(announced)
        await self.push_frame(TTSStartedFrame(context_id="c"))
        samples = len(text) * MS_PER_LETTER * RATE // 1000
        await self.push_frame(TTSAudioRawFrame(np.full(samples, 9000, np.int16).tobytes(), RATE, 1))
        await self.push_frame(TTSTextFrame(text, TextType.SENTENCE))


class Loudspeaker:
    """A sink that plays only when told."""

    sample_rate_hz = RATE
    lead_ms = 100.0

    def __init__(self) -> None:
        self.queue = 0
        self.room = asyncio.Event()

    async def write(self, pcm: bytes) -> None:
        while self.queue >= RATE // 10:
            self.room.clear()
            await self.room.wait()
        self.queue += len(pcm) // 2

    def play(self, duration_ms: float) -> None:
        self.queue = max(0, self.queue - int(duration_ms * RATE / 1000))
        self.room.set()

    def clear(self) -> None:
        self.queue = 0
        self.room.set()

    def queued_ms(self) -> float:
        return self.queue / RATE * 1000

    async def drain(self) -> None:
        self.clear()


@dataclass
class Captions(Watcher):
    """Stands in for the wire."""

    states: list[str] = field(default_factory=list)
    user: list[tuple[str, bool]] = field(default_factory=list)
    agent: list[tuple[str, bool]] = field(default_factory=list)

    def state(self, state: AgentState) -> None:
        if not self.states or self.states[-1] != state:
            self.states.append(state)

    def user_text(self, turn_id: int, text: str, *, final: bool, typed: bool = False) -> None:
        self.user.append((text, final))

    def agent_text(self, reply_id: int, text: str, *, final: bool) -> None:
        self.agent.append((text, final))


async def run(worker: PipelineWorker) -> asyncio.Task[None]:
    """Run a pipeline; return its task when it has started."""
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
    async def on_started(*_: object) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(started.wait(), 10)
    return running


class Call:
    """Drive it with events; the clock moves only by `pass_time`."""

    def __init__(
        self,
        *script: Ask,
        policies: Policies | None = None,
        agenda: Callable[[Call], Agenda] | None = None,
        tiers: Tiers | None = None,
        model: FrameProcessor | None = None,
        voice: list[FrameProcessor] | None = None,
        greeting: str = "Hello, how can I help?",
    ) -> None:
        self.now_ms = 0.0
        self.kept: set[str] = set()
        self.only_kept = False
        self.model = model if isinstance(model, ScriptedModel) else ScriptedModel(list(script))
        self.voice = ScriptedVoice()
        self.sink, self.captions, self.history = Loudspeaker(), Captions(), History()
        self.ended: list[str] = []
        self.bridge = Bridge(
            policies=policies or Policies(),
            script=Script(greeting, lines_for("en")),
            clock_ms=self.clock,
            on_end=self.ended.append,
        )
        self.permits = ToolPermits()
        self.agenda = agenda(self) if agenda is not None else None
        take = self.agenda.memory(self.history).take if self.agenda else self.history.remember_tools
        acts = self.agenda.toolbox.acts if self.agenda else ()
        tracker = ReplyTracker(
            take,
            lambda reply_id: self.bridge.submit(ReplyWorded(self.clock(), reply_id)),
            acts,
            self.history.fit,
        )
        self.gate = ReplyGate(
            self.sink,
            self.bridge.submit,
            self.clock,
            lambda reply_id, text, final: self.captions.agent_text(reply_id, text, final=final),
        )
        asides = Asides(self.gate, tracker, None, self.clock)
        if self.agenda is not None:
            self.agenda.connect(model or self.model, tracker, self.gate, lambda _: None)
            self.agenda.toolbox.submit = self.bridge.submit
            asides = self.agenda.asides or asides
        self.marks: list[tuple[str, dict[str, object]]] = []
        self.fillers = Fillers(
            words_for("en"),
            asides,
            tool_line=self.agenda.toolbox.line if self.agenda else lambda _: None,
            kept=lambda text: text in self.kept,
            only_kept=lambda: self.only_kept,
            mark=self.mark,
        )
        self.remembering: Remembering | None = None
        self.kept_audio: Callable[[str], bytes | None] = lambda _: None
        self.degrading: Degrading | None = None
        self.speaker: Callable[[], str] = str
        self.language: CallLanguage | None = None
        one = voice[0] if voice else None
        self.clauses = clauses = Clauses(one if isinstance(one, SmallChunkTTS) else None)
        self.connect()
        before, speaking = [] if tiers is None else [tiers], voice or [self.voice]
        if tiers is not None:
            self.gate.on_heard, self.gate.on_aside = tiers.heard, tiers.aside
        self.worker = PipelineWorker(
            Pipeline([self.bridge, *before, model or self.model, tracker, clauses, *speaking, self.gate]),
            params=PipelineParams(),
            enable_rtvi=False,
            idle_timeout_secs=None,
            cancel_runner_on_idle_timeout=False,
        )

    def connect(self) -> None:
        """Hand the parts to the bridge; again when one was exchanged."""
        parts = Parts(
            self.gate,
            self.captions,  # type: ignore[arg-type]
            Timeline(None, self.clock),
            self.permits,
            self.history,
            self.clauses,
            self.remembering,
            kept_audio=self.kept_audio,
            fillers=self.fillers,
            degrading=self.degrading,
            speaker=self.speaker,
            language=self.language,
        )
        self.bridge.connect(parts, self.agenda)

    def mark(self, name: str, **values: object) -> None:
        self.marks.append((name, values))

    def clock(self) -> float:
        return self.now_ms

    async def __aenter__(self) -> Call:
        self.running = await run(self.worker)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.cancel()
        await asyncio.wait_for(self.running, 10)

    def happen(self, *events: Event) -> None:
        for event in events:
            self.bridge.submit(event)

    @property
    def state(self) -> State:
        return self.bridge._conversation.state

    async def until(self, what: Callable[[], object]) -> None:
        """Let the call work until something is true; playing nothing."""
        async with asyncio.timeout(10):
            while not what():  # noqa: ASYNC110 - nothing announces what is waited for; no time passes
                await asyncio.sleep(0)

    async def settle(self, turns: int = 200) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def play(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 20):
            self.sink.play(20)
            await self.settle(10)

    async def play_until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not what():
                self.sink.play(20)
                await asyncio.sleep(0)
