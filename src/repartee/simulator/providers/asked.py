"""What clients may ask of the simulated vendors, read as strictly as vendors do."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repartee.bounded_json import loads

RATES_HZ = (8000, 16_000, 22_050, 24_000, 44_100, 48_000)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class AskedFunction(_Asked):
    """Of a tool call."""

    name: str
    arguments: str = "{}"


class AskedCall(_Asked):
    """A tool call that was made."""

    id: str = ""
    function: AskedFunction


class AskedMessage(_Asked):
    """Of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[AskedCall] | None = None
    tool_call_id: str | None = None


class AskedUsage(_Asked):
    """How a stream ends."""

    include_usage: bool = False


class AskedChat(_Asked):
    """A chat request."""

    model: str = "gpt-4.1-mini"
    messages: Annotated[list[AskedMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: AskedUsage | None = None


class AskedSpeech(_Asked):
    """A request for speech."""

    model: str = "tts-1"
    input: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"\S")]
    response_format: str = "mp3"
    voice: str = ""


class AskedFormat(_Asked):
    """Cartesia's audio."""

    sample_rate: int = 24_000


class AskedVoice(_Asked):
    """Cartesia's voice."""

    id: str = ""


class AskedClause(_Asked):
    """A message to Cartesia."""

    context_id: str | None = None
    model_id: str | None = None
    transcript: str | None = None
    voice: AskedVoice | None = None
    output_format: AskedFormat | None = None
    cancel: bool = False
    continues: bool = Field(default=False, alias="continue")


class AskedText(_Asked):
    """A message to ElevenLabs."""

    context_id: str | None = None
    text: str | None = None
    flush: bool = False
    close_context: bool = False
    close_socket: bool = False


class AskedTranscription(_Asked):
    """OpenAI's transcription settings."""

    model: str | None = None


class AskedInput(_Asked):
    """Of a session."""

    transcription: AskedTranscription | None = None


class AskedOutput(_Asked):
    """Of a session."""

    voice: str | None = None


class AskedAudio(_Asked):
    """Of a session."""

    input: AskedInput | None = None
    output: AskedOutput | None = None


class AskedSession(_Asked):
    """A realtime session; what is left out stays as it was."""

    audio: AskedAudio | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None


class AskedPart(_Asked):
    """A part of an item."""

    text: str | None = None


class AskedItem(_Asked):
    """An item of a realtime conversation."""

    id: Annotated[str, Field(max_length=64)] | None = None
    type: Literal["message", "function_call", "function_call_output"]
    role: Literal["user", "assistant", "system"] | None = None
    content: list[AskedPart] = []
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str = ""


class AskedResponse(_Asked):
    """What is different in one response of a realtime session."""

    instructions: str | None = None
    tool_choice: str | dict[str, Any] = "auto"


class AskedEvent(_Asked):
    """A message to OpenAI's realtime socket."""

    type: str = ""
    event_id: str | None = None
    audio: str = ""
    session: AskedSession | None = None
    item: AskedItem | None = None
    item_id: str = ""
    audio_end_ms: int = 0
    response: AskedResponse | None = None


A = TypeVar("A", bound=_Asked)


def read(kind: type[A], data: str | bytes) -> A:
    """Read what was sent.

    Raises:
        ValueError: It is not what the vendor takes; the sentence says where.
    """
    try:
        return kind.model_validate(loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"'{where}': {first['msg'].lower()}") from error


async def read_socket(kind: type[A], socket: web.WebSocketResponse, data: str) -> A | None:
    """Read a message; one that is none closes the socket, and None is returned."""
    try:
        return read(kind, data)
    except ValueError as error:
        await socket.close(code=1008, message=str(error)[:100].encode("utf-8", "replace")[:120])
        return None
