"""Whether the machine takes anybody new, by the level that its worker tells. Asks no provider and no database."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repartee.conversation.degradation import Level
from repartee.session.clips import FOLDER, clips_for
from repartee.telemetry.load import LoadBoard

CLIPS_PATH = "/clips"
RETRY_S = (15, 45)
"""A random time of these, so that those who were sent away do not all come back at once."""


@dataclass(frozen=True, slots=True)
class Full:
    """Nobody new is taken.

    Attributes:
        message: For people.
        retry_after_s: When to try again.
        clip: Path of a recording that says so, for clients that speak.
    """

    message: str
    retry_after_s: int
    clip: str


class Busy:
    """The level, as the token server needs it.

    Args:
        state_dir: The machine's data folder.
        language: The agent's.
        pinned: A level that holds whatever is told; None takes what is told.
        pick: Returns a whole number between two.
    """

    def __init__(
        self,
        state_dir: Path,
        language: str,
        pinned: int | None = None,
        pick: Callable[[int, int], int] = random.randint,
    ) -> None:
        self._board = LoadBoard(state_dir)
        self._pinned = pinned
        self._pick = pick
        clip = clips_for(language)["busy"]
        self._message = clip.text
        self._clip = f"{CLIPS_PATH}/{clip.file.relative_to(FOLDER).as_posix()}"

    def full(self) -> Full | None:
        """Return why nobody is let in, None when somebody is."""
        level = self._board.level().level if self._pinned is None else self._pinned
        if level < Level.CLOSED:
            return None
        return Full(self._message, self._pick(*RETRY_S), self._clip)
