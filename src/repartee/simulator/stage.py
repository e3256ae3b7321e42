"""Holds the calls of a benchmark and reads the figures off their recordings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import psutil
import soxr

from repartee.simulator import meter
from repartee.simulator.caller import RATE_HZ, Caller
from repartee.simulator.material import Item
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.replies import code, normalised
from repartee.simulator.providers.voices import MS_PER_CHARACTER
from repartee.simulator.systems import System

GREETING_S = 20.0
MISSED_S = 6.0
QUIET_S = 0.9
RESUME_S = 1.8
LONGEST_REPLY_S = 25.0
EARLY_S = 0.05
CONTENT_BEFORE_CODE = "That is case "
Row = dict[str, Any]


@dataclass
class Said:
    """Something the caller said, and when, in seconds of the call's recording."""

    item: Item
    at_s: float
    over: bool = False
    prompt_at_s: float | None = None


@dataclass
class Call:
    """One call of a benchmark."""

    system: str
    suite: str
    said: list[Said] = field(default_factory=list)
    tape: meter.Sound = field(default_factory=lambda: np.zeros(0, np.int16), repr=False)
    entries: list[Entry] = field(default_factory=list, repr=False)
    cpu: float = 0.0
    """Processor seconds of the system per second of the call."""
    memory_mb: float = 0.0


async def hold(system: System, suite: str, items: list[Item], note: Callable[[str], None]) -> Call:
    """Call a system and say the items, one after another.

    Raises:
        MediaError: The system did not start.
    """
    call = Call(system.name, suite)
    caller = Caller()
    try:
        await caller.join(await system.invite())
        await caller.wait_for_answer(GREETING_S)
        used, began_s = _used(system.pid()), time.monotonic()
        for item in items:
            note(item.name)
            if item.prompt is not None:
                await _talk_over(caller, item, call)
            else:
                await _talk(caller, item, call)
        after = _used(system.pid())
        call.cpu = (after[0] - used[0]) / (time.monotonic() - began_s)
        call.memory_mb = after[1]
    finally:
        await caller.leave()
        await system.hang_up()
    call.tape = np.asarray(soxr.resample(caller.heard(), RATE_HZ, meter.RATE_HZ))
    return call


async def _talk(caller: Caller, item: Item, call: Call) -> None:
    at_s = await caller.play(item.pcm)
    call.said.append(Said(item, at_s))
    await caller.wait_until(at_s + item.end_s)
    await caller.wait_for_sound(MISSED_S)
    await caller.wait_for_quiet(QUIET_S, LONGEST_REPLY_S)


async def _talk_over(caller: Caller, item: Item, call: Call) -> None:
    assert item.prompt is not None  # noqa: S101 - asked by the caller
    prompt_at_s = await caller.play(item.prompt.pcm)
    call.said.append(Said(item.prompt, prompt_at_s))
    await caller.wait_until(prompt_at_s + item.prompt.end_s)
    if not await caller.wait_for_sound(MISSED_S):
        return
    await caller.wait_until(caller.now_s() + item.over_at_s)
    at_s = await caller.play(item.pcm)
    call.said.append(Said(item, at_s, over=True, prompt_at_s=prompt_at_s))
    await caller.wait_until(at_s + item.end_s + 0.3)
    if call.suite == "barge-in":
        await caller.wait_for_sound(MISSED_S)
    await caller.wait_for_quiet(RESUME_S, LONGEST_REPLY_S)


def _used(pid: int | None) -> tuple[float, float]:
    """Return processor seconds and resident megabytes of a process and its children."""
    seconds = megabytes = 0.0
    if pid is None:
        return seconds, megabytes
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return seconds, megabytes
    for process in tree:
        try:
            times = process.cpu_times()
            seconds += times.user + times.system
            megabytes += process.memory_info().rss / 1e6
        except psutil.Error:
            continue
    return seconds, megabytes


# --- figures ----------------------------------------------------------------------------------------------------


def rows(call: Call) -> list[Row]:
    """Return a row of figures for each thing said."""
    heard = meter.sounds(call.tape)
    ends = [said.at_s + said.item.start_s for said in call.said[1:]] + [len(call.tape) / meter.RATE_HZ]
    out = []
    for number, (said, until_s) in enumerate(zip(call.said, ends, strict=True)):
        base = {"system": call.system, "suite": call.suite, "item": said.item.name, "first": number == 0}
        if said.over:
            out.append({**base, **_over_row(call, said, until_s)})
        elif said.item.segments and not any(s.prompt_at_s == said.at_s for s in call.said):
            out.append({**base, **_turn_row(call, said, heard, until_s)})
        elif not said.item.segments:
            sound = meter.first_sound(heard, said.at_s, until_s)
            out.append({**base, "kind": "noise-alone", "false_start": sound is not None})
    return out


def _turn_row(call: Call, said: Said, heard: list[meter.Span], until_s: float) -> Row:
    start_s, end_s = said.at_s + said.item.start_s, said.at_s + said.item.end_s
    cut_in_s = meter.first_sound(heard, start_s + 0.2, end_s - EARLY_S)
    onset_s = meter.first_sound(heard, end_s - EARLY_S, until_s)
    row: Row = {
        "kind": "turn",
        "pauses": said.item.pauses,
        "speech_s": round(end_s - start_s, 2),
        "cut_in": cut_in_s is not None,
        "missed": cut_in_s is None and (onset_s is None or onset_s - end_s > MISSED_S),
    }
    if cut_in_s is not None:
        row["talked_over_s"] = round(sum(s.end_s - s.start_s for s in heard if s.start_s == cut_in_s), 2)
    if onset_s is not None and cut_in_s is None and onset_s - end_s <= MISSED_S:
        row["latency_ms"] = round((onset_s - end_s) * 1000, 1)
    spoken = meter.codes(call.tape, start_s, until_s)
    row["replies"] = len({c.number for c in spoken})
    if spoken:
        row["right"] = spoken[-1].number == code(said.item.text)
        if not row["right"]:
            row["understood"] = next(
                (
                    e.said
                    for e in reversed(call.entries)
                    if str(spoken[-1].number) in e.text and e.stage == "llm"
                ),
                "",
            )
        content_s = spoken[-1].at_s - len(CONTENT_BEFORE_CODE) * MS_PER_CHARACTER / 1000
        if "latency_ms" in row:
            row["content_ms"] = round((content_s - end_s) * 1000, 1)
    return row


def _over_row(call: Call, said: Said, until_s: float) -> Row:
    assert said.prompt_at_s is not None  # noqa: S101 - said over an answer
    onset_s = said.at_s + said.item.start_s
    prompt = next(s for s in call.said if s.at_s == said.prompt_at_s)
    asked_s = prompt.at_s + prompt.item.end_s
    heard = meter.sounds(call.tape, join_s=0.06)
    reply_s = meter.first_sound(heard, asked_s - EARLY_S, onset_s)
    reply = next((e.text for e in reversed(call.entries) if e.stage == "llm" and _about(e, prompt.item)), "")
    row: Row = {"kind": call.suite, "speaking": meter.is_heard(meter.sounds(call.tape), onset_s - 0.05)}
    if reply_s is None or not reply or not row["speaking"]:
        return {**row, "speaking": False}
    if call.suite == "barge-in":
        return {**row, **_stop_row(call, said, reply, reply_s, until_s)}
    left_s = reply_s + _length_s(reply) - onset_s
    last_s = onset_s + said.item.end_s - said.item.start_s + 1.0
    holes = [
        (one.end_s, other.start_s)
        for one, other in pairwise(heard)
        if other.start_s - one.end_s >= 0.3 and onset_s <= one.end_s <= last_s and other.start_s < until_s
    ]
    played_s = sum(min(s.end_s, until_s) - s.start_s for s in heard if reply_s <= s.start_s < until_s)
    abandoned = left_s > 0.5 and played_s < _length_s(reply) - 0.7
    dead_air_s = sum(end - start for start, end in holes)
    return {**row, "held": bool(holes), "abandoned": abandoned, "dead_air_s": round(dead_air_s, 2)}


def _stop_row(call: Call, said: Said, reply: str, reply_s: float, until_s: float) -> Row:
    onset_s = said.at_s + said.item.start_s
    lowered_s = meter.falls(call.tape, onset_s, 2.5, meter.LOWER_DB)
    silent_s = meter.falls(call.tape, onset_s, 2.5, meter.SILENT_DB)
    row: Row = {
        "lowered_ms": None if lowered_s is None else round(lowered_s * 1000, 1),
        "silent_ms": None if silent_s is None else round(silent_s * 1000, 1),
        "missed_stop": silent_s is None or silent_s > 1.0,
    }
    answers = meter.codes(call.tape, said.at_s + said.item.end_s - EARLY_S, until_s)
    row["answered"] = bool(answers)
    row["right"] = bool(answers) and answers[-1].number == code(said.item.text)
    later = next((e for e in reversed(call.entries) if e.stage == "llm" and _about(e, said.item)), None)
    if silent_s is not None and later is not None:
        heard_s = onset_s + silent_s - reply_s
        row["context_words_off"] = len(_told(later.told, reply).split()) - _words_in(reply, heard_s)
    return row


def _about(entry: Entry, item: Item) -> bool:
    return normalised(entry.said).endswith(normalised(item.text))


def _told(told: str, reply: str) -> str:
    """Return the part of a reply that the model is told was heard; nothing when it is told of another."""
    told = told.rstrip("…").strip()
    return told if told and normalised(reply).startswith(normalised(told)[:20]) else ""


def _length_s(text: str) -> float:
    return (len(text) + 1) * MS_PER_CHARACTER / 1000


def _words_in(text: str, seconds: float) -> int:
    """Return how many words of a text have sounded for the most part after so long."""
    at, count = 0, 0
    for word in text.split():
        if (at + 0.6 * len(word)) * MS_PER_CHARACTER / 1000 > seconds:
            break
        at += len(word) + 1
        count += 1
    return count


def call_row(call: Call) -> Row:
    """Return the figures of a call as a whole."""
    voice_s = sum(span.end_s - span.start_s for span in meter.sounds(call.tape))
    spoken = {c.number for c in meter.codes(call.tape)}
    return {
        "system": call.system,
        "suite": call.suite,
        "cpu": round(call.cpu, 3),
        "memory_mb": round(call.memory_mb),
        "call_s": round(len(call.tape) / meter.RATE_HZ, 1),
        "voice_s": round(voice_s, 1),
        "gaps": len(meter.gaps(call.tape)),
        **_cost(call, spoken),
    }


def _cost(call: Call, spoken: set[int]) -> Row:
    """Return what the call cost, and what it would have cost had nothing been made for nothing."""
    billed = sum(e.usd for e in call.entries)
    model = [e for e in call.entries if e.stage == "llm"]
    used: dict[str, Entry] = {}
    for entry in model:
        if any(str(number) in entry.text for number in spoken):
            used[entry.text] = entry
    needed = sum(e.usd for e in used.values())
    voices: dict[str, float] = {}
    for entry in call.entries:
        if entry.stage == "tts" and (
            any(entry.text.strip() in text for text in used) or "this is the bench" in entry.text
        ):
            # What was made twice was needed once; a phrase that comes in many replies, once in each.
            times = sum(entry.text.strip() in text for text in used)
            voices[entry.text] = entry.usd * max(1, times)
    made: dict[str, float] = {}
    for entry in call.entries:
        if entry.stage == "tts":
            made[entry.text] = made.get(entry.text, 0.0) + entry.usd
    needed += sum(min(price, made[text]) for text, price in voices.items())
    speech_s = sum(s.item.end_s - s.item.start_s for s in call.said if s.item.segments)
    heard = [e for e in call.entries if e.stage == "stt"]
    per_second = max((e.usd / e.audio_s for e in heard if e.audio_s), default=0.0)
    listened = sum(e.usd for e in heard)
    needed += min(listened, (speech_s + 0.6 * len(call.said)) * per_second)
    return {
        "audio_sent_s": round(sum(e.audio_s for e in heard), 2),
        "usd": round(billed, 6),
        "usd_needed": round(needed, 6),
        "usd_stt": round(listened, 6),
        "usd_llm": round(sum(e.usd for e in model), 6),
        "usd_tts": round(sum(e.usd for e in call.entries if e.stage == "tts"), 6),
        "requests": len(call.entries),
    }


async def settle(seconds: float) -> None:
    """Let what a call left behind end before the next begins."""
    await asyncio.sleep(seconds)
