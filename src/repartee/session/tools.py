"""Tool permits: a tool with side effects waits until its reply is sure to be wanted.

A speculative reply may call tools that only look something up; one that books waits here until the core releases
the reply, and never runs when the core throws it away. The same steps of a reply's life are told to everyone who
keeps something for a reply: confirmations, tool messages, forms, goals.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from repartee.conversation.history import History, Message
from repartee.errors import ToolError


@dataclass(frozen=True, slots=True)
class LiveReply:
    """The reply that is being made, and what it answers."""

    reply_id: int
    turn_id: int = 0
    text: str = ""


class ReplyWatcher:
    """Follows the life of replies; every step may be ignored. Nothing here may wait."""

    def opened(self, reply: LiveReply) -> None:
        """A reply is begun; nothing of an older one is live any more."""

    def released(self, reply: LiveReply) -> None:
        """It may be heard: the user's turn is over, its words are final."""

    def turn_remembered(self, reply: LiveReply, text: str) -> None:
        """The user's words belong to the conversation from now on."""

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over; this is what was heard of it."""

    def cancelled(self, reply_id: int) -> None:
        """A reply was thrown away or interrupted; told before `heard`."""


@dataclass
class _Permit:
    reply: LiveReply
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    granted: bool = False


class ToolPermits:
    """Permission to act, for the newest reply only."""

    def __init__(self) -> None:
        self._permit: _Permit | None = None
        self._watchers: list[ReplyWatcher] = []

    def watch(self, *watchers: ReplyWatcher) -> None:
        """Tell these of the life of replies, in this order."""
        self._watchers.extend(watchers)

    @property
    def live(self) -> LiveReply | None:
        """The newest reply."""
        return self._permit.reply if self._permit is not None else None

    def open(self, reply_id: int, *, held: bool, turn_id: int = 0, text: str = "") -> None:
        """A reply was started; only a held one must wait."""
        self._permit = _Permit(LiveReply(reply_id, turn_id, text))
        for watcher in self._watchers:
            watcher.opened(self._permit.reply)
        if not held:
            self.release(reply_id)

    def release(self, reply_id: int, text: str = "") -> None:
        """The reply may be heard, so its tools may act; `text` is what it answers, which may be known only now."""
        permit = self._decide(reply_id, granted=True)
        if permit is not None:
            if text:
                permit.reply = replace(permit.reply, text=text)
            for watcher in self._watchers:
                watcher.released(permit.reply)

    def cancel(self, reply_id: int) -> None:
        """The reply was thrown away; a tool that has not begun never will."""
        self._decide(reply_id, granted=False)
        for watcher in self._watchers:
            watcher.cancelled(reply_id)

    def turn_remembered(self, text: str) -> None:
        """What the user said belongs to the conversation."""
        if self._permit is not None:
            for watcher in self._watchers:
                watcher.turn_remembered(self._permit.reply, text)

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over; `text` is what was heard of it."""
        for watcher in self._watchers:
            watcher.heard(reply_id, text)

    def _decide(self, reply_id: int, *, granted: bool) -> _Permit | None:
        permit = self._permit
        if permit is None or permit.reply.reply_id != reply_id or permit.decided.is_set():
            return None
        permit.granted = granted
        permit.decided.set()
        return permit

    async def acquire(self, reply_id: int | None = None) -> LiveReply:
        """Wait until a reply, the newest if none is named, is decided.

        Raises:
            ToolError: It was thrown away.
        """
        permit = self._permit
        if permit is None or reply_id not in (None, permit.reply.reply_id):
            raise ToolError("the user went on speaking, so nothing was done")
        await permit.decided.wait()
        if not permit.granted:
            raise ToolError("the user went on speaking, so nothing was done")
        return permit.reply


class ToolMemory(ReplyWatcher):
    """Brings tool calls into the history after the words they answer, and only those that belong there.

    A held reply's look-ups are forgotten with it; what acted stays, whether or not it was spoken of.

    Args:
        history: The conversation.
        acts: Names of the tools that change something.
    """

    def __init__(self, history: History, acts: Collection[str]) -> None:
        self._history = history
        self._acts = acts
        self._early: list[Message] = []
        self._waits_for: int | None = None
        """The reply whose turn is not remembered yet."""

    def take(self, messages: list[Message]) -> None:
        """Take the messages of a round of tool calls."""
        if self._waits_for is None:
            self._history.remember_tools(messages)
        else:
            self._early.extend(messages)

    def opened(self, reply: LiveReply) -> None:
        """Wait for the turn's words."""
        self._history.remember_tools(self._acted())
        self._waits_for = reply.reply_id

    def turn_remembered(self, reply: LiveReply, text: str) -> None:
        """The words are there, now what was done about them."""
        del text
        if reply.reply_id == self._waits_for:
            early, self._early, self._waits_for = self._early, [], None
            self._history.remember_tools(early)

    def cancelled(self, reply_id: int) -> None:
        """Keep what cannot be undone."""
        if reply_id == self._waits_for:
            self._waits_for = None
            self._history.remember_tools(self._acted())

    def _acted(self) -> list[Message]:
        early, self._early = self._early, []
        kept: list[Message] = []
        ids: set[str] = set()
        undone = {message["tool_call_id"] for message in early if _undone(message)}
        for message in early:
            calls = [
                call
                for call in message.get("tool_calls", ())
                if call["function"]["name"] in self._acts and call["id"] not in undone
            ]
            ids |= {call["id"] for call in calls}
            if calls:
                kept.append({**message, "tool_calls": calls})
            elif message.get("tool_call_id") in ids:
                kept.append(message)
        return kept


def _undone(message: Message) -> bool:
    """Say whether a message tells that a tool did nothing: it failed, or it asked first."""
    if message.get("role") != "tool":
        return False
    try:
        result = json.loads(str(message["content"]))
    except ValueError:
        return False
    return isinstance(result, dict) and ("error" in result or "the_user_is_asked" in result)
