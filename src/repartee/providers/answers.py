"""A Pipecat LLM service without a language model: the agent file's answers, chosen by meaning."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

from repartee.agent import Agent, Answer
from repartee.providers.dialogue import (
    Action,
    Dialogue,
    Do,
    Say,
    after_failure,
    default_resume,
    step,
    user_texts,
)
from repartee.providers.embedding import Embed, Vectors


class Meaning:
    """Finds the answer nearest to a text; vectors come from the speech host and are kept.

    Args:
        agent: Whose answers.
        embed: Makes the vectors.
    """

    def __init__(self, agent: Agent, embed: Embed) -> None:
        self._embed = embed
        self._owners = [answer for answer in agent.answers for _ in answer.ask]
        self._asks = [ask for answer in agent.answers for ask in answer.ask]
        self._table: Vectors | None = None
        self._known: dict[str, Vectors] = {}

    async def learn(self, texts: list[str]) -> None:
        """Fetch the vectors of texts that are not known yet.

        Raises:
            httpx.HTTPError: The speech host does not answer.
        """
        if self._table is None and self._asks:
            self._table = await self._embed(self._asks)
        if missing := [text for text in texts if text not in self._known]:
            for text, vector in zip(missing, await self._embed(missing), strict=True):
                self._known[text] = vector

    def rank(self, text: str) -> tuple[Answer | None, float]:
        """Return the nearest answer to a learned text."""
        if self._table is None:
            return None, 0.0
        scores = self._table @ self._known[text]
        best = int(np.argmax(scores))
        return self._owners[best], float(scores[best])


class AnswersLLM(LLMService):
    """Answers as the agent file says, fills slots, calls tools.

    Args:
        agent: Answers and fallback.
        meaning: The matcher, shared by a process's calls.
        now: The clock that "tomorrow" is relative to.
    """

    def __init__(self, agent: Agent, meaning: Meaning, now: Callable[[], datetime] = datetime.now) -> None:
        super().__init__(settings=_settings())
        self._agent = agent
        self._meaning = meaning
        self._now = now
        self._resume = {intent.tool: intent.resume for intent in agent.intents if intent.resume}
        self._folded: list[tuple[_Turn, Dialogue, Action]] = []
        """The dialogue after each turn it has seen: a call's hundredth reply reads one turn, not a hundred."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a context; pass everything else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._answer(frame.context)
        except httpx.HTTPError as error:
            await self.push_error(error_msg="the speech host did not match the answers", exception=error)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())

    async def _answer(self, context: LLMContext) -> None:
        messages: list[dict[str, Any]] = [dict(m) for m in context.get_messages()]  # type: ignore[arg-type]
        texts = user_texts(messages)
        await self._meaning.learn(texts)
        match self._fold(messages):
            case Say(text):
                await self.push_frame(LLMTextFrame(text))
            case Do(answer, _, then) if messages and messages[-1].get("role") == "tool":
                result = str(messages[-1]["content"])
                more = "" if _failed(messages[-1]) else then
                await self.push_frame(LLMTextFrame(f"{_told(answer, result)} {more}".strip()))
            case Do(answer, arguments):
                call = FunctionCallFromLLM(
                    context=context,
                    tool_call_id=f"call_{uuid4().hex[:12]}",
                    function_name=answer.do or "",
                    arguments=dict(arguments),
                )
                await self.run_function_calls([call])

    def _fold(self, messages: list[dict[str, Any]]) -> Action:
        """Follow the dialogue through its turns; those that are as they were are not read again."""
        turns = _turns(messages)
        same = 0
        while same < min(len(turns), len(self._folded)) and self._folded[same][0] == turns[same]:
            same += 1
        del self._folded[same:]
        for turn in turns[same:]:
            before = self._folded[-1][1] if self._folded else Dialogue()
            rank, fallback = self._meaning.rank, self._agent.fallback
            state, action = step(before, turn.text, rank, self._now(), fallback, self._offer)
            if turn.failed and isinstance(action, Do):
                state = after_failure(before, action)
            self._folded.append((turn, state, action))
        return self._folded[-1][2] if self._folded else Say(self._agent.fallback)

    def _offer(self, answer: Answer) -> str:
        return self._resume.get(answer.do) or default_resume(answer)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the user said, and whether a tool that was called about it failed."""

    text: str
    failed: bool = False


def _turns(messages: list[dict[str, Any]]) -> list[_Turn]:
    turns: list[_Turn] = []
    for message in messages:
        if texts := user_texts([message]):
            turns.append(_Turn(texts[0]))
        elif turns and message.get("role") == "tool" and _failed(message):
            turns[-1] = replace(turns[-1], failed=True)
    return turns


def _failed(message: dict[str, Any]) -> bool:
    try:
        result = json.loads(str(message.get("content")))
    except ValueError:
        return False
    return isinstance(result, dict) and "error" in result


def _told(answer: Answer, result: str) -> str:
    try:
        data = json.loads(result)
    except ValueError:
        data = result
    if isinstance(data, dict) and "error" in data:
        return f"I'm sorry: {str(data['error']).rstrip('.')}."
    text = data if isinstance(data, str) else json.dumps(data)
    return (answer.say or "{result}").format(result=text)


def _settings() -> LLMSettings:
    return LLMSettings(
        model="answers",
        system_instruction=None,
        temperature=None,
        max_tokens=None,
        top_p=None,
        top_k=None,
        frequency_penalty=None,
        presence_penalty=None,
        seed=None,
        filter_incomplete_user_turns=False,
        user_turn_completion_config=None,
    )
