"""The video that a caller shares: offered to the call's eyes while it is shown; nobody else's is received."""

from __future__ import annotations

from collections.abc import Callable

from livekit import rtc

from repartee.session.eyes import Eyes, Source, grab_from

_SOURCES: dict[int, Source] = {
    rtc.TrackSource.SOURCE_CAMERA: "camera",
    rtc.TrackSource.SOURCE_SCREENSHARE: "screen",
}


class SharedVideo:
    """Follows the video tracks of one room.

    Args:
        eyes: Looks; None receives no video.
        is_caller: Says whether a participant identity is the caller.
    """

    def __init__(self, eyes: Eyes | None, is_caller: Callable[[str], bool]) -> None:
        self._eyes = eyes
        self._is_caller = is_caller

    def listen(self, room: rtc.Room) -> None:
        """Take a room's events; before it connects."""
        room.on("track_muted")(self._muted)
        room.on("track_unmuted")(self._unmuted)

    def subscribed(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        """A track is received."""
        if not self._wanted(publication, participant):
            publication.set_subscribed(False)
        elif not publication.muted:
            self._show(publication)

    def gone(self, publication: rtc.RemoteTrackPublication) -> None:
        """A track is received no longer."""
        if self._eyes is not None:
            self._eyes.hide(publication.sid)

    def _muted(self, participant: rtc.Participant, publication: rtc.TrackPublication) -> None:
        # A camera that is switched off is muted, and stays published.
        if isinstance(publication, rtc.RemoteTrackPublication) and self._wanted(publication, participant):
            self.gone(publication)

    def _unmuted(self, participant: rtc.Participant, publication: rtc.TrackPublication) -> None:
        if isinstance(publication, rtc.RemoteTrackPublication) and self._wanted(publication, participant):
            self._show(publication)

    def _wanted(self, publication: rtc.RemoteTrackPublication, participant: rtc.Participant) -> bool:
        shared = publication.source in _SOURCES and self._is_caller(participant.identity)
        return self._eyes is not None and shared

    def _show(self, publication: rtc.RemoteTrackPublication) -> None:
        track, rgb = publication.track, rtc.VideoBufferType.RGB24
        if track is not None and self._eyes is not None:
            grab = grab_from(lambda: rtc.VideoStream(track, capacity=1, format=rgb))
            self._eyes.show(publication.sid, _SOURCES[publication.source], grab)
