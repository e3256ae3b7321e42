"""Whether the caller and the agent can hear each other, and since when they cannot.

Several signs tell of a broken connection, and none of them alone: the caller's participant is gone (LiveKit tells
20 s late), their microphone sends nothing any more (seen within 3 s), LiveKit's own judgement of their connection,
the agent's own connection, and that its process stood still. Any of them holds the call; it goes on when none is
left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

Cause = Literal["left", "no_packets", "quality", "agent", "standstill"]
STALL_MS = 2000.0
"""A microphone sends something at least every 400 ms, however silent it is in the room."""
PLAIN_CODECS = frozenset({"audio/opus", "audio/red", "audio/pcmu", "audio/pcma", "audio/g722"})
"""What the media engine decodes."""


class Link:
    """The connection between caller and agent.

    Args:
        lost: Called with when the caller was last heard, in ms, when it breaks.
        returned: Called when it stands again.
        clock_ms: The call's clock.
    """

    def __init__(
        self, lost: Callable[[float], None], returned: Callable[[], None], clock_ms: Callable[[], float]
    ) -> None:
        self._lost = lost
        self._returned = returned
        self._clock_ms = clock_ms
        self._causes: set[Cause] = set()

    @property
    def broken(self) -> bool:
        """Whether they cannot hear each other."""
        return bool(self._causes)

    @property
    def causes(self) -> frozenset[Cause]:
        """Why they cannot."""
        return frozenset(self._causes)

    def cut(self, cause: Cause, since_ms: float | None = None) -> None:
        """There is a sign that it is broken, since a time or since now."""
        first = not self._causes
        self._causes.add(cause)
        if first:
            self._lost(self._clock_ms() if since_ms is None else since_ms)

    def mended(self, *causes: Cause) -> None:
        """Signs are gone."""
        if not self._causes:
            return
        self._causes.difference_update(causes)
        if not self._causes:
            self._returned()


@dataclass(frozen=True, slots=True)
class Codec:
    """How a microphone's sound is sent."""

    mime: str
    rate_hz: int
    channels: int
    options: str = ""

    @property
    def usual(self) -> bool:
        """Whether the media engine can decode it."""
        return self.mime.lower() in PLAIN_CODECS


@dataclass(frozen=True, slots=True)
class LineReport:
    """What the media engine counts of a caller's audio.

    Attributes:
        packets: That came.
        lost: That did not.
        concealed: Share of what was played that was made up for what was lost.
        buffered_ms: How long sound waited, on average, in the buffer that evens out when packets come.
    """

    packets: int = 0
    lost: int = 0
    concealed: float = 0.0
    buffered_ms: float = 0.0
    codec: Codec | None = None

    @classmethod
    def read(cls, stats: Iterable[Any]) -> LineReport:
        """Read it out of a track's WebRTC statistics."""
        report, codecs, codec_id = cls(), {}, ""
        for entry in stats:
            match entry.WhichOneof("stats"):
                case "codec":
                    codec = entry.codec.codec
                    codecs[entry.codec.rtc.id] = Codec(
                        codec.mime_type, codec.clock_rate, codec.channels or 1, codec.sdp_fmtp_line
                    )
                case "inbound_rtp":
                    inbound, received = entry.inbound_rtp.inbound, entry.inbound_rtp.received
                    total = max(1, inbound.total_samples_received)
                    codec_id = entry.inbound_rtp.stream.codec_id
                    report = cls(
                        received.packets_received,
                        received.packets_lost,
                        inbound.concealed_samples / total,
                        buffered_ms(inbound),
                    )
                case _:
                    pass
        return replace(report, codec=codecs.get(codec_id))


def buffered_ms(inbound: Any) -> float:
    """Return the mean wait in the jitter buffer, of WebRTC's `RTCInboundRtpStreamStats`."""
    return float(inbound.jitter_buffer_delay * 1000 / max(1, inbound.jitter_buffer_emitted_count))


class PacketWatch:
    """Tells a microphone that sends nothing from one that is silent.

    Args:
        now_ms: The call's clock, now.
    """

    def __init__(self, now_ms: float) -> None:
        self._packets = 0
        self._since_ms = now_ms

    @property
    def since_ms(self) -> float:
        """When it last sent something, as far as is known."""
        return self._since_ms

    def stalls(self, packets: int, now_ms: float, *, muted: bool) -> bool:
        """Take the number of packets that have come; say whether it sends nothing any more."""
        if packets != self._packets or muted or not packets:
            self._packets, self._since_ms = packets, now_ms
        return now_ms - self._since_ms >= STALL_MS
