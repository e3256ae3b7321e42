"""What a load did: who took how much of the machine, how calls fared, and what is left when they are over."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil

Row = dict[str, Any]
Trees = Mapping[str, Sequence[int]]
"""Root processes by the name of the part they are."""
AGENT = "agent"
SAMPLE_S = 1.0
WEIGH_EVERY = 10
"""Samples between two that ask for memory: the kernel walks all pages of a process for it, and the process waits."""


class Sampler:
    """Samples processor time and memory of process trees while its context lasts.

    Args:
        trees: Root processes by name, asked for each time: some systems start one for each call. "agent" is what is
            measured. Who is in two trees counts for the one with the nearer root.
        spy: Folder for what py-spy finds in the agent's processes; None asks it for nothing.
    """

    def __init__(self, trees: Callable[[], Trees], spy: Path | None = None) -> None:
        self._trees = trees
        self._spy = spy
        self._sampling: asyncio.Task[None] | None = None
        self._spying: list[asyncio.subprocess.Process] = []
        self._seen: dict[int, tuple[str, float]] = {}
        self._threads: dict[tuple[int, int], tuple[str, float, float]] = {}
        """By process and thread: its name, and processor seconds when it was first and last seen."""
        self.samples: list[tuple[float, dict[str, float], dict[str, float]]] = []
        """Seconds from the start, processor seconds and megabytes by name."""

    async def __aenter__(self) -> Sampler:
        self._began_s = time.monotonic()
        await self._sample(weigh=True)
        self._sampling = asyncio.create_task(self._run(), name="sampler")
        if self._spy is not None:
            await self._start_spying(self._spy)
        return self

    async def _start_spying(self, folder: Path) -> None:
        """Have py-spy watch the server's processes; only while they run Python, as ONNX and WebRTC are told apart."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("py-spy")
        arguments = ["record", "--subprocesses", "--format", "raw", "--rate", "50", "--nonblocking"]
        self._spying.append(
            await asyncio.create_subprocess_exec(
                str(program),
                *arguments,
                "--output",
                str(folder / "agent.txt"),
                "--pid",
                str(self._trees()[AGENT][0]),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )

    async def __aexit__(self, *_: object) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)
        for spy in self._spying:
            with contextlib.suppress(ProcessLookupError):
                spy.send_signal(signal.SIGINT)
            await spy.wait()
        await self._sample(weigh=True)

    async def _run(self) -> None:
        for number in count(1):
            await asyncio.sleep(SAMPLE_S)
            await self._sample(weigh=number % WEIGH_EVERY == 0)

    async def _sample(self, *, weigh: bool) -> None:
        trees = self._trees()
        found = await asyncio.to_thread(_used, trees, weigh=weigh)
        self._seen |= {pid: (name, seconds) for pid, (name, seconds, _) in found.items()}
        used = dict.fromkeys([*trees, "callers"], 0.0)
        for name, seconds in self._seen.values():  # one that has ended has taken what it took
            used[name] += seconds
        resident = dict.fromkeys(used, 0.0) if weigh else self.samples[-1][2]
        for name, _, megabytes in found.values() if weigh else ():
            resident[name] += megabytes
        for key, name, seconds in await asyncio.to_thread(_threads, trees[AGENT]):
            _, first_s, _ = self._threads.get(key, (name, seconds, seconds))
            self._threads[key] = (name, first_s, seconds)
        self.samples.append((time.monotonic() - self._began_s, used, resident))

    def cores(self, from_s: float) -> dict[str, float]:
        """Return cores taken by each name from a time on."""
        later = [sample for sample in self.samples if sample[0] >= from_s] or self.samples[-2:]
        first, last = later[0], later[-1]
        span_s = max(1e-6, last[0] - first[0])
        return {name: max(0.0, last[1][name] - first[1][name]) / span_s for name in first[1]}

    def thread_seconds(self) -> dict[str, float]:
        """Return processor seconds of the server's threads, by what they are called."""
        sums: dict[str, float] = {}
        for name, first_s, last_s in self._threads.values():
            sums[name] = sums.get(name, 0.0) + last_s - first_s
        return {name: round(s, 2) for name, s in sorted(sums.items(), key=lambda item: -item[1]) if s >= 0.05}

    def memory_mb(self) -> dict[str, float]:
        """Return the most memory of each name."""
        return {name: max(sample[2][name] for sample in self.samples) for name in self.samples[0][2]}


def _used(trees: Trees, *, weigh: bool) -> dict[int, tuple[str, float, float]]:
    """Return name, processor seconds and megabytes by process; what else this process has started are callers."""
    owner: dict[int, str] = {}
    for name, roots in sorted(trees.items(), key=lambda tree: tree[0] != "simulator"):
        for root in roots:
            for member in _members(root):
                owner[member.pid] = name if member.pid == root or name != "simulator" else "callers"
    found: dict[int, tuple[str, float, float]] = {}
    for pid, name in owner.items():
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            found[pid] = (name, times.user + times.system, _memory_mb(process) if weigh else 0.0)
        except psutil.Error:
            continue
    return found


def _members(root: int) -> list[psutil.Process]:
    """Return a process and all below it; none where it is gone."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _threads(roots: Sequence[int]) -> list[tuple[tuple[int, int], str, float]]:
    """Return process and thread, name, and processor seconds of all threads of trees; Linux tells the names."""
    found: list[tuple[tuple[int, int], str, float]] = []
    for process in (member for root in roots for member in _members(root)):
        with contextlib.suppress(psutil.Error, OSError):
            for thread in process.threads():
                comm = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text().strip()
                seconds = thread.user_time + thread.system_time
                name = "main" if thread.id == process.pid else comm.rstrip("0123456789-# ")
                found.append(((process.pid, thread.id), name, seconds))
    return found


def _memory_mb(process: psutil.Process) -> float:
    """Return memory that is the process's own or its share of what is shared: forked processes share much."""
    try:
        return float(process.memory_full_info().pss) / 1e6
    except (AttributeError, psutil.AccessDenied):
        return float(process.memory_info().rss) / 1e6


def left_over(roots: Sequence[int]) -> Row:
    """Return what process trees hold: processes, threads, open files, sockets, memory."""
    sums: Row = {"processes": 0, "threads": 0, "files": 0, "sockets": 0, "memory_mb": 0.0}
    for process in (member for root in roots for member in _members(root)):
        with contextlib.suppress(psutil.Error):
            sums["processes"] += 1
            sums["threads"] += process.num_threads()
            sums["files"] += process.num_fds()
            sums["sockets"] += len(process.net_connections("all"))
            sums["memory_mb"] += _memory_mb(process)
    sums["memory_mb"] = round(sums["memory_mb"])
    return sums


def busiest_session(pid: int) -> int | None:
    """Return the session process of a server that takes the most processor time within a second."""
    used: dict[int, float] = {}
    with contextlib.suppress(psutil.Error):
        forkserver = [child for child in psutil.Process(pid).children() if child.children()]
        for _ in range(2):
            for process in (session for server in forkserver for session in server.children()):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    used[process.pid] = times.user + times.system - used.get(process.pid, 0.0)
            time.sleep(1.0)
    return max(used, key=lambda session: used[session]) if used else None


def recovery(rows: list[Row], killed_s: float) -> Row:
    """Return how long callers of a killed process waited until another agent was heard.

    Args:
        rows: One for each caller.
        killed_s: When it was killed, on the monotonic clock.
    """
    lost = [row for row in rows if _was_there(row, killed_s)]
    waits = [wait for row in lost if (wait := _waited_ms(row, killed_s)) is not None]
    return {"calls": len(lost), "recovered": len(waits), "audio_after_ms": quantiles(waits)}


def _was_there(row: Row, killed_s: float) -> bool:
    """Say whether a call has had a second agent, or should have had one: it was silent from then on."""
    agents = row.get("agents", [])
    return len(agents) > 1 or row.get("last_heard_s", killed_s + 60) < killed_s + 1.0


def _waited_ms(row: Row, killed_s: float) -> float | None:
    heard = [agent["heard_s"] for agent in row.get("agents", ()) if agent["heard_s"] is not None]
    later = [at_s for at_s in heard if at_s > killed_s]
    return round((min(later) - killed_s) * 1000, 1) if later else None


def step_figures(rows: list[Row], sampler: Sampler, *, ramp_s: float) -> Row:
    """Return the figures of a step; latency is of turns after the ramp, when everybody is there."""
    turns = [
        turn
        for row in rows
        for turn in row.get("turns", ())
        if row.get("at_s", 0.0) + turn["at_s"] >= ramp_s or not ramp_s
    ]
    outcomes = [row["outcome"] for row in rows]
    gaps = [gap for row in rows for gap in row.get("gaps_ms", ())]
    return {
        **{name: outcomes.count(name) for name in ("held", "refused", "silent", "failed")},
        "turns": len(turns),
        "latency_ms": quantiles([turn["latency_ms"] for turn in turns if "latency_ms" in turn]),
        "missed": sum(turn["missed"] for turn in turns),
        "cut_ins": sum(turn["cut_in"] for turn in turns),
        "first_audio_ms": quantiles([row["first_audio_ms"] for row in rows if "first_audio_ms" in row]),
        "token_ms": quantiles([row["token_ms"] for row in rows if "token_ms" in row]),
        "voice_s": round(sum(row.get("voice_s", 0.0) for row in rows), 1),
        "gaps": len(gaps),
        "longest_gap_ms": max(gaps, default=0),
        "cpu_cores": {name: round(cores, 3) for name, cores in sampler.cores(ramp_s).items()},
        "server_thread_s": sampler.thread_seconds(),
        "memory_mb": {name: round(mb) for name, mb in sampler.memory_mb().items()},
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and maximum; of nothing, zeros and a count of 0."""
    if not values:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0, "n": 0}
    p50, p95 = np.quantile(values, (0.5, 0.95))
    return {
        "p50": round(float(p50), 1),
        "p95": round(float(p95), 1),
        "max": round(max(values), 1),
        "n": len(values),
    }
