"""A model that hears the caller and speaks itself, beside a model and a voice that stand by.

Pipecat's service over OpenAI's realtime socket. Nothing is left to the vendor that decides about the talk: it ends no
turn and stops no answer. Whoever assembles the call tells it, without waiting, what becomes of turns and replies, and
it keeps the vendor's conversation to what was said and heard: a reply that was thrown away is deleted there, one that
was cut off is cut to the millisecond the caller has heard.

Closes of Pipecat's: turns and interruptions taken from frames of its own turn taking; a truncation by the wall clock;
tools run one by one as their arguments come, and their results sent whoever asked; an error for every refusal, after
which nobody answers any more; sound of a response that was cancelled.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    FunctionCallResultFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.openai.realtime import events

from repartee.providers.deadline import TurnBudget
from repartee.providers.failover import Failover
from repartee.providers.failures import Failure
from repartee.providers.frames import (
    AskRealtimeFrame,
    ItemHeard,
    OtherVoiceFrame,
    ReplyContext,
    SpokenAudioFrame,
    SpokenTextFrame,
    VoiceLostFrame,
)
from repartee.providers.metering import Meter, about
from repartee.providers.realtime_asked import Asked, RealtimeReply, Spent
from repartee.providers.realtime_memory import VendorConversation, last_words, notes_of
from repartee.providers.realtime_socket import RealtimeSocket
from repartee.providers.realtime_turns import CallerTurns

FIRST_S, IDLE_S = 3.0, 2.5
"""For the first of an answer, and between any two parts of it; what a turn has left then is enough for the others."""
LEAST_S = 1.0
"""However little the turn has left: an answer that is a moment late is no reason to give the model up."""
REMEMBERED_REPLIES = 64


class RealtimeModel(RealtimeSocket):
    """The model.

    Args:
        failover: Of this model alone.
        budget: The turn's deadline.
        meter: Told of every response.
        instruction: What it is told to be.
        acting: Names of the tools that change something; may grow.
        model: Its name.
        voice: Its voice.
        speed: And how fast that speaks.
        api_key: Of OpenAI's.
        base_url: Where its socket is.
    """

    def __init__(  # noqa: PLR0913 - what a session consists of
        self,
        failover: Failover,
        budget: TurnBudget,
        meter: Meter,
        *,
        instruction: str,
        acting: Collection[str],
        model: str,
        voice: str,
        speed: float,
        api_key: str,
        base_url: str,
    ) -> None:
        sound = events.PCMAudioFormat()
        audio = events.AudioConfiguration(
            input=events.AudioInput(format=sound, turn_detection=False),
            output=events.AudioOutput(format=sound, voice=voice, speed=speed),
        )
        session = events.SessionProperties(output_modalities=["audio"], audio=audio)
        settings = self.Settings(model=model, system_instruction=instruction, session_properties=session)
        super().__init__(failover, api_key=api_key, base_url=base_url, settings=settings)
        self._budget, self._meter = budget, meter
        self._model, self._instruction = model, instruction
        self._spent = Spent(tokens_in=len(instruction) // 4)
        self._tools: list[dict[str, Any]] = []
        self._replies: OrderedDict[int, RealtimeReply] = OrderedDict()
        self._allowed_id = self._cancelled_id = 0
        self._wanted: Asked | None = None
        self._active: Asked | None = None
        self._watching: asyncio.Task[None] | None = None
        self._creating: asyncio.Task[None] | None = None
        self._there = VendorConversation(self.tell, acting)
        self._turns = CallerTurns(self.tell, lambda text: self._there.add("user", text))

    def share_tools(self, llm: LLMService) -> None:
        """Call the tools that are registered with the model that stands by."""
        self._functions = llm._functions  # noqa: SLF001 - one registry for both; Pipecat knows one service only

    # --- what the call tells: the ears of voices, the bridge of turns and replies --------------------------------

    def began(self) -> None:
        """A voice begins."""
        self._turns.began()

    def hear(self, pcm: bytes) -> None:
        """Take sound of a voice: 24 kHz, 16-bit, mono."""
        if self.usable:
            self._turns.hear(pcm)

    def paused(self) -> None:
        """The voice has paused."""
        self._turns.paused()

    def turn_opened(self) -> None:
        """The user holds the floor."""
        self._turns.opened()

    def turn_closed(self, text: str) -> None:
        """They gave it back; without words it was a noise."""
        self._turns.closed(text)

    def restored(self) -> None:
        """What sounded over the agent did not ask for the floor."""
        self._turns.discard()

    def typed(self, text: str) -> None:
        """The caller has typed."""
        self._turns.typed(text)

    def allow(self, reply_id: int) -> None:
        """A reply's sound may be made."""
        self._allowed_id = max(self._allowed_id, reply_id)
        self._go_on()

    def cancelled(self, reply_id: int, heard: Sequence[ItemHeard]) -> None:
        """A reply is over before its end; so much was heard of it."""
        self._cancelled_id = max(self._cancelled_id, reply_id)
        reply = self._replies.get(reply_id)
        if reply is None or reply.cancelled:
            return
        reply.cancelled = True
        reply.heard_ms = {one.item_id: one.heard_ms for one in heard}
        if self._wanted is not None and self._wanted.reply is reply:
            self._wanted = None
        held: Sequence[str] = ()
        if self._active is not None and self._active.reply is reply:
            held = self._active.items  # settled when the vendor has stopped
            self.tell(events.ResponseCancelEvent(), may_fail=True)
        self._there.settle(reply, [item for item in reply.items if item not in held])

    def over(self, reply_id: int, heard: str) -> None:
        """A reply is over; of what was heard the vendor is told that which it did not say itself."""
        self._there.over(self._replies.get(reply_id), heard)

    # --- frames -------------------------------------------------------------------------------------------------

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer what is asked of this model; pass everything else on."""
        # Not Pipecat's own service: it would answer frames of turns that are decided elsewhere.
        await LLMService.process_frame(self, frame, direction)
        match frame:
            case AskRealtimeFrame(context=ReplyContext() as context):
                await self._ask(context)
            case LLMContextFrame(context=ReplyContext() as context) if direction is FrameDirection.UPSTREAM:
                await self._ask_again(context, frame)
            case _:
                await self.push_frame(frame, direction)

    async def _ask(self, context: ReplyContext) -> None:
        if context.reply_id <= self._cancelled_id:
            return
        if not self.usable:
            await self._hand_on(context)
            return
        self._there.begin(context)
        heard_s = self._turns.give(last_words(context))
        reply = self._replies[context.reply_id] = RealtimeReply(context.reply_id)
        if len(self._replies) > REMEMBERED_REPLIES:
            self._replies.popitem(last=False)
        self._wanted = Asked(reply, context, heard_s=heard_s)
        self._go_on()

    async def _ask_again(self, context: ReplyContext, frame: Frame) -> None:
        """A round of tools is over."""
        reply = self._replies.get(context.reply_id)
        if reply is None or not self.usable:
            await self.push_frame(frame, FrameDirection.UPSTREAM)
        elif not reply.cancelled:
            self._wanted = Asked(reply, context)
            self._go_on()

    async def _hand_on(self, context: ReplyContext) -> None:
        """Let the model that stands by answer; it has not heard what was said, and must be told."""
        if context.wordless and not self._turns.closed_with:
            await self.push_error("the model that heard the caller is gone, and their words are not known")
            return
        if context.wordless:
            context.wordless = False
            context.add_message({"role": "user", "content": self._turns.closed_with})
        await self.push_frame(LLMContextFrame(context=context), FrameDirection.UPSTREAM)

    # --- asking -------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Ask for what is wanted, once it may be made and the vendor is free."""
        asked = self._due()
        if asked is None or not self.usable:
            return
        if self._watching is None or self._watching.done():
            self._watching = self.create_task(self._watch(), f"{self}::watch")
        if self._active is None:
            self._wanted, self._active = None, asked
            self._creating = self.create_task(self._create(asked), f"{self}::create")

    async def _create(self, asked: Asked) -> None:
        attempt = self.failover.request(self._budget.deadline()).next(quiet=True)
        if attempt is not None:
            await attempt.__aenter__()
            asked.attempt = attempt
        if attempt is None or not attempt.ok:
            self._over(asked)
            if not asked.reply.cancelled:
                await self._hand_on(asked.context)
            return
        if asked.reply.cancelled:
            self._over(asked)
            await attempt.leave(done=False)
            return
        self._context = asked.context
        self._offer(asked.context)
        notes = notes_of(asked.context)
        properties = events.ResponseProperties(
            output_modalities=["audio"],
            instructions=f"{self._instruction}\n\n{notes}" if notes else None,
            tool_choice=None if isinstance(asked.context.tools, ToolsSchema) or not self._tools else "none",
        )
        self.tell(events.ResponseCreateEvent(response=properties))
        if not asked.reply.sounded:
            await self.push_frame(OtherVoiceFrame())
            await self.push_frame(LLMFullResponseStartFrame())

    def _offer(self, context: ReplyContext) -> None:
        """Offer the tools there are now."""
        if not isinstance(context.tools, ToolsSchema):
            return
        tools = self.get_llm_adapter().to_provider_tools_format(context.tools)
        if tools != self._tools:
            self._tools = tools
            self.tell(events.SessionUpdateEvent(session=events.SessionProperties(tools=tools)))

    async def _watch(self) -> None:
        """Wait for what is asked, no longer than a caller would."""
        while (asked := self._active or self._due()) is not None:
            try:
                limit_s = self._first_s() if not asked.first.is_set() else IDLE_S
                async with asyncio.timeout(limit_s):
                    await (asked.beat if asked.first.is_set() else asked.first).wait()
            except TimeoutError:
                await self._lose(Failure("timeout"))
                return
            asked.beat.clear()

    def _due(self) -> Asked | None:
        """Return what is wanted, if it may be made."""
        wanted = self._wanted
        return wanted if wanted is not None and wanted.reply.reply_id <= self._allowed_id else None

    def _first_s(self) -> float:
        return max(LEAST_S, self._budget.deadline().within(FIRST_S))

    def _over(self, asked: Asked) -> None:
        asked.end()
        if self._active is asked:
            self._active = None
            self._go_on()

    async def abandon(self, failure: Failure) -> None:
        """What is being made is made by the others; what of it was heard already cannot be gone on with."""
        active, self._active = self._active, None
        wanted, self._wanted = self._wanted, None
        for asked in (active, wanted):
            if asked is None:
                continue
            asked.end()
            if asked.attempt is not None:
                asked.attempt.fail(failure)
                await asked.attempt.leave(done=False)
            if asked.record is not None:
                asked.record.end("failed")
            if asked.reply.cancelled:
                continue
            if not asked.reply.sounded:
                await self._hand_on(asked.context)
            else:
                await self.push_frame(VoiceLostFrame(spoken=asked.reply.spoken()))
                await self.push_frame(LLMFullResponseEndFrame())

    # --- what the vendor tells ----------------------------------------------------------------------------------

    async def _handle_evt_response_created(self, evt: Any) -> None:
        if (asked := self._active) is None:
            return
        asked.response_id = evt.response.id
        with about(reply_id=asked.reply.reply_id, name=evt.response.id):
            asked.record = self._meter.begin("llm", "openai", self._model)
        asked.record.left = True
        asked.record.reckon = lambda record: self._reckon(record, asked)

    def _reckon(self, record: Any, asked: Asked) -> bool:
        if record.quantities:
            return False
        record.quantities.update(self._spent.reckon(asked))
        return True

    def _current(self, evt: Any) -> Asked | None:
        """Return what an event belongs to, which is taken for a sign of life."""
        asked = self._active
        if asked is None or asked.response_id != evt.response_id:
            return None
        asked.came()
        return asked

    async def _handle_evt_conversation_item_added(self, evt: Any) -> None:
        item, asked = evt.item, self._active
        if self._there.is_own(item.id):
            return
        if item.role == "user":
            self._turns.added(item.id)
            return
        if asked is None or (item.role != "assistant" and item.type != "function_call"):
            return
        asked.items.append(item.id)
        asked.reply.items.setdefault(item.id, 0)
        if item.type == "function_call":
            asked.reply.calls[item.id] = item.call_id
            self._pending_function_calls[item.call_id] = item

    async def _handle_evt_audio_delta(self, evt: Any) -> None:
        if (asked := self._current(evt)) is None:
            return
        pcm, reply = base64.b64decode(evt.delta), asked.reply
        asked.sound_bytes += len(pcm)
        reply.items[evt.item_id] = reply.items.get(evt.item_id, 0) + len(pcm)
        if not reply.cancelled:
            reply.sounded = True
            await self.push_frame(SpokenAudioFrame(audio=pcm, item_id=evt.item_id))

    async def _handle_evt_audio_transcript_delta(self, evt: Any) -> None:
        asked = self._current(evt)
        if asked is None or not evt.delta:
            return
        asked.text += evt.delta
        if not asked.reply.cancelled:
            asked.reply.text += evt.delta
            await self.push_frame(SpokenTextFrame(text=evt.delta))

    async def _handle_evt_text_delta(self, evt: Any) -> None:
        """It has answered in writing, as it sometimes does: the plain voice reads that."""
        asked = self._current(evt)
        if asked is not None and not asked.reply.cancelled:
            await super()._handle_evt_text_delta(evt)

    async def _handle_evt_function_call_arguments_done(self, evt: Any) -> None:
        asked = self._current(evt)
        item = self._pending_function_calls.pop(evt.call_id, None)
        if asked is None or item is None:
            return
        try:
            arguments = json.loads(evt.arguments)
        except ValueError:
            arguments = {}  # the tool says what is missing
        asked.calls.append(
            FunctionCallFromLLM(
                function_name=item.name,
                tool_call_id=evt.call_id,
                arguments=arguments if isinstance(arguments, dict) else {},
                context=asked.context,
            )
        )
        self._there.called(evt.call_id, item.id)

    async def _handle_evt_response_done(self, evt: Any) -> None:
        asked = self._active
        if asked is None or asked.response_id != evt.response.id:
            return
        if evt.response.status == "failed":
            error = (evt.response.status_details or {}).get("error") or {}
            limited = "rate_limit" in str(error.get("code") or error.get("type") or "")
            if asked.record is not None:
                asked.record.end("failed", billed=False)
            await self._lose(Failure("limited" if limited else "error"))
            return
        if asked.record is not None:
            if evt.response.usage is not None:
                asked.record.quantities.update(self._spent.take(evt.response.usage))
            asked.record.end("cancelled" if asked.reply.cancelled else "done")
        if asked.attempt is not None:
            await asked.attempt.leave(done=asked.first.is_set())
        if asked.reply.cancelled:
            self._there.settle(asked.reply, asked.items)
        else:
            await self.run_function_calls(asked.calls)
            await self.push_frame(LLMFullResponseEndFrame())
        self._over(asked)

    # --- tools --------------------------------------------------------------------------------------------------

    async def _handle_function_call_result(self, frame: FunctionCallResultFrame) -> None:
        """Tell the vendor what a tool gave."""
        self._there.result(frame)

    async def _disconnect(self) -> None:
        for task in (self._watching, self._creating):
            if task is not None and not task.done():
                await self.cancel_task(task)
        await super()._disconnect()
