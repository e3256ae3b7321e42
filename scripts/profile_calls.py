"""Says where the processor time of calls goes: `repartee bench load --spy FOLDER --write LOAD`, then this.

    python scripts/profile_calls.py FOLDER/agent.txt LOAD benchmarks/results/profile-after.json

Two views of a run: exact processor seconds by thread, as the operating system counts, and what stacks show, from
py-spy's samples, sorted into what they are about.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

WAITING = ("EpollSelector.select", "_worker (concurrent", "Condition.wait", "CallWriter._take")
"""Where a stack that ends so is not at work."""
PROCESS = ("process ", " main(")
"""A stack begins with the command lines of its processes."""
SUBJECTS = (
    ("start of a process", ("prewarm", "_find_and_load", "spawn.py:12")),
    ("end of turn (smart-turn)", ("smart_turn", "turn_scorer")),
    ("voice activity (Silero)", ("voice_confidence", "silero")),
    ("level of the voice", ("session/voice.py",)),
    ("audio and events from WebRTC", ("ffi_event_callback", "rtc/audio_stream.py")),
    ("audio to WebRTC", ("rtc/audio_source.py",)),
    ("captions and room", ("session/wire.py", "text_stream", "rtc/participant", "rtc/room")),
    ("store", ("repartee/store/", "sqlalchemy")),
    ("certificates", ("create_default_context", "create_ssl_context")),
    ("requests to vendors", ("openai", "httpx", "httpcore", "h11", "metered")),
    ("reply gate", ("session/gate.py",)),
    ("pipecat's queues", ("frame_processor", "pipecat/")),
    ("tokens and page", ("uvicorn", "server/app", "starlette")),
)


def main(spied: Path, load: Path, out: Path) -> None:
    """Write the profile."""
    report = json.loads(load.read_text(encoding="utf-8"))
    step = report["steps"][-1]
    call_s = sum(_length_s(row) for row in step["rows"])
    subjects: Counter[str] = Counter()
    for line in spied.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if not frame.startswith(PROCESS)]
        if frames and not any(word in frames[-1] for word in WAITING):
            subjects[_subject(";".join(frames))] += int(count)
    total = sum(subjects.values())
    threads = step["server_thread_s"]
    profile = {
        "at": report["at"],
        "machine": report["machine"],
        "options": report["options"],
        "calls": step["calls"],
        "call_seconds": round(call_s, 1),
        "cores_per_call": round(sum(threads.values()) / call_s, 4),
        "threads_ms_per_call_second": {n: round(s / call_s * 1000, 2) for n, s in threads.items()},
        "python_samples": total,
        "python_share": {name: round(n / total, 4) for name, n in subjects.most_common()},
        "cpu_cores": step["cpu_cores"],
        "latency_ms": step["latency_ms"],
        "first_audio_ms": step["first_audio_ms"],
    }
    out.write_text(json.dumps(profile, indent=1) + "\n", encoding="utf-8")


def _length_s(row: dict[str, Any]) -> float:
    """Return how long a call lasted, by what was heard of it."""
    heard = [agent["heard_s"] for agent in row.get("agents", ()) if agent["heard_s"] is not None]
    return float(row["last_heard_s"] - min(heard)) if heard else 0.0


def _subject(stack: str) -> str:
    return next(
        (name for name, words in SUBJECTS if any(word in stack for word in words)), "event loop and rest"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
