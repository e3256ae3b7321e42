"""What the vendor's conversation holds, kept to what was said and heard.

Nobody else adds to it or takes from it, but the caller's voice (`realtime_turns.py`). A reply that was thrown away is
deleted there, one that was cut off is cut to the millisecond the caller has heard, and what was said without the
model is added.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from pipecat.frames.frames import FunctionCallResultFrame
from pipecat.services.openai.realtime import events

from repartee.providers.frames import ReplyContext
from repartee.providers.realtime_asked import BYTES_PER_S, RealtimeReply
from repartee.providers.realtime_turns import Tell

EARLIER = "What was said in this call so far:\n"


class VendorConversation:
    """The conversation at the vendor.

    Args:
        tell: Sends to the vendor.
        acting: Names of the tools that change something; may grow.
    """

    def __init__(self, tell: Tell, acting: Collection[str]) -> None:
        self._tell = tell
        self._acting = acting
        self._own: set[str] = set()
        """What was added from here, and will be told back."""
        self._calls: dict[str, str] = {}
        """Calls of tools that the vendor waits for, and the items that made them."""
        self._dropped: set[str] = set()
        """And those that it was made to forget."""
        self.begun = False
        """It knows of the call so far."""

    def begin(self, context: ReplyContext) -> None:
        """Tell of the call before its first question."""
        if self.begun:
            return
        self.begun = True
        said = [
            m for m in messages_of(context) if m.get("role") in {"user", "assistant"} and m.get("content")
        ]
        if said and said[-1]["role"] == "user" and not context.wordless:
            said.pop()  # the question itself
        if len(said) > 1:
            # Many messages of text make the model answer in text, as Pipecat's adapter has found.
            lines = (f"{'Caller' if m['role'] == 'user' else 'You'}: {m['content']}" for m in said)
            self.add("system", EARLIER + "\n".join(lines))
        elif said:
            self.add(said[0]["role"], str(said[0]["content"]))

    def add(self, role: Any, text: str) -> None:
        """Add words."""
        kind: Any = "output_text" if role == "assistant" else "input_text"
        content = [events.ItemContent(type=kind, text=text)]
        self._create(events.ConversationItem(type="message", role=role, content=content))

    def is_own(self, item_id: str) -> bool:
        """Say whether an item the vendor tells of was added from here."""
        known = item_id in self._own
        self._own.discard(item_id)
        return known

    def settle(self, reply: RealtimeReply, items: Sequence[str]) -> None:
        """Make it what was heard of a reply that is over before its end."""
        for item_id in items:
            if (call_id := reply.calls.get(item_id)) is not None:
                if self._calls.pop(call_id, None) is not None:
                    self._dropped.add(call_id)
                    self._delete(item_id)
                continue
            whole_ms = reply.items[item_id] / BYTES_PER_S * 1000
            heard_ms = reply.heard_ms.get(item_id, 0.0)
            if heard_ms <= 0:
                self._delete(item_id)
            elif heard_ms < whole_ms - 1:
                cut = events.ConversationItemTruncateEvent(
                    item_id=item_id, content_index=0, audio_end_ms=int(heard_ms)
                )
                self._tell(cut, may_fail=True)

    def over(self, reply: RealtimeReply | None, heard: str) -> None:
        """Add what was heard of a reply and not said by the model itself."""
        own = reply.text.strip() if reply is not None else ""
        if self.begun and heard.startswith(own) and (more := heard[len(own) :].strip()):
            self.add("assistant", more)

    def called(self, call_id: str, item_id: str) -> None:
        """A tool was called; its result is waited for."""
        self._calls[call_id] = item_id

    def result(self, frame: FunctionCallResultFrame) -> None:
        """Add what a tool gave; what another model asked for is not the vendor's affair."""
        output = (
            frame.result if isinstance(frame.result, str) else json.dumps(frame.result, ensure_ascii=False)
        )
        call_id = frame.tool_call_id
        if self._calls.pop(call_id, None) is not None:
            self._create(events.ConversationItem(type="function_call_output", call_id=call_id, output=output))
        elif call_id in self._dropped and frame.function_name in self._acting:
            # What was done is true although its reply is over: it shall not do it again, nor deny it.
            self._dropped.discard(call_id)
            self.add("system", f"{frame.function_name} {json.dumps(frame.arguments)} gave: {output}")

    def _create(self, item: events.ConversationItem) -> None:
        self._own.add(item.id)
        self._tell(events.ConversationItemCreateEvent(item=item))

    def _delete(self, item_id: str) -> None:
        self._tell(events.ConversationItemDeleteEvent(item_id=item_id), may_fail=True)


def messages_of(context: ReplyContext) -> list[dict[str, Any]]:
    """Return a context's messages."""
    return [dict(message) for message in context.get_messages()]  # type: ignore[arg-type]


def last_words(context: ReplyContext) -> str:
    """Return what the user has said last."""
    said = (m.get("content") for m in reversed(messages_of(context)) if m.get("role") == "user")
    return str(next(said, "") or "")


def notes_of(context: ReplyContext) -> str:
    """Return what the model is told beside the conversation."""
    told = (m["content"] for m in messages_of(context) if m.get("role") in {"developer", "system"})
    return "\n".join(str(note) for note in told)
