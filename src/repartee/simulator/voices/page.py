"""The page one listens to: every text by every voice, one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import soundfile as sf

from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.simulator.voices.measure import Said
from repartee.simulator.voices.sound import Pcm

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
body { color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; width: 100% }
td, th { padding: .4rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top }
td:first-child, th:first-child { text-align: left } audio { width: 100%; min-width: 9rem; height: 2rem }
.simulated { color: #8a5a00; background: #fff6e0 } .heard { color: #666; font-size: .85rem } .wrong { color: #a12 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #16181b } td, th { border-color: #333 }
.simulated { background: #2c2410; color: #e8c678 } .heard { color: #999 } .wrong { color: #f89 } }
"""
COLUMNS = (
    ("first_sound_ms", "first sound, ms"),
    ("real_time_factor", "real-time factor"),
    ("word_error", "word error"),
    ("loudness_lufs", "LUFS"),
    ("usd_per_minute", "USD a minute"),
)


def page(report: dict[str, Any], said: Said) -> str:
    """Return the page.

    Args:
        report: What was measured.
        said: What was said; the first time of each text is on the page.
    """
    parts = ["<h1>Voices</h1>", f"<p>{html.escape(report['machine'])}, {html.escape(report['at'])}.</p>"]
    parts.append(_figures(report["voices"], ""))
    if report["simulated"]:
        parts.append(
            "<h2>Simulated</h2><p>Stand-ins: their sound is no voice, their times are a profile's.</p>"
        )
        parts.append(_figures(report["simulated"], "simulated"))
    parts.append("<h2>Listen</h2>")
    parts.append(_samples(report, said))
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Voices</title><style>{STYLE}</style><body>\n{body}\n</body></html>\n"
    )


def _figures(voices: list[dict[str, Any]], kind: str) -> str:
    head = "".join(f"<th>{title}</th>" for _, title in COLUMNS)
    lines = "".join(
        f"<tr class='{kind}'><td>{html.escape(_title(voice))}</td>"
        + "".join(f"<td>{shown(voice.get(key))}</td>" for key, _ in COLUMNS)
        + "</tr>"
        for voice in voices
    )
    return f"<table><tr><th>voice</th>{head}</tr>{lines}</table>"


def _samples(report: dict[str, Any], said: Said) -> str:
    head = "".join(
        f"<th class='{'simulated' if candidate.simulated else ''}'>{html.escape(candidate.title)}</th>"
        for candidate in said
    )
    heard = {
        (voice["provider"], voice["model"], row["text"]): row
        for voice in report["voices"]
        for row in voice["rows"]
        if row["repeat"] == 0
    }
    lines = []
    for number, first in enumerate(next(iter(said.values()))):
        if first.repeat:
            break
        cells = []
        for candidate, spoken in said.items():
            row = heard.get((candidate.provider, candidate.model, first.sample.name), {})
            if candidate.simulated:
                cells.append("<td class='simulated'>simulated</td>")
            else:
                cells.append(f"<td>{_audio(spoken[number].pcm)}{_heard(row)}</td>")
        lines.append(f"<tr><td>{html.escape(first.sample.text)}</td>{''.join(cells)}</tr>")
    return f"<table><tr><th>text</th>{head}</tr>{''.join(lines)}</table>"


def _audio(pcm: Pcm) -> str:
    if not len(pcm):
        return "failed"
    buffer = io.BytesIO()
    sf.write(buffer, pcm, VOICE_RATE_HZ, format="MP3")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<audio controls preload=none src='data:audio/mpeg;base64,{data}'></audio>"


def _heard(row: dict[str, Any]) -> str:
    if "heard" not in row:
        return ""
    kind = "heard wrong" if row["word_errors"] else "heard"
    return f"<div class='{kind}'>{html.escape(row['heard'])}</div>"


def _title(voice: dict[str, Any]) -> str:
    return f"{voice['provider']}:{voice['model']}"


def shown(value: Any) -> str:
    """Return a figure as people read it: median / 95th percentile."""
    match value:
        case None:
            return ""
        case {"p50": middle, "p95": high}:
            return f"{middle:.2f} / {high:.2f}" if high < 10 else f"{middle:.0f} / {high:.0f}"
        case float() if 0 < abs(value) < 1:
            return f"{value:.4f}".rstrip("0")
        case _:
            return f"{value:g}"
