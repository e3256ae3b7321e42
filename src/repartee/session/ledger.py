"""The bill of one call: every request priced, and judged used or wasted when its reply is over.

A request is used when what it gave was heard, or answered a turn that stood: a reply that was thrown away, a clause
made ahead and never spoken, a transcription that a later one of the same piece replaced are wasted. It counts in the
sum as soon as it has ended; its row is written once it has been judged. No text is kept, here or in the rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from repartee.events import (
    CloseTurn,
    Command,
    Event,
    OpenTurn,
    ReplyAudible,
    ReplyFinished,
    RestoreVoice,
    SpeakGreeting,
    SpeakLine,
    SpeechStopped,
    StartReply,
)
from repartee.providers.metering import AGAIN
from repartee.providers.prices import Pricing, cost_of
from repartee.session.bill import Bill
from repartee.store import LedgerRow
from repartee.telemetry.usage import Purpose, Usage

log = structlog.get_logger()
REMEMBERED_REPLIES = 256
REMEMBERED_REQUESTS = 10_000
NOTHING = Decimal(0)


@dataclass
class _Reply:
    """What is known of a reply whose requests may still come."""

    turn_id: int | None
    purpose: Purpose
    over: bool = False
    heard: int | None = 0
    """Characters of it that were heard; None is all."""
    spoken: int = 0
    """Characters whose audio was wanted so far."""
    begins: dict[str, int] = field(default_factory=dict)
    """Where in the reply a request's text begins, in characters."""
    asides: int = 0
    """Characters that were said while something took long; they are no part of what was heard."""
    replaced: set[str] = field(default_factory=set)
    """Requests whose answer another model's took the place of."""
    waiting: list[tuple[Usage, Decimal | None]] = field(default_factory=list)

    def used(self, usage: Usage) -> bool:
        if usage.outcome == "failed" or usage.request_id in self.replaced:
            return False
        if usage.stage != "tts" or not self.begins:
            return self.heard is None or self.heard > 0
        begin = self.begins.get(usage.request_id.partition(AGAIN)[0])
        return begin is not None and (self.heard is None or begin < self.heard)


class Ledger:
    """Takes usages and what became of replies; prices, judges and sums.

    Args:
        call_id: The call.
        agent: The agent's name.
        prices: What requests cost; None knows no price.
        write: Takes each row once it is judged; must not wait.
        mark: Records on the call's timeline.
        on_spent: Called with the sum when it has grown.
    """

    def __init__(
        self,
        call_id: str = "",
        agent: str = "",
        *,
        prices: Pricing | None = None,
        write: Callable[[LedgerRow], None] | None = None,
        mark: Callable[..., None] | None = None,
        on_spent: Callable[[Decimal], None] | None = None,
    ) -> None:
        self._call_id, self._agent = call_id, agent
        self._prices = prices
        self._write = write
        self._mark = mark or (lambda *_, **__: None)
        self.on_spent = on_spent
        self.bill = Bill()
        self._replies: OrderedDict[int, _Reply] = OrderedDict()
        self._pieces: dict[int, tuple[Usage, Decimal | None]] = {}
        self._turn_id: int | None = None
        self._seen: OrderedDict[str, None] = OrderedDict()

    # --- requests ---------------------------------------------------------------------------------------------

    def take(self, usage: Usage) -> None:
        """Take one request that has ended; the same reported twice counts once."""
        if usage.request_id in self._seen:
            return
        self._seen[usage.request_id] = None
        if len(self._seen) > REMEMBERED_REQUESTS:
            self._seen.popitem(last=False)
        reply = self._replies.get(usage.reply_id) if usage.reply_id is not None else None
        if reply is not None:
            purpose = reply.purpose if usage.purpose == "turn" else usage.purpose
            usage = replace(usage, turn_id=reply.turn_id, purpose=purpose)
        cost = self._cost(usage)
        self.bill.add(usage, cost)
        if usage.stage == "stt":
            self._heard(usage, cost)
        elif reply is None:
            self._judge(usage, cost, used=usage.outcome == "done")
        elif reply.over:
            self._judge(usage, cost, used=reply.used(usage))
        else:
            reply.waiting.append((usage, cost))
        if self.on_spent is not None and cost:
            self.on_spent(self.bill.cost)

    def _cost(self, usage: Usage) -> Decimal | None:
        cost = cost_of(self._prices, usage) if self._prices is not None else None
        if cost is None:
            name = f"{usage.provider}:{usage.model}"
            if name not in self.bill.unknown:
                log.warning("ledger.price_unknown", model=name, stage=usage.stage, call_id=self._call_id)
                self._mark("price.unknown", model=name)
        return cost

    def _heard(self, usage: Usage, cost: Decimal | None) -> None:
        """Keep a transcription until its turn is over: another of the same piece may replace it."""
        if usage.outcome != "done":
            self._judge(replace(usage, turn_id=self._turn_id), cost, used=False)
        elif usage.piece_id is None:
            self._judge(replace(usage, turn_id=self._turn_id), cost, used=True)
        else:
            if older := self._pieces.pop(usage.piece_id, None):
                self._judge(replace(older[0], turn_id=self._turn_id), older[1], used=False)
            self._pieces[usage.piece_id] = (usage, cost)

    def _settle_pieces(self, turn_id: int | None, *, used: bool) -> None:
        for usage, cost in self._pieces.values():
            self._judge(replace(usage, turn_id=turn_id), cost, used=used)
        self._pieces.clear()

    def _judge(self, usage: Usage, cost: Decimal | None, *, used: bool) -> None:
        self.bill.judge(usage, cost, used=used)
        told = {"reply_id": usage.reply_id, "turn_id": usage.turn_id}
        self._mark(
            "usage",
            stage=usage.stage,
            model=f"{usage.provider}:{usage.model}",
            outcome=usage.outcome,
            used=used,
            usd="unknown" if cost is None else str(cost),
            **{name: number for name, number in told.items() if number is not None},
        )
        if self._write is not None:
            version = self._prices.version if self._prices is not None else None
            at = datetime.now(UTC)
            self._write(LedgerRow(usage, self._call_id or None, self._agent, at, version, cost, used))

    # --- what became of it ------------------------------------------------------------------------------------

    def observe(self, event: Event, commands: tuple[Command, ...]) -> None:
        """Take a step of the conversation, before its commands are performed."""
        match event:
            case SpeechStopped(spoken_ms=spoken_ms):
                self.bill.speech_s += spoken_ms / 1000
            case ReplyAudible(reply_id=reply_id):
                self.bill.audible += reply_id in self._replies
            case ReplyFinished(reply_id=reply_id):
                self._over(reply_id, None)
            case _:
                pass
        for command in commands:
            match command:
                case OpenTurn(turn_id):
                    self._turn_id = turn_id
                case CloseTurn(turn_id, text):
                    self._settle_pieces(turn_id, used=bool(text))
                    self._turn_id = None
                case RestoreVoice():
                    # Words over the agent that did not ask for the floor: they decided just that.
                    self._settle_pieces(None, used=True)
                case StartReply(reply_id, turn_id):
                    self._begin(reply_id, turn_id, "turn")
                case SpeakGreeting(reply_id):
                    self._begin(reply_id, None, "greeting")
                case SpeakLine(reply_id):
                    self._begin(reply_id, None, "line")
                case _:
                    pass

    def spoken(self, reply_id: int | None, text: str, request_id: str | None) -> None:
        """The audio of a reply's next text is wanted; `request_id` makes it, None when it was kept."""
        reply = self._replies.get(reply_id) if reply_id is not None else None
        if reply is None:
            return
        if request_id is not None:
            reply.begins[request_id] = reply.spoken
        reply.spoken += len(text.strip()) + 1

    def aside(self, reply_id: int, text: str) -> None:
        """A line is said in a reply that is no part of what is heard of it."""
        if (reply := self._replies.get(reply_id)) is not None:
            reply.asides += len(text.strip()) + 1

    def replaced(self, reply_id: int, request_id: str) -> None:
        """Another model answers in the place of a request."""
        if (reply := self._replies.get(reply_id)) is not None:
            reply.replaced.add(request_id)

    def cancelled(self, reply_id: int, heard: str) -> None:
        """A reply was ended before its end; `heard` is what was heard of it."""
        reply = self._replies.get(reply_id)
        self._over(reply_id, len(heard.strip()) + (reply.asides if reply is not None else 0))

    def _begin(self, reply_id: int, turn_id: int | None, purpose: Purpose) -> None:
        self._replies[reply_id] = _Reply(turn_id, purpose)
        if len(self._replies) > REMEMBERED_REPLIES:
            oldest, _ = next(iter(self._replies.items()))
            self._over(oldest, 0)
            del self._replies[oldest]

    def _over(self, reply_id: int, heard: int | None) -> None:
        reply = self._replies.get(reply_id)
        if reply is None or reply.over:
            return
        reply.over, reply.heard = True, heard
        for usage, cost in reply.waiting:
            self._judge(usage, cost, used=reply.used(usage))
        reply.waiting.clear()

    def close(self, call_ms: float) -> None:
        """The call is over: judge what is left. What nobody has told to be heard was not."""
        self._settle_pieces(self._turn_id, used=False)
        for reply_id in list(self._replies):
            self._over(reply_id, 0)
        self.bill.call_s = call_ms / 1000
        self._mark("bill", **self.bill.figures())
