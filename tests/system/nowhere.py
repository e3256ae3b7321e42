"""A whole call in a network that leads nowhere: this module, run as a program, is server, worker and caller in it.

The network is a namespace of its own with loopback and one cable whose other end nobody answers. A route leads into
the cable, and so do names: what tries to leave the machine is not only stopped, it is caught and listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repartee.cli.console import hold_call
from repartee.cli.instance import instance

CABLE, END, END_MAC = "out0", "out1", "02:00:00:00:00:02"
HERE, GATEWAY, NAMES = "198.18.0.1", "198.18.0.2", "198.18.0.53"
ELSEWHERE = "198.51.100.7"
UNSHARE = ("unshare", "--net", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
VENDORS = dict.fromkeys(("OPENAI_API_KEY", "CARTESIA_API_KEY"), "not-a-key-and-not-used")
RUNS_S = 120.0


def why_not() -> str:
    """Return why this machine allows no such network; empty where it does."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    done = subprocess.run(
        [*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip()


async def call_from_nowhere(agent: Path, folder: Path, audio: list[Path]) -> dict[str, Any]:
    """Make a call in such a network; return the caller's report and what tried to leave."""
    command = (
        *UNSHARE,
        sys.executable,
        "-m",
        "tests.system.nowhere",
        str(agent),
        str(folder),
        *map(str, audio),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), RUNS_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, "the call in a network of its own failed; what it said is above"
    made: dict[str, Any] = json.loads(said)
    return made


@contextlib.contextmanager
def _cable(folder: Path) -> Iterator[socket.socket]:
    """Lay the cable; yields what hears its other end."""
    names = folder / "resolv.conf"
    names.write_text(f"nameserver {NAMES}\noptions timeout:1 attempts:1\n")
    for command in (
        f"ip link add {CABLE} type veth peer name {END} address {END_MAC}",
        f"sysctl -qw net.ipv6.conf.{CABLE}.disable_ipv6=1 net.ipv6.conf.{END}.disable_ipv6=1",
        f"ip addr add {HERE}/24 dev {CABLE}",
        "ip link set lo up",
        f"ip link set {END} up",
        f"ip link set {CABLE} up",
        f"ip neigh add {GATEWAY} lladdr {END_MAC} dev {CABLE} nud permanent",
        f"ip neigh add {NAMES} lladdr {END_MAC} dev {CABLE} nud permanent",
        f"ip route add default via {GATEWAY}",
        f"mount --bind {names} /etc/resolv.conf",
    ):
        subprocess.run(command.split(), check=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as ear:
        ear.bind((END, 0x0800))
        ear.setblocking(False)
        yield ear


def _caught(ear: socket.socket) -> list[str]:
    """Return what came through the cable since the last time: protocol, address, and text, such as a name."""
    caught = []
    with contextlib.suppress(BlockingIOError):
        while frame := ear.recv(2048):
            packet = frame[14:]
            text = "".join(chr(byte) if 32 < byte < 127 else "." for byte in packet[28:])
            caught.append(f"protocol {packet[9]} to {socket.inet_ntoa(packet[16:20])} {text[:60]}")
    return caught


async def _main(agent: Path, folder: Path, audio: list[Path]) -> dict[str, Any]:
    with _cable(folder) as ear:
        async with instance(agent, folder / "state", VENDORS) as running:
            report = await hold_call(running.url, audio, folder / "call.wav", None)
        left = _caught(ear)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as leak:
            leak.sendto(b"leak", (ELSEWHERE, 9))
        return {"report": asdict(report), "left": left, "trap": _caught(ear)}


if __name__ == "__main__":
    result = asyncio.run(_main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(file) for file in sys.argv[3:]]))
    sys.stdout.write(json.dumps(result))
