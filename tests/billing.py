"""Compares a ledger with the provider simulator's own bill, request by request and in all.

For calls of any kind: give `compare` the rows a call wrote (`LedgerRow`, from memory or from the store) and the bill
of a simulator that served nothing else since `bill.reset()`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, get_args

from repartee.providers.metering import AGAIN
from repartee.simulator.providers.bill import (
    LLM_PER_MILLION,
    SPEECH_PER_MILLION,
    STT_PER_MINUTE,
    TTS_PER_MILLION,
    Bill,
    Entry,
)
from repartee.telemetry.usage import Unit, Usage

PROMPT_TOKENS_OFF = 2
"""A cut stream's prompt is reckoned from the last one that was counted: so much may be lost in rounding."""
TOKENS_IN_FLIGHT = 60
"""No answer of the simulator is longer: a stream that was cut cannot have made more than all of it."""
SECONDS_OFF = Decimal("0.001")
REALTIME = "openai-realtime"
NOTHING = Decimal(0)


class Row(Protocol):
    """A row of the ledger."""

    @property
    def usage(self) -> Usage:
        """The request."""

    @property
    def cost(self) -> Decimal | None:
        """USD."""


class SimulatorPrices:
    """The simulator's list, in Decimal, to a billionth of a dollar."""

    version = "simulator"

    def cost(self, usage: Usage) -> Decimal | None:
        """Return USD."""
        used = {unit: usage.quantities.get(unit, NOTHING) for unit in get_args(Unit)}
        match usage.stage:
            case "stt":
                exact = used["audio_s"] / 60 * Decimal(str(STT_PER_MINUTE[usage.model]))
            case "tts":
                exact = used["characters"] * Decimal(str(TTS_PER_MILLION[usage.model])) / 1_000_000
            case "llm" if usage.model in SPEECH_PER_MILLION:
                exact = _speech(used, *SPEECH_PER_MILLION[usage.model])
            case "llm":
                price_in, price_out, kept = (Decimal(str(price)) for price in LLM_PER_MILLION[usage.model])
                fresh = used["tokens_in"] - used["tokens_cached"]
                exact = fresh * price_in + used["tokens_cached"] * kept + used["tokens_out"] * price_out
                exact /= 1_000_000
            case _:
                return None
        return round(exact, 9)


def _speech(used: dict[Unit, Decimal], *prices: tuple[float, float, float]) -> Decimal:
    """Return USD of a model that hears and speaks: of text, and of sound."""
    heard, kept, spoken = (
        used[unit] for unit in ("audio_tokens_in", "audio_tokens_cached", "audio_tokens_out")
    )
    text = (used["tokens_in"] - heard, used["tokens_cached"] - kept, used["tokens_out"] - spoken)
    exact = NOTHING
    for (prompt, cached, made), price in zip((text, (heard, kept, spoken)), prices, strict=True):
        each, out, old = (Decimal(str(usd)) for usd in price)
        exact += (prompt - cached) * each + cached * old + made * out
    return exact / 1_000_000


@dataclass
class Account:
    """What one request came to, by us and by the vendor; a context that failed and was used again is two of ours."""

    ours: list[Usage] = field(default_factory=list)
    free: list[Usage] = field(default_factory=list)
    theirs: list[Entry] = field(default_factory=list)

    @property
    def cut(self) -> bool:
        """Whether the vendor could not tell what it had made."""
        return any(usage.estimated for usage in self.ours)

    @property
    def refused_unseen(self) -> bool:
        """Cancelled while the vendor's refusal was on its way: nobody can know that it was free."""
        refused = bool(self.theirs) and all(entry.outcome == "failed" for entry in self.theirs)
        return refused and any(usage.outcome == "cancelled" for usage in self.ours)

    @property
    def crossed_refusal(self) -> bool:
        """Text was on its way to a voice when its refusal of the context was to us.

        The vendor took it for a new context, and bills it; we took it for a part of the one that was refused. All
        of it is accounted for, and nobody can know on which side of the refusal it arrived.
        """
        refused = [entry for entry in self.theirs if entry.outcome == "failed"]
        told = [usage for usage in self.free if usage.outcome == "failed" and usage.stage == "tts"]
        all_text = sum(entry.characters for entry in self.theirs)
        more = _sum(told, "characters") - sum(entry.characters for entry in refused)
        return (
            bool(refused and told) and more > 0 and all_text == _sum([*self.ours, *self.free], "characters")
        )

    @property
    def socket(self) -> bool:
        """Whether it was sent over a voice's socket."""
        return all(entry.vendor != "openai" for entry in self.theirs)

    @property
    def in_flight(self) -> int:
        """Tokens the vendor made and we never saw."""
        return sum(e.tokens_out for e in self.theirs) - int(_sum(self.ours, "tokens_out"))

    def problem(self, prompt_tokens_off: int) -> str | None:
        """Return what does not fit, None when all does.

        A stream that was cut may have made tokens that were on their way when it was: the vendor's count is then
        above ours, never below.
        """
        charged = [entry for entry in self.theirs if entry.outcome != "failed"]
        if self.refused_unseen or self.crossed_refusal:
            return None
        fits = bool(self.ours) == bool(charged) and bool(self.ours or self.free)
        if fits and charged:
            fits = self._fits(charged, prompt_tokens_off)
        return None if fits else f"reported as {[*self.ours, *self.free]}\n  billed as {self.theirs}"

    def _fits(self, charged: list[Entry], prompt_tokens_off: int) -> bool:
        match self.ours[0].stage:
            case "llm":
                off = abs(sum(e.tokens_in for e in charged) - int(_sum(self.ours, "tokens_in")))
                if self.cut:
                    return off <= prompt_tokens_off and 0 <= self.in_flight <= TOKENS_IN_FLIGHT
                cached = sum(e.tokens_cached for e in charged) == _sum(self.ours, "tokens_cached")
                return cached and off == self.in_flight == 0
            case "tts":
                unheard = _sum(self.ours, "characters") - sum(e.characters for e in charged)
                # A text may be sent into a socket that is gone, which only the answer that does not come tells.
                gone = self.socket and any(entry.outcome == "cancelled" for entry in charged)
                return unheard == 0 or (gone and unheard > 0)
            case _:
                return abs(_seconds(charged) - _sum(self.ours, "audio_s")) < SECONDS_OFF


@dataclass
class Comparison:
    """A ledger beside a bill.

    Attributes:
        ours: USD by the ledger.
        theirs: USD by the bill.
        requests: Rows.
        cut: Chat streams that were cut, whose tokens were reckoned.
        in_flight: Tokens that were on their way when they were.
        unseen: Refusals that were on their way when a request was cancelled, or more text was sent.
        problems: Requests that do not fit, each in words.
    """

    ours: Decimal = NOTHING
    theirs: Decimal = NOTHING
    requests: int = 0
    cut: int = 0
    in_flight: int = 0
    unseen: int = 0
    problems: list[str] = field(default_factory=list)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.ours + other.ours,
            self.theirs + other.theirs,
            self.requests + other.requests,
            self.cut + other.cut,
            self.in_flight + other.in_flight,
            self.unseen + other.unseen,
            [*self.problems, *other.problems],
        )

    def __str__(self) -> str:
        return (
            f"{self.requests} requests, {self.cut} streams cut: ledger {self.ours:.6f} USD, bill "
            f"{self.theirs:.6f} USD, "
            f"difference {self.theirs - self.ours:.6f} USD; on their way when cut: {self.in_flight} tokens, "
            f"{self.unseen} refusals"
        )


def compare(rows: Iterable[Row], bill: Bill, *, prompt_tokens_off: int = PROMPT_TOKENS_OFF) -> Comparison:
    """Compare rows with a bill.

    Args:
        rows: Of every call the simulator served since its bill was reset.
        bill: The simulator's.
        prompt_tokens_off: How far the reckoned prompt of a cut stream may be off.
    """
    found, accounts, realtime = Comparison(), defaultdict[str, Account](Account), Account()
    for row in rows:
        usage = row.usage
        found.requests += 1
        found.ours += row.cost or NOTHING
        # The socket for transcription has no ids; its seconds are compared in all.
        socket = usage.provider == REALTIME
        account = realtime if socket else accounts[usage.request_id.partition(AGAIN)[0]]
        (account.ours if usage.billed and row.cost != 0 else account.free).append(usage)
    for entry in bill.entries:
        found.theirs += Decimal(str(entry.usd))
        name = entry.request_id.partition(AGAIN)[0]
        (realtime if entry.vendor == REALTIME else accounts[name]).theirs.append(entry)
    for account in accounts.values():
        found.cut += account.cut
        found.in_flight += account.in_flight if account.cut else 0
        found.unseen += account.refused_unseen or account.crossed_refusal
        if problem := account.problem(prompt_tokens_off):
            found.problems.append(problem)
    ours = _sum(realtime.ours, "audio_s")
    theirs = _seconds([entry for entry in realtime.theirs if entry.outcome != "failed"])
    if abs(ours - theirs) >= SECONDS_OFF:
        found.problems.append(f"realtime: {ours} s reported, {theirs} s billed")
    return found


def _sum(usages: Iterable[Usage], unit: Unit) -> Decimal:
    return sum((usage.quantities.get(unit, NOTHING) for usage in usages), NOTHING)


def _seconds(entries: Iterable[Entry]) -> Decimal:
    return sum((Decimal(str(entry.audio_s)) for entry in entries), NOTHING)
