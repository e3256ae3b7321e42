"""One call: assembles the pipeline around the conversation core, runs it, and takes it down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.workers.runner import WorkerRunner

from repartee.agent import Agent, ToolContext, team_of
from repartee.agent.keep import strictest
from repartee.conversation import Policies
from repartee.conversation.policies import SENSITIVITY, Sensitivity
from repartee.events import (
    BudgetSpent,
    CallEnded,
    CallerJoined,
    EndReason,
    HangUpWanted,
    ReplyWorded,
    TextTyped,
)
from repartee.providers import Ladder, choose_ladder
from repartee.providers.deadline import TurnBudget
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import summary_model
from repartee.providers.metering import Meter
from repartee.providers.patience import Failsafe
from repartee.providers.privacy import check_sealed
from repartee.providers.routed import RoutedLLM
from repartee.providers.seal import sealed
from repartee.providers.services import SmallChunkTTS
from repartee.providers.summariser import summariser
from repartee.providers.voice_cache import VoiceCache
from repartee.session.act_book import ActBook
from repartee.session.agenda import Agenda
from repartee.session.agents import agent_of
from repartee.session.books import Books
from repartee.session.bridge import Bridge
from repartee.session.callers import FORGET_METHOD, MEMORY_METHOD, CallerMemory
from repartee.session.clauses import Clauses
from repartee.session.client_rpc import ClientRpc
from repartee.session.clients import Clients
from repartee.session.clips import clips_for
from repartee.session.degrading import Degrading, load_reporter
from repartee.session.ears import Ears, asked_at_ms
from repartee.session.eyes import Eyes, Picture
from repartee.session.fence import Fence
from repartee.session.fillers import Fillers, words_of
from repartee.session.fixed_texts import kept_voice
from repartee.session.gate import AudioSink, ReplyGate
from repartee.session.intents import goals_json
from repartee.session.keeping import Keeping, keeping
from repartee.session.languages import CallLanguage, in_language
from repartee.session.lines import lines_of
from repartee.session.members import Members
from repartee.session.network import Network
from repartee.session.parts import Parts, Script
from repartee.session.policies import policies_of
from repartee.session.prompt_budget import history_for
from repartee.session.recording import RecordedSink, Recorder
from repartee.session.remembering import Remembering
from repartee.session.resuming import answering, goals_to_json, opening, remember
from repartee.session.room import IN_SAMPLE_RATE_HZ, RoomHooks, RoomTransport
from repartee.session.scoring import turn_executor, turn_scorer
from repartee.session.spec import SessionSpec
from repartee.session.talking import talking_for
from repartee.session.telephone import Telephone
from repartee.session.tiering import tiers_for, voice_parts
from repartee.session.tiers import Standing
from repartee.session.tone import watch_of
from repartee.session.toolbox import NOBODY
from repartee.session.tools import ReplyWatcher, ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.session.troubles import Troubles
from repartee.session.voice_choice import VOICE_METHOD
from repartee.session.voice_track import OUT_SAMPLE_RATE_HZ, RoomSink
from repartee.session.wire import Wire
from repartee.settings import Settings
from repartee.store import Acts
from repartee.telemetry.timeline import Timeline

log = structlog.get_logger()
TEARDOWN_S = 10.0
OnEvent = Callable[[str, dict[str, Any]], None]


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
        on_event: Called with "entered", "caller", "connected", "answered", "trouble" and "ended".
        fence: Whether the call is still this agent's; one that is lost ends here, and goes on elsewhere.

    Returns:
        Why the call ended.

    Raises:
        ReparteeError: The call could not be started.
    """
    # Open already where the process was warmed up.
    kept = await asyncio.to_thread(keeping, settings)
    return await Session(spec, settings, kept, stop, on_event, fence or Fence()).run()


class Session:
    """One call, from beginning to end: once made, `run` takes it. Takes what `run_session` does."""

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
        self._acts = Acts(kept.store)
        self._resume = spec.resume
        self._settings = settings
        self._stop = stop
        self._on_event = on_event
        self._agent: Agent = agent_of(spec.agent_path)
        self._others = team_of(self._agent, agent_of)[1:]
        """Whom the call may be passed to."""
        transcripts = strictest(one.keep for one in (self._agent, *self._others))
        keep = self._agent.keep.model_copy(update={"transcripts": transcripts})
        self._started_s = time.monotonic() - (self._resume.elapsed_ms / 1000 if self._resume else 0.0)
        self._timeline = Timeline(spec.data_dir / "calls" / f"{spec.call_id}.jsonl", self._clock_ms)
        self._network = Network(self._timeline.mark, self._clock_ms)
        self._books = Books(
            spec,
            self._agent.model_copy(update={"keep": keep}),
            settings,
            kept,
            self._timeline,
            self._clock_ms,
            lambda: self._bridge.submit(BudgetSpent(self._clock_ms())),
            lambda trouble: on_event("trouble", {"what": trouble}),
        )
        self._books.record.on_answered = lambda took_ms: on_event("answered", {"took_ms": took_ms})
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
        self._telephone = Telephone(
            self._agent.telephony,
            spec.room,
            settings,
            say=lambda text: self._bridge.submit(TextTyped(self._clock_ms(), text)),
            hang_up=lambda: self._bridge.submit(HangUpWanted(self._clock_ms())),
            mark=self._timeline.mark,
        )
        self._eyes: Eyes | None = None
        self._loop = asyncio.get_running_loop()
        self._language = CallLanguage(self._agent, self._timeline.mark)
        self._language.on_change(self._speaks)
        self._waiting_words: Fillers | None = None
        self._tone = watch_of(self._agent.tone)
        self.watchers: tuple[ReplyWatcher, ...] = ()
        """Told of the life of replies before anybody else."""
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    def _clock_ms(self) -> float:
        return (time.monotonic() - self._started_s) * 1000

    @property
    def cost(self) -> Decimal:
        """What the call has cost so far, USD."""
        return self._books.ledger.bill.cost

    async def run(self) -> EndReason:
        """Take the call; see `run_session`."""
        reason: EndReason = "error"
        try:
            reason = await self._take()
        finally:
            self._degrading.close()
            self._troubles.close()
            self._telephone.close()
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
        check_sealed((agent, *self._others), sealed=sealed())
        ladder = await self._ladder()
        permits = ToolPermits()
        permits.watch(*self.watchers)
        telephone, client = self._telephone, ClientRpc()
        agent, others = telephone.bound(agent), tuple(telephone.bound(one) for one in self._others)
        context = ToolContext(
            spec.call_id,
            telephone.shown(spec.caller_identity),
            spec.data_dir,
            set_voice=self._set_voice,
            set_language=self._set_language,
        )
        has_model = ladder.llm.provider != "answers"
        if not has_model:
            self._language.stay()
        agent = self._seeing(agent, permits) if agent.vision.enabled and has_model else agent
        self._agenda = Agenda(
            agent,
            permits,
            context,
            self._timeline.mark,
            self._clock_ms,
            has_model=has_model,
            others=others,
            hops=spec.hops,
        )
        self._agenda.eyes = self._eyes
        guarded = agent.model_copy(update={"tools": self._agenda.tools_guarded})
        kit = ProviderKit(
            self._settings,
            guarded,
            ladder,
            spec.speech_url,
            voice_cache=self._kept_voice(agent, ladder),
            acting=self._agenda.toolbox.acts,
            meter=Meter(self._books.ledger.take, self._clock_ms),
            shorter=lambda: self._books.budget.shorter() or self._degrading.small(),
            failsafe=self._failsafe,
        )
        self._troubles.about(kit.models)
        self._bridge = Bridge(
            policies=self._policies(),
            script=self._script(),
            clock_ms=self._clock_ms,
            on_end=self._end,
            # Whose question was left open is answered, and asked nothing again.
            takes_over=self._resume is not None and not self._resume.unanswered,
        )
        self._degrading.start(self._bridge)
        self._clients = Clients(
            agent=agent.name,
            chat=lambda text: self._bridge.submit(TextTyped(self._clock_ms(), text)),
            hang_up=lambda: self._bridge.submit(CallEnded(self._clock_ms(), "caller_left")),
            answers={
                MEMORY_METHOD: self._callers.tell,
                FORGET_METHOD: self._forget,
                **({VOICE_METHOD: self._voice_asked} if self._agent.voices else {}),
            },
            clock_ms=self._clock_ms,
        )
        transport = self._room()
        # Captions of an agent that takes over are not those of the first, though they are numbered alike.
        captions_id = f"{spec.takeovers}{spec.call_id}" if spec.takeovers else spec.call_id
        wire = self._clients.connect(transport.client, captions_id)
        wire.show("repartee.call", spec.call_id)
        self._network.connect(self._bridge.submit, wire)
        telephone.line = client.line = transport.client
        if agent.opening != agent.greeting:
            # The call's own word that its caller was told, and which wording: the greeting's turn says if they heard.
            self._timeline.mark("consent.line", words=agent.version)
        self._connect_agenda(wire, client)
        self._members = Members(
            self._agenda.team,
            kit,
            spec.data_dir,
            wire.show,
            lambda one: self._kept_voice(one, ladder),
            self._language,
            self._timeline.mark,
            self._tone,
        )
        worker = self._assemble(kit, transport, wire, permits, context, ladder)
        self._agenda.start()
        captions = asyncio.create_task(self._clients.run(), name="captions")
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
            await self._finish(kit)

    async def _finish(self, kit: ProviderKit) -> None:
        await self._agenda.aclose()
        if self._tone is not None:
            await self._tone.aclose()
        if self._callers.keeps:
            await self._remembering.finish()
            await self._callers.keep()
        await kit.aclose()

    def _seeing(self, agent: Agent, permits: ToolPermits) -> Agent:
        """Return the agent with eyes."""

        def looked(picture: Picture) -> None:
            at_ms, reply_id = int(picture.at_ms), (permits.live or NOBODY).reply_id
            if self._recorder is not None and self._recorder.picture(at_ms, picture.jpeg):
                self._books.record.picture(at_ms, picture.source, reply_id)

        turn_id: Callable[[], int] = lambda: (permits.live or NOBODY).turn_id  # noqa: E731
        self._eyes = Eyes(agent.vision, turn_id, self._timeline.mark, self._clock_ms, looked)
        return agent.model_copy(update={"tools": (*agent.tools, self._eyes.tool)})

    def _connect_agenda(self, wire: Wire, client: ClientRpc) -> None:
        agenda, telephone = self._agenda, self._telephone
        agenda.toolbox.ask_client = client.ask
        agenda.withheld, agenda.toolbox.phone = telephone.withheld, lambda: telephone.number
        agenda.toolbox.caller_id = lambda: self._callers.caller_id
        agenda.on_goals(lambda goals: wire.goals(goals_json(goals)))
        agenda.toolbox.on_running = wire.tool
        agenda.on_goals(lambda goals: self._books.record.goals(goals_to_json(goals), self._clock_ms()))
        agenda.toolbox.holds = agenda.team.holds = self._fence.holds
        if self._spec.epoch:  # without one nobody takes the call over
            past = self._resume.acts if self._resume is not None else ()
            agenda.toolbox.book = ActBook(self._acts, self._spec.call_id, self._spec.epoch, past)

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
        sink, recorder = self._sink(transport), self._recorder

        def heard(reply_id: int, text: str, final: bool) -> None:
            wire.agent_text(reply_id, text, final=final)
            at_ms = self._clock_ms()
            books.record.words_heard(reply_id, at_ms, text, lambda: gate.heard(reply_id))
            if not final:
                written = clauses.written(reply_id)  # the voice comes to it later
                books.record.sounding(
                    reply_id,
                    at_ms,
                    len(written),
                    lambda: (
                        gate.heard(reply_id),
                        " ".join(written) or gate.made(reply_id),
                        gate.ahead_ms(reply_id),
                    ),
                )

        gate = ReplyGate(
            RecordedSink(sink, recorder) if recorder is not None else sink,
            answering(bridge.submit, self._resume, self._clock_ms) if self._resume else bridge.submit,
            self._clock_ms,
            heard,
        )
        voice = self._voice(kit)
        tiers = tiers_for(kit, llm, voice, timeline, self._spec.data_dir, self._standing)
        if self._resume is not None:
            self._agenda.team.restore(self._resume.speaker, self._resume.passed)
        self._members.connect(tiers, llm, voice)
        self._agenda.on_passed = self._members.passed
        gate.on_heard, gate.on_aside = tiers.heard, tiers.aside
        gate.on_cut, gate.late_ms = wire.cut, self._degrading.late_ms
        gate.on_first_audio = lambda reply_id: timeline.mark("reply.first_audio", reply_id=reply_id)
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        if isinstance(voice, SmallChunkTTS):
            voice.on_clause = lambda text, kept: timeline.mark("clause", characters=len(text), kept=kept)
            voice.on_spoken = books.ledger.spoken
        if isinstance(llm, RoutedLLM):
            llm.on_replaced = books.ledger.replaced
        self._agenda.connect(llm, tracker, gate, kit.topic_reader, books.ledger.aside)
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
            self._fillers(),
            self._degrading,
            self._members.kept,
            self._failsafe.budget,
            self._members.speaker,
            self._language,
            self._tone,
        )
        self._agenda.toolbox.on_ran = books.record.tool
        hearing = self._hearing(kit, transport)
        talking, models = talking_for(kit, llm, hearing, timeline.mark, bridge.need_words)
        bridge.connect(replace(parts, talking=talking), self._agenda)
        speaking = voice_parts(kit, voice, self._members.speakers)
        middle = [*hearing, bridge, tiers, *models, tracker, clauses, *speaking, gate]
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

    async def _ladder(self) -> Ladder:
        return await choose_ladder(self._settings, self._agent)

    # --- where it takes place -----------------------------------------------------------------------------------

    def _room(self) -> Any:
        """Return the transport."""
        spec = self._spec
        return RoomTransport(
            spec.url,
            spec.token,
            spec.room,
            hooks=self._hooks(),
            caller_identity=spec.caller_identity,
            clock_ms=self._clock_ms,
            grace_s=float(self._agent.limits.reconnect_s),
        )

    def _sink(self, transport: Any) -> AudioSink:
        """Return where the agent's audio goes."""
        return RoomSink(transport.client, lambda: not self._fence.lost.is_set())

    def _kept_voice(self, agent: Agent, ladder: Ladder) -> VoiceCache | None:
        """Return where an agent's audio is kept."""
        return kept_voice(self._spec.data_dir, agent, ladder)

    def _voice(self, kit: ProviderKit) -> Any:
        """Return what speaks."""
        return kit.tts()

    def _policies(self) -> Policies:
        return policies_of(self._agent)

    def _hearing(self, kit: ProviderKit, transport: Any) -> list[FrameProcessor]:
        """Return what hears the caller."""
        recorder, by_sound = self._recorder, self._policies().speculation.by_sound
        self._microphone = self._network.microphone_of(lambda: transport.client.caller_muted)
        self._ears = Ears(
            submit=self._bridge.submit,
            clock_ms=self._clock_ms,
            score_turn=turn_scorer(),
            executor=turn_executor(),
            is_caller=transport.client.is_caller,
            on_stt_failed=self._bridge.transcription_failed,
            listeners=[
                self._microphone,
                *([lambda pcm, _: recorder.caller(pcm)] if recorder is not None else []),
                *([self._tone.listen] if self._tone is not None else []),
            ],
            score_at_ms=lambda: asked_at_ms(self._degrading.level, at_once=by_sound),
        )
        return [self._ears, kit.stt()]

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

    def _hooks(self) -> RoomHooks:
        submit, now, line = self._bridge.submit, self._clock_ms, self._network
        clients = self._clients
        return RoomHooks(
            caller_ready=self._caller_ready,
            call_over=lambda reason: submit(CallEnded(now(), reason)),
            chat=clients.typed,
            messages=clients.messages,
            session=clients.session_message,
            network=line.connection,
            still_ours=self._fence.confirmed,
            lost=line.lost,
            returned=line.returned,
            quality=line.quality,
            codec=line.codec,
            sensitivity=self._set_sensitivity,
            entered=self._entered,
            identified=self._identified,
            telephone=self._telephone.rings,
            key=self._telephone.press,
            audio=self._hear,
            rpc=clients.answers,
            mark=self._timeline.mark,
            eyes=self._eyes,
            # Who takes a call over hears what is said now: the rest was heard by the one before.
            early=(self._hold, self._catch_up) if self._resume is None else None,
        )

    def _hold(self) -> None:
        self._ears.hold()

    async def _catch_up(self, pcm: bytes) -> None:
        # Not for the recording: it stands on the call's clock, and this was said before it began.
        self._microphone(pcm, self._clock_ms())
        await self._ears.catch_up(pcm)

    async def _hear(self, pcm: bytes, identity: str) -> None:
        await self._ears.hear(pcm, identity)

    def _entered(self) -> None:
        self._on_event("entered", {})
        self._clients.entered()

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

    def _fillers(self) -> Fillers | None:
        toolbox, members = self._agenda.toolbox, self._members
        toolbox.submit = self._bridge.submit
        if self._agenda.asides is None:
            return None
        self._waiting_words = Fillers(
            words_of(self._agent),
            self._agenda.asides,
            tool_line=toolbox.line,
            kept=members.has,
            only_kept=self._degrading.small,
            mark=self._timeline.mark,
        )
        return self._waiting_words

    def _standing(self) -> Standing:
        degrading = self._degrading
        return Standing(
            self._agenda.arranging,
            self._books.budget.state,
            degrading.small(),
            degrading.plain(),
            self._language.foreign,
        )

    def _identified(self, caller_id: str) -> None:
        self._callers.identified(caller_id)
        self._books.record.identified(caller_id)

    async def _forget(self, payload: str) -> str:
        self._books.record.forget()
        if self._recorder is not None:
            self._recorder.discard()
        return await self._callers.forget(payload)

    def _set_language(self, code: str) -> None:
        """Called by a tool, maybe on a thread."""
        self._language.check(code)
        self._loop.call_soon_threadsafe(self._language.choose, code)

    def _speaks(self, language: str) -> None:
        """The call goes on in another language: everything that is said without the model is of it."""
        agent = in_language(self._agent, language)
        self._bridge.speak(lines_of(agent), clips_for(language))
        self._agenda.speak(language)
        if self._waiting_words is not None:
            self._waiting_words.speak(words_of(agent))

    async def _voice_asked(self, payload: str) -> str:
        return await self._members.voice.rpc(payload)

    def _set_voice(self, name: str) -> None:
        self._members.voice.choose(name)

    def _set_sensitivity(self, sensitivity: Sensitivity) -> None:
        enabled = self._bridge.interruption.enabled
        self._bridge.interruption = replace(SENSITIVITY[sensitivity], enabled=enabled)
        self._timeline.mark("sensitivity", to=sensitivity)

    def _end(self, reason: EndReason) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
