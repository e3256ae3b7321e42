"""A call as files: subtitles, a test to run again, and its recording as WAV."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import yaml

from repartee.session.recording import PEAK_SAMPLES, PEAKS, RATE_HZ

BLOCK_FRAMES = 65_536
WAV_LIMIT_BYTES = 2**32 - 64
SHORTEST_CUE_MS = 400.0
LATE_MS = 5000
"""What a test gives an answer more than it took in the call."""
PLACEHOLDER = re.compile(r"\[[A-Za-z -]{2,20}\]")
"""What stands in words that are kept redacted."""


def subtitles(view: Mapping[str, Any]) -> str:
    """Return a call as SubRip; times are those of its recording."""
    cues: list[tuple[float, float, str]] = []
    for turn in view["turns"]:
        began, ended = turn["started_at_ms"], turn["ended_at_ms"]
        if turn["user_text"] and began is not None:
            cues.append((began, ended or began, f"Caller: {turn['user_text']}"))
        began, ended = turn["audible_at_ms"], turn["finished_at_ms"]
        if turn["heard_text"] and began is not None:
            cues.append((began, ended or began, f"{view['call']['agent'] or 'Agent'}: {turn['heard_text']}"))
    return "\n".join(
        f"{number}\n{_clock(began)} --> {_clock(max(ended, began + SHORTEST_CUE_MS))}\n{text}\n"
        for number, (began, ended, text) in enumerate(sorted(cues), 1)
    )


def _clock(at_ms: float) -> str:
    whole = max(0, round(at_ms))
    seconds, ms = divmod(whole, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{ms:03}"


def has_test(view: Mapping[str, Any]) -> bool:
    """Say whether enough is kept of a call to make a test of it: what the caller said."""
    return not view["call"]["erased"] and any(turn["user_text"] for turn in view["turns"])


def scenario(view: Mapping[str, Any]) -> str:
    """Return a call as a scripted scenario of Pipecat's evaluations: what was said, and what came of it.

    What no model wrote must be said again to the letter; of what a model wrote the meaning is asked for.
    """
    call = view["call"]
    turns: list[dict[str, Any]] = []
    before: Mapping[str, Any] | None = None
    for turn in view["turns"]:
        if turn["user_text"]:
            turns.append(_step(turn, before, [t for t in view["tools"] if t["turn_id"] == turn["id"]]))
        elif turn["heard_text"] and not turns:
            turns.append({"expect": [_answer(turn)]})
        before = turn
    name = f"call_{call['id'][:8]}"
    scenes = {"name": name, "scenarios": [{"name": name, "turns": turns}]}
    text = yaml.safe_dump(scenes, sort_keys=False, allow_unicode=True, width=100)
    notes = [
        f"Made of a call with {call['agent'] or 'the agent'} on {call['started_at'][:10]}, for `repartee eval`.",
        "What is expected is what the agent did then: correct what it should have done.",
    ]
    if any(PLACEHOLDER.search(turn.get("user", "")) for turn in turns):
        notes.append("What was said is kept redacted: write something in place of the [brackets].")
    return "".join(f"# {' '.join(note.split())}\n" for note in notes) + text


def _step(turn: Mapping[str, Any], before: Mapping[str, Any] | None, tools: list[Any]) -> dict[str, Any]:
    step: dict[str, Any] = {"user": turn["user_text"]}
    if before is not None and before["interrupted"] and turn["started_at_ms"] and before["audible_at_ms"]:
        into_ms = round(turn["started_at_ms"] - before["audible_at_ms"])
        step["send_after"] = {"event": "bot_started_speaking", "delay_ms": max(0, into_ms)}
    expected: list[dict[str, Any]] = []
    done = [tool for tool in tools if tool["outcome"] == "done"]
    if done:
        calls = [{"name": tool["tool"], **_arguments(tool)} for tool in done]
        expected.append({"event": "function_call", "calls": calls})
    if turn["interrupted"] and turn["audible_at_ms"]:
        # An answer that is cut off never comes whole: the next turn begins in the middle of it.
        expected.append({"event": "bot_started_speaking"})
    elif turn["heard_text"]:
        expected.append(_answer(turn))
    if expected:
        step["expect"] = expected
    return step


def _arguments(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"args": tool["arguments"]} if isinstance(tool["arguments"], dict) and tool["arguments"] else {}


def _answer(turn: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"event": "response"}
    if turn["latency_ms"]:
        answer["within_ms"] = round(turn["latency_ms"]) + LATE_MS
    said = " ".join(filter(None, (turn["heard_text"], turn["unheard_text"])))
    if any(request["stage"] == "llm" for request in turn["requests"]):
        return answer | {"eval": f"means the same as: {said}"}
    # The longest stretch without anything that was taken out of it.
    sure = max(PLACEHOLDER.split(said), key=len).strip()
    return answer | ({"text_contains": sure} if sure else {})


# --- the recording --------------------------------------------------------------------------------------------


def wav_length(file: Path) -> int:
    """Return the bytes of a recording as WAV.

    Raises:
        sf.LibsndfileError: It cannot be read.
    """
    with sf.SoundFile(file) as sound:
        return 44 + int(len(sound) * sound.channels * 2)


def wav(file: Path) -> Iterator[bytes]:
    """Return a recording as WAV, piece by piece; blocks.

    Raises:
        sf.LibsndfileError: It cannot be read.
    """
    with sf.SoundFile(file) as sound:
        size = min(len(sound) * sound.channels * 2, WAV_LIMIT_BYTES)
        rate, channels = sound.samplerate, sound.channels
        form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
        yield b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + form
        yield b"data" + struct.pack("<I", size)
        left = size
        for block in sound.blocks(BLOCK_FRAMES, dtype="int16"):
            data: bytes = block.tobytes()[:left]
            left -= len(data)
            yield data


def peaks(file: Path, points: int) -> dict[str, Any]:
    """Return the loudness of both channels of a recording at so many points at most, 0 to 1; blocks.

    Raises:
        OSError: Its shape is not there.
    """
    shape = np.frombuffer(file.with_name(file.name + PEAKS).read_bytes(), np.uint8).reshape(-1, 2)
    duration_s = len(shape) * PEAK_SAMPLES / RATE_HZ
    step = max(1, -(-len(shape) // points))
    padded = np.pad(shape, ((0, -len(shape) % step), (0, 0)))
    loud = padded.reshape(-1, step, 2).max(axis=1) / 255
    return {"duration_s": duration_s, "channels": [[round(float(at), 3) for at in side] for side in loud.T]}
