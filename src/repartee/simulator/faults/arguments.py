"""The verbs of a plan of faults and what each may be told. A piece is a message of a socket, an event of an event
stream, a whole JSON body, or 4096 bytes of any other body.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

HANG_S = 600.0
"""The longest that anything is kept waiting."""
Side = Literal["answer", "request"]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=HANG_S)]


class Arguments(BaseModel):
    """What a verb may be told. `of` says which way the pieces go that are counted and broken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    of: Side = Field(default="answer")


class _AnswerOnly(Arguments):
    of: Literal["answer"] = Field(default="answer")


class Refuse(_AnswerOnly):
    """The connection is reset before anything is answered."""


class TlsFail(_AnswerOnly):
    """A TLS alert comes where the answer should, and the connection ends."""


class AcceptHang(_AnswerOnly):
    """The connection is taken and nothing is ever answered, no handshake either."""

    for_s: Seconds = HANG_S


class Blackhole(_AnswerOnly):
    """What is sent vanishes: nothing reaches the vendor, nothing comes back, pings are not answered."""

    for_s: Seconds = HANG_S


class Silent(_AnswerOnly):
    """The vendor takes everything, and nothing more is heard of it."""

    after: Count = 0


class ResetAfter(Arguments):
    """The connection is reset after so many bytes, or after a share of the answer, held until its length is known."""

    bytes: Count | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bytes is None) == (self.share is None):
            raise ValueError("'reset_after' needs one of 'bytes' and 'share'")
        return self


class Close(Arguments):
    """A socket is closed with a code; 1006 closes without a word. An answer over HTTP ends as if it were complete."""

    code: Annotated[int, Field(ge=1000, le=4999)] = 1011
    after: Count = 0
    reason: Annotated[str, Field(max_length=100)] = ""


class Stall(Arguments):
    """Nothing comes for a while."""

    for_s: Seconds
    after: Count = 0


class Slow(Arguments):
    """So many bytes a second and no more."""

    bytes_per_s: Annotated[int, Field(ge=1)]


class Jitter(Arguments):
    """Each piece is late by up to so much; the order is kept."""

    ms: Annotated[float, Field(gt=0, le=60_000)]


class Status(_AnswerOnly):
    """Answered with an error of HTTP; the vendor is not asked."""

    code: Annotated[int, Field(ge=400, le=599)]
    retry_after_s: Annotated[int, Field(ge=0)] | None = None


class Corrupt(_AnswerOnly):
    """Pieces are damaged: JSON that does not close, base64 or UTF-8 that is none, or half of the piece only."""

    what: Literal["json", "base64", "utf8", "truncate"]
    after: Count = 0
    many: Annotated[int, Field(ge=1)] = 1


class WrongRate(_AnswerOnly):
    """Audio runs so many times too fast: its rate is not the one that was asked for."""

    factor: Annotated[float, Field(ge=0.25, le=4)]


class ZeroAudio(_AnswerOnly):
    """Audio comes as silence, or not at all."""

    what: Literal["silence", "nothing"] = "silence"


class Duplicate(_AnswerOnly):
    """Pieces come twice."""

    after: Count = 0
    many: Annotated[int, Field(ge=1)] = 1


class Reorder(_AnswerOnly):
    """Pieces change places with the one behind them."""

    after: Count = 0
    many: Annotated[int, Field(ge=1)] = 1


class ClockSkew(_AnswerOnly):
    """The vendor's clock is off: its `Date` header."""

    seconds: Annotated[float, Field(ge=-86_400, le=86_400)]


VERBS: dict[str, type[Arguments]] = {
    "refuse": Refuse,
    "tls_fail": TlsFail,
    "accept_hang": AcceptHang,
    "blackhole": Blackhole,
    "silent": Silent,
    "reset_after": ResetAfter,
    "close": Close,
    "stall": Stall,
    "slow": Slow,
    "jitter": Jitter,
    "status": Status,
    "corrupt": Corrupt,
    "wrong_rate": WrongRate,
    "zero_audio": ZeroAudio,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "clock_skew": ClockSkew,
}
