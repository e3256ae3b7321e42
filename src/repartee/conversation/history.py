"""The conversation as the model sees it: what the user said, what they heard, what tools did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]
"""One chat message in the form every OpenAI-compatible model takes."""


@dataclass
class History:
    """Messages in order. Only heard text is the assistant's; unheard text never enters.

    The list is the session's own and is only appended to; `messages` hands out a copy.
    """

    entries: list[Message] = field(default_factory=list)

    def messages(self, pending_user_text: str = "") -> list[Message]:
        """Return the messages for a request, with the words of a turn that is not yet remembered."""
        copy = [dict(entry) for entry in self.entries]
        if pending_user_text:
            _append_text(copy, "user", pending_user_text)
        return copy

    def remember_user(self, text: str) -> None:
        """Add what the user said; two turns without an answer between them become one message."""
        if text:
            _append_text(self.entries, "user", text)

    def remember_heard(self, text: str, *, interrupted: bool = False) -> None:
        """Add what the user heard of a reply; an interrupted one ends in an ellipsis."""
        heard = text.strip()
        if not heard:
            return
        if interrupted and not heard.endswith((".", "!", "?", "…")):
            heard += "…"
        _append_text(self.entries, "assistant", heard)

    def remember_tools(self, messages: list[Message]) -> None:
        """Add a tool call and its results; what a tool did is true whether or not it was spoken of."""
        self.entries.extend(messages)


def _append_text(entries: list[Message], role: str, text: str) -> None:
    last = entries[-1] if entries else None
    if last is not None and last.get("role") == role and isinstance(last.get("content"), str):
        last["content"] = f"{last['content']} {text}".strip()
    else:
        entries.append({"role": role, "content": text})
