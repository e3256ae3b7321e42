"""Who writes a call's notes: a small model of a chat provider, or sentences picked on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, cast

import httpx
import numpy as np
import structlog
from openai import AsyncOpenAI, OpenAIError

from repartee.conversation.facts import render
from repartee.conversation.memory import FoldJob
from repartee.conversation.summaries import Summary, pick, read_summary, summary_request
from repartee.errors import ProviderError
from repartee.providers.embedding import Embed
from repartee.providers.metering import about

log = structlog.get_logger()
ANSWER_TOKENS = 900
"""Beside the summary itself: the facts, and JSON around both."""
SUMMARY_S = 25.0
"""Nobody waits for it, so it may take longer than anything in a reply."""
EMBED_S = 3.0
MAX_LINES = 256


class Summariser(Protocol):
    """Makes a fold's summary."""

    by_model: bool

    async def summarise(self, job: FoldJob) -> Summary:
        """Return the summary.

        Raises:
            ProviderError: It cannot be made.
        """
        ...


class ModelSummariser:
    """Asks a chat model.

    Args:
        client: Of the provider.
        provider: As in `provider:model`.
        model: As the provider calls it.
    """

    by_model = True

    def __init__(self, client: AsyncOpenAI, provider: str, model: str) -> None:
        self._client = client
        self._provider, self._model = provider, model

    async def summarise(self, job: FoldJob) -> Summary:
        """Ask for the summary."""
        messages = summary_request(job.earlier, job.facts, job.lines, job.max_tokens)
        try:
            with about(purpose="summary"):
                answer = await self._client.chat.completions.create(
                    model=self._model,
                    messages=cast("Any", messages),
                    max_tokens=job.max_tokens + ANSWER_TOKENS,
                    temperature=0,
                    timeout=SUMMARY_S,
                )
            text = (answer.choices[0].message.content if answer.choices else None) or ""
            material = "\n".join((job.earlier, render(job.facts), *job.lines))
            return read_summary(text, material, job.upto - 1)
        except OpenAIError as error:
            raise ProviderError(
                f"{self._provider} did not write the notes: {type(error).__name__}",
                kind="unavailable",
                provider=self._provider,
            ) from error
        except ValueError as error:
            raise ProviderError(
                f"{self._provider}:{self._model} answered with no notes: {error}",
                kind="refused",
                provider=self._provider,
            ) from error


class PickingSummariser:
    """Picks sentences; sentence vectors say which are central, where there is a model for them.

    Args:
        embed: Makes sentence vectors.
    """

    by_model = False

    def __init__(self, embed: Embed | None = None) -> None:
        self._embed = embed

    async def summarise(self, job: FoldJob) -> Summary:
        """Pick among the earlier notes and the turns."""
        lines = [*(job.earlier.split("\n") if job.earlier else ()), *job.lines]
        scores = await self._scores(lines[-MAX_LINES:]) if lines else None
        if scores is not None:
            scores = [0.0] * (len(lines) - len(scores)) + scores
        return Summary(pick(lines, job.max_tokens, scores))

    async def _scores(self, lines: Sequence[str]) -> list[float] | None:
        """How near each line is to what all are about, -1 to 1; None where nothing says so."""
        if self._embed is None:
            return None
        try:
            async with asyncio.timeout(EMBED_S):
                with about(purpose="summary"):
                    vectors = await self._embed(lines)
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError) as error:
            log.info("memory.host_did_not_rank", error=type(error).__name__)
            return None
        middle = vectors.mean(axis=0)
        norm = float(np.linalg.norm(middle)) or 1.0
        return [float(value) for value in vectors @ (middle / norm)]


class Clients(Protocol):
    """What a summariser is built on: the provider kit's clients."""

    def chat_client(self, provider: str) -> AsyncOpenAI:
        """The client of a chat provider."""
        ...

    def embedder(self) -> Embed | None:
        """This machine's sentence model."""
        ...


def summariser(clients: Clients, chosen: tuple[str, str] | None) -> Summariser:
    """Build what writes the notes."""
    if chosen is None:
        return PickingSummariser(clients.embedder())
    return ModelSummariser(clients.chat_client(chosen[0]), *chosen)
