"""`models.realtime` of an agent file: one model that hears and speaks, and what cannot be had together with it.

Such a model speaks with one voice for the whole of a call. What the call says without it (its greeting, a question
before a tool acts, an apology) and what is said when it fails comes from OpenAI's plain voice of the same name, so
that it is one voice that the caller hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from repartee.agent.slots import nearest

REALTIME_MODELS = "gpt-realtime"
"""How their names begin."""
REALTIME_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Names that both the realtime models and OpenAI's plain voice know."""
FASTEST = 1.5
RULE = "models.realtime speaks with one voice of OpenAI's"

Location = tuple[str | int, ...]


def check_realtime(name: str) -> None:
    """See that a name is one of such a model.

    Raises:
        ValueError: It is not.
    """
    provider, _, model = name.partition(":")
    if provider != "openai":
        raise ValueError(
            f"models.realtime cannot be '{name}'; only OpenAI's are known, e.g. openai:{REALTIME_MODELS}"
        )
    if not model.startswith(REALTIME_MODELS) or "whisper" in model:
        raise ValueError(
            f"models.realtime: '{model}' is no model that hears and speaks; write openai:{REALTIME_MODELS} or "
            f"openai:{REALTIME_MODELS}-mini"
        )


def check_one_voice(definition: Any) -> Iterator[tuple[Location, str]]:
    """Yield what cannot be had together with a model that speaks itself.

    Args:
        definition: The file.
    """
    if definition.models.realtime is None:
        return
    tts = definition.models.tts
    first = tts[0] if isinstance(tts, tuple) else tts
    if first is not None and not first.startswith("openai:"):
        yield (
            ("models", "tts"),
            f"{RULE}, and '{first}' would be another beside it; write openai:gpt-4o-mini-tts, or leave it out",
        )
    if (voice := definition.voice.openai) not in REALTIME_VOICES:
        yield ("voice", "openai"), f"{RULE}, and '{voice}' is none of its{nearest(voice, REALTIME_VOICES)}"
    if definition.voice.speed > FASTEST:
        yield ("voice", "speed"), f"{RULE}, which speaks {FASTEST} times as fast at most; write a lower speed"
    if definition.voices:
        yield ("voices",), f"{RULE} for the whole of a call; leave out 'voices', or models.realtime"
    if definition.team.agents:
        yield (
            ("team", "agents"),
            f"{RULE} for the whole of a call, so it is not passed on; leave out one of the two",
        )
    if definition.vision.enabled:
        yield (
            ("vision", "enabled"),
            "models.realtime is shown no pictures yet; leave out vision, or models.realtime",
        )
    if definition.tone.adapt and definition.tone.pace:
        yield ("tone", "adapt"), f"{RULE} at one pace; write pace: false beside it"
    for code, section in definition.languages.items():
        if section.voice is not None and section.voice.openai != definition.voice.openai:
            yield (
                ("languages", code, "voice"),
                f"{RULE} in every language; leave out this one's voice, or models.realtime",
            )
