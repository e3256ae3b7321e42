"""Where a turn lost its time: the wait from the caller's last sound to the agent's first, cut into parts.

The parts follow each other without a gap, so they add up to the wait. Each belongs to whoever could make it shorter,
and says how. Only what was waited for is a part: while the agent makes sure that the caller has finished, the model
and the voice work already, and being quicker there would have gained nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Owner: TypeAlias = Literal["endpointing", "speech-to-text", "model", "tools", "voice", "network", "us"]
OWNERS: tuple[Owner, ...] = ("endpointing", "speech-to-text", "model", "tools", "voice", "network", "us")
SHORT_MS = 30.0
"""A step between two decisions of ours that takes longer than this was a wait for something."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the wait.

    Attributes:
        key: What was waited for.
        owner: Whose it is.
        began_ms: On the call's clock.
        ms: How long.
        by: The provider and model, where one is known.
    """

    key: str
    owner: Owner
    began_ms: float
    ms: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that ran beside: a tool, a request to a provider; in ms on the call's clock."""

    name: str
    began_ms: float
    ended_ms: float


@dataclass(frozen=True, slots=True)
class Waited:
    """What is known of a turn's wait.

    Attributes:
        ended_ms: When the caller's sound ended.
        audible_ms: When the agent's began.
        marks: Steps by name, as the store keeps them.
        tools: Tools that ran for the reply.
        model: The request that made the first words, None where no model was asked.
        voice: The request that made the first audio, None where it was kept.
        stt: The recogniser's name.
        outages: When the server had lost its connection to the media.
        speaks: The model hears the sound and speaks itself; it may have begun before the words were known.
    """

    ended_ms: float
    audible_ms: float
    marks: Mapping[str, float]
    tools: Sequence[Span] = ()
    model: Span | None = None
    voice: Span | None = None
    stt: str = ""
    outages: Sequence[Span] = ()
    speaks: bool = False


TITLES = {
    "noticed": "Noticing the pause",
    "decided": "Making sure the turn is over",
    "trusted": "Waiting to be sure enough to speak",
    "transcribed": "Writing down the words",
    "asked": "Preparing the request",
    "called": "Deciding on a tool",
    "thought": "First words of the answer",
    "clause": "First clause of the answer",
    "tool": "Running a tool",
    "answered": "First sound of the answer",
    "spoken": "First sound of the voice",
    "played": "Starting to play",
    "away": "Waiting for the connection",
}

MEANS = {
    "noticed": "From the caller's last sound until the voice detector told the pause.",
    "decided": "Nothing else was missing: the agent was making sure that the caller had finished.",
    "trusted": "The text was there; its voice waits until it is likely enough to be heard.",
    "transcribed": "Until the recogniser had the words of the last piece.",
    "asked": "Until the request to the model was on its way.",
    "called": "Until the model asked for a tool.",
    "thought": "Until the model's first text.",
    "clause": "From the first text until there was enough of it for the voice.",
    "answered": "Until the first sound of the model that speaks itself.",
    "tool": "From the model's call until the tool's result.",
    "spoken": "From the request to the voice until its first sound.",
    "played": "Until that sound was on its way to the caller.",
    "away": "The server had no connection to the media server.",
}
"""What each part is, in words for who reads the page."""

_MODEL = (
    "A faster model in models.llm begins sooner; routing.small gives simple turns to a small one; a shorter persona "
    "and known answers help as well."
)
ADVICE = {
    "noticed": "The voice detector waits for a short silence before it tells a pause. This part is nearly fixed; "
    "background noise at the caller makes it longer.",
    "decided": "The agent was waiting to be sure that the caller had finished. Lower turn_taking.min_silence_ms for "
    "quicker answers, or turn_taking.max_silence_ms where finished sentences sound unfinished; both "
    "cut in more often.",
    "trusted": "The answer was written, and its voice was not made yet, since the turn did not sound finished. Lower "
    "turn_taking.max_silence_ms, or leave it: it saves audio that nobody would hear.",
    "transcribed": "A recogniser that streams (openai-realtime) has its words sooner; so has one that is nearer to "
    "the server, or a smaller one on this machine.",
    "asked": "The server itself took this long. Fewer calls at a time on a machine help: REPARTEE_MAX_CALLS.",
    "called": _MODEL,
    "thought": _MODEL,
    "clause": "The model was writing its first clause. A faster model writes sooner; so does a persona that asks for "
    "a short first sentence.",
    "answered": "The model that hears and speaks was making its answer. The smaller one of its kind begins sooner; a "
    "quick recogniser, model and voice may, and `repartee bench` compares them.",
    "tool": "The answer waited for your tool. Make it faster, or give it a line to say meanwhile: @tool(says=...).",
    "spoken": "Voices that stream (cartesia, elevenlabs) begin soonest; a faster model in models.tts helps; phrases "
    "that are said often are kept, and take no time.",
    "played": "Audio was there and not yet on its way: the machine was busy. See REPARTEE_MAX_CALLS.",
    "away": "The server had lost its connection to LiveKit. Look at LiveKit's logs, and at the network between.",
}


def parts(waited: Waited) -> list[Part]:
    """Return what the wait consists of, in order; their lengths add up to it."""
    cut = _Cut(waited.ended_ms, waited.audible_ms)
    marks = waited.marks
    released, audio = marks.get("reply.released"), marks.get("reply.first_audio")
    cut.until("noticed", "endpointing", marks.get("speech.paused"))
    if released is not None and audio is not None and audio <= released:
        # All was ready; what was waited for is the decision alone, or the words that it is made by.
        words = marks.get("transcript")
        if waited.speaks and words is not None and released - words <= SHORT_MS:
            cut.until("transcribed", "speech-to-text", words, waited.stt)
        cut.until("decided", "endpointing", released)
    else:
        _work(cut, waited)
    cut.until("played", "us", waited.audible_ms)
    return [piece for part in cut.parts for piece in _without_outages(part, waited.outages)]


def _work(cut: _Cut, waited: Waited) -> None:
    marks = waited.marks
    begun = marks.get("reply.started")
    words = marks.get("transcript")
    if words is not None and (begun is None or words <= begun + SHORT_MS):
        cut.until("transcribed", "speech-to-text", words, waited.stt)
    if begun is not None:
        slow = begun - cut.at_ms > SHORT_MS
        cut.until("decided" if slow else "asked", "endpointing" if slow else "us", begun)
    text = marks.get("reply.first_text")
    if waited.model is not None:
        cut.until("asked", "us", waited.model.began_ms)
        by = waited.model.name
    else:
        by = ""
    for tool in sorted(waited.tools, key=lambda span: span.began_ms):
        if text is None or tool.began_ms < text:
            cut.until("called", "model", tool.began_ms, by)
            cut.until("tool", "tools", tool.ended_ms, tool.name)
    if waited.speaks:
        cut.until("answered", "model", marks.get("reply.first_audio"), by)
        return
    cut.until("thought", "model", text, by)
    asked = [marks[name] for name in ("reply.voiced", "reply.released") if name in marks]
    if asked:
        cut.until("trusted", "endpointing", min(asked))
    if waited.voice is not None:
        cut.until("clause", "model", waited.voice.began_ms, by)
    cut.until("spoken", "voice", marks.get("reply.first_audio"), waited.voice.name if waited.voice else "")


def _without_outages(part: Part, outages: Sequence[Span]) -> list[Part]:
    """Give the network the time for which it was away, whatever else was waited for."""
    cut = _Cut(part.began_ms, part.began_ms + part.ms)
    for outage in sorted(outages, key=lambda span: span.began_ms):
        cut.until(part.key, part.owner, outage.began_ms, part.by)
        cut.until("away", "network", outage.ended_ms)
    cut.until(part.key, part.owner, part.began_ms + part.ms, part.by)
    return cut.parts


class _Cut:
    """Cuts a stretch of time from its beginning on; what would reach back, or over the end, is cut there."""

    def __init__(self, at_ms: float, end_ms: float) -> None:
        self.at_ms = at_ms
        self._end_ms = end_ms
        self.parts: list[Part] = []

    def until(self, key: str, owner: Owner, moment_ms: float | None, by: str = "") -> None:
        """The time up to a moment belongs to an owner."""
        if moment_ms is None:
            return
        moment_ms = min(moment_ms, self._end_ms)
        if moment_ms <= self.at_ms:
            return
        last = self.parts[-1] if self.parts else None
        if last is not None and (last.key, last.owner, last.by) == (key, owner, by):
            self.parts[-1] = replace(last, ms=round(moment_ms - last.began_ms, 1))
        else:
            self.parts.append(Part(key, owner, round(self.at_ms, 1), round(moment_ms - self.at_ms, 1), by))
        self.at_ms = moment_ms


def by_owner(found: Sequence[Part]) -> dict[Owner, float]:
    """Return ms by owner, of those that have any."""
    sums = {owner: sum(part.ms for part in found if part.owner == owner) for owner in OWNERS}
    return {owner: round(ms, 1) for owner, ms in sums.items() if ms}
