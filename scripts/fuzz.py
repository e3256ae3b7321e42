"""Run made up cases of everything that reads what somebody else has written; write what came of it.

`python scripts/fuzz.py --cases 100000 --write benchmarks/results/fuzz.json`; exit code 1 when a reader broke.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from pathlib import Path
from typing import Any

import loguru
import structlog

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
VARIANTS = 7
"""Of each case that Hypothesis makes: to change one is ten times as fast as to make another."""
MOST_AT_ONCE = 2000
"""Hypothesis remembers what it has tried; smaller runs stay small."""


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="over all targets")
    parser.add_argument("--seed", type=int, default=None, help="the same seed makes the same cases")
    parser.add_argument("--only", help="targets whose name holds this")
    parser.add_argument("--write", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    from tests.fuzz.all import TARGETS  # noqa: PLC0415 - needs the path above
    from tests.fuzz.found import FOUND  # noqa: PLC0415
    from tests.fuzz.target import LOOP  # noqa: PLC0415
    from tests.fuzz.vendors import VENDORS  # noqa: PLC0415

    # The readers warn of what is made up for them to warn of.
    logging.disable(logging.CRITICAL)
    loguru.logger.remove()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    chosen = [target for target in TARGETS if not options.only or options.only in target.name]
    shares = sum(target.share for target in chosen)
    results: dict[str, Any] = {}
    began_s = time.monotonic()
    for target in chosen:
        wanted = -(-options.cases * target.share // shares)
        results[target.name] = run(target, wanted, seed, FOUND.get(target.name, ()))
        broke = results[target.name]["failures"]
        say(
            f"{target.name:32} {results[target.name]['cases']:>7} cases {'FAILED ' + broke[0] if broke else ''}"
        )
    LOOP.run(VENDORS.close())
    LOOP.close()
    figures = {
        "cases": sum(result["cases"] for result in results.values()),
        "failures": sum(len(result["failures"]) for result in results.values()),
        "found_and_fixed": sum(result["found_and_fixed"] for result in results.values()),
        "seconds": round(time.monotonic() - began_s),
        "seed": seed,
        "targets": results,
    }
    say(f"{figures['cases']} cases, {figures['failures']} failures, {figures['seconds']} s, seed {seed}")
    if options.write is not None:
        options.write.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(figures["failures"] > 0)


def run(target: Any, wanted: int, seed: int, found: tuple[Any, ...]) -> dict[str, Any]:
    """Run a target: what was found before, then what is made up, until something breaks."""
    from tests.fuzz.target import fuzz  # noqa: PLC0415

    for case in found:
        target.read(case)
    cases, failures, round_ = len(found), [], 0
    began_s = time.process_time()
    while cases < wanted and not failures:
        outcome = fuzz(target, min(MOST_AT_ONCE, wanted - cases), seed=seed + round_, variants=VARIANTS)
        cases, round_ = cases + outcome.cases, round_ + 1
        if outcome.failure:
            failures.append(outcome.failure)
        if not outcome.cases or round_ > 2 * wanted // MOST_AT_ONCE + 50:
            break  # there are not so many different cases
    took_s = round(time.process_time() - began_s, 1)
    return {"cases": cases, "failures": failures, "found_and_fixed": len(found), "cpu_s": took_s}


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
