"""What the simulated model says of a picture: it opens the file, and names the colour that most of it has."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, UnidentifiedImageError

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (220, 30, 30),
    "green": (30, 170, 50),
    "blue": (40, 60, 210),
    "yellow": (235, 220, 50),
}
START = "data:image/jpeg;base64,"


def picture_of(message: Mapping[str, Any]) -> str | None:
    """Return the address of a message's picture, None where it has none."""
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if (
            isinstance(part, dict)
            and part.get("type") == "image_url"
            and isinstance(part.get("image_url"), dict)
        ):
            return str(part["image_url"].get("url", ""))
    return None


def said_of(url: str) -> str:
    """Return what is said of a picture: its size and its colour, or that it is none."""
    try:
        data = base64.b64decode(url.removeprefix(START), validate=True) if url.startswith(START) else b""
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError):
        return "I cannot open that picture."
    middle = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    return f"I see {_nearest(middle)}, in a picture of {image.width} by {image.height}."


def _nearest(pixel: Any) -> str:
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(pixel, COLOURS[name], strict=True)))
