"""A clause's audio from several voices: the next voice goes on with the words that were not spoken.

Every vendor has a plain request that answers with raw audio (16 bit, mono, 24 kHz); that is what stands by, also for
voices that are spoken to over a socket while all is well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from repartee.errors import ProviderError, ProviderErrorKind
from repartee.providers.deadline import TurnBudget
from repartee.providers.failover import Attempt, Failover, Request
from repartee.providers.failures import Why
from repartee.providers.patience import GO_ON_S
from repartee.providers.voice_cache import VOICE_RATE_HZ, VoiceCache

CHUNK_BYTES = 1920
"""40 ms at 24 kHz."""
BYTES_PER_S = VOICE_RATE_HZ * 2
LETTERS_PER_S = 15.0
"""Usual pace of English voices, until a voice's own is known."""
PACE_MEMORY = 0.3
SURE_LETTERS = 40
"""A clause must be so long to teach a voice's pace."""
WHOLE = 0.9
"""A text of which so much was spoken is spoken; what follows it matters more than its last syllable."""
SILENT_S = 1.5
"""A voice that has sent so much silence and no sound says nothing. Vendors begin with a third of it at the most."""
SILENT_PEAK = 64
"""Of 32,767: -54 dB. The noise of a voice's own silence is below it, the softest beginning of a word above."""
CLAUSE_S = 60.0
"""A clause's audio is there by then, or never."""
_WORD = re.compile(r"\S+\s*")


class Voice(Protocol):
    """A voice that answers a text with audio."""

    def speak(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Return the chunks of a text's audio."""


class VoiceLostError(ProviderError):
    """No voice is left; `spoken` is how many characters of the text were."""

    def __init__(self, message: str, *, kind: ProviderErrorKind, provider: str, spoken: int) -> None:
        super().__init__(message, kind=kind, provider=provider)
        self.spoken = spoken


@dataclass(frozen=True, slots=True)
class Sound:
    """A chunk of audio, and which of the voices it is of."""

    pcm: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Speaker:
    """How one agent of a call sounds.

    Attributes:
        chain: Their voices by plain requests.
        cache: Audio of theirs that was made before.
        settings: What Pipecat's service is told to become them.
    """

    chain: VoiceChain
    cache: VoiceCache | None
    settings: Any


class VoiceChain:
    """The voices of one stage, asked as `failover` says.

    Args:
        failover: Chooses.
        voices: In its order.
        budget: The turn's deadline.
    """

    def __init__(self, failover: Failover, voices: Sequence[Voice], budget: TurnBudget) -> None:
        self.failover = failover
        self._voices = voices
        self._budget = budget
        self._paces = [LETTERS_PER_S] * len(voices)

    def request(self) -> Request:
        """Begin a request for somebody who asks the first voice in another way."""
        return self.failover.request(self._budget.deadline())

    async def speak(self, text: str, skip: Sequence[tuple[int, Why]] = ()) -> AsyncIterator[Sound]:
        """Yield a text's audio.

        Args:
            text: A clause.
            skip: Voices that have failed for it already.

        Raises:
            VoiceLostError: No voice could be had in time, or none that goes on.
        """
        whole = len(text)
        request = self.failover.request(self._budget.deadline(), skip=skip)
        while (attempt := await request.upcoming()) is not None:
            received = 0
            async with attempt:
                if attempt.ok:
                    async for pcm in self._listen(attempt, text):
                        received += len(pcm)
                        yield Sound(pcm, attempt.index)
            spoken_s = received / BYTES_PER_S
            if attempt.ok:
                self._learn(attempt.index, text, spoken_s)
                return
            if received:
                text = unspoken(text, spoken_s, self._paces[attempt.index])
                if not text:
                    return
                # What was made is being heard meanwhile; going on has a time of its own.
                request = self.failover.request(self._budget.after(GO_ON_S), skip=request.failed)
        error = request.error()
        raise VoiceLostError(
            str(error), kind=error.kind, provider=error.provider, spoken=whole - len(text)
        ) from error

    def pace(self, index: int) -> float:
        """Return how many letters a voice speaks in a second."""
        return self._paces[index]

    def _learn(self, index: int, text: str, spoken_s: float) -> None:
        if len(text) >= SURE_LETTERS and spoken_s > 0:
            self._paces[index] += PACE_MEMORY * (len(text) / spoken_s - self._paces[index])

    async def _listen(self, attempt: Attempt, text: str) -> AsyncIterator[bytes]:
        """Pass on one voice's audio, in whole samples, from its first sound on.

        Raises:
            ProviderError: It answered without any, or with nothing but silence.
        """
        odd, over = b"", self._budget.after(CLAUSE_S)
        async with self._opened(attempt, text) as coming:
            async with asyncio.timeout(over.within(attempt.first_s)):
                chunk = await anext(coming, b"")
            if not chunk:
                name = attempt.choice.key.provider
                raise ProviderError(f"the audio of {name} is empty", kind="unavailable", provider=name)
            lead = _Lead()
            while chunk:
                # A chunk may end in the middle of a sample; the half waits for the next one.
                data = odd + chunk
                odd = data[len(data) & ~1 :]
                data = data[: len(data) & ~1]
                if data and lead.over(data):
                    attempt.first()
                    yield data
                elif not lead.heard and lead.silent_s > SILENT_S:
                    break
                async with asyncio.timeout(over.within(attempt.choice.idle_s)):
                    chunk = await anext(coming, b"")
            if not lead.heard:
                name = attempt.choice.key.provider
                raise ProviderError(f"the audio of {name} is silence", kind="unavailable", provider=name)

    @asynccontextmanager
    async def _opened(self, attempt: Attempt, text: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a voice's answer; its head must come in time, too."""
        speaking = self._voices[attempt.index].speak(text)
        async with asyncio.timeout(attempt.first_s):
            coming = await speaking.__aenter__()
        try:
            yield coming
        finally:
            await speaking.__aexit__(None, None, None)


class _Lead:
    """The silence before a voice's first sound."""

    def __init__(self) -> None:
        self.heard = False
        self.silent_s = 0.0

    def over(self, pcm: bytes) -> bool:
        """Take a chunk; return whether it, or one before it, has sound."""
        if not self.heard and pcm:
            samples = np.frombuffer(pcm, dtype=np.int16).astype(np.int32)
            self.heard = bool(np.abs(samples).max() > SILENT_PEAK)
            if not self.heard:
                self.silent_s += len(pcm) / BYTES_PER_S
        return self.heard


def behind(index: int) -> list[tuple[int, Why]]:
    """Return what to skip so that a reply stays with the voice it has come to."""
    return [(better, "open") for better in range(index)]


def unspoken(text: str, spoken_s: float, letters_per_s: float) -> str:
    """Return what of a text was not spoken; the word that was cut is spoken again whole."""
    letters = spoken_s * letters_per_s
    if letters >= WHOLE * len(text.strip()):
        return ""
    begin = 0
    for match in _WORD.finditer(text):
        if match.end() > letters:
            break
        begin = match.end()
    return text[begin:].strip()
