"""docs/interop.md: the clients that were run against a server."""

from __future__ import annotations

from pages.results import Figures, of


@of("interop", otherwise="\nNothing has been run yet.\n\n")
def figures(run: Figures) -> str:
    """Return the table of clients that were run against a server, and whether they worked."""
    lines = ""
    for row in run["rows"]:
        packages = ", ".join(f"{name} {version}" for name, version in row["packages"].items())
        result = "works" if row["worked"] else "**fails**"
        lines += f"| {row['client']} | {packages} | {'; '.join(row['shown'])} | {row['date']}: {result} |\n"
    return f"""
| client | packages | what was run | result |
|---|---|---|---|
{lines}
`{run["command"]}`. Not run: LiveKit's Swift, Android, Flutter, React Native, Unity and ESP32 SDKs, its Playground and
starters as a whole, `@pipecat-ai/client-react` and `voice-ui-kit`, phones.

"""
