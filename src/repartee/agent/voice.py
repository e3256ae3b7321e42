"""Voices of an agent: what each is called at every provider, the others a call may change to, and per language."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from repartee.agent.slots import Strict, Text

Code = Annotated[str, Field(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
"""A language as in agent files: `de`, `de-AT`."""
VoiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=32)]
DEFAULT_VOICE = "default"
"""Name of the voice that the file has under `voice`, or under the language that is spoken."""


class Voice(Strict):
    """The voice's name at each provider; the one in use is picked by the ladder."""

    openai: str = "alloy"
    elevenlabs: str = "21m00Tcm4TlvDq8ikWAM"
    cartesia: str = "e07c00bc-4134-4eae-9ea4-1a55fb45746b"
    on_device: str = "en_US-joe-medium"
    speed: float = Field(default=1.0, ge=0.5, le=2.0)


def spoken_in(code: str, voice: Voice) -> Voice:
    """Return a voice that speaks a language on this machine too: espeak-ng's, where the file names none for it."""
    own = voice.on_device[:2] == code[:2] or "on_device" in voice.model_fields_set
    return voice if own else voice.model_copy(update={"on_device": f"espeak:{code[:2]}"})


class LanguageSection(Strict):
    """Another language the agent speaks."""

    voice: Voice | None = Field(
        default=None, description="The voice in it; left out, the agent's own speaks it"
    )
    instruction: Text | None = Field(
        default=None, description="Told to the model while it is spoken, e.g. how the user is addressed"
    )


Voices = Annotated[dict[VoiceName, Voice], Field(max_length=16)]
Languages = Annotated[dict[Code, LanguageSection], Field(max_length=8)]


def voices_in(language: str, voice: Voice, sections: dict[str, LanguageSection]) -> dict[str, Voice]:
    """Return the voice of each language that is spoken, by code.

    Args:
        language: The agent's own.
        voice: Its voice.
        sections: The others.
    """
    # What it is on this machine is said of the agent's own language, not of these.
    anybody = Voice(**voice.model_dump(exclude={"on_device"}))
    others = {code: spoken_in(code, section.voice or anybody) for code, section in sections.items()}
    return {language: spoken_in(language, voice), **others}
