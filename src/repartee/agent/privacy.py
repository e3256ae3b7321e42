"""The `privacy` section of an agent file: whether what is said may leave the machine.

The check goes through all of the file, not through a list of its keys: a section that is added later and names a
vendor's model or another machine's address is found as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from repartee.machine import is_loopback
from repartee.urls import host_of

Privacy = Literal["vendors", "on-device"]
"""`vendors`: whatever the ladder finds may be used; `on-device`: nothing that is said leaves this machine."""

PRIVATE: Privacy = "on-device"
_VENDORS = {
    "openai": "OpenAI",
    "openai-realtime": "OpenAI",
    "elevenlabs": "ElevenLabs",
    "cartesia": "Cartesia",
}
_MODEL = re.compile(r"^(?P<provider>[a-z][a-z-]*):[\w./:-]+$")
_ADDRESS = re.compile(r"^(https?|wss?|tcp|redis|grpc)://\S+$")
_CLOUD = re.compile(r"[:-]cloud$")
RULE = "privacy: on-device lets nothing that is said leave this machine"

Location = tuple[str | int, ...]


def check_privacy(definition: BaseModel) -> Iterator[tuple[Location, str]]:
    """Yield every value of an agent file that names a vendor's model or another machine, where that is forbidden.

    Args:
        definition: The file, with a `privacy` of its own.
    """
    if getattr(definition, "privacy", None) != PRIVATE:
        return
    for at, value in _texts(definition.model_dump(), ()):
        where = ".".join(str(part) for part in at)
        if (model := _MODEL.match(value)) and (vendor := _VENDORS.get(model["provider"])):
            own = PRIVATE if {"stt", "tts"} & set(at) else "local:MODEL"
            instead = "leave it out" if "realtime" in at else f"write '{own}', or leave it out"
            yield at, f"{where}: '{value}' runs at {vendor}, and {RULE}; {instead}"
        elif model and model["provider"] == "local" and is_cloud_model(value):
            yield (
                at,
                f"{where}: '{value}' is a model that Ollama runs on its own servers, and {RULE}; choose another",
            )
        elif _ADDRESS.match(value) and not is_loopback(host_of(value)):
            here = "use a server on this one (127.0.0.1), or leave it out"
            yield at, f"{where}: '{host_of(value)}' is another machine, and {RULE}; {here}"


def is_cloud_model(name: str) -> bool:
    """Say whether a local server passes a model's requests on: those that Ollama names so (`gpt-oss:120b-cloud`)."""
    return _CLOUD.search(name) is not None


def _texts(value: Any, at: Location) -> Iterator[tuple[Location, str]]:
    match value:
        case str():
            yield at, value
        case dict():
            for key, below in value.items():
                yield from _texts(below, (*at, key))
        case list() | tuple():
            for index, below in enumerate(value):
                yield from _texts(below, (*at, index))
        case _:
            return
