"""One answer from several models: asked elsewhere when one fails before it spoke, gone on with when it is cut.

A stream is watched from outside: the first token must come in time, and no gap may be long. What was passed on has
been said; another model goes on after it and says none of it again. Calls of tools pass when they are whole: half a
call is none, so it is simply asked for once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from pipecat.processors.aggregators.llm_context import LLMContext

from repartee.errors import ProviderError
from repartee.providers.deadline import Deadline, TurnBudget
from repartee.providers.failover import Attempt, Failover
from repartee.providers.frames import ReplyContext
from repartee.providers.joint import Joint, Passed
from repartee.providers.patience import GO_ON_S, VOICE_KEEP_S

GO_ON = (
    "Your answer was cut off after the words above. Go on exactly where they stop and finish it. "
    "Say none of them again."
)
ANSWER_S = 90.0
"""A stream that is not over by then is ended: no answer takes as long."""


class Asking(Protocol):
    """A model that can be asked for a stream."""

    async def ask(self, context: LLMContext) -> Any:
        """Return the stream of its answer."""


@dataclass
class _Answer:
    """What one answer has come to so far."""

    context: LLMContext
    passed: Passed = field(default_factory=Passed)
    tools: list[ChatCompletionChunk] = field(default_factory=list)
    finished: bool = False

    def cut(self) -> None:
        """The stream ended in the middle."""
        self.finished = False
        self.passed.cut()
        self.tools.clear()

    def question(self) -> LLMContext:
        """Return what the next model is asked."""
        if not self.passed.text.strip():
            return self.context
        messages: list[Any] = [
            *self.context.get_messages(),
            {"role": "assistant", "content": self.passed.text.strip()},
            {"role": "developer", "content": GO_ON},
        ]
        if isinstance(self.context, ReplyContext):
            return ReplyContext(messages, tools=self.context.tools, reply_id=self.context.reply_id)
        return LLMContext(messages, tools=self.context.tools)


class ModelChain:
    """The models of one stage, asked as `failover` says.

    Args:
        failover: Chooses.
        models: The models, in its order.
        budget: The turn's deadline.
        cut_line: Said where an answer was cut and nobody goes on with it; empty raises instead.
        limit_s: The first token of any of them must come within this, where that is less than the turn has left.
    """

    def __init__(
        self,
        failover: Failover,
        models: Sequence[Asking],
        budget: TurnBudget,
        *,
        cut_line: str = "",
        limit_s: float | None = None,
    ) -> None:
        self._failover = failover
        self._models = models
        self._budget = budget
        self._cut_line = cut_line
        self._limit_s = limit_s

    async def answer(self, context: LLMContext, said: str = "") -> AsyncIterator[ChatCompletionChunk]:
        """Yield one answer.

        Args:
            context: The question.
            said: What another has said of the answer already.

        Raises:
            ProviderError: Nobody answers in time, or goes on with what was said.
        """
        answer = _Answer(context)
        answer.passed.text = said
        request = self._failover.request(self._deadline())
        while (attempt := await request.upcoming()) is not None:
            before = len(answer.passed.text)
            async with attempt:
                if attempt.ok:
                    async for chunk in self._listen(attempt, answer):
                        yield chunk
            if attempt.ok:
                return
            answer.cut()
            if len(answer.passed.text) > before:
                # It was being heard meanwhile; going on has a time of its own.
                request = self._failover.request(self._budget.after(GO_ON_S), skip=request.failed)
        if not (answer.passed.text.strip() and self._cut_line):
            raise request.error()
        yield _chunk(f" … {self._cut_line}")

    def _deadline(self) -> Deadline:
        turn = self._budget.deadline()
        at_s = turn.at_s - VOICE_KEEP_S
        if self._limit_s is not None:
            at_s = min(at_s, turn.clock_s() + self._limit_s)
        return Deadline(at_s, turn.clock_s)

    async def _listen(self, attempt: Attempt, answer: _Answer) -> AsyncIterator[ChatCompletionChunk]:
        """Pass on one model's stream.

        Raises:
            ProviderError: It ended in the middle, or before it began.
        """
        model, joint, stream = self._models[attempt.index], Joint(answer.passed.text), None
        over = self._budget.after(ANSWER_S)
        try:
            async with asyncio.timeout(attempt.first_s):
                stream = await model.ask(answer.question())
                coming = aiter(stream)
                chunk = await _meaningful(coming)
            if chunk is None:
                raise _ended_early(attempt)
            attempt.first()
            while chunk is not None:
                if (passing := self._pass(chunk, answer, joint)) is not None:
                    yield passing
                async with asyncio.timeout(over.within(attempt.choice.idle_s)):
                    chunk = await anext(coming, None)
            self._check_whole(attempt, answer)
            if rest := answer.passed.add(joint.finish()) + answer.passed.finish():
                yield _chunk(rest)
            for tool in answer.tools:
                yield tool
        finally:
            if stream is not None:
                await stream.close()

    def _pass(self, chunk: ChatCompletionChunk, answer: _Answer, joint: Joint) -> ChatCompletionChunk | None:
        """Return what of a chunk may pass now."""
        choice = chunk.choices[0] if chunk.choices else None
        if choice is None:
            return chunk
        answer.finished = answer.finished or choice.finish_reason is not None
        if choice.delta.tool_calls:
            answer.tools.append(chunk)
            return None
        choice.delta.content = answer.passed.add(joint.add(choice.delta.content or ""))
        return chunk

    def _check_whole(self, attempt: Attempt, answer: _Answer) -> None:
        """A vendor's stream that stops without saying that it ends was cut; other servers may not say it."""
        if not answer.finished and (attempt.choice.key.provider == "openai" or answer.tools):
            raise _ended_early(attempt)


def _ended_early(attempt: Attempt) -> ProviderError:
    provider = attempt.choice.key.provider
    return ProviderError(f"the answer of {provider} ended early", kind="unavailable", provider=provider)


async def _meaningful(coming: AsyncIterator[ChatCompletionChunk]) -> ChatCompletionChunk | None:
    """Return the first chunk that says something, or ends the answer; None when there is none."""
    async for chunk in coming:
        choice = chunk.choices[0] if chunk.choices else None
        if choice is None:
            continue
        if choice.delta.content or choice.delta.tool_calls or choice.finish_reason:
            return chunk
    return None


def _chunk(text: str) -> ChatCompletionChunk:
    choice = ChunkChoice(index=0, delta=ChoiceDelta(content=text), finish_reason=cast("Any", None))
    return ChatCompletionChunk(
        id="joint", choices=[choice], created=0, model="", object="chat.completion.chunk"
    )
