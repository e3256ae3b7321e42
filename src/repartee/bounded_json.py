"""JSON of somebody else: read without recursing deeper than is sane, and without numbers that are none."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64


def depth(text: str | bytes | bytearray) -> int:
    """Return how deep brackets are nested in a text of JSON, without reading it: a reader would recurse."""
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    here = deepest = 0
    in_string = escaped = False
    for byte in text:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # a backslash
                escaped = True
            elif byte == 0x22:  # a quote
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            here += 1
            deepest = max(deepest, here)
        elif byte in b"]}":
            here -= 1
    return deepest


def loads(text: str | bytes | bytearray, max_depth: int = MAX_DEPTH) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none, has NaN or infinity in it, or is nested deeper than `max_depth`.
    """
    # Most texts have fewer brackets than that, and counting them costs nothing.
    many = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if many > max_depth and depth(text) > max_depth:
        raise ValueError(f"nested deeper than {max_depth}")
    return json.loads(text, parse_constant=_none)


def _none(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
