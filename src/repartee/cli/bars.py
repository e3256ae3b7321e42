"""Stacked bars of costs as an SVG file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repartee.store import CostLine

COLOURS = {"stt": "#3d5a80", "llm": "#0b7a75", "tts": "#c8553d", "embedding": "#8a817c"}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 380, 70, 60, 70
MAX_BARS = 60
SPARED = "silence that was not sent"
_DASHED = f'fill="none" stroke="{COLOURS["stt"]}" stroke-dasharray="4 3"'
_NOTHING = Decimal(0)


def bars(title: str, lines: Sequence[CostLine]) -> str:
    """Return the drawing.

    Args:
        title: What it shows.
        lines: Costs by a group and the stage; of more than 60 groups the last are drawn. What the voice gate saved is
            on top, dashed.
    """
    groups = list(dict.fromkeys(line.key[0] for line in lines))[-MAX_BARS:]
    cells = {line.key: line for line in lines}
    stages = [stage for stage in COLOURS if any((group, stage) in cells for group in groups)]
    sums = {
        group: sum((cells[group, s].cost for s in stages if (group, s) in cells), _NOTHING)
        for group in groups
    }
    spared = {group: _spared(cells.get((group, "stt"))) for group in groups}
    top = float(max((sums[group] + spared[group] for group in groups), default=_NOTHING)) or 1.0
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}, USD; pale: nobody heard it</text>',
        *_legend(stages, spared=any(spared.values())),
        *_axis(top),
    ]
    step = (WIDTH - LEFT - 20) / max(1, len(groups))
    for number, group in enumerate(groups):
        x = LEFT + step * (number + 0.15)
        stack = [(s, cells[group, s]) for s in stages if (group, s) in cells]
        parts += _bar(group, stack, spared[group], x, step * 0.7, top)
        parts.append(_label(group or "no call", x + step * 0.35, crowded=step < 90))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _height(amount: Decimal, top: float) -> float:
    return float(amount) / top * (HEIGHT - TOP - BOTTOM)


def _spared(line: CostLine | None) -> Decimal:
    """Return what speech-to-text would have cost more, had silence been sent to it."""
    saved = line.gate_saved if line is not None else None
    return max(saved or _NOTHING, _NOTHING)


def _bar(
    group: str, stack: list[tuple[str, CostLine]], spared: Decimal, x: float, width: float, top: float
) -> list[str]:
    parts, y = [], float(HEIGHT - BOTTOM)
    for stage, line in stack:
        for amount, pale in ((line.cost - line.wasted, 1.0), (line.wasted, 0.4)):
            height = _height(amount, top)
            y -= height
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{COLOURS[stage]}" '
                f'fill-opacity="{pale}"><title>{escape(group)} {stage}: {amount:f}</title></rect>'
            )
    if spared:
        height = _height(spared, top)
        parts.append(
            f'<rect x="{x:.1f}" y="{y - height:.1f}" width="{width:.1f}" height="{height:.1f}" {_DASHED}>'
            f"<title>{escape(group)} {SPARED}: {round(spared, 9):f}</title></rect>"
        )
    return parts


def _label(text: str, x: float, *, crowded: bool) -> str:
    y = HEIGHT - BOTTOM + 18
    turned = f' transform="rotate(-40 {x:.1f} {y})" text-anchor="end"' if crowded else ' text-anchor="middle"'
    return f'<text x="{x:.1f}" y="{y}"{turned}>{escape(text[:24])}</text>'


def _legend(stages: Sequence[str], *, spared: bool) -> list[str]:
    parts = []
    if spared:
        x = LEFT + 110 * len(stages)
        parts.append(f'<rect x="{x}" y="36" width="12" height="12" {_DASHED}/>')
        parts.append(f'<text x="{x + 18}" y="46">{SPARED}</text>')
    for number, stage in enumerate(stages):
        x = LEFT + 110 * number
        parts.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{COLOURS[stage]}"/>')
        parts.append(f'<text x="{x + 18}" y="46">{stage}</text>')
    return parts


def _axis(top: float) -> list[str]:
    parts = []
    for quarter in range(5):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * quarter / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * quarter / 4:.3g}</text>')
    return parts
