"""A network of our own to break: one namespace for a caller, joined to this one by a cable that can lose packets.

Nothing of the machine's own network is touched: rules are set inside the namespace, and it goes with all of them.
Needs root, iproute2 and iptables.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from repartee.errors import ConfigError

COMMAND_S = 10.0
NET = IPv4Network("10.97.0.0/16")
"""One /29 of it per process."""


@dataclass(frozen=True, slots=True)
class CallerNetwork:
    """A caller's network.

    Attributes:
        name: Of the namespace.
        here: This side's address.
        there: The caller's address.
        cable: This side's interface.
        port: The caller's interface.
    """

    name: str
    here: str
    there: str
    cable: str
    port: str
    bits: int

    def command(self, *command: str) -> list[str]:
        """Return a command that runs in the namespace."""
        return ["ip", "netns", "exec", self.name, *command]

    def lose(self, share: float) -> None:
        """Lose a share of the UDP packets, each way, at random; 0 ends it."""
        self.clear()
        if share > 0:
            for chain in ("INPUT", "OUTPUT"):
                loss = ("-m", "statistic", "--mode", "random", "--probability", f"{share:.3f}")
                self._rule(chain, "-p", "udp", *loss, "-j", "DROP")

    def block_udp(self) -> None:
        """Let no UDP through, as some firewalls do."""
        self.clear()
        for chain in ("INPUT", "OUTPUT"):
            self._rule(chain, "-p", "udp", "-j", "DROP")

    def only(self, *, udp: int | None, tcp: tuple[int, ...]) -> None:
        """Let UDP through to one port of the other side or to none, TCP to some, and nothing else."""
        self.clear()
        for chain, port in (("INPUT", "--sport"), ("OUTPUT", "--dport")):
            elsewhere = () if udp is None else ("!", port, str(udp))
            self._rule(chain, "-p", "udp", *elsewhere, "-j", "DROP")
            ports = ",".join(map(str, tcp))
            self._rule(chain, "-p", "tcp", "-m", "multiport", "!", f"{port}s", ports, "-j", "DROP")

    def forward(self, port: int, to: int) -> None:
        """Have who connects to a port of the other side reach another one, as a load balancer does."""
        target = ("-j", "DNAT", "--to-destination", f"{self.here}:{to}")
        _run(
            self.command("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", str(port), *target)
        )

    def cut(self) -> None:
        """Let nothing through."""
        self.clear()
        for chain in ("INPUT", "OUTPUT"):
            self._rule(chain, "!", "-i" if chain == "INPUT" else "-o", "lo", "-j", "DROP")

    def clear(self) -> None:
        """Let everything through, to where it was sent."""
        for table in ("filter", "nat"):
            _run(self.command("iptables", "-t", table, "-F"))

    def move(self) -> None:
        """Give the caller another address, as going from one network to another does: its connections are dead."""
        first, _, last = self.there.rpartition(".")
        other = f"{first}.{int(last) + 1}"
        _run(self.command("ip", "addr", "del", f"{self.there}/{self.bits}", "dev", self.port))
        _run(self.command("ip", "addr", "add", f"{other}/{self.bits}", "dev", self.port))
        object.__setattr__(self, "there", other)

    def _rule(self, *rule: str) -> None:
        _run(self.command("iptables", "-A", *rule))


def why_not() -> str:
    """Return why this machine allows no networks of our own; empty where it does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("iptables", "iptables")):
        if shutil.which(program) is None:
            return f"{program} is not installed (package {package})"
    try:
        with caller_network() as network:
            network.lose(0.5)
    except ConfigError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def caller_network() -> Iterator[CallerNetwork]:
    """Make a caller's network; it is gone when the context ends.

    Raises:
        ConfigError: This machine does not permit it; says what was refused.
    """
    subnet = list(NET.subnets(new_prefix=29))[os.getpid() % 8192]
    hosts = [str(host) for host in subnet.hosts()]
    tag = f"{os.getpid() % 100_000}"
    network = CallerNetwork(f"rep{tag}", hosts[0], hosts[1], f"reph{tag}", f"repc{tag}", subnet.prefixlen)
    _run(["ip", "netns", "add", network.name])
    try:
        _run(["ip", "link", "add", network.cable, "type", "veth", "peer", "name", network.port])
        _run(["ip", "link", "set", network.port, "netns", network.name])
        _run(["ip", "addr", "add", f"{network.here}/{network.bits}", "dev", network.cable])
        _run(["ip", "link", "set", network.cable, "up"])
        _run(network.command("ip", "addr", "add", f"{network.there}/{network.bits}", "dev", network.port))
        _run(network.command("ip", "link", "set", network.port, "up"))
        _run(network.command("ip", "link", "set", "lo", "up"))
        yield network
    finally:
        # The cable goes with its end in the namespace; and at once, not when the last socket there is closed.
        with contextlib.suppress(ConfigError):
            _run(["ip", "link", "del", network.cable])
        with contextlib.suppress(ConfigError):
            _run(["ip", "netns", "del", network.name])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"'{' '.join(command)}' could not be run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ConfigError(f"'{' '.join(command)}' was refused: {said[-1] if said else done.returncode}")
