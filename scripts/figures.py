"""Write the documents' figures from benchmarks/results, so that no number is typed by hand.

`python scripts/figures.py` rewrites what is between the markers; `--check` only says whether it would change.
What a page says is in `scripts/pages/`, in a module of the page's name.
"""

from __future__ import annotations

import sys

from pages import (
    caching,
    call_page,
    costs,
    degradation,
    density,
    interop,
    kubernetes,
    network,
    operating,
    private,
    readme,
    realtime,
    scaling,
    security,
    teams,
    tone,
    tuning,
    voices,
)
from pages.results import ROOT, load

from repartee.simulator.chaos.report import tables

START, END = "<!-- figures -->\n", "<!-- /figures -->\n"
PAGES = {
    "README.md": readme.figures,
    "docs/caching.md": caching.figures,
    "docs/call-page.md": call_page.figures,
    "docs/costs.md": costs.figures,
    "docs/degradation.md": degradation.figures,
    "docs/density.md": density.figures,
    "docs/interop.md": interop.figures,
    "docs/kubernetes.md": kubernetes.figures,
    "docs/network.md": network.figures,
    "docs/operating.md": operating.figures,
    "docs/private.md": private.figures,
    "docs/realtime.md": realtime.figures,
    "docs/reliability.md": lambda: tables(load("chaos")),
    "docs/scaling.md": scaling.figures,
    "docs/security.md": security.figures,
    "docs/teams.md": teams.figures,
    "docs/tone.md": tone.figures,
    "docs/tuning-turn-taking.md": tuning.figures,
    "docs/voices.md": voices.figures,
}
DRAWINGS = {"frontier": tuning.drawing, "load": density.drawing, "scaler": kubernetes.drawing}
"""SVG in docs/images."""


def main() -> int:
    """Rewrite or check; return the exit code."""
    check, changed = "--check" in sys.argv[1:], False
    for page, figures in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        head, _, rest = text.partition(START)
        _, _, tail = rest.partition(END)
        wanted = head + START + figures() + END + tail
        changed |= text != wanted
        if not check:
            (ROOT / page).write_text(wanted, encoding="utf-8")
    if check:
        return int(changed)
    for name, drawing in DRAWINGS.items():
        if drawn := drawing():
            (ROOT / "docs" / "images" / f"{name}.svg").write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
