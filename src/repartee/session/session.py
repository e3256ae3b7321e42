"""One call: assembles the pipeline around the conversation core, runs it, and takes it down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.workers.runner import WorkerRunner

from repartee.agent import Agent, ToolContext, load_agent
from repartee.conversation import Endpointing, Patience, Policies, Speculation
from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.events import BudgetSpent, CallEnded, CallerJoined, EndReason, TextTyped
from repartee.providers import Ladder, choose_ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import summary_model
from repartee.providers.metering import Meter
from repartee.providers.services import SmallChunkTTS
from repartee.providers.summariser import summariser
from repartee.session.agenda import Agenda
from repartee.session.bridge import Bridge, Parts, Script
from repartee.session.budget import BudgetWatch, policy_for
from repartee.session.callers import FORGET_METHOD, MEMORY_METHOD, CallerMemory, CallerStore
from repartee.session.clauses import Clauses
from repartee.session.ears import Ears
from repartee.session.fixed_texts import kept_voice
from repartee.session.gate import ReplyGate
from repartee.session.intents import goals_json
from repartee.session.ledger import Ledger
from repartee.session.lines import lines_for
from repartee.session.prompt_budget import check_budget, history_for
from repartee.session.remembering import Remembering
from repartee.session.room import IN_SAMPLE_RATE_HZ, OUT_SAMPLE_RATE_HZ, RoomHooks, RoomSink, RoomTransport
from repartee.session.scoring import turn_scorer
from repartee.session.spec import SessionSpec
from repartee.session.tiering import tiers_for, voice_parts
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.session.wire import Wire
from repartee.settings import Settings
from repartee.telemetry.timeline import Timeline
from repartee.telemetry.usage import ReportUsage, ignore_usage

log = structlog.get_logger()
TEARDOWN_S = 10.0
OnEvent = Callable[[str, dict[str, Any]], None]


def prewarm(settings: Settings, agent_path: Path) -> None:
    """Do what a call would otherwise wait for: imports (already done), models, the agent file.

    Raises:
        ConfigError: The agent file is not usable.
    """
    del settings
    check_budget(load_agent(agent_path))
    turn_scorer()


async def run_session(
    spec: SessionSpec, settings: Settings, stop: asyncio.Event, on_event: OnEvent
) -> EndReason:
    """Take one call from joining the room to leaving it.

    Args:
        spec: The call.
        settings: Provider keys and limits.
        stop: Set to end the call from outside.
        on_event: Called with "connected" and "ended".

    Returns:
        Why the call ended.

    Raises:
        ReparteeError: The call could not be started.
    """
    return await _Session(spec, settings, stop, on_event).run()


class _Session:
    def __init__(self, spec: SessionSpec, settings: Settings, stop: asyncio.Event, on_event: OnEvent) -> None:
        self._spec = spec
        self._settings = settings
        self._stop = stop
        self._on_event = on_event
        self._agent: Agent = load_agent(spec.agent_path)
        self._started_s = time.monotonic()
        self._timeline = Timeline(spec.data_dir / "calls" / f"{spec.call_id}.jsonl", self._clock_ms)
        self._ledger = Ledger(spec.call_id, self._agent.name, mark=self._timeline.mark)
        self._budget = BudgetWatch(
            policy_for(self._agent, settings.budget_day_usd),
            None,
            lambda: self._bridge.submit(BudgetSpent(self._clock_ms())),
            self._timeline.mark,
        )
        self._ledger.on_spent = self._budget.spent
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="turn")
        self._report: ReportUsage = ignore_usage
        self._caller_store: CallerStore | None = None
        self._callers = CallerMemory(
            self._agent.memory,
            self._caller_store,
            spec.call_id,
            lambda: datetime.now(UTC),
            self._timeline.mark,
        )
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    def _clock_ms(self) -> float:
        return (time.monotonic() - self._started_s) * 1000

    async def run(self) -> EndReason:
        agent, spec = self._agent, self._spec
        ladder = await choose_ladder(self._settings, agent)
        permits = ToolPermits()
        context = ToolContext(spec.call_id, spec.caller_identity, spec.data_dir)
        has_model = ladder.llm.provider != "answers"
        self._agenda = Agenda(
            agent, permits, context, self._timeline.mark, self._clock_ms, has_model=has_model
        )
        guarded = agent.model_copy(update={"tools": self._agenda.tools_guarded})
        lines = lines_for(agent.language)
        kit = ProviderKit(
            self._settings,
            guarded,
            ladder,
            spec.speech_url,
            voice_cache=kept_voice(spec.data_dir, agent, ladder),
            acting=self._agenda.toolbox.acts,
            meter=Meter(self._ledger.take, self._clock_ms),
            shorter=self._budget.shorter,
        )
        self._bridge = Bridge(
            policies=_policies(agent),
            script=Script(agent.greeting, lines),
            clock_ms=self._clock_ms,
            on_end=self._end,
        )
        transport = RoomTransport(
            spec.url, spec.token, spec.room, hooks=self._hooks(), caller_identity=spec.caller_identity
        )
        wire = Wire(
            lambda: transport.client.room.local_participant, lambda: transport.client.caller, spec.call_id
        )
        self._agenda.on_goals(lambda goals: wire.goals(goals_json(goals)))
        worker = self._assemble(kit, transport, wire, permits, context, ladder)
        self._agenda.start()
        captions = asyncio.create_task(wire.run(), name="captions")
        warming = asyncio.create_task(kit.prewarm(), name="prewarm")
        folding = asyncio.create_task(self._remembering.run(), name="memory")
        loading = asyncio.create_task(self._callers.run(), name="caller")
        beside = (captions, warming, folding, loading)
        self._budget.start()
        try:
            reason = await self._drive(worker, wire)
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
            await self._budget.aclose()
            self._ledger.close(self._clock_ms())
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._timeline.close()
        self._on_event(
            "ended", {"reason": reason, "at_ms": self._clock_ms(), "bill": self._ledger.bill.summary()}
        )
        return reason

    def _assemble(
        self,
        kit: ProviderKit,
        transport: RoomTransport,
        wire: Wire,
        permits: ToolPermits,
        context: ToolContext,
        ladder: Ladder,
    ) -> PipelineWorker:
        bridge, timeline = self._bridge, self._timeline
        llm, tools = kit.llm(context)
        history = history_for(self._agent, tools, by_answers=ladder.llm.provider == "answers")
        notes_by = summary_model(self._settings, self._agent, ladder)
        self._remembering = Remembering(
            history,
            summariser(kit, notes_by),
            timeline.mark,
            lambda: self._agenda.goals,
        )
        self._callers.history = history
        self._callers.goals = lambda: self._agenda.goals
        tracker = ReplyTracker(
            self._agenda.memory(history).take,
            lambda reply_id: timeline.mark("reply.first_text", reply_id=reply_id),
            self._agenda.toolbox.acts,
            history.fit,
        )
        gate = ReplyGate(
            RoomSink(transport.client),
            bridge.submit,
            self._clock_ms,
            lambda reply_id, text, final: wire.agent_text(reply_id, text, final=final),
        )
        voice = kit.tts()
        tiers = tiers_for(kit, llm, voice, timeline, self._spec.data_dir)
        gate.on_heard = tiers.heard
        gate.on_first_audio = lambda reply_id: timeline.mark("reply.first_audio", reply_id=reply_id)
        ears = Ears(
            submit=bridge.submit,
            clock_ms=self._clock_ms,
            score_turn=turn_scorer(),
            executor=self._executor,
            is_caller=transport.client.is_caller,
            on_stt_failed=bridge.transcription_failed,
        )
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        if isinstance(voice, SmallChunkTTS):
            voice.on_clause = lambda text, kept: timeline.mark("clause", characters=len(text), kept=kept)
            voice.on_spoken = self._ledger.spoken
        self._agenda.connect(llm, tracker, gate, kit.topic_reader())
        bridge.connect(
            Parts(gate, wire, timeline, permits, history, clauses, self._remembering, self._ledger),
            self._agenda,
        )
        speaking = voice_parts(kit, voice)
        parts = [ears, kit.stt(), bridge, tiers, llm, tracker, clauses, *speaking, gate]
        pipeline = Pipeline([transport.input(), *parts, transport.output()])
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
            if self._stop.is_set() and not self._ended.done():
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

    def _hooks(self) -> RoomHooks:
        submit, now = self._bridge.submit, self._clock_ms
        return RoomHooks(
            caller_ready=lambda _: submit(CallerJoined(now())),
            call_over=lambda reason: submit(CallEnded(now(), reason)),
            chat=lambda text: submit(TextTyped(now(), text)),
            network=lambda what: self._timeline.mark(f"network.{what}"),
            sensitivity=self._set_sensitivity,
            identified=self._callers.identified,
            rpc={MEMORY_METHOD: self._callers.tell, FORGET_METHOD: self._callers.forget},
        )

    def _set_sensitivity(self, sensitivity: Sensitivity) -> None:
        enabled = self._bridge.interruption.enabled
        self._bridge.interruption = replace(SENSITIVITY[sensitivity], enabled=enabled)
        self._timeline.mark("sensitivity", to=sensitivity)

    def _end(self, reason: EndReason) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)


def _policies(agent: Agent) -> Policies:
    taking, limits = agent.turn_taking, agent.limits
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
        patience=Patience(call_ms=limits.max_call_s * 1000.0),
    )
