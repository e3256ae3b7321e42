"""docs/voices.md: voices compared; simulated ones have a table of their own, and say so."""

from __future__ import annotations

from pages.results import Figures, of
from repartee.simulator.report import shown_value


@of(
    "voices",
    otherwise="\nNot measured yet: `repartee bench voices --write benchmarks/results/voices.json`.\n",
)
def figures(run: Figures) -> str:
    """Return the figures of the page on voices; simulated ones have a table of their own, and say so."""
    said = run["texts"] * run["repeats"]
    text = f"""
{said} requests a voice, {run["machine"]}, which had a load of {run["load"]} when it began; `{run["command"]}`. Median / 95th percentile; prices of {run["prices"]}.

{_voices(run["voices"])}"""
    if run["simulated"]:
        text += f"\nSimulated, for the way they are asked only; nothing of it is about these vendors:\n\n{_voices(run['simulated'])}"
    return text


def _voices(voices: list[Figures]) -> str:
    """Return a table of voices."""
    lines = "| voice | first audio, ms | first sound, ms | real-time factor | word error | LUFS, spread | leading silence, ms | USD a minute | failed |\n|---|---|---|---|---|---|---|---|---|\n"
    for voice in voices:
        loud = (
            f"{voice['loudness_lufs']}, {voice['loudness_spread_lu']} LU" if "loudness_lufs" in voice else ""
        )
        error = f"{voice['word_error']:.1%} of {voice['words']}" if "word_error" in voice else ""
        usd = voice.get("usd_per_minute")
        price = "not known" if usd is None else f"{usd:.4f}" if usd else "0"
        rtf = voice.get("real_time_factor")
        factor = f"{rtf['p50']:.2f} / {rtf['p95']:.2f}" if rtf else ""
        lines += (
            f"| {voice['provider']}:{voice['model']}, {voice['voice']} | {shown_value(voice.get('first_audio_ms'))} "
            f"| {shown_value(voice.get('first_sound_ms'))} | {factor} | {error} | {loud} "
            f"| {shown_value(voice.get('leading_silence_ms'))} | {price} | {voice['failed']} |\n"
        )
    return lines
