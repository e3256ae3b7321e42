"""docs/realtime.md: one model that hears and speaks beside three."""

from __future__ import annotations

from pages.results import NAMES, Figures, of
from repartee.providers.prices import load_prices
from repartee.simulator.realtime_cost import ASSUMED, cascade_usd, realtime_usd
from repartee.simulator.report import shown_value

REALTIME = ("gpt-realtime", "gpt-realtime-mini")


def figures() -> str:
    """Return what a minute of talk costs with one model that hears and speaks, and with three, by the price table."""
    prices, minutes = load_prices(), (1, 5, 15)
    rows = {
        "recogniser, model and voice": [cascade_usd(prices, minute) for minute in minutes],
        **{name: [realtime_usd(prices, name, minute) for minute in minutes] for name in REALTIME},
    }
    lines = "".join(
        f"| {name} | {' | '.join(f'{usd:.4f}' for usd in usds)} |\n" for name, usds in rows.items()
    )
    return f"""
Reckoned from the price table of {prices.version}, USD; nothing was measured. {ASSUMED}

| | first minute | fifth | fifteenth |
|---|---|---|---|
{lines}
{beside()}"""


@of("realtime")
def beside(run: Figures) -> str:
    """Return what one model that hears and speaks does beside three, in one run."""
    columns = (
        ("first sound, ms", "latency", "latency_ms"),
        ("first content, ms", "latency", "content_ms"),
        ("interrupted: silent, ms", "barge-in", "silent_ms"),
        ("told to a word what was heard", "barge-in", "context_exact_to_a_word"),
        ('stopped for good by a "mm-hm"', "backchannel", "stopped_for_good"),
    )
    lines = ""
    for system, suites in run["figures"].items():
        cells = [shown_value(suites.get(suite, {}).get(key)) for _, suite, key in columns]
        cost = suites["latency"]["usd_per_minute"]
        lines += f"| {NAMES[system]} | {' | '.join(cells)} | {cost:.4f} |\n"
    return f"""Measured, in one run, median / 95th percentile; simulated vendors (profile *{run["options"]["profile"]}*), {run["machine"]}:

| | {" | ".join(title for title, *_ in columns)} | USD a minute |
|---|{"---|" * len(columns)}---|
{lines}
`{run["command"]}`

"""
