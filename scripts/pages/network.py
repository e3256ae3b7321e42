"""docs/network.md: what is understood of a voice when packets are lost."""

from __future__ import annotations

from pages.results import load


def figures() -> str:
    """Return the figures of the page on networks."""
    loss = load("loss")
    losses = sorted({row["loss"] for row in loss["rows"]})
    ways = [way["name"] for way in loss["ways"]]
    tables = ""
    for direction in ("agent to caller", "caller to agent"):
        rows = {(row["way"], row["loss"]): row for row in loss["rows"] if row["direction"] == direction}
        head = "".join(f" {share:.0%} lost |" for share in losses)
        lines = "".join(
            f"| {way} | {rows[way, losses[0]]['kbit_per_s']:.0f} | "
            + " | ".join(
                f"{rows[way, share]['word_error']:.1%}, {rows[way, share]['made_up']:.1%}" for share in losses
            )
            + " |\n"
            for way in ways
        )
        tables += f"{direction.capitalize()}; word error, made up:\n\n| sent as | kbit/s |{head}\n|---|---|{'---|' * len(losses)}\n{lines}\n"
    return f"""
{tables}{loss["sentences"]} sentences, {loss["words"]} words for each figure. kbit/s is what the receiver gets with packet headers, pauses included.
"""
