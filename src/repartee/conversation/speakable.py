"""Makes of what a model writes what a voice may be given: words, no markup that a voice would obey, no addresses.

What a model repeats may come from a caller or from a document: a tag in it would change how the voice speaks, stop
it, or be read out sign by sign.
"""

from __future__ import annotations

import html
import re

_LINK = re.compile(r"!?\[([^\[\]]{0,200})\]\(\s{0,3}[^()\s]{0,500}[^()]{0,100}\)")
_TAG = re.compile(r"<[/!?]?[a-zA-Z][^<>]{0,300}>|<!--[\s\S]{0,300}?-->")
_STAGE = re.compile(r"\[(?:[a-z]+ ?){1,3}\]")
"""`[laughs]`, which some voices act."""
_ADDRESS = re.compile(r"\b(?:[a-zA-Z][a-zA-Z0-9+.-]{1,11}://|www\.)([^\s<>\"'()\[\]{}]{1,2000})")
_MARKS = re.compile(r"(?<!\w)[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}(?!\w)|`+|\*{2,3}")
_LINE_MARKS = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?|[-*+\u2022][ \t]+|\|)", re.MULTILINE)
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)
"""Controls, marks of direction, tags: a text may say something else with them than it shows."""
_SPACES = re.compile(r"[ \t]{2,}")


def speakable(text: str) -> str:
    """Return a text without markup and control characters; of an address only the host. Plain text stays as it is."""
    if text.isascii() and text.replace(" ", "").isalnum():
        return text
    # Twice escaped is as good as once to some voices.
    plain = html.unescape(html.unescape(text)) if "&" in text else text
    plain = _UNSEEN.sub("", plain)
    plain = _LINK.sub(r"\1", plain)
    plain = _ADDRESS.sub(_host, plain)
    plain = _TAG.sub(" ", plain)
    plain = _STAGE.sub("", plain)
    plain = _MARKS.sub("", _LINE_MARKS.sub("", plain))
    plain = plain.replace("<", " ").replace(">", " ")
    return text if plain == text else _SPACES.sub(" ", plain).strip()


def _host(match: re.Match[str]) -> str:
    whole = match.group(1)
    rest = re.split(r"[/?#]", whole, maxsplit=1)[0]
    end = re.search(r"[.,;:!?]+$", whole)
    host = rest.rsplit("@", 1)[-1].split(":", 1)[0].strip(".,;:!?")
    return host + (end.group() if end else "")
