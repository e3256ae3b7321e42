"""The words of a piece of speech from several recognisers: the same audio goes to the next when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI

from repartee.providers.deadline import TurnBudget
from repartee.providers.failover import Attempt, Failover, Request
from repartee.providers.patience import TRANSCRIPT_S


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One rung: a server that speaks OpenAI's wire format."""

    client: AsyncOpenAI
    model: str


class Transcriber:
    """Asks recognisers for the words of a piece, as `failover` says.

    Args:
        failover: Chooses.
        recognisers: In its order; None is a rung that somebody else asks.
        budget: Makes deadlines.
        language: Of the speech, as ISO 639-1.
    """

    def __init__(
        self,
        failover: Failover,
        recognisers: Sequence[Recogniser | None],
        budget: TurnBudget,
        language: str,
    ) -> None:
        self.failover = failover
        self._recognisers = recognisers
        self._budget = budget
        self._language = language

    def request(self) -> Request:
        """Begin one piece."""
        return self.failover.request(self._budget.after(TRANSCRIPT_S))

    async def transcribe(self, wav: bytes) -> Any:
        """Return the transcription of a piece.

        Raises:
            ProviderError: Nobody answers in time.
        """
        request, answer = self.request(), None
        while (attempt := await request.upcoming()) is not None:
            async with attempt:
                if attempt.ok:
                    answer = await self.ask(attempt, wav)
            if attempt.ok:
                return answer
        raise request.error()

    async def ask(self, attempt: Attempt, wav: bytes) -> Any:
        """Ask the recogniser of one attempt; to be called inside it."""
        recogniser = self._recognisers[attempt.index]
        if recogniser is None:
            raise RuntimeError(f"rung {attempt.index} takes no pieces")
        async with asyncio.timeout(attempt.first_s):
            answer = await recogniser.client.audio.transcriptions.create(
                file=("audio.wav", wav, "audio/wav"), model=recogniser.model, language=self._language
            )
        attempt.first()
        return answer
