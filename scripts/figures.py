"""Write the README's figures from benchmarks/results, so that no number is typed by hand.

`python scripts/figures.py` rewrites the part between the markers; `--check` only says whether it would change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULT = ROOT / "benchmarks" / "results" / "turns-fixed-300-350-250.json"
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def main() -> int:
    """Rewrite or check; return the exit code."""
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    wanted = head + START + table(json.loads(RESULT.read_text(encoding="utf-8"))) + END + tail
    if "--check" in sys.argv[1:]:
        return 0 if text == wanted else 1
    README.write_text(wanted, encoding="utf-8")
    return 0


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    stt, llm, tts = result["profile"].removeprefix("fixed:").split("/")
    latency = result["latency_ms"]
    rows = "".join(
        f"| {name} | {values['p50']:.0f} | {values['p95']:.0f} |\n"
        for name, values in result["steps_ms"].items()
    )
    return f"""
From the end of speech to the agent's first sound, on the audio, over a real LiveKit server: **{latency["p50"]:.0f} ms**
in the median, {latency["p95"]:.0f} ms at the 95th percentile ({result["answered"]} of {result["turns"]} turns answered), with simulated vendors that take
{stt} ms to transcribe, {llm} ms to the first token and {tts} ms to the first audio. `{result["command"]}`, {result["machine"]}.

| step | median ms | p95 ms |
|---|---|---|
{rows}
Every turn is in [benchmarks/results](benchmarks/results/{RESULT.name}).
"""


if __name__ == "__main__":
    sys.exit(main())
