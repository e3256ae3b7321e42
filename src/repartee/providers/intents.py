"""Finds what a turn is about where rules do not tell: by meaning on this machine, or by asking a small model.

Never in the path of a reply: whoever calls this waits in the background, with a deadline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from openai import AsyncOpenAI

from repartee.agent import Agent
from repartee.providers.embedding import Embed, Vectors
from repartee.providers.metering import about

NEAR = 0.55
"""From this nearness on an example tells the topic. Of 25 made-up sentences for the front desk, 17 with a topic,
0.55 names 11 topics right and 2 wrong; 0.5 names 11 and 4 wrong, 0.65 names 8 and 2 wrong."""
OTHER = "something_else"
GOES_ON = "goes_on"


class TopicReader(Protocol):
    """Finds the topic of a turn."""

    async def read(self, text: str, present: str | None) -> str | None:
        """Return the name of an intent, `OTHER` for another topic, None when it is the present one or unclear.

        Args:
            text: What the user said.
            present: The intent that has the floor.

        Raises:
            httpx.HTTPError: The host does not answer.
            OpenAIError: The model does not.
        """


class MeaningReader:
    """By the nearest example, through the speech host's sentence model.

    Args:
        embed: Makes sentence vectors.
        agent: Whose intents; its answers stand for other topics.
    """

    def __init__(self, embed: Embed, agent: Agent) -> None:
        tools = {intent.tool: intent.name for intent in agent.intents if intent.tool}
        topics: dict[str, list[str]] = {intent.name: list(intent.examples) for intent in agent.intents}
        for answer in agent.answers:
            topics.setdefault(tools.get(answer.do or "", OTHER), []).extend(answer.ask)
        self._owners = [name for name, asks in topics.items() for _ in asks]
        self._asks = [ask for asks in topics.values() for ask in asks]
        self._embed = embed
        self._table: Vectors | None = None

    async def read(self, text: str, present: str | None) -> str | None:
        """See `TopicReader.read`."""
        if self._table is None:
            self._table = await self._vectors(self._asks)
        scores = self._table @ (await self._vectors([text]))[0]
        best = int(np.argmax(scores))
        name = self._owners[best]
        return name if scores[best] >= NEAR and name != present else None

    async def _vectors(self, texts: Sequence[str]) -> Vectors:
        with about(purpose="classification"):
            return await self._embed(texts)


class ModelReader:
    """By asking a small language model for one name.

    Args:
        client: Of the provider.
        model: As the provider calls it.
        agent: Whose intents.
    """

    def __init__(self, client: AsyncOpenAI, model: str, agent: Agent) -> None:
        self._client, self._model = client, model
        self._names = {intent.name for intent in agent.intents}
        self._system = _instructions(
            [(i.name, i.description, i.examples[:3]) for i in agent.intents],
        )

    async def read(self, text: str, present: str | None) -> str | None:
        """See `TopicReader.read`."""
        with about(purpose="classification"):
            answer = await self._client.chat.completions.create(
                model=self._model,
                messages=[
                    {"role": "system", "content": self._system},
                    {"role": "user", "content": f"In progress: {present or 'nothing'}\nCaller: {text}"},
                ],
                max_tokens=12,
                temperature=0.0,
            )
        name = ((answer.choices[0].message.content if answer.choices else "") or "").strip(" .'\"`\n").lower()
        return name if name in self._names | {OTHER} and name != present else None


def _instructions(intents: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    lines = [
        "You sort what a caller says on the phone. Answer with one name from this list and nothing else.",
        *(f"{name}: {description} E.g. {' | '.join(examples)}" for name, description, examples in intents),
        f"{GOES_ON}: goes on with what is in progress, answers a question about it, or says yes or no.",
        f"{OTHER}: a question or a wish about something else.",
    ]
    return "\n".join(lines)
