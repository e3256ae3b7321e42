"""Renders the chart with helm, reads what it renders, and has Prometheus' own tool check what is for Prometheus."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy" / "chart"
GOLDEN = Path(__file__).with_name("golden")
SETS = ("small", "standard", "large")
CACHE = Path(os.environ.get("REPARTEE_CACHE_DIR", Path.home() / ".cache" / "repartee"))
Resource = dict[str, Any]


def helm() -> Path | None:
    """Return helm, which setup builds into the cache."""
    if found := shutil.which("helm"):
        return Path(found)
    return next(iter(sorted((CACHE / "bin").glob("helm-*"))), None)


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; it never asks a cluster."""
    program = helm()
    assert program is not None, "helm is missing; run `make setup` with --tests"
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False, timeout=60)


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool, which setup takes out of Debian's Prometheus."""
    program = shutil.which("promtool") or str(CACHE / "bin" / "promtool")
    assert Path(program).is_file(), "promtool is missing; run `python scripts/setup.py --tests`"
    command = [program, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)


def template(values: Path | None, *settings: str) -> subprocess.CompletedProcess[str]:
    """Render the chart as `helm install voice` would."""
    given = ["--values", str(values)] if values is not None else []
    # Built with `go install`, helm takes itself for one of an old cluster.
    cluster = ("--kube-version", "1.34.0", "--namespace", "talk")
    return run_helm("template", "voice", str(CHART), *cluster, *given, *settings)


def golden(name: str) -> list[Resource]:
    """Return the resources of a golden file."""
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    return [resource for resource in yaml.safe_load_all(text) if resource]


def find(resources: list[Resource], kind: str, name: str) -> Resource:
    """Return the one resource of that kind and name."""
    found = [r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pods(resources: list[Resource]) -> dict[str, Resource]:
    """Return the pod of each deployment, by the deployment's name."""
    return {
        r["metadata"]["name"]: r["spec"]["template"]["spec"] for r in resources if r["kind"] == "Deployment"
    }
