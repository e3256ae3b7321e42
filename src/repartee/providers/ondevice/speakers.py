"""The voices of this machine by name: the one that was chosen at the start, others that were fetched, espeak-ng's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from repartee.errors import ConfigError
from repartee.providers.ondevice import registry
from repartee.providers.ondevice.espeak import ESPEAK, EspeakVoice, espeak_language
from repartee.providers.ondevice.voice import Voice

MAX_LOADED = 4
"""A Piper voice takes some 100 MB; the one that was not used for longest makes room."""


class Speaks(Protocol):
    """A voice of this machine."""

    async def start(self) -> None:
        """Get ready."""

    async def stop(self) -> None:
        """End what was started."""

    def speak(self, text: str, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Yield 16-bit mono PCM at 24 kHz."""


class Speakers:
    """Loads voices when they are first asked for.

    Args:
        first: The voice that is loaded at the start, by its name in agent files.
        models: Where fetched models are.

    Raises:
        ConfigError: The first one is not here.
    """

    def __init__(self, first: str, models: Path) -> None:
        self._first = first
        self._models = models
        self._loaded: dict[str, Speaks] = {first: self._make(first)}

    async def start(self) -> None:
        """Load the first voice."""
        await self._loaded[self._first].start()

    async def stop(self) -> None:
        """End all of them."""
        for voice in self._loaded.values():
            await voice.stop()

    async def of(self, name: str) -> Speaks:
        """Return a voice by its name; without one the first.

        Raises:
            ConfigError: There is no such voice, or it is not here.
        """
        name = name or self._first
        if name in self._loaded:
            self._loaded[name] = self._loaded.pop(name)  # used last
            return self._loaded[name]
        voice = self._make(name)
        while len(self._loaded) >= MAX_LOADED:
            oldest = next(other for other in self._loaded if other != self._first)
            await self._loaded.pop(oldest).stop()
        self._loaded[name] = voice
        return voice

    def _make(self, name: str) -> Speaks:
        if (language := espeak_language(name)) is not None:
            return EspeakVoice(language)
        if name not in registry.VOICES:
            known = ", ".join(registry.VOICES)
            raise ConfigError(
                f"there is no voice '{name[:64]}' on this machine; choose one of {known}, or '{ESPEAK}de'"
            )
        return Voice(*registry.piper_voice(name, self._models))
