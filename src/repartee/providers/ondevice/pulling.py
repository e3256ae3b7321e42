"""Fetches models from the hub and takes them away again.

A model is put together in a folder beside its place and renamed when every file has hashed to what it must: what is
in its place is whole. What was fetched before a break stays, and the next try goes on behind it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx

from repartee.errors import ConfigError, ProviderError
from repartee.providers.ondevice.registry import Model, ModelFile, digest_of

PART = ".part"
WAITS_S = (0.5, 1.0, 2.0, 4.0)
"""Before the next try, while tries bring nothing; one that brings some bytes starts anew."""
SPARE_BYTES = 200 * 2**20
WAIT_S = httpx.Timeout(30.0, connect=10.0)
OnProgress = Callable[[int, int], None]
"""Told how many bytes of how many are there."""


def pull(
    model: Model,
    models: Path,
    hub: str,
    on_progress: OnProgress = lambda _, __: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a model, or the rest of it; return its folder. Blocks.

    Args:
        model: Which one; of the hub.
        models: Where fetched models are; made if need be.
        hub: The hub's address.
        on_progress: Called now and then.
        sleep: Waits so many seconds.

    Raises:
        ConfigError: The disk is full or read-only, something else is in its place, or somebody else fetches it.
        ProviderError: The hub does not answer, or gives another file than it should.
    """
    place, part = model.place(models), models / f"{model.name}{PART}"
    try:
        models.mkdir(parents=True, exist_ok=True)
        with _alone(models, model):
            if _whole(model, place):
                return place
            _nothing_else(model, place)
            part.mkdir(exist_ok=True)
            _room(model, part)
            with httpx.Client(timeout=WAIT_S, follow_redirects=True) as client:
                fetch = _Fetch(
                    client, f"{hub.rstrip('/')}/{model.repository}/resolve/{model.revision}", sleep
                )
                before = 0
                for file in model.files:
                    fetch.file(file, part / file.path, partial(_tell, on_progress, model.size_bytes, before))
                    before += file.size_bytes
            _take_away(model, place)  # some of it was wrong
            part.replace(place)
    except OSError as error:
        raise ConfigError(
            f"{model.name} cannot be written below {models}: {error.strerror or error}; free some space, or set "
            "REPARTEE_CACHE_DIR to another folder"
        ) from error
    return place


def remove(model: Model, models: Path) -> int:
    """Take a fetched model away, and what was begun of it; return the bytes. Files that are not its own stay.

    Args:
        model: Which one; of the hub.
        models: Where fetched models are.

    Raises:
        OSError: A file cannot be deleted.
    """
    return sum(_take_away(model, folder) for folder in (model.place(models), models / f"{model.name}{PART}"))


def fetched(model: Model, models: Path) -> int:
    """Return how many bytes of a model are there, whole or begun."""
    folders = (model.place(models), models / f"{model.name}{PART}")
    sizes = [
        sum((folder / f.path).stat().st_size for f in model.files if (folder / f.path).is_file())
        for folder in folders
    ]
    return max(sizes)


def _address(hub: str, model: Model) -> str:
    parts = (hub.rstrip("/"), model.repository, "resolve", model.revision, model.folder)
    return "/".join(part for part in parts if part)


class _Fetch:
    """Fetches files of one model.

    Args:
        client: Asks.
        base: The address of the model's folder.
        sleep: Waits so many seconds.
    """

    def __init__(self, client: httpx.Client, base: str, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._base = base
        self._sleep = sleep
        self._host = httpx.URL(base).host

    def file(self, file: ModelFile, path: Path, on_progress: Callable[[int], None]) -> None:
        """Fetch a file, going on where it broke off before.

        Raises:
            ProviderError: The hub does not answer, or gives another file than it should.
            OSError: It cannot be written.
        """
        in_vain = 0
        while (there := _size(path)) < file.size_bytes:
            try:
                self._go_on(file, path, there, on_progress)
            except httpx.HTTPError as error:
                in_vain = 0 if _size(path) > there else in_vain + 1
                if in_vain > len(WAITS_S):
                    raise _away(self._why(file, error)) from error
                self._sleep(WAITS_S[max(0, in_vain - 1)])
        on_progress(file.size_bytes)
        if there > file.size_bytes or digest_of(path) != file.sha256:
            path.unlink()
            raise ProviderError(
                f"{file.path} from {self._host} is not the file it should be (SHA-256), and was thrown away. Run "
                "this again; if it stays so, the hub or somebody between gives another file",
                kind="refused",
                provider="hub",
            )

    def _why(self, file: ModelFile, error: httpx.HTTPError) -> str:
        """Say what keeps a file from coming, and what to do."""
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
            return (
                f"{self._host} cannot be reached ({type(error).__name__}): is this machine online, and is a proxy "
                "needed (HTTPS_PROXY)? A mirror of the hub is named by HF_ENDPOINT; then run this again"
            )
        what = f"answers {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else None
        why = what or f"breaks off ({type(error).__name__})"
        return f"{self._host} {why} for {file.path}; run this again, it goes on where it is"

    def _go_on(self, file: ModelFile, path: Path, there: int, on_progress: Callable[[int], None]) -> None:
        """Ask for what is missing of a file, and add what comes of it."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
        with self._client.stream("GET", f"{self._base}/{file.path}", headers=headers) as response:
            if response.status_code >= 500 or response.status_code == 429:
                response.raise_for_status()
            if response.status_code not in {200, 206}:
                raise _away(
                    f"{self._host} answers {response.status_code} for {file.path}; a mirror (HF_ENDPOINT) must have "
                    "the hub's own paths"
                )
            begins = _from(response)
            if begins not in {0, there}:
                raise _away(f"{self._host} sends another part of {file.path} than it was asked for")
            # What was there is kept only where the answer begins behind it.
            with path.open("r+b" if begins else "wb") as out:
                out.seek(begins)
                for (
                    block
                ) in response.iter_raw():  # as it comes: what waits for more is lost with the connection
                    begins += len(block)
                    if begins > file.size_bytes:
                        raise _away(f"{self._host} sends more of {file.path} than there is")
                    out.write(block)
                    on_progress(begins)
                out.flush()
                os.fsync(out.fileno())


def _tell(on_progress: OnProgress, whole: int, before: int, there: int) -> None:
    on_progress(before + there, whole)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _take_away(model: Model, folder: Path) -> int:
    """Delete the model's files of a folder, and the folder if nothing else is in it; return the bytes."""
    freed = 0
    for file in model.files:
        path = folder / file.path
        if path.is_file() or path.is_symlink():
            freed += path.lstat().st_size
            path.unlink()
    with contextlib.suppress(OSError):  # not there, or somebody has put something of their own into it
        folder.rmdir()
    return freed


def _nothing_else(model: Model, place: Path) -> None:
    """See that what is in the model's place is the model's."""
    own = {file.path for file in model.files}
    others = sorted(path.name for path in place.iterdir() if path.name not in own) if place.is_dir() else []
    if others or (place.exists() and not place.is_dir()):
        raise ConfigError(
            f"{place} has something else than {model.name} in it ({', '.join(others[:3])}); move it away"
        )


def _from(response: httpx.Response) -> int:
    """Return where in the file an answer begins."""
    if response.status_code != 206:
        return 0
    first = response.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else -1


def _whole(model: Model, place: Path) -> bool:
    """Say whether every file is what it should be."""
    return all((place / f.path).is_file() and digest_of(place / f.path) == f.sha256 for f in model.files)


def _room(model: Model, part: Path) -> None:
    missing = model.size_bytes - sum(f.stat().st_size for f in part.iterdir() if f.is_file())
    free = shutil.disk_usage(part).free
    if free < missing + SPARE_BYTES:
        needed = (missing + SPARE_BYTES) / 1e6
        raise ConfigError(
            f"{model.name} needs {needed:.0f} MB, the disk of {part.parent} has {free / 1e6:.0f}; free some, or set "
            "REPARTEE_CACHE_DIR to another disk"
        )


@contextlib.contextmanager
def _alone(models: Path, model: Model) -> Iterator[None]:
    """Keep others from fetching the same model; a lock that ends with its process."""
    with (models / f"{model.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{model.name} is being fetched by another process; wait for it") from error
        yield


def _away(message: str) -> ProviderError:
    return ProviderError(message, kind="unavailable", provider="hub")
