"""docs/security.md: what came of the made up cases."""

from __future__ import annotations

from pages.results import load


def figures() -> str:
    """Return what came of the made up cases."""
    run = load("fuzz")
    broke = {name: target for name, target in run["targets"].items() if target["found_and_fixed"]}
    rows = "\n".join(
        f"| {name} | {target['cases']:,} | {target['found_and_fixed'] or ''} |"
        for name, target in run["targets"].items()
    )
    return f"""
{run["cases"]:,} cases of {len(run["targets"])} readers, {run["failures"]} failures; {run["found_and_fixed"]} cases that once broke one of {len(broke)}
readers, or lie beside one that did, are kept and run first (seed {run["seed"]}).

| reader | cases | kept |
|---|---|---|
{rows}

"""
