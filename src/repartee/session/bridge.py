"""Between the conversation core and the pipeline: the only caller of `advance`.

Events from the ears, speech-to-text, the gate and the room are queued; one task takes them in order, asks the
core, and has its commands performed in order (`performing.py`). Deadlines are timers of the event loop that come
back as events (`deadlines.py`).
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
    StartFrame,
    TranscriptionFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.conversation import (
    Conversation,
    Ended,
    Policies,
    advance,
)
from repartee.conversation.policies import Interruption
from repartee.events import (
    AsideSaid,
    CallerJoined,
    CallerLost,
    EndReason,
    Event,
    Line,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyWorded,
    SpeechStarted,
    SpeechStopped,
    TextTyped,
    ToolStarted,
    TranscriptReceived,
    TurnScored,
    WordsGuessed,
)
from repartee.providers.frames import (
    CaptionFrame,
    PauseScoredFrame,
    PieceTranscribedFrame,
    VoicePausedFrame,
    VoiceStartedFrame,
)
from repartee.providers.patience import BEFORE_GIVING_UP_S
from repartee.session.clips import Clip
from repartee.session.deadlines import Deadlines
from repartee.session.parts import OnOffer, Parts, Script
from repartee.session.performing import Performer
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
        takes_over: Another agent had the call before, and left no question open.
    """

    def __init__(
        self,
        *,
        policies: Policies,
        script: Script,
        clock_ms: Callable[[], float],
        on_end: Callable[[EndReason], None],
        takes_over: bool = False,
    ) -> None:
        super().__init__(name="Bridge")
        self._policies = policies
        self._clock_ms = clock_ms
        self._conversation = Conversation(takes_over=takes_over)
        self._events: asyncio.Queue[Event] = asyncio.Queue(maxsize=QUEUE_SIZE)
        self._deadlines = Deadlines(clock_ms, self.submit)
        self._performer = Performer(
            script, clock_ms, self.submit, push=self.push_frame, deadlines=self._deadlines, on_end=on_end
        )
        self._runner: asyncio.Task[None] | None = None
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
        self._performer.script = replace(self._performer.script, lines=lines, clips=clips)

    def connect(self, parts: Parts, tools: OnOffer | ToolsSchema | None) -> None:
        """Hand over the parts commands are performed on and what the model may call; once, before the start."""
        self._performer.connect(parts, tools)

    @property
    def parts(self) -> Parts:
        """The connected parts."""
        return self._performer.parts

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
                await self._performer.perform(command, before)
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
                self._performer.replied(event.reply_id, heard, heard)
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

    def _show_user(self, more: str) -> None:
        """Show the words of the user's turn so far, with those speech-to-text is not yet sure of."""
        if turn := user_turn(self._conversation):
            self.parts.wire.user_text(turn.turn_id, f"{turn.text} {more}".strip(), final=False)

    async def _stop(self) -> None:
        self._deadlines.stop()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await self.cancel_task(runner)

    async def cleanup(self) -> None:
        """Stop the core and its deadlines."""
        await self._stop()
        await super().cleanup()
