"""The tiers of an answer: what is known already, a small model, a large one, in this order.

Sits between the bridge and the model. A question with a known answer never reaches the model: the answer is sent on
as if a model had said it, word by word, so that it is held, released, cut off and remembered like any other. The
timeline is told which tier answered (`reply.tier`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from repartee.conversation.budget import BudgetState
from repartee.conversation.clauses import clauses_of
from repartee.conversation.routing import Tier, Turn, route
from repartee.providers.answer_cache import AnswerCache
from repartee.providers.frames import SpeakerFrame
from repartee.providers.known_questions import Found
from repartee.providers.voice_cache import VoiceCache
from repartee.session.frames import ReplyStartFrame

log = structlog.get_logger()
LEARN_S = 15.0
Mark = Callable[..., None]


class ModelChoice(Protocol):
    """A language model service that has a small model in front of it."""

    on_takeover: Callable[[LLMContext, str], None] | None

    def choose(self, context: LLMContext, tier: Tier) -> None:
        """Say which model answers a context."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What else the choice depends on.

    Attributes:
        open_goal: Something is being arranged with the caller.
        budget: How money stands.
        small: The machine is loaded: the small model answers, whatever is asked.
        plain: And nothing is learned.
    """

    open_goal: bool = False
    budget: BudgetState = "normal"
    small: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class TierParts:
    """What the tiers consist of.

    Attributes:
        cache: Known answers; None where there are none.
        models: The choice between small and large; None where there is one model.
        voice: Where audio is kept; the known answers' audio is kept too.
        whole: Answers are spoken in one piece: the voice streams, and keeps whole replies only.
        has_tools: The agent can do things.
    """

    cache: AnswerCache | None = None
    models: ModelChoice | None = None
    voice: VoiceCache | None = None
    whole: bool = False
    has_tools: bool = False


@dataclass
class _Asked:
    """A question the model was asked, whose answer may be kept once it was heard."""

    reply_id: int
    text: str
    agent_said: str
    said_before: Sequence[str]
    context: LLMContext
    failed: bool = False


class Tiers(FrameProcessor):
    """Answers from what is known, or chooses the model.

    Args:
        parts: What there is to choose from.
        mark: Writes to the timeline.
        standing: Asked at each turn.
    """

    def __init__(self, parts: TierParts, mark: Mark, standing: Callable[[], Standing] = Standing) -> None:
        super().__init__(name="Tiers")
        self._parts = parts
        self._mark = mark
        self._standing = standing
        self._reply_id = 0
        self._asked: _Asked | None = None
        self._learning: asyncio.Task[None] | None = None
        self._replies: dict[int, int] = {}
        self._parts_of: Callable[[str], TierParts] | None = None
        self._members: dict[str, TierParts] = {}
        """Of the agents of a team who have had the call."""
        self._mixed: int | None = None
        """The reply in which the call was passed on: two voices speak it."""
        if parts.models is not None:
            parts.models.on_takeover = self._taken_over

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer or route a question; pass everything else on."""
        await super().process_frame(frame, direction)
        match frame:
            case ReplyStartFrame():
                self._reply_id = frame.reply_id
            case SpeakerFrame():
                self._become(frame.agent)
            case LLMContextFrame() if direction is FrameDirection.DOWNSTREAM:
                if await self._answered(frame.context):
                    return
            case ErrorFrame() if self._asked is not None:
                self._asked.failed = True
            case _:
                pass
        await self.push_frame(frame, direction)

    def heard(self, reply_id: int, text: str, pcm: bytes) -> None:
        """A reply was heard to its end; its answer may be kept."""
        asked, self._asked = self._asked, None
        parts = self._parts
        if reply_id == self._mixed:
            return
        if parts.whole and parts.voice is not None and text and not parts.voice.has_all([text]):
            parts.voice.put(text, pcm)
        if asked is None or asked.reply_id != reply_id or asked.failed or parts.cache is None:
            return
        if _used_tools(asked) or (self._learning is not None and not self._learning.done()):
            return
        self._learning = self.create_task(self._learn(asked, text), "Tiers::learn")

    def aside(self, text: str, pcm: bytes) -> None:
        """The audio of what is said while an answer takes long has come; it is not made again."""
        voice = self._parts.voice
        if self._parts.whole and voice is not None and not voice.has_all([text]):
            voice.put(text, pcm)

    def passed_on(self, reply_id: int) -> None:
        """The call is passed to another agent in this reply."""
        self._mixed = reply_id

    def join(self, first: str, parts_of: Callable[[str], TierParts]) -> None:
        """Work for a team.

        Args:
            first: Whose the parts are that are there.
            parts_of: Makes another agent's, when they are first needed.
        """
        self._members, self._parts_of = {first: self._parts}, parts_of

    def _become(self, name: str) -> None:
        if name not in self._members and self._parts_of is not None:
            self._members[name] = self._parts_of(name)
        self._parts = self._members.get(name, self._parts)

    async def settled(self) -> None:
        """Wait until what is being learned is kept; `LEARN_S` at most."""
        if self._learning is not None:
            await asyncio.wait({self._learning})

    async def cleanup(self) -> None:
        """Stop learning."""
        if self._learning is not None and not self._learning.done():
            await self.cancel_task(self._learning)
        await super().cleanup()

    # --- one turn ---------------------------------------------------------------------------------------------

    async def _answered(self, context: LLMContext) -> bool:
        """Answer from what is known, or choose the model; return whether it is answered."""
        reply_id, parts, standing = self._reply_id, self._parts, self._standing()
        self._asked = None
        messages = _conversation(context)
        text, agent_said = _last_turn(messages)
        found = Found()
        if parts.cache is not None and text:
            found = await parts.cache.find(text, agent_said, open_goal=standing.open_goal)
        if found.hit is not None and found.hit.known.answer is not None:
            hit = found.hit
            self._mark(
                "reply.tier",
                reply_id=reply_id,
                tier="cached",
                how=hit.how,
                source=hit.known.source,
                likeness=round(hit.likeness, 3),
            )
            await self._say(found.hit.known.answer)
            if parts.cache is not None:
                await parts.cache.used(hit.known)
            return True
        self._choose(
            context,
            Turn(
                text, agent_said, standing.open_goal, parts.has_tools, standing.budget, loaded=standing.small
            ),
            found,
        )
        if standing.plain:
            return False
        if parts.cache is not None and parts.cache.learns and text and not standing.open_goal:
            before = [str(m["content"]) for m in messages[:-1] if m.get("role") == "user"]
            self._asked = _Asked(reply_id, text, agent_said, before, context)
        return False

    def _choose(self, context: LLMContext, turn: Turn, found: Found) -> None:
        tier, why = "large", ""
        if (models := self._parts.models) is not None:
            if self._parts.cache is not None and (labels := self._parts.cache.labels(found.vector)):
                turn = replace(turn, simple=labels[0], hard=labels[1])
            chosen = route(turn)
            tier, why = chosen.tier, chosen.why
            models.choose(context, chosen.tier)
        self._replies = {id(context): self._reply_id}
        self._mark("reply.tier", reply_id=self._reply_id, tier=tier, why=why, not_cached=found.why_not)

    def _taken_over(self, context: LLMContext, why: str) -> None:
        reply_id = self._replies.get(id(context), self._reply_id)
        self._mark("reply.tier", reply_id=reply_id, tier="large", why=f"small: {why}", not_cached="")

    async def _say(self, text: str) -> None:
        parts, spoken = self._parts, " ".join(text.split())
        if parts.voice is not None:
            parts.voice.keep([spoken] if parts.whole else clauses_of(spoken))
        await self.push_frame(LLMFullResponseStartFrame())
        if parts.whole:
            await self.push_frame(AggregatedTextFrame(spoken, TextType.SENTENCE))
        else:
            for word in spoken.split():
                await self.push_frame(LLMTextFrame(f"{word} "))
        await self.push_frame(LLMFullResponseEndFrame())

    async def _learn(self, asked: _Asked, answer: str) -> None:
        cache, voice = self._parts.cache, self._parts.voice
        if cache is None:
            return
        try:
            async with asyncio.timeout(LEARN_S):
                why = await cache.learn(
                    asked.text, answer, agent_said=asked.agent_said, said_before=asked.said_before
                )
        except TimeoutError:
            why = "slow"
        self._mark("answer.learned", reply_id=asked.reply_id, kept=why is None, why=why or "")
        if why is None and voice is not None:
            voice.keep([answer] if self._parts.whole else clauses_of(answer))


def _conversation(context: LLMContext) -> list[Mapping[str, Any]]:
    """Return what was said and done; a note at the end of a request is neither."""
    messages: list[Mapping[str, Any]] = [dict(m) for m in context.get_messages()]  # type: ignore[arg-type]
    return [message for message in messages if message.get("role") != "developer"]


def _last_turn(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the user's last turn and what the agent said before it; no turn where a tool spoke last."""
    if not messages or messages[-1].get("role") != "user":
        return "", ""
    said = (m.get("content") for m in reversed(messages[:-1]) if m.get("role") == "assistant")
    return str(messages[-1].get("content") or ""), str(next((text for text in said if text), ""))


def _used_tools(asked: _Asked) -> bool:
    return _conversation(asked.context)[-1].get("role") == "tool"
