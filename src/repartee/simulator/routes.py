"""Which way a WebRTC connection takes: straight, over TCP, or through a relay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

KINDS = ("host", "srflx", "prflx", "relay")


def route_of(stats: Iterable[Any]) -> str | None:
    """Return the way of one connection by its statistics; None where none was chosen.

    Returns:
        The kind of this end's address and the protocol: "host/udp", "host/tcp", "srflx/udp", "relay/udp".
    """
    pairs: dict[str, str] = {}
    ends: dict[str, Any] = {}
    chosen = ""
    for entry in stats:
        match entry.WhichOneof("stats"):
            case "transport":
                chosen = entry.transport.transport.selected_candidate_pair_id
            case "candidate_pair":
                pairs[entry.candidate_pair.rtc.id] = entry.candidate_pair.candidate_pair.local_candidate_id
            case "local_candidate":
                ends[entry.local_candidate.rtc.id] = entry.local_candidate.candidate
            case _:
                pass
    end = ends.get(pairs.get(chosen, ""))
    return None if end is None else f"{KINDS[end.candidate_type]}/{end.protocol}"
