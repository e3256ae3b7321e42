"""Which Whisper hears: the sizes that are on this machine, how quick each is here, and the choice among them.

The measurement takes some seconds and is kept in the cache folder for a month, or until the processor, the GPU, the
libraries or the sizes that are there change. What else the machine does meanwhile shall not count: where a processor
computes, a run takes no longer than its processor time tells, and the best of several runs is taken. Only
`python -m repartee.providers.ondevice --measure` measures: a model that was loaded to be timed leaves its memory with
that process.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from repartee.processors import cores
from repartee.providers.ondevice.registry import WHISPERS

MEASURE_S = 6.0
"""The whole measurement, about: no size begins in its second half, and one whose turn does not come is not chosen."""
RUNS = 3
"""Of each size; what disturbs one makes it longer, never shorter."""
KEPT_S = 30 * 24 * 3600.0
"""A measurement counts for so long: the next may find a quieter machine, or a virtual one that was moved."""
UTTERANCE = Path(__file__).with_name("utterance.ogg")
"""What is transcribed: three seconds of speech, since silence would end a model's work at once."""
QUICK_MS = 500.0
"""An utterance must be transcribed in so much: a caller waits through it, hidden by nothing but the pause."""
_WORK = {"tiny": 1.0, "base": 2.0, "small": 6.5, "turbo": 17.0}
"""How much a size computes for an utterance, by its parameters: tells what need not be tried."""


@dataclass(frozen=True, slots=True)
class Size:
    """A Whisper on this machine.

    Attributes:
        name: As `tiny.en`; one that ends so knows English only, and knows it better than its size otherwise.
        folder: What faster-whisper loads.
    """

    name: str
    folder: Path

    @property
    def english_only(self) -> bool:
        """Whether it knows English only."""
        return self.name.endswith(".en")

    @property
    def work(self) -> float:
        """How much it computes, in tinies."""
        return _WORK[self.name.removesuffix(".en")]


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured on this machine.

    Attributes:
        device: `cpu` or `cuda`.
        took_ms: By size, what the utterance took.
    """

    device: str
    took_ms: dict[str, float]


def present(models: Path) -> list[Size]:
    """Return the sizes that are here, the least work first.

    Args:
        models: Where fetched models are.
    """
    found = [Size(name, model.place(models)) for name, model in WHISPERS.items() if model.is_here(models)]
    return sorted(found, key=lambda size: size.work)


def suiting(sizes: Iterable[Size], language: str) -> list[Size]:
    """Return those that know a language; of one size in two kinds the one that knows it best."""
    english = language.partition("-")[0] == "en"
    know = [size for size in sizes if english or not size.english_only]
    names = {size.name for size in know}
    return [size for size in know if not english or size.english_only or f"{size.name}.en" not in names]


def choose(sizes: list[Size], speed: Speed | None) -> Size:
    """Return the size that hears best of those that are quick enough here; unmeasured, the least.

    Args:
        sizes: At least one, the least work first.
        speed: What was measured, if anything was.
    """
    took = speed.took_ms if speed is not None else {}
    quick = [size for size in sizes if took.get(size.name, QUICK_MS + 1) <= QUICK_MS]
    return quick[-1] if quick else sizes[0]


def whisper_for(models: Path, cache_dir: Path, language: str) -> Size | None:
    """Return the Whisper that hears an agent's callers best; None where none is here that knows their language.

    Args:
        models: Where fetched models are.
        cache_dir: Where the measurement is kept.
        language: Of the agent.
    """
    sizes = present(models)
    able = suiting(sizes, language)
    if len(able) <= 1:
        return able[0] if able else None
    return choose(able, known_speed(cache_dir, sizes))


def known_speed(cache_dir: Path, sizes: list[Size], now_s: Callable[[], float] = time.time) -> Speed | None:
    """Return what was measured on this machine with these sizes, of late; None where nothing was."""
    try:
        kept = json.loads(_file(cache_dir).read_text(encoding="utf-8"))
        age_s = now_s() - datetime.fromisoformat(kept["measured_at"]).timestamp()
        if kept["machine"] != machine(sizes) or not 0 <= age_s <= KEPT_S:
            return None
        took = {str(name): float(ms) for name, ms in kept["speed"]["took_ms"].items()}
        return Speed(str(kept["speed"]["device"]), took)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep_speed(
    cache_dir: Path, sizes: list[Size], speed: Speed, now_s: Callable[[], float] = time.time
) -> None:
    """Keep a measurement for later starts."""
    file = _file(cache_dir)
    measured_at = datetime.fromtimestamp(now_s(), UTC).isoformat(timespec="seconds")
    kept = {"machine": machine(sizes), "measured_at": measured_at, "speed": asdict(speed)}
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(kept), encoding="utf-8")
    beside.replace(file)


def machine(sizes: list[Size]) -> dict[str, Any]:
    """Return what a measurement depends on."""
    return {
        "processor": [platform.machine(), _processor(), cores()],
        "gpu": Path("/dev/nvidiactl").exists(),
        "libraries": [version("ctranslate2"), version("faster-whisper")],
        "sizes": [size.name for size in sizes],
    }


def measure(
    sizes: Iterable[Size],
    load: Callable[[Size], Callable[[], None]],
    clock_s: Callable[[], float] = time.monotonic,
    alone_s: Callable[[], float] | None = None,
) -> dict[str, float]:
    """Time sizes, the least first, for as long as the next may be quick enough and there is time.

    Args:
        sizes: To be timed.
        load: Loads one and returns what transcribes the utterance once.
        clock_s: The time.
        alone_s: A clock that goes on only while we compute; where it tells less, others held us up. None has none.

    Returns:
        Milliseconds by name: of the best of `RUNS` runs, fewer where the time is up.
    """
    began_s, tiny_ms = clock_s(), 0.0
    took_ms: dict[str, float] = {}
    clocks = [clock_s] if alone_s is None else [clock_s, alone_s]
    for size in sizes:
        if took_ms and (tiny_ms * size.work > 2 * QUICK_MS or clock_s() - began_s > MEASURE_S / 2):
            break
        transcribe = load(size)
        transcribe()  # the first is slow on every machine, and no caller's
        runs_s: list[float] = []
        while len(runs_s) < RUNS and not (runs_s and clock_s() - began_s > MEASURE_S):
            at_s = [clock() for clock in clocks]
            transcribe()
            runs_s.append(min(clock() - at for clock, at in zip(clocks, at_s, strict=True)))
        took_ms[size.name] = round(min(runs_s) * 1000, 1)
        tiny_ms = took_ms[size.name] / size.work
    return took_ms


def _file(cache_dir: Path) -> Path:
    return cache_dir / "whisper-speed.json"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
