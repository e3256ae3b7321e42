"""How the caller's connection was, as a call's page shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from repartee.store import EventRow


def line_view(events: Iterable[EventRow]) -> dict[str, Any]:
    """Return what is known of a call's line.

    Returns:
        `codec`, how the caller's sound came; `quality`, LiveKit's judgement since when, in ms; `away`, from when to
        when the caller was cut off, without an end where they did not come back; `lost`, the share of packets that
        did not come, `concealed`, of the sound that was made up for them, and `buffered_ms`, how long sound waited
        for packets that were late, all known when the call is over.
    """
    sound = ("lost", "concealed", "buffered_ms")
    view: dict[str, Any] = {"codec": None, "quality": [], "away": [], **dict.fromkeys(sound)}
    for event in events:
        match event.kind:
            case "network.codec":
                view["codec"] = event.data.get("mime") or None
            case "network.quality":
                view["quality"].append([event.at_ms, event.data.get("quality")])
            case "network.sound":
                view |= {name: event.data.get(name) for name in sound}
            case "caller.lost":
                view["away"].append([event.at_ms, None])
            case "caller.returned" if view["away"]:
                view["away"][-1][1] = event.at_ms
            case _:
                pass
    return view
