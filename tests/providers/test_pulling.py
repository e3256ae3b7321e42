"""Models are fetched whole or not at all: over broken connections, from hubs that err, beside one another."""

from __future__ import annotations

import fcntl
import hashlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from repartee.errors import ConfigError, ProviderError
from repartee.providers.ondevice import pulling
from repartee.providers.ondevice.pulling import WAITS_S, fetched, pull, remove
from repartee.providers.ondevice.registry import MODELS, WHISPERS, Model, ModelFile, verify

WEIGHTS, CONFIG = bytes(range(256)) * 4000, b'{"layers": 4}'
FILES = {"model.bin": WEIGHTS, "config.json": CONFIG}
MODEL = Model(
    "tiny",
    "hearing",
    "",
    "MIT",
    tuple(ModelFile(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in FILES.items()),
    repository="maker/tiny",
    revision="abc123",
)


@dataclass
class Hub:
    """A hub on loopback whose answers can be broken."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    cut_after: list[int] = field(default_factory=list)
    """Of each of the next answers, so many bytes are sent; then the connection breaks."""
    status: list[int] = field(default_factory=list)
    """The next answers."""
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if "/resolve/" in self.path:  # large files are somewhere else, as on the real one
                _, _, name = self.path.rpartition("/")
                assert self.path == f"/maker/tiny/resolve/abc123/{name}"
                self.send_response(302)
                self.send_header("Location", f"/elsewhere/{name}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            name = self.path.rpartition("/")[2]
            asked = self.headers.get("Range")
            state.asked.append((name, asked))
            if state.status and (status := state.status.pop(0)) != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = state.files[name]
            first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            rest = data[first:]
            if state.cut_after:
                self.wfile.write(rest[: state.cut_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(rest)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def whole(place: Path) -> bool:
    return {file.name: file.read_bytes() for file in place.iterdir()} == FILES


def test_a_model_is_fetched_and_told_how_far(hub: Hub, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    place = pull(MODEL, tmp_path / "models", hub.url + "/", lambda *how: told.append(how))
    assert place == tmp_path / "models" / "tiny"
    assert whole(place)
    assert all(good for _, good in verify((MODEL,), tmp_path / "models"))
    assert told == sorted(told)
    assert told[-1] == (MODEL.size_bytes, MODEL.size_bytes)
    assert not (tmp_path / "models" / "tiny.part").exists()
    asked = len(hub.asked)
    assert pull(MODEL, tmp_path / "models", hub.url) == place
    assert len(hub.asked) == asked, "what is whole is not fetched again"


def test_a_connection_that_breaks_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [300_000, 200_000, 0]
    waited: list[float] = []
    assert whole(pull(MODEL, tmp_path, hub.url, sleep=waited.append))
    froms = [asked for name, asked in hub.asked if name == "model.bin"]
    assert froms == [None, "bytes=300000-", "bytes=500000-", "bytes=500000-"]
    assert waited == [WAITS_S[0]] * 3


def test_a_fetch_that_was_given_up_goes_on_the_next_time(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [700_000, *[0] * 10]
    with pytest.raises(
        ProviderError, match=r"127\.0\.0\.1 breaks off .* for model\.bin; .* goes on where it is"
    ):
        pull(MODEL, tmp_path, hub.url, sleep=lambda _: None)
    assert fetched(MODEL, tmp_path) == 700_000
    assert not (tmp_path / "tiny").exists()
    hub.cut_after, hub.asked = [], []
    assert whole(pull(MODEL, tmp_path, hub.url))
    assert hub.asked[0] == ("model.bin", "bytes=700000-")


def test_a_hub_that_cannot_be_reached_is_told_with_what_to_do(hub: Hub, tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(ProviderError, match=r"cannot be reached \(ConnectError\).* HF_ENDPOINT") as told:
            pull(MODEL, tmp_path, address, sleep=lambda _: None)
    assert "goes on where it is" not in str(told.value), "nothing was begun"
    hub.status = [503] * 9
    with pytest.raises(ProviderError, match=r"answers 503 for model\.bin; run this again"):
        pull(MODEL, tmp_path, hub.url, sleep=lambda _: None)


def test_a_hub_without_ranges_begins_anew(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after, hub.ranges = [300_000], False
    assert whole(pull(MODEL, tmp_path, hub.url, sleep=lambda _: None))
    assert [asked for name, asked in hub.asked if name == "model.bin"] == [None, "bytes=300000-"]


def test_a_hub_that_is_busy_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.status = [503, 429, 200]
    waited: list[float] = []
    assert whole(pull(MODEL, tmp_path, hub.url, sleep=waited.append))
    assert waited == list(WAITS_S[:2])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (WEIGHTS[:-1] + b"x", "is not the file it should be"),
        (WEIGHTS + b"more", "sends more of model.bin than there is"),
    ],
)
def test_another_file_is_thrown_away(hub: Hub, tmp_path: Path, wrong: bytes, says: str) -> None:
    hub.files["model.bin"] = wrong
    with pytest.raises(ProviderError, match=says):
        pull(MODEL, tmp_path, hub.url)
    assert not (tmp_path / "tiny").exists()
    hub.files["model.bin"] = WEIGHTS
    assert whole(pull(MODEL, tmp_path, hub.url))


def test_a_file_that_is_not_there_is_told_at_once(hub: Hub, tmp_path: Path) -> None:
    hub.status = [404]
    with pytest.raises(ProviderError, match=r"answers 404 for model\.bin"):
        pull(MODEL, tmp_path, hub.url)
    assert len(hub.asked) == 1


def test_a_model_that_was_damaged_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    place = pull(MODEL, tmp_path, hub.url)
    (place / "config.json").write_bytes(b"{}")
    assert [good for _, good in verify((MODEL,), tmp_path)] == [True, False]
    assert whole(pull(MODEL, tmp_path, hub.url))


def test_what_somebody_put_in_its_place_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"something else than tiny in it \(thesis\.txt\)"):
        pull(MODEL, tmp_path, hub.url)
    assert not hub.asked
    (tmp_path / "tiny" / "model.bin").write_bytes(b"123")
    assert remove(MODEL, tmp_path) == 3
    assert [file.name for file in (tmp_path / "tiny").iterdir()] == ["thesis.txt"]


def test_removing_takes_what_is_whole_and_what_was_begun(hub: Hub, tmp_path: Path) -> None:
    pull(MODEL, tmp_path, hub.url)
    (tmp_path / "tiny.part").mkdir()
    (tmp_path / "tiny.part" / "model.bin").write_bytes(b"12345")
    assert remove(MODEL, tmp_path) == MODEL.size_bytes + 5
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert remove(MODEL, tmp_path) == 0


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes(b"mine")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model.bin").symlink_to(tmp_path / "mine.bin")
    remove(MODEL, tmp_path)
    assert (tmp_path / "mine.bin").read_bytes() == b"mine"
    assert not (tmp_path / "tiny").exists()


def test_two_at_once_do_not_write_into_each_other(hub: Hub, tmp_path: Path) -> None:
    with (tmp_path / "tiny.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="is being fetched by another process"):
            pull(MODEL, tmp_path, hub.url)
    assert whole(pull(MODEL, tmp_path, hub.url))


def test_a_disk_that_is_too_small_is_told_before(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match="set REPARTEE_CACHE_DIR to another disk"):
        pull(MODEL, tmp_path, hub.url)
    assert not hub.asked
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written below"):
        pull(MODEL, tmp_path / "file" / "models", hub.url)


def test_the_list_is_sound() -> None:
    assert max(Counter(model.name for model in MODELS).values()) == 1
    for model in MODELS:
        assert bool(model.package) != bool(model.repository)
        assert not model.repository or len(model.revision) == 40, "a branch's files may change"
        assert all(len(file.sha256) == 64 and file.size_bytes > 0 for file in model.files)
        assert "/" not in model.name
    assert all(model.use == "hearing" for model in WHISPERS.values())
