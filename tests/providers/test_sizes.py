"""Which Whisper hears: what is there, what the language needs, and what the machine is quick enough for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import soundfile as sf

from repartee.providers.ondevice import sizes
from repartee.providers.ondevice.registry import WHISPERS
from repartee.providers.ondevice.sizes import (
    Size,
    Speed,
    choose,
    known_speed,
    measure,
    present,
    suiting,
    whisper_for,
)


def put(models: Path, *names: str) -> None:
    for name in names:
        folder = WHISPERS[name].place(models)
        folder.mkdir(parents=True)
        for file in WHISPERS[name].files:
            (folder / file.path).write_bytes(b"x")


def sized(*names: str) -> list[Size]:
    return [Size(name, Path(name)) for name in names]


def names(found: list[Size]) -> list[str]:
    return [size.name for size in found]


def test_those_that_are_here_are_found_the_least_first(tmp_path: Path) -> None:
    assert names(present(tmp_path)) == ["tiny.en"]
    put(tmp_path, "small", "base")
    assert present(tmp_path)[1:] == [
        Size("base", tmp_path / "whisper-base"),
        Size("small", tmp_path / "whisper-small"),
    ]
    (tmp_path / "whisper-base" / "model.bin").unlink()  # broken off
    assert names(present(tmp_path)) == ["tiny.en", "small"]


def test_a_language_needs_one_that_knows_it() -> None:
    found = sized("tiny.en", "tiny", "base.en", "base", "small")
    assert names(suiting(found, "en-US")) == ["tiny.en", "base.en", "small"]
    assert names(suiting(found, "de")) == ["tiny", "base", "small"]


@pytest.mark.parametrize(
    ("took", "chosen"),
    [
        (None, "tiny.en"),
        ({"tiny.en": 90.0, "base": 180.0, "small": 499.0}, "small"),
        ({"tiny.en": 300.0, "base": 501.0}, "tiny.en"),
        ({"tiny.en": 900.0}, "tiny.en"),
        ({"tiny.en": 90.0}, "tiny.en"),  # base was not measured
    ],
)
def test_the_best_that_is_quick_enough(took: dict[str, float] | None, chosen: str) -> None:
    there = sized("tiny.en", "base", "small")
    assert choose(there, Speed("cpu", took) if took is not None else None).name == chosen


def test_what_was_measured_is_kept_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    put(models, "base")
    speed = Speed("cpu", {"tiny.en": 100.0, "base": 200.0})
    assert whisper_for(models, tmp_path, "en") == present(models)[0], "not measured: the least"
    sizes.keep_speed(tmp_path, present(models), speed)
    assert known_speed(tmp_path, present(models)) == speed
    assert whisper_for(models, tmp_path, "en") == whisper_for(models, tmp_path, "de") == present(models)[1]
    put(models, "small")
    assert known_speed(tmp_path, present(models)) is None, "another size is here"
    sizes.keep_speed(tmp_path, present(models), speed)
    monkeypatch.setattr(sizes, "cores", lambda: 1)
    assert known_speed(tmp_path, present(models)) is None, "another machine"


def test_a_measurement_is_of_a_day_and_too_old_after_a_month(tmp_path: Path) -> None:
    there, measured_s, day_s = present(tmp_path), 1_800_000_000.0, 86_400.0
    speed = Speed("cpu", {"tiny.en": 100.0})
    sizes.keep_speed(tmp_path, there, speed, lambda: measured_s)
    assert (
        json.loads((tmp_path / "whisper-speed.json").read_text())["measured_at"]
        == "2027-01-15T08:00:00+00:00"
    )
    assert known_speed(tmp_path, there, lambda: measured_s + 29 * day_s) == speed
    assert known_speed(tmp_path, there, lambda: measured_s + 31 * day_s) is None
    assert known_speed(tmp_path, there, lambda: measured_s - day_s) is None, "it is not of tomorrow"


def test_a_language_that_none_knows(tmp_path: Path) -> None:
    assert whisper_for(tmp_path, tmp_path, "de") is None
    put(tmp_path, "base")
    assert whisper_for(tmp_path, tmp_path, "de") == Size("base", tmp_path / "whisper-base")


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "[]",
        "{}",
        '{"machine": 1}',
        '{"machine": {}, "speed": {"device": "cpu", "took_ms": {"tiny.en": 1}}}',
        '{"machine": {}, "measured_at": "today", "speed": {"device": "cpu", "took_ms": {"tiny.en": 1}}}',
        '{"machine": {}, "measured_at": 5, "speed": {"device": "cpu", "took_ms": {"tiny.en": 1}}}',
    ],
)
def test_a_broken_file_is_no_measurement(tmp_path: Path, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "machine", lambda _: {})
    (tmp_path / "whisper-speed.json").write_text(kept)
    assert known_speed(tmp_path, present(tmp_path)) is None


def timed(
    costs_s: dict[str, float], loading_s: float = 0.1, held_up_s: Iterable[float] = ()
) -> tuple[dict[str, float], list[str]]:
    """Measure on a machine with a clock of its own, on which others hold up the first runs for so long."""
    now, tried, waits = [0.0], list[str](), iter(held_up_s)

    def load(size: Size) -> Callable[[], None]:
        now[0] += loading_s
        tried.append(size.name)

        def transcribe() -> None:
            now[0] += costs_s[size.name] + next(waits, 0.0)

        return transcribe

    return measure(sized(*costs_s), load, lambda: now[0]), tried


def test_sizes_are_timed_from_the_least_until_one_is_too_slow() -> None:
    assert timed({"tiny": 0.02, "base": 0.04, "small": 0.12, "turbo": 0.3})[0] == {
        "tiny": 20.0,
        "base": 40.0,
        "small": 120.0,
        "turbo": 300.0,
    }
    took, tried = timed({"tiny": 0.2, "base": 0.4, "small": 1.3})
    assert (took, tried) == ({"tiny": 200.0, "base": 400.0}, ["tiny", "base"]), "small need not be tried"
    assert timed({"tiny": 2.0, "base": 4.0}) == ({"tiny": 2000.0}, ["tiny"])
    assert timed({"tiny": 0.02, "base": 0.04}, loading_s=5.0)[1] == ["tiny"], "the time is up"


def test_the_best_run_counts_and_where_time_is_up_there_are_fewer() -> None:
    held_up = [0.0, 0.5, 0.0, 0.5]  # the first transcription of all is for warmth
    assert timed({"tiny": 0.1}, held_up_s=held_up)[0] == {"tiny": 100.0}
    assert timed({"tiny": 0.1}, held_up_s=[9.0, 2.0, 0.0])[0] == {"tiny": 2100.0}, "one run there always is"


def test_what_others_compute_meanwhile_is_not_measured() -> None:
    now, spent = [0.0], [0.0]

    def transcribe() -> None:
        now[0] += 0.9  # others have the processor most of the time
        spent[0] += 0.2

    took = measure(sized("tiny"), lambda _: transcribe, lambda: now[0], lambda: spent[0])
    assert took == {"tiny": 200.0}
    took = measure(sized("tiny"), lambda _: transcribe, lambda: now[0], lambda: 9 * spent[0])
    assert took == {"tiny": 900.0}, "no longer than it took"


def test_what_is_transcribed_is_speech_of_three_seconds() -> None:
    assert 3.0 <= sf.info(sizes.UTTERANCE).duration < 3.5


def test_the_machine_is_told_apart(tmp_path: Path) -> None:
    known = sizes.machine(present(tmp_path))
    assert json.loads(json.dumps(known)) == known
    assert known["sizes"] == ["tiny.en"]
