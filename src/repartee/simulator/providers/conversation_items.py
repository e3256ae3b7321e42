"""What a realtime conversation holds at the vendor: items, what they count as, and what the model knows of them."""

from __future__ import annotations

import asyncio
import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from repartee.simulator.providers.asked import AskedItem
from repartee.simulator.providers.prompt_cache import LEAST_TOKENS, STEP_TOKENS, prompt_tokens
from repartee.simulator.providers.voices import words_with_times

USER_TOKENS_PER_S = 10
ASSISTANT_TOKENS_PER_S = 20
"""One for 100 ms of the user's sound, and one for 50 ms of the model's, as the vendor's guide to its costs says."""


@dataclass
class Item:
    """One item.

    Attributes:
        text: What it says; of sound the words, once they are known.
        audio_s: How much sound it has.
        heard: Finds the words of the user's sound.
    """

    kind: str
    role: str = ""
    item_id: str = field(default_factory=lambda: f"item_{uuid.uuid4().hex[:16]}")
    text: str = ""
    audio_s: float = 0.0
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str = ""
    heard: asyncio.Task[str] | None = None

    @staticmethod
    def of(asked: AskedItem) -> Item:
        """Return an item that a client adds."""
        item = Item(asked.type, asked.role or "", call_id=asked.call_id, name=asked.name)
        item.item_id = asked.id or item.item_id
        item.text = " ".join(part.text for part in asked.content if part.text)
        item.arguments, item.output = asked.arguments, asked.output
        return item

    @property
    def text_tokens(self) -> int:
        """What is read of it. The words of the user's sound are nobody's text: the model hears them."""
        if self.kind == "message":
            return prompt_tokens(self.text) if self.text and not (self.audio_s and self.role == "user") else 0
        return prompt_tokens(self.name + self.arguments if self.kind == "function_call" else self.output)

    @property
    def audio_tokens(self) -> int:
        """What is heard of it."""
        rate = USER_TOKENS_PER_S if self.role == "user" else ASSISTANT_TOKENS_PER_S
        return math.ceil(self.audio_s * rate)

    def cut(self, audio_end_ms: int) -> None:
        """Forget the sound after a time, and the words that had not sounded by then."""
        end_s = audio_end_ms / 1000
        self.audio_s = end_s
        self.text = " ".join(word for word, _, until_s in words_with_times(self.text) if until_s <= end_s)

    def shown(self) -> dict[str, Any]:
        """Return it as the vendor tells of it."""
        told: dict[str, Any] = {"id": self.item_id, "object": "realtime.item", "type": self.kind}
        match self.kind:
            case "message":
                kind = {"user": "input_audio" if self.audio_s else "input_text", "system": "input_text"}
                part = {"type": kind.get(self.role, "output_audio"), "transcript": self.text}
                return told | {"status": "completed", "role": self.role, "content": [part]}
            case "function_call":
                call = {"call_id": self.call_id, "name": self.name, "arguments": self.arguments}
                return told | {"status": "completed", **call}
            case _:
                return told | {"call_id": self.call_id, "output": self.output}


def messages_of(instructions: str, items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return a conversation as a language model would be shown it; pieces of one turn are one message."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": instructions}]
    for item in items:
        match item.kind:
            case "message" if item.role == "user" and messages[-1]["role"] == "user":
                messages[-1]["content"] = f"{messages[-1]['content']} {item.text}".strip()
            case "message" if item.text or item.role == "user":
                messages.append({"role": item.role, "content": item.text})
            case "function_call":
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": item.call_id, "type": "function", "function": function}
                messages.append({"role": "assistant", "tool_calls": [call]})
            case "function_call_output":
                messages.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
            case _:
                pass
    return messages


@dataclass
class Counted:
    """Tokens of what a model is given: of text and of audio, and those of each that were kept from before."""

    text: int = 0
    audio: int = 0
    text_kept: int = 0
    audio_kept: int = 0


class Prompts:
    """Counts what each response is given; the beginning it shares with the one before was kept."""

    def __init__(self) -> None:
        self._beginning = ""
        self._before = Counted()

    def count(self, instructions: str, tools: Sequence[Any], items: Sequence[Item]) -> Counted:
        """Return the tokens of the next response's prompt."""
        beginning = instructions + json.dumps(list(tools))
        counted = Counted(
            prompt_tokens(beginning) + sum(item.text_tokens for item in items),
            sum(item.audio_tokens for item in items),
        )
        before = self._before
        if beginning == self._beginning and before.text + before.audio >= LEAST_TOKENS:
            counted.text_kept = min(counted.text, before.text // STEP_TOKENS * STEP_TOKENS)
            counted.audio_kept = min(counted.audio, before.audio // STEP_TOKENS * STEP_TOKENS)
        self._beginning, self._before = beginning, counted
        return counted
