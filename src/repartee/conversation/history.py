"""The conversation as the model sees it: what the user said, what they heard, what tools did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from repartee.conversation.memory import FoldJob, Memory
from repartee.conversation.notes import Budget
from repartee.conversation.summaries import Message, Summary

__all__ = ["ENDLESS", "History", "Message"]

ENDLESS = Budget(turns=1_000_000, tokens=1_000_000_000)
"""No memory: every word is shown, whatever it costs."""


@dataclass
class History:
    """The session's own memory of its call, and the order in which things enter it.

    Only heard text is the assistant's; unheard text never enters. The user's words are remembered when their answer
    is first heard, its tools may have run before: those wait, and enter after the words they belong to.

    Attributes:
        memory: What is remembered.
        keeps_user_turns: Show all the user ever said, what tools did about it, and no notes: for answers without a
            model, which are not billed by the token and follow a dialogue through all of its turns.
    """

    memory: Memory = field(default_factory=lambda: Memory(ENDLESS))
    keeps_user_turns: bool = False
    _older: list[Message] = field(default_factory=list)
    """What the user said, and what tools did, in the turns that left the memory."""
    _waiting: list[Message] = field(default_factory=list)
    """Tool messages of the reply that is being made."""
    _stray: list[Message] = field(default_factory=list)
    """And of replies that were thrown away."""
    _answering: bool = False

    @property
    def entries(self) -> list[Message]:
        """The messages that are still kept word by word."""
        return [dict(message) for turn in self.memory.turns for message in turn.messages] + self._stray

    def messages(self, pending_user_text: str = "", note: str = "") -> list[Message]:
        """Return the messages for a request.

        Args:
            pending_user_text: The words of a turn that is not yet remembered.
            note: What the model is told at the end of this request only; it is never remembered.
        """
        self._throw_away()
        newest = [
            *self._stray,
            *([{"role": "user", "content": pending_user_text}] if pending_user_text else []),
            *([{"role": "developer", "content": note}] if note else []),
        ]
        memory, messages = self.memory.request(newest)
        self._keep(memory)
        if not self.keeps_user_turns:
            return messages
        return [*self._older, *memory.words(newest)]

    def fit(self, messages: Iterable[Any]) -> list[Any]:
        """Return a request's messages, grown by tools, cut to the budget."""
        return list(messages) if self.keeps_user_turns else self.memory.fitted(list(messages))

    def remember_user(self, text: str) -> None:
        """Add what the user said; two turns without an answer between them become one message."""
        if text:
            self._keep(self.memory.tools_ran(self._stray).heard_user(text).tools_ran(self._waiting))
            self._stray, self._waiting, self._answering = [], [], True

    def remember_heard(self, text: str, *, interrupted: bool = False) -> None:
        """Add what the user heard of a reply; an interrupted one ends in an ellipsis."""
        self._throw_away()
        self._answering = False
        heard = text.strip()
        if not heard:
            return
        if interrupted and not heard.endswith((".", "!", "?", "…")):
            heard += "…"
        self._keep(self.memory.heard_agent(heard))

    def unsay(self, heard: str) -> None:
        """Take back what was remembered last as heard: it turns out that the end of it was not."""
        self._keep(self.memory.unsaid(heard.strip()))

    def remember_tools(self, messages: list[Message]) -> None:
        """Add a tool call and its results; what a tool did is true whether or not it was spoken of."""
        if self._answering:
            self._keep(self.memory.tools_ran(messages))
        else:
            self._waiting.extend(messages)

    def _throw_away(self) -> None:
        self._stray, self._waiting = [*self._stray, *self._waiting], []

    # --- folds ----------------------------------------------------------------------------------------------

    def begin_fold(self, upto: int | None = None) -> FoldJob | None:
        """Begin a fold of what is due; None when none is, or one is under way."""
        memory, job = self.memory.begin(upto)
        self._keep(memory)
        return job

    def fold_done(self, number: int, summary: Summary, *, by_model: bool) -> None:
        """A fold came back; a late or doubled one changes nothing."""
        self._keep(self.memory.done(number, summary, "model" if by_model else "picked"))

    def fold_failed(self, number: int) -> None:
        """A fold will not come back."""
        self._keep(self.memory.failed(number))

    def fold_withdrawn(self, number: int) -> None:
        """A fold was called off."""
        self._keep(self.memory.withdrawn(number))

    def reserve(self, fixed_tokens: int, acting: frozenset[str] | None = None) -> None:
        """The system instruction or the tools have changed, and with them what they take of every request.

        Args:
            fixed_tokens: What they take.
            acting: Names of the tools that change something; None leaves them as they were.
        """
        memory = replace(self.memory, budget=replace(self.memory.budget, fixed_tokens=fixed_tokens))
        if acting is not None and acting != memory.notes.acting:
            memory = replace(memory, notes=replace(memory.notes, acting=acting))
        self._keep(memory)

    def know_earlier(self, lines: tuple[str, ...]) -> None:
        """Show what is known of the caller from earlier calls."""
        self._keep(replace(self.memory, notes=replace(self.memory.notes, earlier=lines)))

    def forget(self) -> None:
        """Drop every fact and all notes; the newest turns remain, as the call goes on."""
        self._keep(self.memory.forgotten())

    def _keep(self, memory: Memory) -> None:
        """Take over a new state of the memory; what leaves it is kept where answers without a model need it."""
        if self.keeps_user_turns:
            first = memory.turns[0].number if memory.turns else memory.notes.upto
            for turn in self.memory.turns:
                if turn.number < first:
                    self._older += [
                        dict(message)
                        for message in turn.messages
                        if message.get("role") != "assistant" or message.get("tool_calls")
                    ]
        self.memory = memory
