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

TELL_LANGUAGE = frozenset({"whisper-1"})
"""OpenAI's models that say which language they heard, where they are asked for more than the words."""
_BY_NAME = {"english": "en", "german": "de", "spanish": "es", "french": "fr", "italian": "it", "dutch": "nl"}
"""OpenAI writes the language out."""
ASSUMED = 0.8
"""What a recogniser's word is worth that does not say how sure it is."""


@dataclass(frozen=True, slots=True)
class Recogniser:
    """One rung: a server that speaks OpenAI's wire format."""

    client: AsyncOpenAI
    model: str
    languages: tuple[str, ...] = ()
    """Of this machine's: those one of which is spoken, where it has to find out."""


def spoken_language(answer: Any) -> tuple[str | None, float | None]:
    """Return which language a transcription says it is of, and how sure it is; None where it does not say."""
    language = getattr(answer, "language", None)
    if not isinstance(language, str) or not language:
        return None, None
    confidence = getattr(answer, "language_probability", None)
    code = _BY_NAME.get(language.lower(), language.lower())
    return code, float(confidence) if isinstance(confidence, (int, float)) else ASSUMED


class Transcriber:
    """Asks recognisers for the words of a piece, as `failover` says.

    Args:
        failover: Chooses.
        recognisers: In its order; None is a rung that somebody else asks.
        budget: Makes deadlines.
        language: Of the speech, as ISO 639-1; None leaves it to the recogniser to find out.
    """

    def __init__(
        self,
        failover: Failover,
        recognisers: Sequence[Recogniser | None],
        budget: TurnBudget,
        language: str | None,
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
        more: dict[str, Any] = {} if self._language is None else {"language": self._language}
        if self._language is None and recogniser.languages:
            more = {
                "response_format": "verbose_json",
                "extra_body": {"languages": ",".join(recogniser.languages)},
            }
        elif self._language is None and recogniser.model in TELL_LANGUAGE:
            more = {"response_format": "verbose_json"}
        async with asyncio.timeout(attempt.first_s):
            answer = await recogniser.client.audio.transcriptions.create(
                file=("audio.wav", wav, "audio/wav"), model=recogniser.model, **more
            )
        attempt.first()
        return answer
