"""What every request to a provider used, reported once when it ends, however it ends.

`Meter` holds the requests of one call that are on their way. HTTP requests come to it through the client it gives
out (`metered_http`), sockets tell theirs (`metered_sockets`); services only say what a request is for (`about`).
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal

from repartee.telemetry.usage import Outcome, Purpose, ReportUsage, Stage, Unit, Usage, ignore_usage

CHARACTERS_PER_TOKEN = 4
"""English, by OpenAI's rule of thumb; replaced by what the model itself counted as soon as it has."""

AGAIN = "~"
"""Before the number of a request that was made again."""


@dataclass(frozen=True, slots=True)
class About:
    """What a request is for. `name` is its id where somebody must know it beforehand."""

    purpose: Purpose = "turn"
    reply_id: int | None = None
    piece_id: int | None = None
    attempt: int = 1
    name: str | None = None


_about: ContextVar[About] = ContextVar("about")
_NOTHING = About()


@contextmanager
def about(
    *,
    purpose: Purpose | None = None,
    reply_id: int | None = None,
    piece_id: int | None = None,
    attempt: int | None = None,
    name: str | None = None,
) -> Iterator[None]:
    """Say what the requests made inside are for; what is left out stays as it was around it."""
    around = current()
    inside = About(
        purpose or around.purpose,
        around.reply_id if reply_id is None else reply_id,
        around.piece_id if piece_id is None else piece_id,
        attempt or around.attempt,
        name or around.name,
    )
    token = _about.set(inside)
    try:
        yield
    finally:
        _about.reset(token)


def current() -> About:
    """Return what the present requests are for."""
    return _about.get(_NOTHING)


@dataclass
class Density:
    """How a model counts tokens, learned from the answers in which it said so.

    A provider tells the tokens of a stream at its end only; one that was cut is reckoned with these.
    """

    characters: int = 0
    """Of the newest prompt whose tokens are known."""
    tokens: int = 0
    cached: int = 0
    per_delta: float = 1.0
    """Tokens made for each piece of the stream."""

    def learn(self, characters: int, usage: TokenUsage, deltas: int) -> None:
        """Take what the model counted."""
        if characters > 0 and usage.tokens_in > 0:
            self.characters, self.tokens, self.cached = characters, usage.tokens_in, usage.tokens_cached
        if deltas > 0 and usage.tokens_out > 0:
            self.per_delta = usage.tokens_out / deltas

    def reckon(self, characters: int, deltas: int) -> TokenUsage:
        """Return what a stream used that was cut after so many pieces.

        What the newest prompt and this one have in common was counted; only the difference is reckoned. The cached
        part is taken to be as long as then: a conversation's beginning stays.
        """
        if self.characters:
            more = (characters - self.characters) * self.tokens / self.characters
            tokens_in = max(1, self.tokens + round(more))
        else:
            tokens_in = characters // CHARACTERS_PER_TOKEN + 1
        return TokenUsage(tokens_in, min(self.cached, tokens_in), round(deltas * self.per_delta))


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one request; `tokens_in` includes the cached ones."""

    tokens_in: int
    tokens_cached: int
    tokens_out: int

    def quantities(self) -> dict[Unit, Decimal]:
        """Return them by unit, without the zeros."""
        counted: dict[Unit, int] = {
            "tokens_in": self.tokens_in,
            "tokens_cached": self.tokens_cached,
            "tokens_out": self.tokens_out,
        }
        return {unit: Decimal(count) for unit, count in counted.items() if count}


@dataclass(eq=False)
class Record:
    """One request on its way.

    Attributes:
        left: The provider has all of it; until then it costs nothing.
        reckon: Fills in, at the end, what is not known before; returns whether it had to be estimated.
    """

    meter: Meter
    stage: Stage
    provider: str
    model: str
    request_id: str
    about: About
    started_at_ms: float
    quantities: dict[Unit, Decimal] = field(default_factory=dict)
    left: bool = False
    ended: bool = False
    reckon: Callable[[Record], bool] | None = None

    def end(self, outcome: Outcome, *, billed: bool = True) -> None:
        """Report it; told again, it counts once."""
        if self.ended:
            return
        self.ended = True
        estimated = self.reckon(self) if self.reckon is not None else False
        self.meter.report_ended(self, outcome, billed=billed and self.left, estimated=estimated)


class Meter:
    """The requests of one call that are on their way.

    Args:
        report: Takes each usage.
        clock_ms: The call's clock.
    """

    def __init__(
        self, report: ReportUsage = ignore_usage, clock_ms: Callable[[], float] | None = None
    ) -> None:
        self._report = report
        self._clock_ms = clock_ms or (lambda: time.monotonic() * 1000)
        self._open: dict[Record, None] = {}
        self._names: Counter[str] = Counter()
        self._densities: dict[tuple[str, str, Purpose], Density] = {}

    def begin(
        self,
        stage: Stage,
        provider: str,
        model: str,
        quantities: Mapping[Unit, Decimal] | None = None,
    ) -> Record:
        """Begin a request; it is for what `about` says. A name used again gets a number behind it."""
        name = current().name or uuid.uuid4().hex
        self._names[name] += 1
        record = Record(
            self,
            stage,
            provider,
            model,
            name if self._names[name] == 1 else f"{name}{AGAIN}{self._names[name]}",
            current(),
            self._clock_ms(),
            dict(quantities or {}),
        )
        self._open[record] = None
        return record

    def density(self, provider: str, model: str, purpose: Purpose) -> Density:
        """Return how a model counts the tokens of such requests."""
        return self._densities.setdefault((provider, model, purpose), Density())

    def report_ended(self, record: Record, outcome: Outcome, *, billed: bool, estimated: bool) -> None:
        """Report a record that has ended; `Record.end` is the way to it."""
        self._open.pop(record, None)
        why = record.about
        self._report(
            Usage(
                request_id=record.request_id,
                stage=record.stage,
                provider=record.provider,
                model=record.model,
                quantities=record.quantities if record.left else {},
                outcome=outcome,
                estimated=estimated and record.left,
                attempt=why.attempt,
                purpose=why.purpose,
                reply_id=why.reply_id,
                piece_id=why.piece_id,
                billed=billed,
                started_at_ms=record.started_at_ms,
                ended_at_ms=self._clock_ms(),
            )
        )

    def close(self) -> None:
        """End what is still on its way: the call is over, and nobody reads it any more."""
        for record in list(self._open):
            record.end("cancelled")
