"""docs/caching.md: the answer cache, how often it is right and what it saves."""

from __future__ import annotations

from pages.results import load


def figures() -> str:
    """Return the figures of the page on the answer cache."""
    cache, savings = load("cache"), load("savings")
    halves = cache["halves"]
    lines = "".join(
        f"| {name} | {figures['same']} / {figures['different']} | {figures['precision']:.3f} | {figures['recall']:.3f} "
        f"| {figures['wrong']} ({figures['wrong_hit_rate']:.1%}) |\n"
        for name, figures in halves.items()
    )
    domains = "".join(
        f"| {domain} | {held['same']} / {held['different']} | {held['precision']:.2f} | {held['recall']:.2f} "
        f"| {held['wrong']} |\n"
        for domain, held in halves["held-out"]["by_domain"].items()
    )
    all_known = halves["held-out"]["among_all"]
    calls = "".join(
        f"| {name} | {float(side['usd']):.6f} | {side['requests'].get('llm', 0)} | {side['tokens_in']} ({side['tokens_cached']}) | {side['characters']} "
        f"| {side['first_text_ms']['p50']:.0f} | {side['first_audio_ms']['p50']:.0f} "
        f"| {', '.join(f'{tier} {count}' for tier, count in side['tiers'].items())} |\n"
        for name, side in (
            ("without savings", savings["first_call"]["off"]),
            ("cache, a machine's first call", savings["first_call"]["caching"]),
            ("cache and routing, a first call", savings["first_call"]["on"]),
            ("cache, a later call", savings["later_call"]["caching"]),
            ("cache and routing, a later call", savings["later_call"]["on"]),
        )
    )
    return f"""
{cache["pairs"]} pairs of questions, {cache["same"]} of them of the same meaning, the others near misses; `likeness: {cache["likeness"]}`.

| half | same / different | precision | recall | wrong hits |
|---|---|---|---|---|
{lines}
Held-out half, by domain:

| domain | same / different | precision | recall | wrong hits |
|---|---|---|---|---|
{domains}
With all known questions of a domain at once: {all_known["right"]} right, {all_known["wrong"]} wrong, {all_known["missed"]} missed. One decision takes {cache["decision_ms"]["p50"]:.0f} ms in
the median, {cache["decision_ms"]["p95"]:.0f} ms at the 95th percentile, vectors included; the routing {cache["routing_ms"]["p95"]:.3f} ms.

{savings["first_call"]["turns"]} turns of a call to the front desk, learning on, small model `gpt-4.1-nano`, simulated vendors (profile *{savings["profile"]}*,
model and voice; their list prices; prompts of 1024 tokens and more are partly kept by the vendor, as OpenAI does). The first call saves {savings["first_call"]["saved"]:.0%}, a later one {savings["later_call"]["saved"]:.0%}; turns answered
differently: {len(savings["first_call"]["answered_differently"]) + len(savings["later_call"]["answered_differently"])}. Before the first call the server makes the audio of what is sure to be said, once for each machine
and voice: {savings["first_call"]["on"]["prepared_characters"]} characters, {float(savings["first_call"]["on"]["prepared_usd"]):.6f} USD.

| | USD | model requests | prompt tokens (kept by the vendor) | characters voiced | first text, ms, median | first audio, ms, median | tiers |
|---|---|---|---|---|---|---|---|
{calls}
"""
