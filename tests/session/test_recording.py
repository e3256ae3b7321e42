"""Recordings: both sides in their place, what was taken back is not in them, and they go when the words go."""

from __future__ import annotations

import io
import os
import stat
import time
from pathlib import Path

import numpy as np
import soundfile as sf
from PIL import Image

from repartee.session.album import EDGE_PX, PICTURES, Album, picture_file
from repartee.session.kept_files import ASKED_AT_ONCE, RECORDINGS, erase_files
from repartee.session.recording import PART, PEAKS, RATE_HZ, RecordedSink, Recorder
from tests.session.rig import Loudspeaker

CALLER_RATE_HZ = 16_000


class Clock:
    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> float:
        return self.ms


def tone(rate_hz: int, ms: int = 20, level: int = 8000) -> bytes:
    t = np.arange(rate_hz * ms // 1000) / rate_hz
    return (level * np.sin(2 * np.pi * 400 * t)).astype(np.int16).tobytes()


def heard(file: Path, channel: int, from_ms: float, to_ms: float) -> bool:
    sound, rate = sf.read(file, dtype="int16")
    part = sound[int(from_ms * rate / 1000) : int(to_ms * rate / 1000), channel].astype(float)
    return bool(len(part)) and float(np.sqrt((part**2).mean())) > 500


def test_both_sides_are_where_they_were_said(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "recordings" / "a.flac"
    recorder = Recorder(file, clock)
    for at in range(0, 5000, 20):
        clock.ms = at + 20.0
        recorder.caller(tone(CALLER_RATE_HZ) if 1000 <= at < 2000 else bytes(640))
        if 3000 <= at < 4000:
            recorder.agent(tone(RATE_HZ), 0.0)
    recorder.close()
    assert recorder.lost == 0
    assert sf.info(file).channels == 2
    assert heard(file, 0, 1050, 1950)
    assert not heard(file, 0, 100, 950)
    assert not heard(file, 0, 2050, 4900)
    assert heard(file, 1, 3050, 3950)
    assert not heard(file, 1, 100, 2950)
    assert not heard(file, 1, 4050, 4900)
    shape = np.frombuffer(file.with_name(file.name + PEAKS).read_bytes(), np.uint8).reshape(-1, 2)
    assert abs(len(shape) * 20 - 5000) <= 40
    assert shape[60:90, 0].min() > 50
    assert shape[160:190, 1].min() > 50
    assert shape[110:150].max() < 5
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_what_was_queued_and_taken_back_was_not_heard(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "a.flac"
    recorder, loudspeaker = Recorder(file, clock), Loudspeaker()
    sink = RecordedSink(loudspeaker, recorder)
    clock.ms = 1000.0
    for _ in range(4):
        await sink.write(tone(RATE_HZ))
    assert sink.queued_ms() == 80.0
    clock.ms = 1030.0
    sink.clear()
    clock.ms = 3000.0
    recorder.caller(bytes(640))
    recorder.close()
    assert heard(file, 1, 1002, 1028)
    assert not heard(file, 1, 1035, 1100)


def test_nothing_is_kept_of_a_call_that_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path / "a.flac", clock)
    clock.ms = 5000.0
    recorder.caller(tone(CALLER_RATE_HZ))
    recorder.discard()
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("in the way")
    recorder = Recorder(tmp_path / "recordings" / "a.flac", Clock())
    for _ in range(10):
        recorder.caller(tone(CALLER_RATE_HZ))
    recorder.close()
    assert recorder.lost == 10


def test_recordings_go_with_the_words_of_their_calls(tmp_path: Path) -> None:
    for name in ("kept.flac", "erased.flac", f"erased2.flac{PART}", "new.flac", "unknown.flac"):
        (tmp_path / name).write_bytes(b"x")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / "unknown.flac", (long_ago, long_ago))
    known = {"kept": True, "erased": False, "erased2": False}

    def words_kept(ids: list[str]) -> dict[str, bool]:
        return {name: known[name] for name in ids if name in known}

    assert erase_files(tmp_path, RECORDINGS, words_kept) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.flac", "new.flac"]
    assert erase_files(tmp_path / "none", RECORDINGS, lambda _: {}) == 0


def test_the_database_is_asked_of_few_calls_at_once(tmp_path: Path) -> None:
    for number in range(ASKED_AT_ONCE + 1):
        (tmp_path / f"{number}.flac").touch()
    asked: list[int] = []

    def words_kept(ids: list[str]) -> dict[str, bool]:
        asked.append(len(ids))
        return dict.fromkeys(ids, False)

    assert erase_files(tmp_path, RECORDINGS, words_kept) == ASKED_AT_ONCE + 1
    assert sorted(asked) == [1, ASKED_AT_ONCE]


def jpeg(width: int = 1024, height: int = 512) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return file.getvalue()


def test_what_was_looked_at_is_kept_small_beside_it_and_so_much_of_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recordings" / "a.flac", Clock())
    kept = [recorder.picture(number, jpeg()) for number in range(PICTURES + 2)]
    recorder.close()
    assert kept == [True] * PICTURES + [False] * 2
    file = picture_file(tmp_path / "recordings", "a", 0)
    assert file.stat().st_mode & 0o777 == 0o600
    with Image.open(file) as image:
        assert (image.format, image.size) == ("JPEG", (EDGE_PX, EDGE_PX // 2))
    assert len(list((tmp_path / "recordings").glob("*.jpg"))) == PICTURES
    assert not list((tmp_path / "recordings").glob("*.part"))


def test_of_a_call_that_is_forgotten_no_picture_is_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.flac", Clock())
    assert recorder.picture(1, jpeg())
    recorder.discard()
    assert not recorder.picture(2, jpeg())
    recorder.close()
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_kept_costs_nothing_else(tmp_path: Path) -> None:
    Album(tmp_path / "gone", "a").keep(1, jpeg())
    Album(tmp_path, "a").keep(1, b"no picture")
    assert not list(tmp_path.iterdir())
