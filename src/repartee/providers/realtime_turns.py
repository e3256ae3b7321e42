"""What the caller has said, as a model that hears them is given it: as it sounded, or in words where it has no sound.

Their voice goes to the vendor's buffer while it sounds. It becomes part of the conversation there when an answer is
wanted, and is thrown away when it asked for nothing: a noise, or a word that did not ask for the floor.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pipecat.services.openai.realtime import events

from repartee.providers.realtime_asked import BYTES_PER_S

LEAST_BYTES = BYTES_PER_S // 10
"""The vendor takes no less."""


class Tell(Protocol):
    """Sends something to the vendor; never waits."""

    def __call__(self, event: events.ClientEvent, *, may_fail: bool = False) -> None:
        """Send it."""


class CallerTurns:
    """The caller's side of the vendor's conversation.

    Args:
        tell: Sends to the vendor.
        write: Adds something that the caller said in words.
    """

    def __init__(self, tell: Tell, write: Callable[[str], None]) -> None:
        self._tell = tell
        self._write = write
        self._buffered = 0
        """Bytes that the vendor has and that belong to no turn yet."""
        self._voice = self._in_turn = self._drop = self._given = False
        self._typed: list[str] = []
        self._turn = 0
        self._awaited: deque[int] = deque()
        """Turns of which sound was made a part of the conversation, and the vendor has not said which."""
        self._items: list[str] = []
        self._unwanted: set[int] = set()
        self.closed_with = ""
        """The words of the turn that is being answered; none while it is open."""

    def began(self) -> None:
        """A voice begins."""
        self._voice = True

    def hear(self, pcm: bytes) -> None:
        """Take sound of a voice: 24 kHz, 16-bit, mono."""
        self._buffered += len(pcm)
        self._tell(events.InputAudioBufferAppendEvent(audio=base64.b64encode(pcm).decode()))

    def paused(self) -> None:
        """The voice has paused."""
        self._voice = False
        if self._drop and not self._in_turn:
            self.discard()

    def discard(self) -> None:
        """What sounded asked for nothing; a voice that sounds on may still."""
        self._drop = self._voice
        if self._buffered and not self._voice:
            self._buffered = 0
            self._tell(events.InputAudioBufferClearEvent(), may_fail=True)

    def opened(self) -> None:
        """The user holds the floor."""
        self._in_turn, self._drop, self._given = True, False, False
        self.closed_with = ""
        self._turn += 1
        self._items.clear()

    def closed(self, text: str) -> None:
        """They gave it back; without words it was a noise."""
        self._in_turn = False
        self.closed_with = text
        if not text:
            self._typed.clear()
            self._forget()
            self.discard()

    def _forget(self) -> None:
        """What was answered on its sound alone had no words: it is no part of the conversation."""
        for item_id in self._items:
            self._tell(events.ConversationItemDeleteEvent(item_id=item_id), may_fail=True)
        self._items.clear()
        if self._turn in self._awaited:
            self._unwanted.add(self._turn)

    def added(self, item_id: str) -> None:
        """The vendor says what it calls sound that was made a part of the conversation."""
        turn = self._awaited.popleft() if self._awaited else self._turn
        if turn in self._unwanted:
            self._tell(events.ConversationItemDeleteEvent(item_id=item_id), may_fail=True)
            if turn not in self._awaited:
                self._unwanted.discard(turn)
        elif turn == self._turn:
            self._items.append(item_id)

    def typed(self, text: str) -> None:
        """They have typed."""
        self._typed.append(text)

    def give(self, words: str) -> float:
        """Make it part of the conversation, as an answer to it is wanted.

        Args:
            words: What was understood; told only where there is neither sound nor typed text of it.

        Returns:
            How many seconds of sound that was.
        """
        seconds = 0.0
        if self._buffered >= LEAST_BYTES:
            seconds = self._buffered / BYTES_PER_S
            self._buffered = 0
            self._tell(events.InputAudioBufferCommitEvent())
            self._awaited.append(self._turn)
            self._given = True
        for text in self._typed or ([] if self._given else [words]):
            self._write(text)
        self._typed.clear()
        self._given = True
        return seconds
