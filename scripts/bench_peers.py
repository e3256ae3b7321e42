"""Measure repartee against its peers, each in a Python environment of its own, and write benchmarks/results.

With `--sweep` the systems are also measured at several endpointing delays: the frontier of delay against cut-ins.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("REPARTEE_CACHE_DIR", Path.home() / ".cache" / "repartee"))
RESULTS = Path("benchmarks/results")
FIXED = "fixed:300/350/250"
RUNS = {
    "peers-fixed-300-350-250": [
        *("--suite", "latency", "--suite", "pauses", "--peers", "--profile", FIXED),
        *("--items", "16", "--warm-up", "6"),
    ],
    "interruption": [
        *("--suite", "barge-in", "--profile", FIXED),
        *("--items", "24", "--warm-up", "2", "--seed", "2"),
    ],
    "peers-interruption": [
        *("--suite", "barge-in", "--suite", "backchannel", "--suite", "noise", "--profile", FIXED),
        *("--system", "repartee", "--system", "pipecat", "--system", "livekit"),
        *("--items", "6", "--warm-up", "2"),
    ],
    "realtime": [
        *("--suite", "latency", "--suite", "barge-in", "--suite", "backchannel", "--profile", FIXED),
        *("--system", "repartee", "--system", "repartee-realtime", "--items", "12", "--warm-up", "4"),
    ],
    "conversation": [
        *("--suite", "conversation", "--profile", FIXED, "--warm-up", "0"),
        *("--system", "repartee", "--system", "pipecat", "--system", "livekit"),
    ],
}
SWEEP = (
    *("repartee", "repartee@0.6", "repartee@1.0"),
    *("pipecat", "pipecat-tuned", "pipecat-tuned@0.4"),
    *("livekit", "livekit-tuned", "livekit-tuned@0.6", "livekit-tuned@1.0"),
)
"""Each system at several endpointing delays, in one run: what else the machine does falls on all of them."""


def main() -> int:
    """Install the peers and run the benchmarks."""
    for name in ("pipecat", "livekit-agents"):
        install(name)
    runs = dict(RUNS)
    if "--sweep" in sys.argv[1:]:
        runs["sweep"] = [
            *("--suite", "latency", "--suite", "pauses", "--items", "10", "--profile", FIXED),
            *(part for system in SWEEP for part in ("--system", system)),
            *("--warm-up", "2"),
        ]
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    for name, arguments in runs.items():
        if wanted and not any(name.startswith(prefix) for prefix in wanted):
            continue
        began = time.monotonic()
        command = [str(ROOT / ".venv" / "bin" / "repartee"), "bench", *arguments]
        subprocess.run([*command, "--write", str(RESULTS / f"{name}.json")], cwd=ROOT, check=True)
        sys.stdout.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    return subprocess.run(
        [str(ROOT / ".venv" / "bin" / "python"), "scripts/figures.py"], cwd=ROOT, check=False
    ).returncode


def install(name: str) -> None:
    """Make a peer's environment."""
    folder = CACHE / "peers" / name
    if (folder / "installed").is_file():
        return
    sys.stdout.write(f"installing {name} in {folder}\n")
    requirements = ROOT / "benchmarks" / "peers" / f"requirements-{name}.txt"
    subprocess.run(["uv", "venv", "--clear", "--quiet", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--python", python, "-r", str(requirements)], check=True
    )
    (folder / "installed").touch()


if __name__ == "__main__":
    sys.exit(main())
