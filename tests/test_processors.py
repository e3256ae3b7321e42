"""How many cores a process may use, in a container as well, and how much of them is used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from repartee import processors
from repartee.processors import GROUPS, Quota, Usage, busy, cores, quotas

POD = "kubepods/pod1/container"
IN_A_GROUP = """
import os, pathlib, sys, time
for group in sys.argv[1:]:
    pathlib.Path(group, "cgroup.procs").write_text(str(os.getpid()))
from repartee.processors import Usage, cores
usage, until_s = Usage(lambda: 0.0), time.monotonic() + 1.0
while time.monotonic() < until_s:
    pass
print(cores(), usage())
"""


def second(folder: Path, limit: str, used_us: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(f"{limit}\n")
    (folder / "cpu.stat").write_text(f"nr_periods 3\nusage_usec {used_us}\nuser_usec 1\n")


def first(root: Path, path: str, quota_us: int, used_ns: int = 0) -> None:
    for controller in ("cpu", "cpuacct"):
        (root / controller / path).mkdir(parents=True, exist_ok=True)
    (root / "cpu" / path / "cpu.cfs_quota_us").write_text(f"{quota_us}\n")
    (root / "cpu" / path / "cpu.cfs_period_us").write_text("100000\n")
    (root / "cpuacct" / path / "cpuacct.usage").write_text(f"{used_ns}\n")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The kernel's list of groups, of version 2."""
    file = tmp_path / "own"
    file.write_text(f"0::/{POD}\n")
    return file


def test_a_group_of_version_2_is_limited_by_those_above_it_as_well(tmp_path: Path, own: Path) -> None:
    second(tmp_path / POD, "max 100000")
    second((tmp_path / POD).parent, "150000 100000", 2_500_000)
    [quota] = quotas(tmp_path, own)
    assert quota.cores == 1.5
    assert quota.used_s() == 2.5


def test_a_container_that_sees_its_own_group_at_the_top_is_found_limited(tmp_path: Path, own: Path) -> None:
    second(tmp_path, "200000 100000")
    assert [quota.cores for quota in quotas(tmp_path, own)] == [2.0]
    own.write_text("0::/\n")
    assert [quota.cores for quota in quotas(tmp_path, own)] == [2.0]


def test_a_group_of_version_1_is_limited(tmp_path: Path, own: Path) -> None:
    own.write_text(f"5:cpuset:/\n4:cpu,cpuacct:/{POD}\n1:name=systemd:/x\n0::/\n")
    first(tmp_path, POD, 50_000, 750_000_000)
    first(tmp_path, "", -1)
    [quota] = quotas(tmp_path, own)
    assert (quota.cores, quota.used_s()) == (0.5, 0.75)


def test_where_there_are_no_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert quotas(tmp_path, tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("seen", "limits", "may_use"),
    [(64, (), 64), (64, (2.0,), 2), (64, (8.0, 1.5), 2), (2, (4.0,), 2), (4, (0.2,), 1)],
)
def test_cores_are_those_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, seen: int, limits: tuple[float, ...], may_use: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(seen)), raising=False)
    monkeypatch.setattr(processors, "quotas", lambda: tuple(Quota(limit, float) for limit in limits))
    assert cores() == may_use


def test_the_share_is_of_what_may_be_used() -> None:
    now_s, used_s, machine = [0.0], [10.0], [0.0]
    quota = Quota(2.0, lambda: used_s[0])
    usage = Usage(lambda: machine[0], lambda: (quota,), lambda: now_s[0])
    assert usage() == 0.0, "no time has passed"
    now_s[0], used_s[0] = 1.0, 11.5
    assert usage() == 0.75
    now_s[0], machine[0] = 2.0, 0.4
    assert usage() == 0.4, "others on the machine use it too"
    now_s[0], used_s[0] = 3.0, 14.0
    assert usage() == 1.0, "a moment over the quota is all of it"


def test_who_is_moved_to_another_group_goes_by_that_one(tmp_path: Path, own: Path) -> None:
    now_s = [0.0]
    second(tmp_path / POD, "100000 100000")
    usage = Usage(lambda: 0.3, lambda: quotas(tmp_path, own), lambda: now_s[0])
    (tmp_path / POD / "cpu.stat").unlink()
    own.write_text("0::/other\n")
    second(tmp_path / "other", "50000 100000", 1_000_000)
    now_s[0] = 1.0
    assert usage() == 0.3, "how much it used there before is not known"
    now_s[0] = 2.0
    assert usage() == 0.3
    second(tmp_path / "other", "50000 100000", 1_400_000)
    now_s[0] = 3.0
    assert usage() == pytest.approx(0.8)


def test_the_share_is_of_the_cores_it_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def percent(interval: float | None, *, percpu: bool) -> list[float]:
        return [100.0, 0.0, 0.0, 50.0]

    monkeypatch.setattr(psutil, "cpu_percent", percent)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert busy() == 0.75
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7}, raising=False)
    assert busy() == 0.375, "cores are numbered otherwise where some are switched off"


@pytest.fixture
def groups() -> Iterator[list[Path]]:
    """A control group that may use a fifth of a core, in each hierarchy that it takes."""
    version_1 = (GROUPS / "cpu").is_dir()
    name = f"repartee-test-{os.getpid()}"
    folders = [GROUPS / hierarchy / name for hierarchy in (("cpu", "cpuacct") if version_1 else ("",))]
    try:
        for folder in folders:
            folder.mkdir()
        if version_1:
            (folders[0] / "cpu.cfs_quota_us").write_text("20000")
        else:
            (folders[0] / "cpu.max").write_text("20000 100000")
        yield folders
    except OSError as error:
        pytest.skip(f"this machine lets nobody make control groups: {error}")
    finally:
        for folder in folders:
            if folder.is_dir():
                folder.rmdir()


def test_a_process_in_a_real_group_knows_what_it_may_use_and_that_it_uses_it(groups: list[Path]) -> None:
    command = [sys.executable, "-c", IN_A_GROUP, *map(str, groups)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    count, share = done.stdout.split()
    assert int(count) == 1
    assert float(share) > 0.5
