"""What was looked at in a call, small, beside its recording: for the call's page, of calls that are recorded."""

from __future__ import annotations

import io
from pathlib import Path

import structlog
from PIL import Image

log = structlog.get_logger()
EDGE_PX = 480
QUALITY = 60
PICTURES = 24
"""Of one call; some 20 kB each."""
PART = ".part"


def picture_file(folder: Path, call_id: str, at_ms: int) -> Path:
    """Return where the picture is that was taken at a time of a call."""
    return folder / f"{call_id}.{at_ms}.jpg"


class Album:
    """Keeps the pictures of one call. Blocks: for the thread that writes the recording.

    Args:
        folder: Of the recordings.
        call_id: Names the files.
    """

    def __init__(self, folder: Path, call_id: str) -> None:
        self._folder = folder
        self._call_id = call_id
        self._files: list[Path] = []

    def keep(self, at_ms: int, jpeg: bytes) -> None:
        """Write one; one that cannot be written is missing, and nothing else."""
        file = picture_file(self._folder, self._call_id, at_ms)
        part = file.with_name(file.name + PART)
        try:
            small = _small(jpeg)
            part.touch(mode=0o600)
            self._files.append(file)
            part.write_bytes(small)
            part.replace(file)
        except OSError as error:  # Pillow's own are of it
            log.warning("picture.not_kept", error=type(error).__name__)

    def discard(self) -> None:
        """Keep none of them."""
        for file in self._files:
            file.unlink(missing_ok=True)
            file.with_name(file.name + PART).unlink(missing_ok=True)


def _small(jpeg: bytes) -> bytes:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        image.thumbnail((EDGE_PX, EDGE_PX))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
