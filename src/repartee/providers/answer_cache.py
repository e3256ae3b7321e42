"""The answer cache of one call: the agent file's own answers, and what the model answered before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import httpx
import numpy as np
import structlog

from repartee.agent import Agent
from repartee.conversation.likeness import awaits_answer, why_not_alone, why_not_learned
from repartee.conversation.questions import normalised, read
from repartee.conversation.routing import HARD_EXAMPLES, SIMPLE_EXAMPLES
from repartee.providers.embedding import Embed, Vectors
from repartee.providers.known_questions import Found, Known, KnownQuestions
from repartee.providers.learned import LearnedAnswers

log = structlog.get_logger()
EMBED_S = 0.15
"""A vector that takes longer is not worth waiting for; the model is asked instead."""
WARM_S = 10.0


class AnswerCache:
    """Finds answers that need no model, and learns new ones where the agent file allows it.

    Args:
        agent: Whose answers; its `cache` section says what is allowed.
        embed: Makes sentence vectors; None finds the same words only.
        learned: Where learned answers are kept; None learns nothing.
    """

    def __init__(self, agent: Agent, embed: Embed | None, learned: LearnedAnswers | None) -> None:
        english = agent.language.lower().startswith("en")
        self._agent = agent
        self._embed = embed if english and agent.cache.by_meaning else None
        self._learned = learned if english and agent.cache.learn else None
        self._own_words = own_words(agent)
        self._questions = KnownQuestions(
            file_questions(agent), self._own_words, likeness=agent.cache.likeness
        )
        self._labels: tuple[Vectors, Vectors] | None = None
        self._ready = False

    @property
    def learns(self) -> bool:
        """Whether answers of the model are kept."""
        return self._learned is not None

    async def warm(self) -> None:
        """Read what was learned and make the vectors; without them only the same words are found."""
        if self._learned is not None:
            for question, answer, vector in await asyncio.to_thread(self._learned.load):
                self._questions.add(Known(question, answer, f"learned:{question}", "learned"), vector)
        if self._embed is None:
            return
        try:
            async with asyncio.timeout(WARM_S):
                await self._questions.embed_known(self._embed)
                simple, hard = await self._embed(SIMPLE_EXAMPLES), await self._embed(HARD_EXAMPLES)
            self._labels = simple, hard
            self._ready = True
        except (httpx.HTTPError, TimeoutError) as error:
            log.info("answer_cache.no_vectors", error=type(error).__name__)

    async def find(self, text: str, agent_said: str = "", *, open_goal: bool = False) -> Found:
        """Return an answer to a turn, or why there is none. Waits 150 ms at most.

        Args:
            text: The user's turn.
            agent_said: The agent's words before it.
            open_goal: Something is being arranged with the caller.
        """
        if open_goal or awaits_answer(agent_said):
            return Found(None, "open goal" if open_goal else "pending question")
        if hit := self._questions.exact(text):
            return Found(hit)
        if self._questions.is_known(text):
            return Found(None, "a tool answers it")
        why = why_not_alone(text)
        if self._embed is None or not self._ready:
            return Found(None, why or "no vectors")
        try:
            async with asyncio.timeout(EMBED_S):
                if why is not None:
                    # The routing may still want to know what it is like.
                    return Found(None, why, (await self._embed([normalised(text)]))[0])
                return await self._questions.by_meaning(text, self._embed)
        except (httpx.HTTPError, TimeoutError) as error:
            return Found(None, type(error).__name__)

    def labels(self, vector: Vectors | None) -> tuple[float, float] | None:
        """Return how like a turn is to the nearest simple and the nearest hard example of the routing."""
        if vector is None or self._labels is None:
            return None
        simple, hard = self._labels
        return float(np.max(simple @ vector)), float(np.max(hard @ vector))

    async def used(self, known: Known) -> None:
        """A learned answer was given: it is kept longer than those that are not."""
        if self._learned is not None and known.source == "learned":
            await asyncio.to_thread(self._learned.used, normalised(known.question))

    async def learn(
        self, text: str, answer: str, *, agent_said: str, said_before: Sequence[str]
    ) -> str | None:
        """Keep an answer that was heard to its end; return why it may not be kept.

        Args:
            text: The turn it answered.
            answer: What was heard.
            agent_said: The agent's words before the turn.
            said_before: The caller's turns before it.
        """
        if self._learned is None:
            return "off"
        if text == text.lower():
            return "no capitals"  # names are known by them
        asked = read(text, self._own_words)
        why = why_not_alone(text, agent_said) or why_not_learned(asked, answer, " ".join(said_before))
        if why is not None or self._questions.is_known(text):
            return why or "known"
        vector = None
        if self._embed is not None:
            try:
                async with asyncio.timeout(WARM_S):
                    vector = (await self._embed([asked.key]))[0]
            except (httpx.HTTPError, TimeoutError):
                vector = None
        self._questions.add(Known(asked.key, answer, f"learned:{asked.key}", "learned"), vector)
        if vector is not None and self._embed is not None:
            await self._questions.embed_known(self._embed)
        await asyncio.to_thread(self._learned.keep, asked.key, answer, vector)
        return None


def file_questions(agent: Agent) -> list[Known]:
    """Return the questions of the agent file; those a tool answers have no answer here."""
    if not agent.cache.answers:
        return [Known(ask, None, answer.id) for answer in agent.answers for ask in answer.ask if answer.do]
    return [
        Known(ask, answer.say if answer.do is None else None, answer.id)
        for answer in agent.answers
        for ask in answer.ask
    ]


def own_words(agent: Agent) -> frozenset[str]:
    """Return the words of the agent's name: "the clinic" means no more than "you" there."""
    return frozenset(re.findall(r"\w+", agent.name.lower()))


def space_of(agent: Agent, model: str) -> str:
    """Return what a learned answer holds for: another file, tool or model is another space."""
    return f"{agent.name}\n{agent.version}\n{model}"
