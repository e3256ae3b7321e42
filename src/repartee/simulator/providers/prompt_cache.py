"""Which part of a prompt a language model's vendor has kept, by the rules of OpenAI's guide to prompt caching.

A prompt of 1024 tokens and more shares its beginning, tools first, with earlier ones of the same model, in steps of
128 tokens, for some minutes after it was last used. Shorter prompts are never kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from repartee.conversation.tokens import without_pictures

CHARACTERS_PER_TOKEN = 4
LEAST_TOKENS = 1024
STEP_TOKENS = 128
KEPT_S = 300.0
"""The guide says five to ten minutes."""
MOST_BEGINNINGS = 50_000


def prompt_text(messages: Sequence[Any], tools: Sequence[Any] | None) -> str:
    """Return a request's prompt in the order in which its beginning is kept."""
    words = [without_pictures(message) if isinstance(message, Mapping) else message for message in messages]
    return "".join(json.dumps(part) for part in (*(tools or ()), *words))


def prompt_tokens(text: str) -> int:
    """Return how many tokens a prompt is billed as."""
    return len(text) // CHARACTERS_PER_TOKEN + 1


class PromptCache:
    """What a vendor has kept of prompts, by model.

    Args:
        clock_s: Monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._used_s: OrderedDict[bytes, float] = OrderedDict()

    def known_tokens(self, model: str, text: str) -> int:
        """Return how many tokens of a prompt were kept from before."""
        fresh_s = self._clock_s() - KEPT_S
        known = 0
        for tokens, beginning in _beginnings(model, text):
            if self._used_s.get(beginning, float("-inf")) < fresh_s:
                break
            known = tokens
        return known

    def keep(self, model: str, text: str) -> None:
        """Keep a prompt that was read."""
        now_s = self._clock_s()
        for _, beginning in _beginnings(model, text):
            self._used_s[beginning] = now_s
            self._used_s.move_to_end(beginning)
        while len(self._used_s) > MOST_BEGINNINGS:
            self._used_s.popitem(last=False)


def _beginnings(model: str, text: str) -> list[tuple[int, bytes]]:
    """Return the lengths, in tokens, at which a prompt's beginning is kept, each with what tells it apart."""
    data, found = text.encode(), []
    digest = hashlib.sha256(model.encode() + b"\n")
    done = 0
    # Of text beyond ASCII the bytes are cut, not the characters; the same beginning is cut alike.
    for tokens in range(LEAST_TOKENS, len(text) // CHARACTERS_PER_TOKEN + 1, STEP_TOKENS):
        end = tokens * CHARACTERS_PER_TOKEN
        digest.update(data[done:end])
        done = end
        found.append((tokens, digest.copy().digest()))
    return found
