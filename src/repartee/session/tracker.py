"""Follows one reply out of the model: tool calls are answered and asked again, the end is marked.

Sits between the model and the voice. Pipecat's assistant aggregator would do the tool loop, but it also writes
generated text into the context, heard or not; here only heard text may enter, so the loop is ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, cast

from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from repartee.conversation.history import Message
from repartee.providers.frames import SpeakerFrame, SpokenTextFrame
from repartee.providers.tool_calls import Passed, Question
from repartee.session.frames import AsideFrame, ReplyEndFrame, ReplyStartFrame

MAX_TOOL_ROUNDS = 5
"""A model that keeps calling tools is stopped here and must speak."""


class ReplyTracker(FrameProcessor):
    """Runs the tool rounds of a reply and pushes `ReplyEndFrame` when the model is done.

    Args:
        on_tools: Called with the messages of a finished round of tool calls.
        on_first_text: Called with the reply id when its first text arrives.
        acts: Names of tools that change something: what they did is told to `on_tools` even when their reply is
            over.
        fit: Cuts a request that tools have made longer to what one may take.
    """

    def __init__(
        self,
        on_tools: Callable[[list[Message]], None],
        on_first_text: Callable[[int], None],
        acts: Collection[str] = (),
        fit: Callable[[list[Message]], list[Message]] = list,
    ) -> None:
        super().__init__(name="ReplyTracker")
        self._on_tools = on_tools
        self._on_first_text = on_first_text
        self._acts = acts
        self.before_round: Callable[[LLMContext], None] | None = None
        """Called with the context before the model is asked again after tools."""
        self._fit = fit
        self._reply_id: int | None = None
        self._context: LLMContext | None = None
        self._reset()

    def _reset(self) -> None:
        self._calls: dict[str, FunctionCallResultFrame | None] = {}
        self._requested: list[Any] = []
        self._response_ended = False
        self._rounds = 0
        self._has_text = False
        self._round_text = False

    def spoke(self, reply_id: int) -> bool | None:
        """Say whether the model has spoken before its tool calls; None when another reply, or none, is made."""
        return self._round_text if reply_id == self._reply_id and self._context is not None else None

    async def say_aside(self, text: str) -> None:
        """Say a text in the present reply that is no part of it."""
        await self.push_frame(AsideFrame(begins=True, text=text))
        await self.push_frame(TTSSpeakFrame(text, append_to_context=False))
        await self.push_frame(AsideFrame(begins=False, text=text))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Watch the reply's frames; every one is passed on."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        match frame:
            case InterruptionFrame():
                self._tell_late([result for result in self._calls.values() if result is not None])
                self._reset()
                self._context = None
            case LLMTextFrame() | AggregatedTextFrame() | SpokenTextFrame():
                self._round_text = True
                self._worded()
            case FunctionCallsStartedFrame() if direction is FrameDirection.DOWNSTREAM:
                self._requested = list(frame.function_calls)
                self._calls = {call.tool_call_id: None for call in self._requested}
            case FunctionCallResultFrame() if direction is FrameDirection.DOWNSTREAM:
                if frame.tool_call_id in self._calls:
                    self._calls[frame.tool_call_id] = frame
                    await self._maybe_continue()
                else:
                    self._tell_late([frame])
            case FunctionCallCancelFrame() if direction is FrameDirection.DOWNSTREAM:
                self._calls.pop(frame.tool_call_id, None)
                await self._maybe_continue()
            case LLMFullResponseEndFrame():
                self._response_ended = True
                await self._maybe_continue()
            case ReplyStartFrame():
                self._begin(frame)
            case _:
                pass

    def _worded(self) -> None:
        if not self._has_text and self._reply_id is not None:
            self._has_text = True
            self._on_first_text(self._reply_id)

    def _begin(self, frame: ReplyStartFrame) -> None:
        # "Calls started" is a system frame and may overtake the start of the very reply it belongs to.
        calls = self._calls if any(call.context is frame.context for call in self._requested) else {}
        self._reset()
        self._calls = calls
        self._reply_id, self._context = frame.reply_id, frame.context

    def _tell_late(self, results: list[FunctionCallResultFrame]) -> None:
        """What a tool did is true although its reply is over: the model shall not do it again, nor deny it."""
        done = [r for r in results if r.function_name in self._acts and not _undone(r.result)]
        if done:
            self._on_tools(_tool_messages(done))

    async def _maybe_continue(self) -> None:
        """End the reply, or ask the model again once every tool of the round has answered."""
        if not self._response_ended or self._context is None or self._reply_id is None:
            return
        if any(result is None for result in self._calls.values()):
            return
        results = [result for result in self._calls.values() if result is not None]
        if results:
            messages = _tool_messages(results)
            self._on_tools(messages)
            if len(results) == 1 and isinstance(question := results[0].result, Question):
                await self._ask(question.text)
                return
            for passed in (result.result for result in results if isinstance(result.result, Passed)):
                await self._pass_on(passed)
            for message in messages:
                self._context.add_message(cast("LLMContextMessage", message))
            self._rounds += 1
            self._calls, self._requested, self._response_ended = {}, [], False
            self._round_text = False
            if self._rounds >= MAX_TOOL_ROUNDS:
                self._context.set_tools()
            elif self.before_round is not None:
                self.before_round(self._context)
            fitting = self._fit(cast("list[Message]", self._context.get_messages()))
            self._context.set_messages(cast("list[LLMContextMessage]", fitting))
            await self.push_frame(LLMContextFrame(context=self._context), FrameDirection.UPSTREAM)
            return
        self._context = None
        await self.push_frame(ReplyEndFrame(reply_id=self._reply_id))

    async def _ask(self, question: str) -> None:
        """End the reply with a question in our own words; the model could only spoil them, and would take time."""
        self._context, reply_id = None, self._reply_id
        await self._say(question)
        await self.push_frame(ReplyEndFrame(reply_id=reply_id or 0))

    async def _pass_on(self, passed: Passed) -> None:
        """Let the agent who had the call say so, unless they have, and the other one say what follows."""
        if passed.line and not self._round_text:
            self._worded()
            await self._say(passed.line)
        await self.push_frame(SpeakerFrame(agent=passed.to))

    async def _say(self, text: str) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(text))
        await self.push_frame(LLMFullResponseEndFrame())


def _undone(result: Any) -> bool:
    return isinstance(result, Question) or (isinstance(result, dict) and "error" in result)


def _tool_messages(results: list[FunctionCallResultFrame]) -> list[Message]:
    calls = [
        {
            "id": result.tool_call_id,
            "type": "function",
            "function": {"name": result.function_name, "arguments": json.dumps(result.arguments)},
        }
        for result in results
    ]
    answers: list[Message] = [
        {
            "role": "tool",
            "tool_call_id": result.tool_call_id,
            "content": result.result if isinstance(result.result, str) else json.dumps(result.result),
        }
        for result in results
    ]
    return [{"role": "assistant", "tool_calls": calls}, *answers]
