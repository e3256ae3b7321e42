"""What becomes of the core's commands: the model is asked, words are voiced, the gate and the clients are told.

Performing never calls `advance`; whatever comes of it returns as an event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import NOT_GIVEN
from pipecat.processors.frame_processor import FrameDirection

from repartee.conversation import Conversation
from repartee.events import (
    ArmDeadline,
    CancelReply,
    CloseTurn,
    Command,
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
    ReplyFailed,
    RestoreVoice,
    SpeakAside,
    SpeakGreeting,
    SpeakLine,
    StartReply,
    TranscribeNow,
    VoiceReply,
)
from repartee.providers.frames import (
    AskRealtimeFrame,
    ReplyContext,
    SpeakerFrame,
    TranscribeNowFrame,
    TurnClosedFrame,
)
from repartee.providers.patience import REPLY_S
from repartee.session.deadlines import Deadlines
from repartee.session.frames import KeptAudioFrame, ReplyEndFrame, ReplyStartFrame
from repartee.session.parts import OnOffer, Parts, Script
from repartee.session.shown import user_turn


class Push(Protocol):
    """Sends a frame on its way through the pipeline."""

    async def __call__(self, frame: Frame, direction: FrameDirection = ..., /) -> None:
        """Send a frame, downstream when nothing else is said."""


class Performer:
    """Performs commands on the parts of one call.

    Args:
        script: Greeting and fixed lines.
        clock_ms: The call's clock.
        submit: Takes what comes of it.
        push: Sends frames from where the bridge stands.
        deadlines: What is armed and disarmed.
        on_end: Called once with the reason when the core ends the call.

    Attributes:
        script: May be set between two commands.
    """

    def __init__(
        self,
        script: Script,
        clock_ms: Callable[[], float],
        submit: Callable[[Event], None],
        *,
        push: Push,
        deadlines: Deadlines,
        on_end: Callable[[EndReason], None],
    ) -> None:
        self.script = script
        self._clock_ms = clock_ms
        self._submit = submit
        self._push = push
        self._deadlines = deadlines
        self._on_end = on_end
        self._parts: Parts | None = None
        self._tools: OnOffer | ToolsSchema | None = None
        self._said = ""
        """In the turn that was closed last."""

    def connect(self, parts: Parts, tools: OnOffer | ToolsSchema | None) -> None:
        """Hand over the parts and what the model may call; once, before the start."""
        self._parts, self._tools = parts, tools

    @property
    def parts(self) -> Parts:
        """The connected parts."""
        if self._parts is None:
            raise RuntimeError("Bridge.connect was not called before the pipeline started")
        return self._parts

    async def perform(self, command: Command, before: Conversation) -> None:
        """Perform a command, which came of a conversation as it was before."""
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
                await self._push(TranscribeNowFrame(segment_id=segment_id), FrameDirection.UPSTREAM)
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
                self._deadlines.arm(name, at_ms)
            case DisarmDeadline(name):
                self._deadlines.disarm(name)
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
                await self._push(UserStartedSpeakingFrame())
            case CloseTurn(turn_id, text):
                self._said = text
                self.parts.talking.turn_closed(text)
                self.parts.wire.user_turn(is_open=False)
                self.parts.wire.user_text(turn_id, text, final=True)
                await self._push(UserStoppedSpeakingFrame())
                await self._push(TurnClosedFrame(), FrameDirection.UPSTREAM)

    def _repeat(self, reply_id: int, *, explain: bool) -> None:
        self.parts.timeline.mark("voice.repeated", reply_id=reply_id)
        text = self.script.lines["cut_off"]
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
                self.replied(reply_id, heard, made)
                await self._push(InterruptionFrame())

    async def _perform_words(self, command: SpeakGreeting | SpeakLine | SpeakAside) -> None:
        """Say what needs no model."""
        parts = self.parts
        match command:
            case SpeakGreeting(reply_id):
                await self._speak(reply_id, self.script.greeting, self.script.rest)
            case SpeakLine(reply_id, line, recorded):
                parts.timeline.mark("line", reply_id=reply_id, line=line, recorded=recorded)
                if line == "hang_up" and not recorded:
                    parts.timeline.mark("callback.wanted")
                await (
                    self._play(reply_id, line)
                    if recorded
                    else self._speak(reply_id, self.script.lines[line], is_line=True)
                )
            case SpeakAside():
                if parts.fillers is not None:
                    await parts.fillers.say(command)

    async def _allow(self, reply_id: int) -> None:
        """A reply's audio may be made."""
        self.parts.talking.allow(reply_id)
        await self.parts.clauses.allow(reply_id)

    def replied(self, reply_id: int, heard: str, made: str) -> None:
        """Tell that a reply is over."""
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
            self._submit(
                ReplyFailed(self._clock_ms(), reply_id)
            )  # who would have heard it is gone: it waits for words
            return
        await self._push(
            AskRealtimeFrame(context=context) if asks_itself else LLMContextFrame(context=context)
        )

    async def _speak(self, reply_id: int, *texts: str, is_line: bool = False) -> None:
        self.parts.budget.begin(REPLY_S)
        self.parts.gate.open(reply_id, held=False, is_line=is_line)
        await self._begin(ReplyStartFrame(reply_id=reply_id))
        for text in filter(None, texts):
            await self._push(TTSSpeakFrame(text, append_to_context=False))
        await self._push(ReplyEndFrame(reply_id=reply_id))

    async def _begin(self, frame: ReplyStartFrame) -> None:
        await self._push(frame)
        if name := self.parts.speaker():
            # Each time: one that was sent on its way in an earlier reply may have been cut off with it.
            await self._push(SpeakerFrame(agent=name))

    async def _play(self, reply_id: int, line: Line) -> None:
        """Play a line's recording, which no vendor has to make."""
        self.parts.gate.open(reply_id, held=False, is_line=True)
        clip = self.script.clips.get(line)
        if clip is None:
            self._submit(ReplyFailed(self._clock_ms(), reply_id))
            return
        await self._push(ReplyStartFrame(reply_id=reply_id))
        await self._push(KeptAudioFrame(text=clip.text, audio=clip.pcm()))
        await self._push(ReplyEndFrame(reply_id=reply_id))
