"""docs/operating.md: what a trace, logs and metrics cost."""

from __future__ import annotations

from pages.results import Figures, load, of


def figures() -> str:
    """Return what a trace, logs and metrics cost."""
    took = load("tracing")["us_per_turn"]
    return (
        f"The marks and spans of a turn take {took['on']:.0f} µs of the call's event loop, {took['off']:.0f} µs without a trace\n"
        f"(`python scripts/measure.py tracing`).\n{observing()}"
    )


@of("observing")
def observing(seen: Figures) -> str:
    """Return what logs and metrics take."""
    parts = ", ".join(f"{us:.0f} µs for {what}" for what, us in seen["us"].items())
    return (
        f"Of the processor, {parts};\na scrape takes {seen['scrape_ms']:.1f} ms of the worker and has "
        f"{seen['scrape_bytes'] / 1000:.0f} kB (`python scripts/measure.py observing`).\n"
    )
