"""The timeline on a disk that is full: said once, and the call goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from repartee.telemetry.timeline import Timeline

FULL = Path("/dev/full")


@pytest.mark.skipif(
    not FULL.exists(), reason="no /dev/full here: only Linux has a device that is always full"
)
def test_a_full_disk_is_said_once_and_marks_go_on() -> None:
    marked: list[str] = []
    timeline = Timeline(FULL, lambda: 1.0)
    timeline.listeners.append(lambda name, _at_ms, _values: marked.append(name))
    with structlog.testing.capture_logs() as logged:
        for name in ("a", "b", "c"):
            timeline.mark(name)
        timeline.close()
    assert marked == ["a", "b", "c"]
    assert [entry["event"] for entry in logged] == ["timeline.failed"]
    assert logged[0]["error"] == "No space left on device"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with structlog.testing.capture_logs() as logged:
        timeline = Timeline(tmp_path / "file" / "call.jsonl", lambda: 1.0)
        timeline.mark("a")
    assert [(entry["event"], entry["call_id"]) for entry in logged] == [("timeline.failed", "call")]
