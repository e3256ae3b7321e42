"""Everything a participant may send passes here: from the caller only, of a known kind, small, and not too often.

Data messages, streams, RPC and keys of a telephone all ask `admit` first. A data message is then read strictly:
JSON of bounded depth, in RTVI's envelope, of a type that somebody has said they take. What is refused is dropped and
counted, and nobody is told why: an answer would be one more thing to flood us with.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

import structlog
from livekit import rtc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repartee.bounded_json import depth, loads
from repartee.session.limits import MAX_BYTES, MAX_DEPTH, ChatLimiter, TokenBucket

log = structlog.get_logger()

PER_SECOND, BURST = 10.0, 20
"""Messages of every kind together."""
READERS = 4
"""Streams that are read at once."""
OLDER_CHAT = "lk-chat-topic"
"""Topic of what clients typed before there were text streams. Newer ones send it too, and say that it is known."""
READ_S = 5.0
"""A stream that takes longer to arrive is given up."""
MESSAGE_ID = "repartee.message"
"""Attribute of a typed message: its id, of whoever wants to know that it was taken and may send it again."""
ID_CHARACTERS = 32
IDS_KEPT = 8

Kind = Literal["data", "chat", "rpc", "dtmf", "audio", "session"]
Refusal = Literal["not_caller", "too_many", "too_large", "too_deep", "not_json", "unknown", "wrong"]

NEVER_TAKEN = frozenset(
    {
        "llm-function-call-result",  # a client could make up what a tool has done
        "raw-audio",
        "raw-audio-batch",  # audio comes as a track, with its bounds
        "send-file",  # an address we would fetch, or megabytes
    }
)
"""Types of RTVI that no handler may be given for."""


class Body(BaseModel):
    """What a message of one type holds; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Envelope(BaseModel):
    """RTVI's."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    label: Literal["rtvi-ai"]
    type: Annotated[str, Field(min_length=1, max_length=64)]
    id: Annotated[str, Field(max_length=64)] = ""
    data: dict[str, Any] | None = None


class _OlderChat(BaseModel):
    """What `OLDER_CHAT` holds, as LiveKit's components send it."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    message: str
    known: bool = Field(default=False, alias="ignoreLegacy")
    """It came as a text stream as well."""


class Reader(Protocol):
    """A stream as the LiveKit SDK hands it over; it must be closed when it is not read to its end."""

    def __aiter__(self) -> Any:
        """Chunks of text, or of bytes."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


Take = Callable[[Any, str], None]
"""Takes a message's body and its id; must not block."""


class Inlet:
    """What one call takes from its participants.

    Args:
        is_caller: Says whether an identity is the caller's.
        types: What data messages are taken: the model of their body and who takes it, by type.
        mark: Told the first refusal of each kind.
        bucket: How often; by default 10 a second, 20 at once.
    """

    def __init__(
        self,
        is_caller: Callable[[str], bool],
        types: Mapping[str, tuple[type[Body], Take]] | None = None,
        *,
        mark: Callable[..., None] = lambda *_, **__: None,
        bucket: TokenBucket | None = None,
    ) -> None:
        self._is_caller = is_caller
        self._types = dict(types or {})
        if forged := NEVER_TAKEN & self._types.keys():
            raise ValueError(f"messages of type {', '.join(sorted(forged))} are never taken from a client")
        self._mark = mark
        self._bucket = bucket or TokenBucket(burst=BURST, per_second=PER_SECOND)
        self._chat = ChatLimiter()
        self._reading = 0
        self._ids: deque[str] = deque(maxlen=IDS_KEPT)
        self.on_taken: Callable[[str], None] = lambda _: None
        """Told the ids of the typed messages that were taken last, separated by spaces, with each that has one."""
        self.refused: Counter[tuple[Kind, Refusal]] = Counter()
        """How many were dropped, by kind and reason."""

    def admit(self, kind: Kind, sender: str | None, size: int, limit: int = MAX_BYTES) -> bool:
        """Say whether a message may be looked at; one that may not is counted.

        Args:
            kind: How it came.
            sender: Whose it is; None where LiveKit does not say.
            size: In bytes.
            limit: In bytes, where more than of a message is taken.
        """
        # First, so that nobody else can use up what is the caller's.
        if sender is None or not self._is_caller(sender):
            return self.refuse(kind, "not_caller")
        if not self._bucket.admit():
            return self.refuse(kind, "too_many")
        if size > limit:
            return self.refuse(kind, "too_large")
        return True

    def data(self, sender: str | None, payload: bytes) -> None:
        """Take a data message: hand it to whoever takes its type, or drop it."""
        if self.admit("data", sender, len(payload)) and (why := self._dispatch(payload)) is not None:
            self.refuse("data", why)

    def older_chat(self, sender: str | None, payload: bytes) -> str | None:
        """Return what a client without text streams has typed; None when it is not taken, or came as a stream too."""
        if not self.admit("chat", sender, len(payload)):
            return None
        try:
            said = _OlderChat.model_validate(loads(payload, MAX_DEPTH))
        except ValueError:  # pydantic's is one
            self.refuse("chat", "wrong")
            return None
        return None if said.known or not self.may_say(said.message) else said.message

    def may_say(self, text: str) -> bool:
        """Say whether what was typed, in whichever message, may become a turn."""
        if len(text) > self._chat.max_characters:
            return self.refuse("chat", "too_large")
        return self._chat.admit() or self.refuse("chat", "too_many")

    def _dispatch(self, payload: bytes) -> Refusal | None:
        if depth(payload) > MAX_DEPTH:
            return "too_deep"
        try:
            envelope = _Envelope.model_validate(loads(payload))
        except ValidationError:
            return "wrong"
        except ValueError:  # of json, of UTF-8, of a number with thousands of digits
            return "not_json"
        taken = self._types.get(envelope.type)
        if taken is None:
            return "unknown"
        model, take = taken
        try:
            body = model.model_validate(envelope.data or {})
        except ValidationError:
            return "wrong"
        take(body, envelope.id)
        return None

    def may_chat(self, reader: Reader, sender: str, size: int) -> bool:
        """Say whether a text stream is to be read with `chat`; one that is not is closed.

        Args:
            reader: The stream.
            sender: Whose it is.
            size: What it says of its own length in bytes; 0 where it does not.
        """
        return self._may_read("chat", reader, sender, size, self._chat)

    def may_read(self, kind: Kind, reader: Reader, sender: str, size: int) -> bool:
        """Say whether a byte stream is to be read with `read`; one that is not is closed."""
        return self._may_read(kind, reader, sender, size, None)

    def _may_read(
        self, kind: Kind, reader: Reader, sender: str, size: int, limiter: TokenBucket | None
    ) -> bool:
        if self.admit(kind, sender, size):
            if self._reading < READERS and (limiter is None or limiter.admit()):
                self._reading += 1
                return True
            self.refuse(kind, "too_many")
        reader.close()
        return False

    async def read(self, kind: Kind, reader: Reader) -> bytes | None:
        """Read a byte stream to its end; None when it is not taken."""
        whole = b""
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in reader:
                    whole += chunk
                    if len(whole) > MAX_BYTES:
                        self.refuse(kind, "too_large")
                        return None
        except (TimeoutError, rtc.StreamError):
            self.refuse(kind, "wrong")
            return None
        finally:
            self._reading -= 1
            reader.close()
        return whole

    async def chat(self, reader: Reader, message_id: str = "") -> str | None:
        """Read what was typed; None when it is not taken, or was before.

        Args:
            reader: The stream.
            message_id: The client's own name for it; with one it may come again, and is taken once.
        """
        text = ""
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in reader:
                    text += chunk
                    if len(text) > self._chat.max_characters:
                        self.refuse("chat", "too_large")
                        return None
        except (TimeoutError, rtc.StreamError):
            self.refuse("chat", "wrong")
            return None
        finally:
            self._reading -= 1
            reader.close()
        return text if self._first_time(message_id) else None

    def _first_time(self, message_id: str) -> bool:
        """Confirm a typed message; say whether it is new: a client whose line broke sends again what may be lost."""
        if not message_id.isascii() or not message_id.isalnum() or len(message_id) > ID_CHARACTERS:
            return True  # nothing that could be told back
        new = message_id not in self._ids
        if new:
            self._ids.append(message_id)
        self.on_taken(" ".join(self._ids))
        return new

    def summary(self) -> dict[str, int]:
        """Return how many were dropped, as `kind.reason`."""
        return {f"{kind}.{why}": count for (kind, why), count in sorted(self.refused.items())}

    def refuse(self, kind: Kind, why: Refusal) -> Literal[False]:
        """Count something that was dropped, and return that it is not taken."""
        self.refused[kind, why] += 1
        if self.refused[kind, why] == 1:
            # Once: a flood must not become a flood of lines.
            log.warning("message.refused", kind=kind, why=why)
            self._mark("message.refused", kind=kind, why=why)
        return False
