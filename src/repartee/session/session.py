"""One call: assembles the pipeline around the conversation core, runs it, and takes it down."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from repartee.agent import Agent, ToolContext
from repartee.conversation import Endpointing, Patience, Policies, Speculation, Waiting
from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.events import BudgetSpent, CallEnded, CallerJoined, EndReason, ReplyWorded, TextTyped
from repartee.providers import Ladder, choose_ladder
from repartee.providers.connections import plain_tls, tls
from repartee.providers.deadline import TurnBudget
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import summary_model
from repartee.providers.metering import Meter
from repartee.providers.patience import Failsafe
from repartee.providers.routed import RoutedLLM
from repartee.providers.services import SmallChunkTTS
from repartee.providers.summariser import summariser
from repartee.session.agenda import Agenda
from repartee.session.agents import agent_of
from repartee.session.books import Books
from repartee.session.bridge import Bridge
from repartee.session.callers import FORGET_METHOD, MEMORY_METHOD, CallerMemory
from repartee.session.clauses import Clauses
from repartee.session.clients import Clients
from repartee.session.clips import clips_for
from repartee.session.degrading import Degrading, load_reporter
from repartee.session.ears import Ears
from repartee.session.fence import Fence
from repartee.session.fillers import Fillers, words_of
from repartee.session.fixed_texts import kept_voice
from repartee.session.gate import ReplyGate
from repartee.session.intents import goals_json
from repartee.session.keeping import Keeping, keeping
from repartee.session.lines import lines_of
from repartee.session.listening import voice_model
from repartee.session.network import Network
from repartee.session.parts import Parts, Script
from repartee.session.prompt_budget import check_budget, history_for
from repartee.session.recording import RecordedSink, Recorder
from repartee.session.remembering import Remembering
from repartee.session.resuming import answering, goals_to_json, opening, remember
from repartee.session.room import IN_SAMPLE_RATE_HZ, RoomHooks, RoomTransport
from repartee.session.scoring import turn_executor, turn_scorer
from repartee.session.spec import SessionSpec
from repartee.session.tiering import tiers_for, voice_parts
from repartee.session.tiers import Standing
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.session.troubles import Troubles
from repartee.session.voice_track import OUT_SAMPLE_RATE_HZ, RoomSink
from repartee.session.wire import Wire
from repartee.settings import Settings
from repartee.telemetry.timeline import Timeline

log = structlog.get_logger()
TEARDOWN_S = 10.0
OnEvent = Callable[[str, dict[str, Any]], None]


def prewarm(settings: Settings, agent_path: Path) -> None:
    """Do what a call would otherwise wait for: imports (already done), models, the agent file.

    Raises:
        ConfigError: The agent file is not usable.
    """
    check_budget(agent_of(agent_path))
    keeping(settings)
    turn_scorer()
    voice_model()
    tls()
    plain_tls()


async def run_session(
    spec: SessionSpec,
    settings: Settings,
    stop: asyncio.Event,
    on_event: OnEvent,
    fence: Fence | None = None,
) -> EndReason:
    """Take one call from joining the room to leaving it.

    Args:
        spec: The call.
        settings: Provider keys and limits.
        stop: Set to end the call from outside.
        on_event: Called with "caller", "connected" and "ended".
        fence: Whether the call is still this agent's; one that is lost ends here, and goes on elsewhere.

    Returns:
        Why the call ended.

    Raises:
        ReparteeError: The call could not be started.
    """
    # Open already where the process was warmed up.
    kept = await asyncio.to_thread(keeping, settings)
    return await _Session(spec, settings, kept, stop, on_event, fence or Fence()).run()


class _Session:
    def __init__(
        self,
        spec: SessionSpec,
        settings: Settings,
        kept: Keeping,
        stop: asyncio.Event,
        on_event: OnEvent,
        fence: Fence | None = None,
    ) -> None:
        self._spec = spec
        self._fence = fence or Fence()
        self._resume = spec.resume
        self._settings = settings
        self._stop = stop
        self._on_event = on_event
        self._agent: Agent = agent_of(spec.agent_path)
        self._started_s = time.monotonic() - (self._resume.elapsed_ms / 1000 if self._resume else 0.0)
        self._timeline = Timeline(spec.data_dir / "calls" / f"{spec.call_id}.jsonl", self._clock_ms)
        self._network = Network(self._timeline.mark, self._clock_ms)
        self._books = Books(
            spec,
            self._agent,
            settings,
            kept,
            self._timeline,
            self._clock_ms,
            lambda: self._bridge.submit(BudgetSpent(self._clock_ms())),
            lambda trouble: on_event("trouble", {"what": trouble}),
        )
        self._troubles = Troubles(self._timeline.mark, kept.health)
        self._failsafe = Failsafe(
            kept.health, TurnBudget(), self._troubles.watch, lines_of(self._agent)["lost_thread"]
        )
        reporter = load_reporter(spec.data_dir, settings.level)
        self._degrading = Degrading(reporter, self._timeline.mark, self._clock_ms)
        self._timeline.listeners.append(self._degrading.marked)
        recording = settings.recordings_dir / f"{spec.call_id}.flac"
        self._recorder = Recorder(recording, self._clock_ms) if self._agent.record else None
        self._callers = CallerMemory(
            self._agent.memory, kept.store, spec.call_id, lambda: datetime.now(UTC), self._timeline.mark
        )
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    def _clock_ms(self) -> float:
        return (time.monotonic() - self._started_s) * 1000

    async def run(self) -> EndReason:
        reason: EndReason = "error"
        try:
            reason = await self._take()
        finally:
            self._degrading.close()
            self._troubles.close()
            await self._books.aclose(reason)
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.close)
            self._timeline.close()
        self._on_event(
            "ended",
            {
                "reason": reason,
                "at_ms": self._clock_ms(),
                "bill": self._books.ledger.bill.summary(),
                "network": self._network.counts,
                "providers": self._troubles.summary(),
            },
        )
        return reason

    async def _take(self) -> EndReason:
        agent, spec = self._agent, self._spec
        ladder = await choose_ladder(self._settings, agent)
        permits = ToolPermits()
        context = ToolContext(spec.call_id, spec.caller_identity, spec.data_dir)
        has_model = ladder.llm.provider != "answers"
        self._agenda = Agenda(
            agent, permits, context, self._timeline.mark, self._clock_ms, has_model=has_model
        )
        guarded = agent.model_copy(update={"tools": self._agenda.tools_guarded})
        self._voices = kept_voice(spec.data_dir, agent, ladder)
        kit = ProviderKit(
            self._settings,
            guarded,
            ladder,
            spec.speech_url,
            voice_cache=self._voices,
            acting=self._agenda.toolbox.acts,
            meter=Meter(self._books.ledger.take, self._clock_ms),
            shorter=lambda: self._books.budget.shorter() or self._degrading.small(),
            failsafe=self._failsafe,
        )
        self._troubles.about(kit.models)
        self._bridge = Bridge(
            policies=_policies(agent),
            script=self._script(),
            clock_ms=self._clock_ms,
            on_end=self._end,
        )
        self._degrading.start(self._bridge)
        submit, now = self._bridge.submit, self._clock_ms
        clients = Clients(
            agent=agent.name,
            chat=lambda text: submit(TextTyped(now(), text)),
            hang_up=lambda: submit(CallEnded(now(), "caller_left")),
            answers={MEMORY_METHOD: self._callers.tell, FORGET_METHOD: self._forget},
            clock_ms=now,
        )
        transport = RoomTransport(
            spec.url,
            spec.token,
            spec.room,
            hooks=self._hooks(clients),
            caller_identity=spec.caller_identity,
            clock_ms=self._clock_ms,
            grace_s=float(agent.limits.reconnect_s),
        )
        # Captions of an agent that takes over are not those of the first, though they are numbered alike.
        captions_id = f"{spec.takeovers}{spec.call_id}" if spec.takeovers else spec.call_id
        wire = clients.connect(transport.client, captions_id)
        wire.show("repartee.call", spec.call_id)
        self._network.connect(self._bridge.submit, wire)
        if agent.opening != agent.greeting:
            # The call's own word that its caller was told, and which wording: the greeting's turn says if they heard.
            self._timeline.mark("consent.line", words=agent.version)
        self._agenda.toolbox.caller_id = lambda: self._callers.caller_id
        self._agenda.on_goals(lambda goals: wire.goals(goals_json(goals)))
        self._agenda.toolbox.on_running = wire.tool
        self._agenda.on_goals(lambda goals: self._books.record.goals(goals_to_json(goals), self._clock_ms()))
        self._agenda.toolbox.holds = self._fence.holds
        worker = self._assemble(kit, transport, wire, permits, context, ladder)
        self._agenda.start()
        captions = asyncio.create_task(clients.run(), name="captions")
        warming = asyncio.create_task(kit.prewarm(), name="prewarm")
        folding = asyncio.create_task(self._remembering.run(), name="memory")
        loading = asyncio.create_task(self._callers.run(), name="caller")
        beside = (captions, warming, folding, loading)
        self._books.budget.start()
        try:
            return await self._drive(worker, wire)
        finally:
            for task in beside:
                task.cancel()
            for task, end in zip(beside, await asyncio.gather(*beside, return_exceptions=True), strict=True):
                if isinstance(end, Exception):
                    log.error("session.task_failed", task=task.get_name(), error=type(end).__name__)
            await self._agenda.aclose()
            if self._callers.keeps:
                await self._remembering.finish()
                await self._callers.keep()
            await kit.aclose()

    def _assemble(
        self,
        kit: ProviderKit,
        transport: RoomTransport,
        wire: Wire,
        permits: ToolPermits,
        context: ToolContext,
        ladder: Ladder,
    ) -> PipelineWorker:
        bridge, timeline, books = self._bridge, self._timeline, self._books
        llm, tools = kit.llm(context)
        history = history_for(self._agent, tools, by_answers=ladder.llm.provider == "answers")
        notes_by = summary_model(self._settings, self._agent, ladder)
        self._remembering = Remembering(
            history,
            summariser(kit, notes_by),
            timeline.mark,
            lambda: self._agenda.goals,
        )
        if self._resume is not None:
            remember(history, self._resume)
        self._callers.history = history
        self._callers.goals = lambda: self._agenda.goals
        tracker = ReplyTracker(
            self._agenda.memory(history).take,
            self._worded,
            self._agenda.toolbox.acts,
            history.fit,
        )
        sink, recorder = RoomSink(transport.client, lambda: not self._fence.lost.is_set()), self._recorder

        def heard(reply_id: int, text: str, final: bool) -> None:
            wire.agent_text(reply_id, text, final=final)
            if not final:
                books.record.sounding(
                    reply_id, self._clock_ms(), lambda: (gate.heard(reply_id), gate.made(reply_id))
                )

        gate = ReplyGate(
            RecordedSink(sink, recorder) if recorder is not None else sink,
            answering(bridge.submit, self._resume, self._clock_ms) if self._resume else bridge.submit,
            self._clock_ms,
            heard,
        )
        voice = kit.tts()
        tiers = tiers_for(kit, llm, voice, timeline, self._spec.data_dir, self._standing)
        gate.on_heard, gate.on_aside = tiers.heard, tiers.aside
        gate.on_first_audio = lambda reply_id: timeline.mark("reply.first_audio", reply_id=reply_id)
        ears = self._ears = Ears(
            submit=bridge.submit,
            clock_ms=self._clock_ms,
            score_turn=turn_scorer(),
            executor=turn_executor(),
            is_caller=transport.client.is_caller,
            on_stt_failed=bridge.transcription_failed,
            listeners=[
                self._network.microphone_of(lambda: transport.client.caller_muted),
                *([lambda pcm, _: recorder.caller(pcm)] if recorder is not None else []),
            ],
            scores=lambda: not self._degrading.plain(),
        )
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        if isinstance(voice, SmallChunkTTS):
            voice.on_clause = lambda text, kept: timeline.mark("clause", characters=len(text), kept=kept)
            voice.on_spoken = books.ledger.spoken
        if isinstance(llm, RoutedLLM):
            llm.on_replaced = books.ledger.replaced
        self._agenda.connect(llm, tracker, gate, kit.topic_reader(), books.ledger.aside)
        if self._resume is not None:
            self._agenda.restore(self._resume.goals)
        parts = Parts(
            gate,
            wire,
            timeline,
            permits,
            history,
            clauses,
            self._remembering,
            books.ledger,
            books.record,
            self._fillers(kit),
            self._degrading,
            self._voices.get if self._voices is not None else lambda _: None,
            self._failsafe.budget,
        )
        self._agenda.toolbox.on_ran = books.record.tool
        bridge.connect(parts, self._agenda)
        speaking = voice_parts(kit, voice)
        middle = [ears, kit.stt(), bridge, tiers, llm, tracker, clauses, *speaking, gate]
        pipeline = Pipeline([transport.input(), *middle, transport.output()])
        return PipelineWorker(
            pipeline,
            params=PipelineParams(
                audio_in_sample_rate=IN_SAMPLE_RATE_HZ,
                audio_out_sample_rate=OUT_SAMPLE_RATE_HZ,
                enable_metrics=True,
                enable_usage_metrics=True,
            ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,  # silence is the core's business; the default ends the call after 300 s
            cancel_runner_on_idle_timeout=False,
        )

    async def _drive(self, worker: PipelineWorker, wire: Wire) -> EndReason:
        """Run the pipeline until the call ends, from inside or outside."""

        @worker.event_handler("on_pipeline_started")
        async def started(*_: object) -> None:
            wire.state("listening")
            self._timeline.mark("connected", started_at=datetime.now(UTC).isoformat())
            self._on_event("connected", {"at_ms": self._clock_ms()})

        runner = WorkerRunner(handle_sigint=False, handle_sigterm=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run(), name="pipeline")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        over: set[asyncio.Future[Any]] = {running, self._ended}
        try:
            await asyncio.wait(over | {stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._fence.lost.is_set():
                self._end("handed_over")
            elif self._stop.is_set() and not self._ended.done():
                self._bridge.submit(CallEnded(self._clock_ms(), "stopped"))
                await asyncio.wait(over, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await worker.cancel(reason="call ended")
                await asyncio.wait({running}, timeout=TEARDOWN_S)
        finally:
            stopping.cancel()
            if not running.done():
                running.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)
        if running.done() and not running.cancelled() and (failure := running.exception()):
            raise failure
        return self._ended.result() if self._ended.done() else ("stopped" if self._stop.is_set() else "error")

    def _hooks(self, clients: Clients) -> RoomHooks:
        submit, now, line = self._bridge.submit, self._clock_ms, self._network
        return RoomHooks(
            caller_ready=self._caller_ready,
            call_over=lambda reason: submit(CallEnded(now(), reason)),
            chat=clients.typed,
            messages=clients.messages,
            session=clients.session_message,
            network=line.connection,
            lost=line.lost,
            returned=line.returned,
            quality=line.quality,
            codec=line.codec,
            sensitivity=self._set_sensitivity,
            identified=self._identified,
            audio=self._hear,
            rpc=clients.answers,
            mark=self._timeline.mark,
        )

    async def _hear(self, pcm: bytes, identity: str) -> None:
        await self._ears.hear(pcm, identity)

    def _caller_ready(self, identity: str) -> None:
        self._on_event("caller", {"identity": identity})
        self._bridge.submit(CallerJoined(self._clock_ms()))

    def _script(self) -> Script:
        agent = self._agent
        lines, clips = lines_of(agent), clips_for(agent.language)
        if self._resume is None:
            return Script(agent.opening, lines, clips)
        sorry, rest = opening(self._resume, agent.language)
        return Script(sorry, lines, clips, rest=rest)

    def _worded(self, reply_id: int) -> None:
        self._timeline.mark("reply.first_text", reply_id=reply_id)
        self._bridge.submit(ReplyWorded(self._clock_ms(), reply_id))

    def _fillers(self, kit: ProviderKit) -> Fillers | None:
        toolbox, cache = self._agenda.toolbox, kit.voice_cache
        toolbox.submit = self._bridge.submit
        if self._agenda.asides is None:
            return None
        return Fillers(
            words_of(self._agent),
            self._agenda.asides,
            tool_line=toolbox.line,
            kept=lambda text: cache is not None and cache.has_all([text]),
            only_kept=self._degrading.small,
            mark=self._timeline.mark,
        )

    def _standing(self) -> Standing:
        degrading = self._degrading
        return Standing(
            self._agenda.arranging, self._books.budget.state, degrading.small(), degrading.plain()
        )

    def _identified(self, caller_id: str) -> None:
        self._callers.identified(caller_id)
        self._books.record.identified(caller_id)

    async def _forget(self, payload: str) -> str:
        self._books.record.forget()
        if self._recorder is not None:
            self._recorder.discard()
        return await self._callers.forget(payload)

    def _set_sensitivity(self, sensitivity: Sensitivity) -> None:
        enabled = self._bridge.interruption.enabled
        self._bridge.interruption = replace(SENSITIVITY[sensitivity], enabled=enabled)
        self._timeline.mark("sensitivity", to=sensitivity)

    def _end(self, reason: EndReason) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)


def _policies(agent: Agent) -> Policies:
    taking, limits, waiting = agent.turn_taking, agent.limits, agent.waiting
    numbers = {
        name: value
        for name, value in (
            ("take_floor_ms", taking.take_floor_ms),
            ("backchannel_max_words", taking.backchannel_max_words),
        )
        if value is not None
    }
    return Policies(
        endpointing=Endpointing(
            float(taking.min_silence_ms),
            float(taking.max_silence_ms),
            digits_ms=float(taking.digits_silence_ms),
        ),
        interruption=replace(SENSITIVITY[taking.sensitivity], enabled=taking.barge_in, **numbers),
        speculation=Speculation(taking.speculate),
        patience=Patience(
            call_ms=limits.max_call_s * 1000.0,
            absent_ms=limits.reconnect_s * 1000.0,
            silence_ms=limits.silence_s * 1000.0 or math.inf,
            silence_asks=limits.silence_asks,
        ),
        waiting=Waiting(
            waiting.fillers, filler_ms=float(waiting.after_ms), apology_ms=float(waiting.apology_after_ms)
        ),
    )
