"""How many tokens a text takes: reckoned without a tokenizer, and rather too many than too few.

Every vendor cuts words in its own way, and their tokenizers are large. This reckons by the kind of characters:

- a run of ASCII letters: one token per started six; a capitalised word, more likely a name and cut into pieces, one
  per started four; one all in capitals, one per started two;
- digits: one per started pair;
- every other sign, and every line break: one;
- letters beyond ASCII: three for every four bytes of UTF-8.

On what is said in calls it comes out a sixth above GPT-2's byte-pair tokenizer, which itself needs more than those of
newer models (`tests/conversation/test_tokens.py` holds it against that one).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

PER_MESSAGE = 4
"""What a chat format puts around each message."""
PER_REQUEST = 3
"""And around the whole."""
PER_PICTURE = 1000
"""A picture of 768 by 768 pixels, at the vendor that counts it highest."""

_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]+|\n|[^\sA-Za-z0-9]")


def text_tokens(text: str) -> int:
    """Reckon the tokens of a text."""
    count = 0
    for piece in _PIECE.findall(text):
        first, length = piece[0], len(piece)
        if first > "\x7f":
            count += -(-len(piece.encode(errors="replace")) * 3 // 4)
        elif "a" <= first <= "z":
            count += -(-length // 6)
        elif "A" <= first <= "Z":
            count += -(-length // (2 if length > 1 and piece.isupper() else 4))
        elif "0" <= first <= "9":
            count += -(-length // 2)
        else:
            count += 1
    return count


def message_tokens(message: Mapping[str, Any]) -> int:
    """Reckon the tokens of one chat message, its tool calls included."""
    count = PER_MESSAGE + _content_tokens(message.get("content") or "")
    if calls := message.get("tool_calls"):
        count += text_tokens(json.dumps(calls))
    if call_id := message.get("tool_call_id"):
        count += text_tokens(str(call_id))
    return count


def _content_tokens(content: Any) -> int:
    """Reckon a text, or parts of which some are pictures."""
    if isinstance(content, str):
        return text_tokens(content)
    parts = content if isinstance(content, list) else [content]
    pictures = [part for part in parts if _is_picture(part)]
    texts = [part for part in parts if part not in pictures]
    return PER_PICTURE * len(pictures) + sum(text_tokens(json.dumps(part)) for part in texts)


def without_pictures(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message in which text of as many tokens stands for each picture, whatever its file holds."""
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    stand_in = {"type": "text", "text": "x" * (PER_PICTURE * 4)}
    return {**message, "content": [stand_in if _is_picture(part) else part for part in content]}


def _is_picture(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "image_url"


def request_tokens(messages: Iterable[Mapping[str, Any]], fixed_tokens: int = 0) -> int:
    """Reckon the tokens of a request: its messages, and what is fixed (system instruction, tools)."""
    return fixed_tokens + PER_REQUEST + sum(message_tokens(message) for message in messages)
