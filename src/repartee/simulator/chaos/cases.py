"""The cases of the chaos suite: what goes wrong and when, and what is not kept yet.

`expected` says why a case does not keep its promises today. The run shows it with that reason and does not fail; when
it keeps them after all, the run says so, and the reason is to be deleted here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from repartee.errors import ConfigError
from repartee.simulator.chaos import scene
from repartee.simulator.chaos.scene import Act, vendors
from repartee.simulator.faults import Fault, Match
from repartee.simulator.systems import OURS

When = Literal["before", "speaking", "answering"]
Need = Literal["postgres", "small-disk", "two-calls", "livekit"]
FIRST, SHORT, LONG, LAST = (
    "aiewf/turn_001.flac",
    "aiewf/turn_003.flac",
    "picovoice/400b19f7-7e22-4762-83e5-7502c1b32964.flac",
    "aiewf/turn_002.flac",
)
"""What is said before the fault, with it (a short or a long one), and after it."""
ANSWERS: Mapping[str, tuple[int, ...]] = {
    FIRST: (412, 538, 671, 829),
    SHORT: (297, 864, 135, 950),
    LONG: (763, 518, 204, 691),
    LAST: (953, 706, 481, 320),
}
"""The numbers in the answers of `benchmarks/data/chaos_script.yaml`."""
STT, LLM, TTS = Match(stage="stt"), Match(stage="llm"), Match(stage="tts")
FLOOD = 10_000
REALTIME = {"stt": ["openai-realtime:gpt-4o-mini-transcribe", "openai:whisper-1"]}
ELEVENLABS = {"tts": ["elevenlabs:eleven_flash_v2_5", "openai:gpt-4o-mini-tts"]}
CARTESIA = {"tts": ["cartesia:sonic-3", "openai:gpt-4o-mini-tts"]}


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that goes wrong in the second of three turns.

    Attributes:
        name: Of the case.
        what: What goes wrong, in words.
        act: Makes it.
        when: Before the turn, while the caller speaks, or while the agent answers.
        after_s: So long into it.
        question: What is said in that turn.
        patience_s: How long after it the caller waits for an answer.
        models: Ours, where they are not the usual.
        needs: What must stand around the call.
        systems: Who can be put through it; none means all.
        quick: Whether it is part of the short run.
        tells: What the log must say.
        refuses: What the call's timeline must count as refused, and how often at least.
        loses_answer: Whether the records may lack what was heard of the turn that was hit.
        expected: Why it is not kept today; empty when it is.
    """

    name: str
    what: str
    act: Act = field(repr=False)
    when: When = "before"
    after_s: float = 0.0
    question: str = SHORT
    patience_s: float = 14.0
    models: dict[str, list[str]] = field(default_factory=dict)
    needs: Need | None = None
    systems: tuple[str, ...] = ()
    quick: bool = False
    tells: str = ""
    refuses: tuple[str, int] | None = None
    loses_answer: bool = False
    expected: str = ""

    def takes(self, system: str) -> bool:
        """Say whether a system can be put through it."""
        return not self.systems or system.removesuffix("-tuned") in self.systems


CASES: tuple[Case, ...] = (
    Case(
        "stt-error",
        "speech-to-text answers 500, twice",
        vendors(Fault.of("status", STT, last=2, code=500)),
        quick=True,
    ),
    Case(
        "stt-hang",
        "speech-to-text takes the audio and never answers",
        vendors(Fault.of("silent", STT, last=1)),
    ),
    Case(
        "stt-reset",
        "the upload to speech-to-text is reset half way",
        vendors(Fault.of("reset_after", STT, last=1, of="request", bytes=40_000)),
        question=LONG,
    ),
    Case(
        "stt-socket-reset",
        "the speech-to-text socket is reset after 3 s of speech",
        scene.cut(STT),
        when="speaking",
        after_s=3.0,
        question=LONG,
        models=REALTIME,
        systems=(OURS,),
        quick=True,
    ),
    Case(
        "stt-socket-hang",
        "the speech-to-text socket hangs after 3 s of speech",
        scene.hold(STT, 20.0),
        when="speaking",
        after_s=3.0,
        question=LONG,
        models=REALTIME,
        systems=(OURS,),
    ),
    Case(
        "llm-hang",
        "the model takes the question and says nothing",
        vendors(Fault.of("accept_hang", LLM, last=1)),
        quick=True,
    ),
    Case(
        "llm-stall",
        "the model stalls after 5 tokens, for 8 s",
        vendors(Fault.of("stall", LLM, last=1, after=5, for_s=8)),
        quick=True,
    ),
    Case(
        "llm-error",
        "the model answers 500, once",
        vendors(Fault.of("status", LLM, last=1, code=500)),
    ),
    Case(
        "llm-limited",
        "the model answers 429 with Retry-After 2 to everything",
        vendors(Fault.of("status", LLM, code=429, retry_after_s=2)),
    ),
    Case(
        "llm-corrupt",
        "a chunk of the model's answer is no JSON",
        vendors(Fault.of("corrupt", LLM, last=1, what="json", after=4)),
    ),
    Case(
        "llm-cut",
        "the model's stream breaks off after 8 tokens",
        vendors(Fault.of("close", LLM, last=1, code=1006, after=8)),
    ),
    Case(
        "tts-refuse",
        "the voice refuses the connection, twice",
        vendors(Fault.of("refuse", TTS, last=2)),
        quick=True,
    ),
    Case(
        "tts-cut",
        "the voice's stream breaks off after 40 % of its bytes",
        vendors(Fault.of("reset_after", TTS, last=1, share=0.4)),
        quick=True,
    ),
    Case(
        "tts-hang",
        "the voice takes the text and makes no sound",
        vendors(Fault.of("accept_hang", TTS, last=1)),
    ),
    Case(
        "tts-silence",
        "the voice sends silence instead of speech",
        vendors(Fault.of("zero_audio", TTS, last=1)),
    ),
    Case(
        "tts-nothing",
        "the voice's answer is complete and has no audio",
        vendors(Fault.of("zero_audio", TTS, last=1, what="nothing")),
    ),
    Case(
        "elevenlabs-close",
        "ElevenLabs' socket closes while it speaks",
        scene.cut(Match(provider="elevenlabs")),
        when="answering",
        after_s=0.5,
        models=ELEVENLABS,
        systems=(OURS,),
    ),
    Case(
        "cartesia-close",
        "Cartesia's socket closes while it speaks",
        scene.cut(Match(provider="cartesia")),
        when="answering",
        after_s=0.5,
        models=CARTESIA,
        systems=(OURS,),
    ),
    Case(
        "call-killed",
        "the call's process is killed while the agent speaks",
        scene.kill_call,
        when="answering",
        after_s=1.0,
        patience_s=25.0,
        quick=True,
        loses_answer=True,
    ),
    Case(
        "call-frozen",
        "the call's process stands still for 5 s while the agent speaks",
        scene.freeze_call(5.0),
        when="answering",
        after_s=1.0,
    ),
    Case(
        "livekit-killed",
        "the LiveKit server is killed and is back after 1 s",
        scene.restart_livekit(1.0),
        when="answering",
        after_s=1.0,
        patience_s=25.0,
        needs="livekit",
    ),
    Case(
        "database-away",
        "PostgreSQL is stopped for 30 s",
        scene.without_database(30.0),
        needs="postgres",
        tells="store.away",
        systems=(OURS,),
    ),
    Case(
        "database-away-short",
        "PostgreSQL is stopped for 8 s",
        scene.without_database(8.0),
        needs="postgres",
        tells="store.away",
        systems=(OURS,),
        quick=True,
    ),
    Case(
        "disk-full",
        "the disk for waiting rows (1 MiB) is full",
        scene.fill_spool,
        needs="small-disk",
        tells="store.journal_failed",
        systems=(OURS,),
    ),
    Case(
        "flood",
        "the caller sends 10,000 data messages",
        scene.flood(FLOOD),
        when="answering",
        after_s=0.3,
        refuses=("data.too_many", FLOOD // 2),
    ),
    Case(
        "flood-stranger",
        "somebody else in the room sends 10,000 data messages",
        scene.flood(FLOOD, by_stranger=True),
        when="answering",
        after_s=0.3,
        refuses=("data.not_caller", FLOOD),
    ),
    Case(
        "overload",
        "three others call at once; there is room for one",
        scene.crowd(3),
        when="answering",
        after_s=0.3,
        needs="two-calls",
        systems=(OURS,),
    ),
)


def chosen(names: tuple[str, ...], *, quick: bool) -> list[Case]:
    """Return cases by name, or all, or those of the short run.

    Raises:
        ConfigError: There is no such case.
    """
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from: {', '.join(known)}"
            raise ConfigError(f"there is no case '{name}'; {hint}")
    if names:
        return [known[name] for name in names]
    return [case for case in CASES if case.quick or not quick]
