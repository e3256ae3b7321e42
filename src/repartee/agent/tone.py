"""The section `tone` of an agent file: whether an agent goes by how a turn sounds, and what it does then."""

from __future__ import annotations

from pydantic import Field

from repartee.agent.slots import Strict, Text

HURRIED = "The caller seems to be in a hurry. Answer in one short sentence, without courtesies."
UPSET = (
    "The caller may be upset; this is a guess from the sound alone, so never mention it. Be calm and brief, say "
    "first what you can do now, and ask one thing at a time."
)


class ToneSection(Strict):
    """Off by default. What is heard is a guess, is told to nobody but the model, and is not stored."""

    adapt: bool = Field(
        default=False, description="Go by how the caller's turns sound, against their own earlier ones"
    )
    hurried: Text = Field(default=HURRIED, description="Told to the model while the caller sounds hurried")
    upset: Text = Field(default=UPSET, description="Told to the model while the caller sounds upset")
    hand_off: Text | None = Field(
        default=None,
        description="Told to the model besides, after two such turns: whom to offer the call to, and how",
    )
    pace: bool = Field(
        default=True, description="Speak a little faster to who is hurried, a little slower to who is upset"
    )
