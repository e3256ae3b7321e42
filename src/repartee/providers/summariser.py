"""Who writes a call's notes: a small model of a chat provider, or sentences picked on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any, Protocol, cast
from uuid import uuid4

import httpx
import numpy as np
import structlog
from openai import AsyncOpenAI, OpenAIError

from repartee.conversation.facts import render
from repartee.conversation.memory import FoldJob
from repartee.conversation.summaries import Summary, pick, read_summary, summary_request
from repartee.conversation.tokens import request_tokens, text_tokens
from repartee.errors import ProviderError
from repartee.providers.embedding import Embed
from repartee.telemetry.usage import Outcome, ReportUsage, Unit, Usage

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
        report: Takes what each request used, with purpose "summary".
        clock_ms: The call's clock.
    """

    by_model = True

    def __init__(
        self,
        client: AsyncOpenAI,
        provider: str,
        model: str,
        report: ReportUsage,
        clock_ms: Callable[[], float],
    ) -> None:
        self._client = client
        self._provider, self._model = provider, model
        self._report = report
        self._clock_ms = clock_ms
        self._id, self._numbers = uuid4().hex[:12], count(1)

    async def summarise(self, job: FoldJob) -> Summary:
        """Ask for the summary; reports what it used, however it ends."""
        messages = summary_request(job.earlier, job.facts, job.lines, job.max_tokens)
        quantities: dict[Unit, Decimal] = {"tokens_in": Decimal(request_tokens(messages))}
        began_ms, estimated = self._clock_ms(), True
        outcome: Outcome = "cancelled"
        try:
            answer = await self._client.chat.completions.create(
                model=self._model,
                messages=cast("Any", messages),
                max_tokens=job.max_tokens + ANSWER_TOKENS,
                temperature=0,
                timeout=SUMMARY_S,
            )
            text = (answer.choices[0].message.content if answer.choices else None) or ""
            quantities["tokens_out"], outcome = Decimal(text_tokens(text)), "done"
            if answer.usage is not None:
                estimated = False
                quantities = _quantities(answer.usage)
            material = "\n".join((job.earlier, render(job.facts), *job.lines))
            return read_summary(text, material, job.upto - 1)
        except OpenAIError as error:
            outcome = "failed"
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
        finally:
            self._report(
                Usage(
                    f"summary-{self._id}-{next(self._numbers)}",
                    "llm",
                    self._provider,
                    self._model,
                    quantities,
                    outcome,
                    estimated,
                    purpose="summary",
                    started_at_ms=began_ms,
                    ended_at_ms=self._clock_ms(),
                )
            )


def _quantities(usage: Any) -> dict[Unit, Decimal]:
    cached = getattr(usage.prompt_tokens_details, "cached_tokens", None) or 0
    return {
        "tokens_in": Decimal(usage.prompt_tokens),
        "tokens_cached": Decimal(cached),
        "tokens_out": Decimal(usage.completion_tokens),
    }


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


def summariser(
    clients: Clients, chosen: tuple[str, str] | None, report: ReportUsage, clock_ms: Callable[[], float]
) -> Summariser:
    """Build what writes the notes."""
    if chosen is None:
        return PickingSummariser(clients.embedder())
    return ModelSummariser(clients.chat_client(chosen[0]), *chosen, report, clock_ms)
