"""Puts one call together around its core: agenda, services, bridge, room, clients, and Pipecat's pipeline of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService

from repartee.agent import Agent, ToolContext
from repartee.conversation.history import History
from repartee.events import EndReason
from repartee.providers import Ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import summary_model
from repartee.providers.metering import Meter
from repartee.providers.routed import RoutedLLM
from repartee.providers.services import SmallChunkTTS
from repartee.providers.summariser import summariser
from repartee.providers.voice_cache import VoiceCache
from repartee.session.act_book import ActBook
from repartee.session.agenda import Agenda
from repartee.session.bridge import Bridge
from repartee.session.call import Call
from repartee.session.channel import Channel
from repartee.session.clauses import Clauses
from repartee.session.client_rpc import ClientRpc
from repartee.session.clips import clips_for
from repartee.session.entrance import Entrance
from repartee.session.eyes import Eyes
from repartee.session.fillers import Fillers, words_of
from repartee.session.gate import ReplyGate
from repartee.session.intents import goals_json
from repartee.session.languages import in_language
from repartee.session.lines import lines_of
from repartee.session.members import Members
from repartee.session.parts import Parts, Script
from repartee.session.prompt_budget import history_for
from repartee.session.recording import RecordedSink
from repartee.session.remembering import Remembering
from repartee.session.resuming import answering, goals_to_json, opening, remember
from repartee.session.room import IN_SAMPLE_RATE_HZ
from repartee.session.spec import Resume
from repartee.session.talking import talking_for
from repartee.session.tiering import tiers_for, voice_parts
from repartee.session.tiers import Standing
from repartee.session.toolbox import NOBODY
from repartee.session.tools import ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.session.voice_track import OUT_SAMPLE_RATE_HZ


class Assembly:
    """The parts of one call, connected. The session runs and ends them.

    Args:
        call: What the call has from its beginning.
        channel: What carries it.
        ladder: The providers it runs on.
        end: Called once with the reason when the core ends the call.

    Raises:
        ReparteeError: A part cannot be made as the agent file wants it.
    """

    def __init__(
        self, call: Call, channel: Channel, ladder: Ladder, end: Callable[[EndReason], None]
    ) -> None:
        self._call, self._channel, self._ladder = call, channel, ladder
        self._by_answers = ladder.llm.provider == "answers"
        """The agent's answers talk, and no language model."""
        self._permits = ToolPermits()
        self._permits.watch(*call.watchers)
        self._eyes: Eyes | None = None
        self._fillers: Fillers | None = None
        if self._by_answers:
            call.language.stay()
        call.language.on_change(self._speaks)
        agent = self._seeing(call.telephone.bound(call.agent))
        context = self._context()
        self.agenda = self._agenda_of(agent, context)
        """What the call is about and what can be done."""
        self.kit = self._kit_for(agent)
        call.troubles.about(self.kit.models)
        self.bridge = self._bridge(end)
        call.submit = self.bridge.submit
        call.degrading.start(self.bridge)
        entrance = Entrance(call, channel, self.bridge, agent, self._eyes, self._voice_asked)
        self.clients, self.wire = entrance.clients, entrance.wire
        if agent.opening != agent.greeting:
            # The call's own word that its caller was told, and which wording: the greeting's turn says if they heard.
            call.timeline.mark("consent.line", words=agent.version)
        self._connect_agenda(entrance)
        self._members = Members(
            self.agenda.team,
            self.kit,
            call.spec.data_dir,
            self.wire.show,
            self._kept_voice,
            call.language,
            call.timeline.mark,
            call.tone,
        )
        llm, tools = self.kit.llm(context)
        history = history_for(call.agent, tools, by_answers=self._by_answers)
        self.remembering = self._remembering(history)
        self.worker = self._pipeline(entrance, llm, history)
        """Runs Pipecat's pipeline of it all."""

    # --- around the core ----------------------------------------------------------------------------------------

    def _seeing(self, agent: Agent) -> Agent:
        """Return the agent, with eyes where it has them."""
        if not agent.vision.enabled or self._by_answers:
            return agent
        call, permits = self._call, self._permits
        self._eyes = Eyes(
            agent.vision,
            lambda: (permits.live or NOBODY).turn_id,
            call.timeline.mark,
            call.clock_ms,
            lambda picture: call.looked(picture, (permits.live or NOBODY).reply_id),
        )
        return agent.model_copy(update={"tools": (*agent.tools, self._eyes.tool)})

    def _context(self) -> ToolContext:
        """Return what tools may know of the call, and change."""
        call, spec = self._call, self._call.spec
        return ToolContext(
            spec.call_id,
            call.telephone.shown(spec.caller_identity),
            spec.data_dir,
            set_voice=self._set_voice,
            set_language=call.choose_language,
        )

    def _agenda_of(self, agent: Agent, context: ToolContext) -> Agenda:
        call = self._call
        agenda = Agenda(
            agent,
            self._permits,
            context,
            call.timeline.mark,
            call.clock_ms,
            has_model=not self._by_answers,
            others=tuple(call.telephone.bound(one) for one in call.others),
            hops=call.spec.hops,
        )
        agenda.eyes = self._eyes
        return agenda

    def _kit_for(self, agent: Agent) -> ProviderKit:
        """Return the services, for the agent with its tools as they run in this call."""
        call, budget = self._call, self._call.books.budget
        return ProviderKit(
            call.settings,
            agent.model_copy(update={"tools": self.agenda.tools_guarded}),
            self._ladder,
            call.spec.speech_url,
            voice_cache=self._kept_voice(agent),
            acting=self.agenda.toolbox.acts,
            meter=Meter(call.books.ledger.take, call.clock_ms),
            shorter=lambda: budget.shorter() or call.degrading.small(),
            failsafe=call.failsafe,
        )

    def _bridge(self, end: Callable[[EndReason], None]) -> Bridge:
        call = self._call
        return Bridge(
            policies=self._channel.policies(call),
            script=_script(call.agent, call.resume),
            clock_ms=call.clock_ms,
            on_end=end,
            # Whose question was left open is answered, and asked nothing again.
            takes_over=call.resume is not None and not call.resume.unanswered,
        )

    def _connect_agenda(self, entrance: Entrance) -> None:
        call, agenda, toolbox, wire = self._call, self.agenda, self.agenda.toolbox, entrance.wire
        client = ClientRpc()
        client.line = entrance.transport.client
        toolbox.ask_client = client.ask
        agenda.withheld, toolbox.phone = call.telephone.withheld, lambda: call.telephone.number
        toolbox.caller_id = lambda: call.callers.caller_id
        agenda.on_goals(lambda goals: wire.goals(goals_json(goals)))
        toolbox.on_running = wire.tool
        agenda.on_goals(lambda goals: call.books.record.goals(goals_to_json(goals), call.clock_ms()))
        toolbox.holds = agenda.team.holds = call.fence.holds
        if call.spec.epoch:  # without one nobody takes the call over
            past = call.resume.acts if call.resume is not None else ()
            toolbox.book = ActBook(call.acts, call.spec.call_id, call.spec.epoch, past)

    # --- the pipeline -------------------------------------------------------------------------------------------

    def _remembering(self, history: History) -> Remembering:
        """Connect what is remembered, of this call and of its caller."""
        call, agenda = self._call, self.agenda
        notes_by = summary_model(call.settings, call.agent, self._ladder)
        remembering = Remembering(
            history, summariser(self.kit, notes_by), call.timeline.mark, lambda: agenda.goals
        )
        if call.resume is not None:
            remember(history, call.resume)
        call.callers.history = history
        call.callers.goals = lambda: agenda.goals
        return remembering

    def _pipeline(self, entrance: Entrance, llm: LLMService, history: History) -> PipelineWorker:
        call, agenda, bridge, kit = self._call, self.agenda, self.bridge, self.kit
        tracker = ReplyTracker(agenda.memory(history).take, call.worded, agenda.toolbox.acts, history.fit)
        transport = entrance.transport
        voice = self._channel.voice(kit)
        clauses = Clauses(voice if isinstance(voice, SmallChunkTTS) else None)
        gate = self._gate(transport, clauses)
        tiers = tiers_for(kit, llm, voice, call.timeline, call.spec.data_dir, self._standing)
        gate.on_heard, gate.on_aside = tiers.heard, tiers.aside
        if call.resume is not None:
            agenda.team.restore(call.resume.speaker, call.resume.passed)
        self._members.connect(tiers, llm, voice)
        agenda.on_passed = self._members.passed
        self._account_for(llm, voice)
        agenda.connect(llm, tracker, gate, kit.topic_reader, call.books.ledger.aside)
        if call.resume is not None:
            agenda.restore(call.resume.goals)
        agenda.toolbox.submit, agenda.toolbox.on_ran = bridge.submit, call.ran
        self._fillers = self._fillers_of()
        parts = self._parts(gate, history, clauses)
        hearing = self._channel.hearing(kit, entrance.ears)
        talking, models = talking_for(kit, llm, hearing, call.timeline.mark, bridge.need_words)
        bridge.connect(replace(parts, talking=talking), agenda)
        speaking = voice_parts(kit, voice, self._members.speakers)
        middle = [*hearing, bridge, tiers, *models, tracker, clauses, *speaking, gate]
        return _worker([transport.input(), *middle, transport.output()])

    def _gate(self, transport: Any, clauses: Clauses) -> ReplyGate:
        call, wire, record = self._call, self.wire, self._call.books.record
        sink = self._channel.sink(call, transport)

        def heard(reply_id: int, text: str, final: bool) -> None:
            wire.agent_text(reply_id, text, final=final)
            at_ms = call.clock_ms()
            record.words_heard(reply_id, at_ms, text, lambda: gate.heard(reply_id))
            if not final:
                written = clauses.written(reply_id)  # the voice comes to it later
                record.sounding(
                    reply_id,
                    at_ms,
                    len(written),
                    lambda: (
                        gate.heard(reply_id),
                        " ".join(written) or gate.made(reply_id),
                        *gate.ahead_ms(reply_id),
                    ),
                )

        submit = self.bridge.submit
        gate = ReplyGate(
            RecordedSink(sink, call.recorder) if call.recorder is not None else sink,
            answering(submit, call.resume, call.clock_ms) if call.resume else submit,
            call.clock_ms,
            heard,
        )
        gate.on_cut, gate.late_ms = wire.cut, call.degrading.late_ms
        gate.on_first_audio = lambda reply_id: call.timeline.mark("reply.first_audio", reply_id=reply_id)
        return gate

    def _account_for(self, llm: LLMService, voice: Any) -> None:
        """Have the ledger told of what was asked of the model and the voice, and came to nothing."""
        mark, ledger = self._call.timeline.mark, self._call.books.ledger
        if isinstance(voice, SmallChunkTTS):
            voice.on_clause = lambda text, kept: mark("clause", characters=len(text), kept=kept)
            voice.on_spoken = ledger.spoken
        if isinstance(llm, RoutedLLM):
            llm.on_replaced = ledger.replaced

    def _fillers_of(self) -> Fillers | None:
        asides = self.agenda.asides
        if asides is None:
            return None
        return Fillers(
            words_of(self._call.agent),
            asides,
            tool_line=self.agenda.toolbox.line,
            kept=self._members.has,
            only_kept=self._call.degrading.small,
            mark=self._call.timeline.mark,
        )

    def _parts(self, gate: ReplyGate, history: History, clauses: Clauses) -> Parts:
        call, books = self._call, self._call.books
        return Parts(
            gate,
            self.wire,
            call.timeline,
            self._permits,
            history,
            clauses,
            self.remembering,
            books.ledger,
            books.record,
            self._fillers,
            call.degrading,
            self._members.kept,
            call.failsafe.budget,
            self._members.speaker,
            call.language,
            call.tone,
        )

    def _kept_voice(self, agent: Agent) -> VoiceCache | None:
        return self._channel.kept_voice(self._call, agent, self._ladder)

    # --- what happens in the call -------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        degrading = self._call.degrading
        return Standing(
            self.agenda.arranging,
            self._call.books.budget.state,
            degrading.small(),
            degrading.plain(),
            self._call.language.foreign,
        )

    def _speaks(self, language: str) -> None:
        """The call goes on in another language: everything that is said without the model is of it."""
        agent = in_language(self._call.agent, language)
        self.bridge.speak(lines_of(agent), clips_for(language))
        self.agenda.speak(language)
        if self._fillers is not None:
            self._fillers.speak(words_of(agent))

    async def _voice_asked(self, payload: str) -> str:
        return await self._members.voice.rpc(payload)

    def _set_voice(self, name: str) -> None:
        self._members.voice.choose(name)


def _script(agent: Agent, resume: Resume | None) -> Script:
    """Return what the agent says by itself; who takes a call over begins otherwise."""
    lines, clips = lines_of(agent), clips_for(agent.language)
    if resume is None:
        return Script(agent.opening, lines, clips)
    sorry, rest = opening(resume, agent.language)
    return Script(sorry, lines, clips, rest=rest)


def _worker(processors: list[FrameProcessor]) -> PipelineWorker:
    return PipelineWorker(
        Pipeline(processors),
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
