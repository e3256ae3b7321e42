"""The section `keep` of an agent file: what of its calls is kept, and what callers are told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, field_validator

from repartee.agent.slots import Strict, Text

Transcripts = Literal["on", "redacted", "off"]
_CONSENT = {
    "en": "This call is recorded.",
    "de": "Dieses Gespräch wird aufgezeichnet.",
    "es": "Esta llamada se está grabando.",
}


class Keep(Strict):
    """What is kept; for how long, the installation says (`REPARTEE_KEEP_DAYS`)."""

    transcripts: Transcripts = Field(
        default="on",
        description="What was said: on; redacted, without cards, telephone numbers, addresses and the like; or off",
    )
    consent: Text | None = Field(
        default=None,
        description="Said before the greeting; left out, a sentence of ours where calls are recorded",
    )

    @field_validator("transcripts", mode="before")
    @classmethod
    def _yaml_words(cls, value: Any) -> Any:
        # YAML reads a bare on and off as true and false.
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def strictest(keeps: Iterable[Keep]) -> Transcripts:
    """Return how little is kept where several agents have one call: what the strictest of them keeps."""
    order: tuple[Transcripts, ...] = ("on", "redacted", "off")
    return max((keep.transcripts for keep in keeps), key=order.index)


def opening_of(greeting: str, keep: Keep, language: str, *, recorded: bool) -> str:
    """Return what the agent says first: what callers must know of the recording, then the greeting."""
    consent = keep.consent
    if consent is None and recorded:
        consent = _CONSENT.get(language.split("-", maxsplit=1)[0].lower(), _CONSENT["en"])
    return f"{consent} {greeting}" if consent else greeting
