"""Between the conversation core and the pipeline: the only caller of `advance`, and the one that performs.

Events from the ears, speech-to-text, the gate and the room are queued; one task takes them in order, asks the
core, and performs its commands in order. Performing never calls `advance` again. Deadlines are timers of the
event loop that come back as events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    CancelFrame,
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    StartFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import NOT_GIVEN
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.conversation import (
    Conversation,
    Ended,
    Policies,
    advance,
)
from repartee.conversation.policies import Interruption
from repartee.events import (
    ArmDeadline,
    AsideSaid,
    CallerJoined,
    CallerLost,
    CancelReply,
    CloseTurn,
    Command,
    DeadlineName,
    DeadlinePassed,
    DisarmDeadline,
    EndCall,
    EndReason,
    Event,
    Line,
    LowerVoice,
    OpenTurn,
    ReleaseReply,
    RememberUser,
    RepeatVoice,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyWorded,
    RestoreVoice,
    SpeakAside,
    SpeakGreeting,
    SpeakLine,
    SpeechStarted,
    SpeechStopped,
    StartReply,
    TextTyped,
    ToolStarted,
    TranscribeNow,
    TranscriptReceived,
    TurnScored,
    VoiceReply,
    WordsGuessed,
)
from repartee.providers.frames import (
    AskRealtimeFrame,
    CaptionFrame,
    PauseScoredFrame,
    PieceTranscribedFrame,
    ReplyContext,
    SpeakerFrame,
    TranscribeNowFrame,
    TurnClosedFrame,
    VoicePausedFrame,
    VoiceStartedFrame,
)
from repartee.providers.patience import BEFORE_GIVING_UP_S, REPLY_S
from repartee.session.clips import Clip
from repartee.session.frames import KeptAudioFrame, ReplyEndFrame, ReplyStartFrame
from repartee.session.parts import OnOffer, Parts, Script
from repartee.session.shown import live_reply, mark_name, needs_provider, shown_state, user_turn

log = structlog.get_logger()
EAGER_PROBABILITY = 0.7
"""What a vendor's early word that the turn is over is worth."""
QUEUE_SIZE = 1024
"""Events waiting for the core. It takes microseconds per event; a full queue means the process is stuck."""


class Bridge(FrameProcessor):
    """Runs the conversation core for one call.

    Args:
        policies: What the core may ask.
        script: Greeting and fixed lines.
        clock_ms: The call's clock.
        on_end: Called once with the reason when the core ends the call.
    """

    def __init__(
        self,
        *,
        policies: Policies,
        script: Script,
        clock_ms: Callable[[], float],
        on_end: Callable[[EndReason], None],
    ) -> None:
        super().__init__(name="Bridge")
        self._policies = policies
        self._script = script
        self._clock_ms = clock_ms
        self._on_end = on_end
        self._parts: Parts | None = None
        self._tools: OnOffer | ToolsSchema | None = None
        self._conversation = Conversation()
        self._events: asyncio.Queue[Event] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._timers: dict[DeadlineName, asyncio.TimerHandle] = {}
        self._runner: asyncio.Task[None] | None = None
        self._said = ""
        """In the turn that was closed last."""
        self._segment_id = 0
        self._piece_id = 0

    @property
    def policies(self) -> Policies:
        """What the core may ask; may be set between two utterances."""
        return self._policies

    @policies.setter
    def policies(self, policies: Policies) -> None:
        self._policies = policies

    @property
    def interruption(self) -> Interruption:
        """How easily the agent gives way; may be set in the middle of a call."""
        return self._policies.interruption

    @interruption.setter
    def interruption(self, interruption: Interruption) -> None:
        self._policies = replace(self._policies, interruption=interruption)

    def need_words(self) -> None:
        """Begin no more replies on the sound alone."""
        speculation = replace(self._policies.speculation, by_sound=False)
        self._policies = replace(self._policies, speculation=speculation)

    def speak(self, lines: dict[Line, str], clips: Mapping[str, Clip]) -> None:
        """Say these fixed lines from now on, or play these recordings of them."""
        self._script = replace(self._script, lines=lines, clips=clips)

    def connect(self, parts: Parts, tools: OnOffer | ToolsSchema | None) -> None:
        """Hand over the parts commands are performed on and what the model may call; once, before the start."""
        self._parts, self._tools = parts, tools

    @property
    def parts(self) -> Parts:
        """The connected parts."""
        if self._parts is None:
            raise RuntimeError("Bridge.connect was not called before the pipeline started")
        return self._parts

    def submit(self, event: Event) -> None:
        """Queue a fact for the core. Never blocks; callable from any callback on the event loop."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("bridge.queue_full", event=type(event).__name__)

    # --- frames -----------------------------------------------------------------------------------------------

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Turn transcripts and provider errors into events; pass the rest on."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                self._runner = self.create_task(self._run(), "Bridge::run")
                await self.push_frame(frame, direction)
            case EndFrame() | CancelFrame():
                await self._stop()
                await self.push_frame(frame, direction)
            case VoiceStartedFrame():
                self._segment_id = frame.segment_id
            case VoicePausedFrame() | PauseScoredFrame() | InputAudioRawFrame():
                pass  # nobody behind here listens: each audio frame that went on would cost eight queues
            case PieceTranscribedFrame():
                piece = TranscriptReceived(self._clock_ms(), frame.text, frame.piece_id, frame.segment_id)
                if self.parts.language is not None:
                    self.parts.language.heard(frame.spoken, frame.confidence)
                self._piece_id = max(self._piece_id, frame.piece_id)
                self.submit(piece)
            case TranscriptionFrame():
                # A service that does not speak of pieces: each of its transcripts is one.
                self._piece_id += 1
                self.submit(
                    TranscriptReceived(self._clock_ms(), frame.text, self._piece_id, self._segment_id)
                )
            case (
                EagerTranscriptionFrame()
                | EagerEndOfTurnCancelFrame()
                | InterimTranscriptionFrame()
                | CaptionFrame()
            ):
                self._words_so_far(frame)
            case ErrorFrame() if direction is FrameDirection.UPSTREAM:
                self._provider_failed(
                    frame
                )  # and no further: before us are ears, which would take it for theirs
            case _:
                await self.push_frame(frame, direction)

    def _words_so_far(self, frame: Frame) -> None:
        """Take words that are no transcript yet."""
        match frame:
            case EagerTranscriptionFrame():
                # The vendor heard the end of the turn: words, and evidence.
                self.submit(WordsGuessed(self._clock_ms(), frame.text))
                self.submit(TurnScored(self._clock_ms(), self._segment_id, EAGER_PROBABILITY))
            case InterimTranscriptionFrame():
                self.submit(WordsGuessed(self._clock_ms(), frame.text))
                self._show_user(frame.text)
            case CaptionFrame():
                if turn := user_turn(self._conversation):
                    words = turn.with_words(frame.piece_id, frame.text, 0).text
                    self.parts.wire.user_text(turn.turn_id, words, final=False)
            case _:
                pass  # the end of a turn that was taken back: what took it back is voice, which the ears have heard

    def transcription_failed(self, error: str) -> None:
        """Speech-to-text gave up on a segment: no words will come for it."""
        log.warning("stt.failed", error=error.split(":", maxsplit=1)[0])
        self.parts.timeline.mark("stt.failed")
        self.submit(TranscriptReceived(self._clock_ms(), "", 0, self._segment_id))

    def _provider_failed(self, frame: ErrorFrame) -> None:
        processor = frame.processor.name if frame.processor is not None else "pipeline"
        log.warning("provider.failed", processor=processor, category=str(frame.category))
        self.parts.timeline.mark("provider.failed", processor=processor)
        reply_id = live_reply(self._conversation)
        # A voice that fails in the middle has been heard already; it is finished by its own end.
        needed = needs_provider(self._conversation)  # what failed may be the reply before
        self.parts.wire.failed()
        if reply_id is not None and needed and not self.parts.gate.has_audio(reply_id):
            self.submit(ReplyFailed(self._clock_ms(), reply_id))

    # --- the core ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not isinstance(self._conversation.state, Ended):
            event = await self._events.get()
            self._observe(event)
            if self.parts.degrading is not None:
                self.parts.degrading.observe(self._conversation)
            if isinstance(event, CallerLost):
                event = self._lost(event)
            before = self._conversation
            self._conversation, commands = advance(before, event, self._policies)
            self.parts.ledger.observe(event, commands)
            if self.parts.record is not None:
                self.parts.record.observe(event, commands)
            if isinstance(event, TranscriptReceived):
                self._show_user("")
            for command in commands:
                await self._perform(command, before)
            self.parts.wire.state(shown_state(self._conversation))
            if self.parts.remembering is not None and not (
                self.parts.degrading is not None and self.parts.degrading.plain()
            ):
                self.parts.remembering.state(self._conversation)

    def _lost(self, event: CallerLost) -> CallerLost:
        """Take back what cannot have been heard, from the voice and from the history."""
        revived_id = self.parts.gate.lost(event.since_ms)
        if revived_id is not None:
            heard = self.parts.gate.made(revived_id)
            self.parts.history.unsay(heard)
            if self.parts.record is not None:
                self.parts.record.unsaid(revived_id, heard)
        return replace(event, revived_id=revived_id)

    def _observe(self, event: Event) -> None:
        parts = self.parts
        match event:
            case SpeechStarted():
                parts.wire.user_voice(event.at_ms, speaking=True)
                parts.timeline.mark(mark_name(event), event.at_ms)
            case SpeechStopped():
                parts.wire.user_voice(event.ended_at_ms, speaking=False)
                parts.timeline.mark("speech.stopped", event.at_ms, ended_at_ms=round(event.ended_at_ms, 1))
            case TranscriptReceived():
                parts.timeline.mark("transcript", event.at_ms, words=len(event.text.split()))
            case TurnScored():
                parts.timeline.mark("turn.scored", event.at_ms, probability=round(event.probability, 3))
            case ReplyFinished():
                parts.timeline.mark("reply.finished", event.at_ms, reply_id=event.reply_id)
                parts.history.remember_heard(heard := parts.gate.close(event.reply_id))
                self._replied(event.reply_id, heard, heard)
            case ReplyAudible():
                # It is heard: what is still made for it has a time of its own, piece by piece.
                parts.budget.end()
                parts.timeline.mark(mark_name(event), event.at_ms)
            case ToolStarted():
                self._tool_started(event)  # marked where it happens
            case ReplyWorded() | AsideSaid():
                pass  # marked where they happen
            case TextTyped(text=text):
                parts.talking.typed(text)
                parts.timeline.mark(mark_name(event), event.at_ms)
            case WordsGuessed():
                pass  # many, and only the ones acted upon matter
            case CallerJoined():
                parts.timeline.mark("caller.joined", event.at_ms)
            case _:
                parts.timeline.mark(mark_name(event), event.at_ms)

    def _tool_started(self, event: ToolStarted) -> None:
        """What is done after the tool has as long as the core waits for it."""
        if event.reply_id == live_reply(self._conversation):
            wait_ms = event.until_ms - self._clock_ms() + self._policies.patience.after_tool_ms
            self.parts.budget.extend(wait_ms / 1000 - BEFORE_GIVING_UP_S)

    async def _perform(self, command: Command, before: Conversation) -> None:
        match command:
            case (
                StartReply()
                | VoiceReply()
                | ReleaseReply()
                | CancelReply()
                | SpeakGreeting()
                | SpeakLine()
                | SpeakAside()
            ):
                await self._perform_reply(command)
            case TranscribeNow(segment_id):
                await self.push_frame(TranscribeNowFrame(segment_id=segment_id), FrameDirection.UPSTREAM)
            case LowerVoice(reply_id):
                self.parts.timeline.mark("voice.lowered", reply_id=reply_id)
                self.parts.gate.lower(reply_id)
            case RepeatVoice(reply_id, explain):
                self._repeat(reply_id, explain=explain)
            case RestoreVoice(reply_id):
                self.parts.timeline.mark("voice.restored", reply_id=reply_id)
                self.parts.gate.restore(reply_id)
                self.parts.talking.restored()
                if turn := user_turn(before):
                    self.parts.wire.user_text(turn.turn_id, turn.text, final=True)
            case OpenTurn() | CloseTurn():
                await self._perform_turn(command)
            case RememberUser(_, text):
                self._remember_user(text)
            case ArmDeadline(name, at_ms):
                self._arm(name, at_ms)
            case DisarmDeadline(name):
                self._disarm(name)
            case EndCall(reason):
                self._on_end(reason)

    def _remember_user(self, text: str) -> None:
        """These words belong to the conversation."""
        self.parts.history.remember_user(text)
        if self.parts.language is not None:
            self.parts.language.remember(text)
        if self.parts.tone is not None:
            self.parts.tone.remember(text)
        self.parts.permits.turn_remembered(text)

    async def _perform_turn(self, command: OpenTurn | CloseTurn) -> None:
        match command:
            case OpenTurn():
                self.parts.talking.turn_opened()
                self.parts.wire.user_turn(is_open=True)
                await self.push_frame(UserStartedSpeakingFrame())
            case CloseTurn(turn_id, text):
                self._said = text
                self.parts.talking.turn_closed(text)
                self.parts.wire.user_turn(is_open=False)
                self.parts.wire.user_text(turn_id, text, final=True)
                await self.push_frame(UserStoppedSpeakingFrame())
                await self.push_frame(TurnClosedFrame(), FrameDirection.UPSTREAM)

    def _repeat(self, reply_id: int, *, explain: bool) -> None:
        self.parts.timeline.mark("voice.repeated", reply_id=reply_id)
        text = self._script.lines["cut_off"]
        pcm = self.parts.kept_audio(text) if explain else None
        self.parts.gate.repeat(reply_id, (text, pcm) if pcm else None)

    async def _perform_reply(
        self,
        command: StartReply
        | VoiceReply
        | ReleaseReply
        | CancelReply
        | SpeakGreeting
        | SpeakLine
        | SpeakAside,
    ) -> None:
        parts = self.parts
        match command:
            case StartReply(reply_id, turn_id, _, held):
                parts.timeline.mark("reply.started", reply_id=reply_id, turn_id=turn_id, held=held)
                await self._ask_model(command)
                if not held:
                    await self._allow(reply_id)
            case SpeakGreeting() | SpeakLine() | SpeakAside():
                await self._perform_words(command)
            case VoiceReply(reply_id):
                parts.timeline.mark("reply.voiced", reply_id=reply_id)
                await self._allow(reply_id)
            case ReleaseReply(reply_id):
                parts.timeline.mark("reply.released", reply_id=reply_id)
                parts.permits.release(reply_id, self._said)
                parts.gate.release(reply_id)
                await self._allow(reply_id)
            case CancelReply(reply_id):
                parts.budget.end()
                parts.permits.cancel(reply_id)
                if parts.gate.heard(reply_id):
                    parts.wire.interrupted(reply_id)
                parts.talking.cancelled(reply_id, parts.gate.heard_of_items(reply_id))
                made, heard = parts.gate.made(reply_id), parts.gate.cancel(reply_id)
                parts.ledger.cancelled(reply_id, heard)
                parts.timeline.mark("reply.cancelled", reply_id=reply_id, heard_characters=len(heard))
                parts.history.remember_heard(heard, interrupted=True)
                self._replied(reply_id, heard, made)
                await self.push_frame(InterruptionFrame())

    async def _perform_words(self, command: SpeakGreeting | SpeakLine | SpeakAside) -> None:
        """Say what needs no model."""
        parts = self.parts
        match command:
            case SpeakGreeting(reply_id):
                await self._speak(reply_id, self._script.greeting, self._script.rest)
            case SpeakLine(reply_id, line, recorded):
                parts.timeline.mark("line", reply_id=reply_id, line=line, recorded=recorded)
                if line == "hang_up" and not recorded:
                    parts.timeline.mark("callback.wanted")
                await (
                    self._play(reply_id, line)
                    if recorded
                    else self._speak(reply_id, self._script.lines[line], is_line=True)
                )
            case SpeakAside():
                if parts.fillers is not None:
                    await parts.fillers.say(command)

    async def _allow(self, reply_id: int) -> None:
        """A reply's audio may be made."""
        self.parts.talking.allow(reply_id)
        await self.parts.clauses.allow(reply_id)

    def _replied(self, reply_id: int, heard: str, made: str) -> None:
        self.parts.permits.heard(reply_id, heard)
        self.parts.talking.over(reply_id, heard)
        if self.parts.record is not None:
            self.parts.record.replied(reply_id, heard, made)

    async def _ask_model(self, command: StartReply) -> None:
        parts, reply_id, text = self.parts, command.reply_id, command.text
        parts.budget.begin(REPLY_S)
        parts.gate.open(reply_id, held=command.held)
        parts.permits.open(reply_id, held=command.held, turn_id=command.turn_id, text=text)
        offer = self._tools if isinstance(self._tools, OnOffer) else None
        tools = offer.tools() if offer is not None else self._tools
        notes = [offer.note(reply_id)] if offer is not None else []
        if parts.language is not None:
            parts.language.answer(text)
            notes.append(parts.language.note())
        if parts.tone is not None:
            notes.append(parts.tone.note())
        messages = parts.history.messages(text, "\n".join(filter(None, notes)))
        context = ReplyContext(
            messages, tools=NOT_GIVEN if tools is None else tools, reply_id=reply_id, wordless=not text
        )
        await self._begin(ReplyStartFrame(reply_id=reply_id, context=context))
        asks_itself = parts.talking.usable
        if not (text or asks_itself):
            self.submit(
                ReplyFailed(self._clock_ms(), reply_id)
            )  # who would have heard it is gone: it waits for words
            return
        await self.push_frame(
            AskRealtimeFrame(context=context) if asks_itself else LLMContextFrame(context=context)
        )

    async def _speak(self, reply_id: int, *texts: str, is_line: bool = False) -> None:
        self.parts.budget.begin(REPLY_S)
        self.parts.gate.open(reply_id, held=False, is_line=is_line)
        await self._begin(ReplyStartFrame(reply_id=reply_id))
        for text in filter(None, texts):
            await self.push_frame(TTSSpeakFrame(text, append_to_context=False))
        await self.push_frame(ReplyEndFrame(reply_id=reply_id))

    async def _begin(self, frame: ReplyStartFrame) -> None:
        await self.push_frame(frame)
        if name := self.parts.speaker():
            # Each time: one that was sent on its way in an earlier reply may have been cut off with it.
            await self.push_frame(SpeakerFrame(agent=name))

    async def _play(self, reply_id: int, line: Line) -> None:
        """Play a line's recording, which no vendor has to make."""
        self.parts.gate.open(reply_id, held=False, is_line=True)
        clip = self._script.clips.get(line)
        if clip is None:
            self.submit(ReplyFailed(self._clock_ms(), reply_id))
            return
        await self.push_frame(ReplyStartFrame(reply_id=reply_id))
        await self.push_frame(KeptAudioFrame(text=clip.text, audio=clip.pcm()))
        await self.push_frame(ReplyEndFrame(reply_id=reply_id))

    def _show_user(self, more: str) -> None:
        """Show the words of the user's turn so far, with those speech-to-text is not yet sure of."""
        if turn := user_turn(self._conversation):
            self.parts.wire.user_text(turn.turn_id, f"{turn.text} {more}".strip(), final=False)

    # --- deadlines --------------------------------------------------------------------------------------------

    def _arm(self, name: DeadlineName, at_ms: float) -> None:
        self._disarm(name)
        wait_s = max(0.0, (at_ms - self._clock_ms()) / 1000)
        self._timers[name] = asyncio.get_running_loop().call_later(wait_s, self._due, name)

    def _disarm(self, name: DeadlineName) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _due(self, name: DeadlineName) -> None:
        self._timers.pop(name, None)
        self.submit(DeadlinePassed(self._clock_ms(), name))

    async def _stop(self) -> None:
        for name in list(self._timers):
            self._disarm(name)
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await self.cancel_task(runner)

    async def cleanup(self) -> None:
        """Stop the core and its deadlines."""
        await self._stop()
        await super().cleanup()
