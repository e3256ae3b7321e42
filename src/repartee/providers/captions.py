"""Words while they are spoken, from this machine's Whisper: to be shown, and to nothing else.

A piece that is not over yet is transcribed about once a second, as long as the machine has nothing else to do and is
quick: its own judgement, given by the host for each request. Nothing is decided by these words: the end of a piece
that is cut off somewhere is where Whisper errs.
"""

from __future__ import annotations

import httpx

from repartee.providers.connections import plain_tls

ANSWER_S = 2.0
"""Words that come later are those of a piece that is over."""


class Captioner:
    """Asks the host for one call.

    Args:
        speech_url: Of the host.
        language: Of the speech, as ISO 639-1.
    """

    def __init__(self, speech_url: str, language: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=speech_url, timeout=ANSWER_S, verify=plain_tls(), trust_env=False
        )
        self._form = {"language": language, "partial": "1"}
        self.able = True
        """Until the host says that this machine is too slow for it."""

    async def words(self, wav: bytes) -> str:
        """Return the words so far; empty where the host has other work, or does not answer."""
        try:
            answer = await self._client.post(
                "/v1/audio/transcriptions", files={"file": ("audio.wav", wav, "audio/wav")}, data=self._form
            )
        except httpx.HTTPError:
            return ""
        if answer.status_code == httpx.codes.CONFLICT:
            self.able = False
        return str(answer.json()["text"]) if answer.status_code == httpx.codes.OK else ""

    async def aclose(self) -> None:
        """Leave the host."""
        await self._client.aclose()
