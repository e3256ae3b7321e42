"""Look up the locked packages, of Python and of the page, in the databases of known vulnerabilities.

Exit code 1 when one is known. Where a database cannot be asked, that is said loudly and is no failure: a build
without the internet must still be possible. `--strict` makes it one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 90
sys.path.insert(0, str(ROOT / "scripts"))
Known = list[str] | None
"""What is known, None where nobody answered."""


def main() -> int:
    """Audit; return the exit code."""
    found = {"Python": python_packages(), "the page": page_packages()}
    for what, known in found.items():
        if known is None:
            say(
                f"!!! NOT AUDITED: {what}. No database of vulnerabilities answered; run this again with a network."
            )
        else:
            say(f"{what}: {len(known)} known vulnerabilities" + "".join(f"\n  {line}" for line in known))
    unasked = [what for what, known in found.items() if known is None]
    return int(any(found.values()) or ("--strict" in sys.argv[1:] and bool(unasked)))


def python_packages() -> Known:
    """Ask about what uv.lock names, without what only tests need."""
    from setup import find_uv  # type: ignore[import-not-found]  # noqa: PLC0415 - of this folder

    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        export = [find_uv(), "export", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet"]
        locked = run(export)
        if locked is None:
            return None
        # What is overridden away is never installed.
        kept = [line for line in locked.splitlines() if "sys_platform == 'never'" not in line]
        wanted.write_text("\n".join(kept) + "\n", encoding="utf-8")
        audit = [
            str(ROOT / ".venv" / "bin" / "pip-audit"),
            "--requirement",
            str(wanted),
            "--no-deps",
            "--disable-pip",
        ]
        told = run([*audit, "--format", "json", "--progress-spinner", "off", "--timeout", "10"])
    report = parsed(told)
    packages = report.get("dependencies", []) if report is not None else []
    # A package the database does not answer for is skipped, and would pass for one that nothing is known against.
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return None
    if skipped:
        say(f"!!! NOT AUDITED: {len(skipped)} of {len(packages)} Python packages: {', '.join(skipped)}")
    return [
        f"{package['name']} {package.get('version', '?')}: {vulnerability['id']}, fixed in "
        + (", ".join(vulnerability.get("fix_versions") or ()) or "no version yet")
        for package in packages
        for vulnerability in package.get("vulns") or ()
    ]


def page_packages() -> Known:
    """Ask about what package-lock.json names, without what only the build needs."""
    from setup import find_npm  # noqa: PLC0415 - of this folder

    program = find_npm()
    env = {**os.environ, "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"}
    told = run(
        [program, "audit", "--omit=dev", "--json", "--fetch-timeout=20000", "--fetch-retries=0"],
        ROOT / "web",
        env,
    )
    report = parsed(told)
    if report is None or "vulnerabilities" not in report:
        return None
    return [
        f"{name}: {entry.get('severity')}, {entry.get('range')}"
        for name, entry in report["vulnerabilities"].items()
    ]


def run(command: list[str], cwd: Path = ROOT, env: dict[str, str] | None = None) -> str | None:
    """Run a program for a bounded time; return what it printed, None when it did not end or is not there."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout


def parsed(text: str | None) -> dict[str, Any] | None:
    """Return a report, None when it is none."""
    try:
        report = json.loads(text or "")
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
