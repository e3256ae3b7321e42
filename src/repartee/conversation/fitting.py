"""The last resort of the budget: making messages fit, whatever they hold.

Tool results are cut first, then the longest words, in the middle; a tool call and its results leave together or not
at all; the newest message stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from repartee.conversation.summaries import Message
from repartee.conversation.tokens import message_tokens, text_tokens

SHORTEST_TOKENS = 24
"""A text is not cut below this while there is something else to leave out."""


def cut(text: str, max_tokens: int) -> str:
    """Return a text's beginning and end in at most `max_tokens`, an ellipsis between."""
    if text_tokens(text) <= max_tokens:
        return text
    words = text.split(" ")
    low, high = 0, len(words)
    while low < high:
        kept = (low + high + 1) // 2
        if text_tokens(_ends(words, kept)) <= max_tokens:
            low = kept
        else:
            high = kept - 1
    if low:
        return _ends(words, low)
    # One endless word: every character may be a token.
    return text[: max(0, (max_tokens - 3) // 3)] + "…" if max_tokens > 3 else ""


def _ends(words: list[str], kept: int) -> str:
    head = kept - kept // 3
    return " ".join([*words[:head], "…", *(words[len(words) - kept // 3 :] if kept // 3 else [])])


def fit(messages: Sequence[Message], max_tokens: int) -> list[Message]:
    """Return the messages in at most `max_tokens`; what cannot be cut further leaves, oldest first."""
    result = [_copy(message) for message in messages]
    for roles, shortest in ((("tool",), SHORTEST_TOKENS), (("user", "assistant"), SHORTEST_TOKENS)):
        _cut_longest(result, max_tokens, roles, shortest)
    while _total(result) > max_tokens and (end := _unit(result)) < len(result):
        del result[:end]
    _cut_longest(result, max_tokens, ("tool", "user", "assistant"), 0)
    if _total(result) > max_tokens:
        for message in result:
            for call in message.get("tool_calls") or ():
                call["function"] = {**call["function"], "arguments": "{}"}
    return result


def _cut_longest(messages: list[Message], max_tokens: int, roles: tuple[str, ...], shortest: int) -> None:
    """Cut the longest text of these roles by half, again and again; the last message only when it is the longest."""
    texts = {
        index: text_tokens(str(message["content"]))
        for index, message in enumerate(messages)
        if message.get("role") in roles and isinstance(message.get("content"), str)
    }
    total = _total(messages)
    while total > max_tokens and texts:
        index = max(texts, key=lambda i: texts[i])
        size = texts[index]
        if size <= shortest:
            return
        message = messages[index]
        before = message_tokens(message)
        message["content"] = cut(
            str(message["content"]), max(shortest, size // 2, size - (total - max_tokens))
        )
        texts[index] = text_tokens(message["content"])
        total += message_tokens(message) - before
        if texts[index] >= size:
            del texts[index]


def _unit(messages: Sequence[Message]) -> int:
    """How many messages at the beginning belong together: a tool call and its results, or one message."""
    end = 1
    if messages and messages[0].get("tool_calls"):
        while end < len(messages) and messages[end].get("role") == "tool":
            end += 1
    return end


def _copy(message: Message) -> Message:
    copy = dict(message)
    if calls := copy.get("tool_calls"):
        copy["tool_calls"] = [dict(call) for call in calls]
    return copy


def _total(messages: Sequence[Message]) -> int:
    return sum(message_tokens(message) for message in messages)
