"""Judges a call with a fault by its recording: what was answered, lost, said twice, and how long nothing was heard.

Every answer of the suite names several numbers, which the made-up voice speaks as tones, so a recording tells how
much of which answer was heard, and in which order.

Nothing may be said twice, but for one part: where the voice broke off in the middle of one and was silent, that part
may come again from its beginning, once. Whoever was cut off in "hall 297 in the mor" and heard nothing for seconds
has not heard that part, though its number sounded, and "ning, hall 864" would be no answer; a person begins the
clause again. It counts by itself (`Heard.cut_again`), for every system alike. A part that was over before the voice
broke off, more than one part, or one that comes again without a silence between, is said twice.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

from repartee.simulator import meter

LEAST_SILENCE_S = 0.3
"""Shorter is a pause of the voice."""
LATER_S = 2.0
"""A later turn that takes so much longer than the first has not recovered."""
APOLOGY = re.compile(r"sorry|apolog|trouble|problem|moment", re.IGNORECASE)
Outcome = Literal["answered", "answered in part", "apology", "silence", "the call ended"]


@dataclass
class Turn:
    """One thing the caller said, and what was to come back.

    Attributes:
        start_s: When its speech began in the call's recording.
        end_s: And ended.
        until_s: What is heard until then belongs to it.
        numbers: Of its answer, in order.
        texts: What the agent said meanwhile, by its captions and by what voices were asked for.
        kept: What the records say was heard of the answer; None where there are none.
        kept_words: And what the caller said.
    """

    start_s: float
    end_s: float
    until_s: float
    numbers: tuple[int, ...]
    texts: list[str] = field(default_factory=list)
    kept: str | None = None
    kept_words: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard after a turn. Times in seconds.

    Attributes:
        outcome: In a word.
        heard: How many of the answer's numbers.
        lost: How many of them were not.
        twice: How many came again, but for the one in which the voice broke off.
        cut_again: Whether that one did: it was cut, and said again from its beginning.
        ordered: Whether they came in their order.
        foreign: Numbers that are not of this answer.
        first_s: From the end of speech to the first sound.
        silent_s: In all, from the end of speech to the last sound.
        last_s: When the last sound ended, in the recording.
        apology: Whether something was said for an apology.
    """

    outcome: Outcome
    heard: int
    lost: int
    twice: int
    ordered: bool
    foreign: int
    first_s: float | None
    silent_s: float | None
    last_s: float | None
    apology: bool = False
    cut_again: bool = False


def heard_of(tape: meter.Sound, turn: Turn, *, over: bool = False) -> Heard:
    """Return what was heard after a turn; `over` when the call ended in it."""
    spans = [s for s in meter.sounds(tape) if turn.end_s - 0.05 <= s.start_s < turn.until_s]
    codes = meter.numbers(tape, turn.numbers, turn.start_s, turn.until_s)
    mine = [code.number for code in codes if code.number in turn.numbers]
    cut_again = _cut_again([code for code in codes if code.number in turn.numbers], spans)
    first = list(dict.fromkeys(mine))
    lost = len(turn.numbers) - len(first)
    apology = bool(spans) and any(APOLOGY.search(text) for text in turn.texts)
    outcome: Outcome
    if first and not lost:
        outcome = "answered"
    elif over:
        outcome = "the call ended"
    elif apology:
        outcome = "apology"
    elif first:
        outcome = "answered in part"
    else:
        outcome = "silence"
    return Heard(
        outcome,
        heard=len(first),
        lost=lost,
        twice=sum(count - 1 for count in Counter(mine).values()) - cut_again,
        ordered=first == sorted(first, key=turn.numbers.index),
        foreign=len(codes) - len(mine),
        first_s=round(spans[0].start_s - turn.end_s, 2) if spans else None,
        silent_s=round(_silence(spans, turn.end_s), 2) if spans else None,
        last_s=round(spans[-1].end_s, 2) if spans else None,
        apology=apology,
        cut_again=cut_again,
    )


def _cut_again(codes: list[meter.Code], spans: list[meter.Span]) -> bool:
    """Say whether a part follows itself, the voice having broken off between."""
    breaks = [a.end_s for a, b in pairwise(spans) if b.start_s - a.end_s >= LEAST_SILENCE_S]
    return any(
        one.number == again.number and any(one.at_s < end_s < again.at_s for end_s in breaks)
        for one, again in pairwise(codes)
    )


def _silence(spans: list[meter.Span], since_s: float) -> float:
    return max(0.0, spans[0].start_s - since_s) + sum(b.start_s - a.end_s for a, b in pairwise(spans))


def recovery_s(tape: meter.Sound, struck_s: float, turn: Turn) -> float | None:
    """Return how long after a fault the agent was heard again; None when it was not before the turn was over.

    When the fault was never heard, 0: what was under way went on without a pause.
    """
    spans = [s for s in meter.sounds(tape) if s.end_s > turn.end_s and s.start_s < turn.until_s]
    since_s = max(struck_s, turn.end_s)
    if not spans:
        return None
    edges = [meter.Span(turn.end_s, turn.end_s), *spans]
    pauses = [(a.end_s, b.start_s) for a, b in pairwise(edges) if b.start_s - a.end_s >= LEAST_SILENCE_S]
    over = [end_s for _, end_s in pauses if end_s > since_s]
    if over:
        return round(over[0] - struck_s, 2)
    return 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A call with a fault.

    Attributes:
        during: The turn that was hit.
        after: The next one; None when it could not be said any more.
        added_silence_s: What the caller waited more than in the turn before; None when nothing came.
        recovery_s: From the fault until the agent was heard again.
        broken: The promises that were not kept, in words; none is good.
    """

    during: Heard
    after: Heard | None
    added_silence_s: float | None
    recovery_s: float | None
    broken: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """Return it as it is written."""
        return asdict(self)


def judge(
    tape: meter.Sound, turns: tuple[Turn, Turn, Turn | None], struck_s: float | None, *, over: bool = False
) -> Verdict:
    """Judge a call of three turns: before the fault, with it, and after it.

    Args:
        tape: What was heard of the agent, at `meter.RATE_HZ`.
        turns: The three; the last is None when the call was over.
        struck_s: When the fault was felt, in the recording; None when it was not.
        over: Whether the call ended in the second turn.
    """
    before, during = heard_of(tape, turns[0]), heard_of(tape, turns[1], over=over)
    after = heard_of(tape, turns[2]) if turns[2] is not None else None
    added_s = None
    if during.silent_s is not None and before.silent_s is not None:
        added_s = round(max(0.0, during.silent_s - before.silent_s), 2)
    broken = [*_promises(before, during, after), *_records(turns, tape)]
    recovered_s = None if struck_s is None else recovery_s(tape, struck_s, turns[1])
    return Verdict(during, after, added_s, recovered_s, tuple(broken))


def _promises(before: Heard, during: Heard, after: Heard | None) -> list[str]:
    broken = []
    if before.outcome != "answered":
        broken.append(f"before the fault: {before.outcome}")
    if during.outcome not in {"answered", "apology"}:
        broken.append(f"neither answered nor apologised for: {during.outcome}")
    for heard in (before, during, *([after] if after else [])):
        if heard.twice:
            broken.append(f"{heard.twice} of the answer's {heard.heard + heard.lost} parts were said twice")
        if not heard.ordered:
            broken.append("the answer's parts were heard out of order")
        if heard.foreign:
            broken.append(f"{heard.foreign} numbers were heard that belong to no answer of this turn")
    if after is None:
        broken.append("the call did not go on")
    elif after.outcome != "answered":
        broken.append(f"the turn after it: {after.outcome}")
    elif (after.first_s or 0.0) > (before.first_s or 0.0) + LATER_S:
        broken.append(f"the turn after it was answered {after.first_s} s after its end")
    return broken


def _records(turns: tuple[Turn, Turn, Turn | None], tape: meter.Sound) -> list[str]:
    """Compare what was kept with what was heard. Where a voice breaks off, one number may be on either side."""
    broken = []
    for turn in turns:
        if turn is None or turn.kept is None:
            continue
        heard = {c.number for c in meter.numbers(tape, turn.numbers, turn.start_s, turn.until_s)}
        heard &= set(turn.numbers)
        kept = {int(n) for n in re.findall(r"\b\d{3}\b", turn.kept)} & set(turn.numbers)
        if len(heard ^ kept) > (0 if len(heard) in {0, len(turn.numbers)} else 1):
            broken.append(f"the records have {len(kept)} parts of an answer of which {len(heard)} were heard")
        if heard and turn.kept_words == "":
            broken.append("the records lack what the caller said")
    return broken


def seen(verdict: Verdict) -> str:
    """Return in words what the caller saw of a fault."""
    during = verdict.during
    parts = during.heard + during.lost
    match during.outcome:
        case "answered":
            late = verdict.added_silence_s or 0.0
            sorry = ", with an apology" if during.apology else ""
            return f"answered{sorry}" if late < LEAST_SILENCE_S else f"answered{sorry}, {late:.1f} s late"
        case "apology":
            some = f"{during.heard} of {parts} parts, then " if during.heard else ""
            return f"{some}an apology" + (
                f" after {during.first_s:.1f} s" if not some and during.first_s else ""
            )
        case "answered in part":
            return f"{during.heard} of {parts} parts, then nothing"
        case "the call ended":
            return (
                f"{during.heard} of {parts} parts, then the call ended" if during.heard else "the call ended"
            )
        case _:
            return "silence"
