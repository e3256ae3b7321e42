"""One language model service that asks a small model first where the turn was found simple.

The small model's answer is looked at before it is passed on: if it would do something that changes things, says that
it cannot, fails or takes too long, the large model answers instead, once, within the turn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pipecat.processors.aggregators.llm_context import LLMContext

from repartee.conversation.routing import Tier
from repartee.errors import ProviderError
from repartee.providers.frames import ReplyContext
from repartee.providers.metering import about
from repartee.providers.services import SharedClientLLM

SMALL_S = 1.5
"""The small model has this long until its answer is found good; then the large one is asked."""
LOOKED_AT_WORDS = 6
"""So many words of an answer say whether it is one; they come within a tenth of a second of each other."""
CANNOT = re.compile(
    r"\b(?:can(?:no|')?t|can not|unable to|not able to|do(?:n't| not) (?:know|have)|not sure|unfortunately|as an ai"
    r"|i(?:'m| am) (?:sorry|afraid)|sorry,? (?:but )?i)\b",
    re.IGNORECASE,
)


@dataclass
class _Try:
    """What the small model has said so far."""

    request_id: str = field(default_factory=lambda: uuid4().hex)
    stream: Any = None
    coming: AsyncIterator[ChatCompletionChunk] | None = None
    """What the stream has yet to give: taken once, so that nothing is read twice or lost."""
    chunks: list[ChatCompletionChunk] = field(default_factory=list)
    text: str = ""
    tool: str | None = None
    ended: bool = False


class RoutedLLM(SharedClientLLM):
    """The large model, with a small one in front of it for the turns that `choose` names.

    Args:
        client: The large model's client.
        small: The small model; it is only asked for streams and takes no part in the pipeline.
        acting_tools: Names of the tools that change something; looked at anew for each answer.
        kwargs: As for `SharedClientLLM`.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *args: Any,
        small: SharedClientLLM,
        acting_tools: Collection[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(client, *args, **kwargs)
        self._small = small
        self._acting_tools = acting_tools
        self._tiers: WeakKeyDictionary[LLMContext, Tier] = WeakKeyDictionary()
        self.on_takeover: Callable[[LLMContext, str], None] | None = None
        """Called when the large model answers in the small one's place, with why."""
        self.on_replaced: Callable[[int, str], None] | None = None
        """Called with a reply and the small model's request that was made for nothing."""

    def choose(self, context: LLMContext, tier: Tier) -> None:
        """Say which model answers a context, its rounds of tool calls included."""
        self._tiers[context] = tier

    async def get_chat_completions(self, context: LLMContext) -> Any:
        """Return the stream of the model that was chosen, or of the large one when the small one will not do."""
        if self._tiers.get(context) != "small":
            return await super().get_chat_completions(context)
        tried, why = _Try(), ""
        try:
            async with asyncio.timeout(SMALL_S):
                with about(name=tried.request_id):
                    tried.stream = await self._small.get_chat_completions(context)
                tried.coming = aiter(tried.stream)
                why = await self._look(tried.coming, tried)
        except TimeoutError:
            why = "slow"
        except (APIError, ProviderError) as error:
            why = type(error).__name__
        except BaseException:
            await _close(tried.stream)
            raise
        if not why:
            return self._rest(context, tried)
        await _close(tried.stream)
        if self.on_replaced is not None and isinstance(context, ReplyContext):
            self.on_replaced(context.reply_id, tried.request_id)
        return await self._take_over(context, why)

    async def _look(self, coming: AsyncIterator[ChatCompletionChunk], tried: _Try) -> str:
        """Read until the answer is known to be one; return why it is none."""
        async for chunk in coming:
            tried.chunks.append(chunk)
            self._note(tried, chunk)
            if tried.tool is not None:
                return "tool" if tried.tool in self._acting_tools else ""
            if CANNOT.search(tried.text):
                return "cannot"
            if len(tried.text.split()) > LOOKED_AT_WORDS:
                return ""
        tried.ended = True
        return "" if tried.text.strip() else "empty"

    def _note(self, tried: _Try, chunk: ChatCompletionChunk) -> None:
        delta = chunk.choices[0].delta if chunk.choices else None
        if delta is None:
            return
        tried.text += delta.content or ""
        for call in delta.tool_calls or ():
            if call.function and call.function.name:
                tried.tool = call.function.name

    async def _rest(self, context: LLMContext, tried: _Try) -> AsyncIterator[ChatCompletionChunk]:
        """Pass on what was looked at and what follows; a tool that acts, after words, goes to the large model."""
        large: Any = None
        try:
            for chunk in tried.chunks:
                yield chunk
            if tried.ended or tried.coming is None:
                return
            try:
                async for chunk in tried.coming:
                    seen = _Try()
                    self._note(seen, chunk)
                    if seen.tool in self._acting_tools:
                        large = await self._take_over(context, "tool")
                        break
                    tried.text += seen.text
                    yield chunk
            except ProviderError:
                large = await self._take_over(context, "cut", tried.text)
            if large is not None:
                async for chunk in large:
                    yield chunk
        finally:
            await _close(tried.stream)
            await _close(large)

    async def _take_over(self, context: LLMContext, why: str, said: str = "") -> Any:
        self._tiers[context] = "large"
        if self.on_takeover is not None:
            self.on_takeover(context, why)
        if said and self.chain is not None:
            return self.chain.answer(context, said)
        return await super().get_chat_completions(context)


async def _close(stream: Any) -> None:
    if stream is not None:
        await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
