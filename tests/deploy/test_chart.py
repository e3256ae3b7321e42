"""The chart renders what was looked at, what it renders is valid, and mistakes are told in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.rendering import CHART, GOLDEN, ROOT, SETS, find, golden, run_helm, template

OURS = Path(__file__).with_name("custom_resources.json")
VERSIONS = ("1.31", "1.34", "1.37")
UPDATE = os.environ.get("REPARTEE_SNAPSHOTS") == "1"


@pytest.mark.parametrize("name", SETS)
def test_renders_the_golden_file(name: str) -> None:
    rendered = template(CHART / "ci" / f"{name}.yaml")
    assert rendered.returncode == 0, rendered.stderr
    file = GOLDEN / f"{name}.yaml"
    if UPDATE:
        file.write_text(rendered.stdout, encoding="utf-8")
    assert rendered.stdout == file.read_text(encoding="utf-8"), "REPARTEE_SNAPSHOTS=1 writes it anew"


@pytest.mark.parametrize("name", SETS)
def test_lints(name: str) -> None:
    linted = run_helm("lint", "--strict", str(CHART), "--values", str(CHART / "ci" / f"{name}.yaml"))
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_is_valid_for_kubernetes(name: str, version: str) -> None:
    custom = json.loads(OURS.read_text(encoding="utf-8"))
    for resource in golden(name):
        what = f"{resource['apiVersion']}/{resource['kind']}"
        if what in custom:
            jsonschema.validate(resource, custom[what])
        else:
            # It raises for what is wrong, and for a kind that this version does not have.
            assert kubernetes_validate.validate(resource, version, strict=True) == version


def test_a_wrong_field_is_found() -> None:
    worker = next(r for r in golden("small") if r["kind"] == "Deployment")
    worker["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(worker, "1.34", strict=True)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("livekit.url=",), "give the address of your LiveKit server"),
        (("livekit.existingSecret=",), "make a Secret with LIVEKIT_API_KEY"),
        (("autoscaling.enabled=true", "autoscaling.targetCalls=9"), "more than the 8 calls a worker takes"),
        (("livekit.deploy.enabled=true", "livekit.deploy.replicas=2"), "needs livekit.deploy.redis.address"),
        (
            ("livekit.deploy.enabled=true", "livekit.deploy.turn.domain=turn.example"),
            "needs livekit.deploy.turn.tls",
        ),
        (("server.ingress.enabled=true", "server.ingress.host=a.example"), "over HTTPS only"),
        (("image.tag=latest",), "image.tag|/image/tag"),
        (("worker.maxCals=3",), "maxCals"),
        (("env.OPENAI_API_KEY=x",), "OPENAI_API_KEY"),
        (("env.REPARTEE_MAX_CALLS=9",), "env.REPARTEE_MAX_CALLS is what worker.maxCalls says"),
        (("env.REPARTEE_STATE_DIR=/data",), "env.REPARTEE_STATE_DIR is the chart's own"),
        (("server.allowedOrigins={*}",), "allowedOrigins"),
    ],
)
def test_a_mistake_is_told(settings: tuple[str, ...], sentence: str) -> None:
    base = ("--set", "livekit.url=wss://livekit.example.org", "--set", "livekit.existingSecret=livekit")
    given = [part for setting in settings for part in ("--set", setting)]
    rendered = template(None, *base, *given)
    assert rendered.returncode != 0
    assert any(part in rendered.stderr for part in sentence.split("|")), rendered.stderr


def test_session_processes_of_the_environment_go_before_the_chart_s_own() -> None:
    rendered = template(CHART / "ci" / "standard.yaml", "--set", "env.REPARTEE_SESSION_PROCESSES=3")
    assert rendered.returncode == 0, rendered.stderr
    resources = [resource for resource in yaml.safe_load_all(rendered.stdout) if resource]
    pod = find(resources, "Deployment", "voice-worker")["spec"]["template"]["spec"]
    said = [item for item in pod["containers"][0]["env"] if item["name"] == "REPARTEE_SESSION_PROCESSES"]
    assert said == [{"name": "REPARTEE_SESSION_PROCESSES", "value": "3"}]


def test_livekit_s_relay_is_switched_on_by_its_domain() -> None:
    settings = [
        part
        for setting in (
            "domain=turn.example",
            "tlsSecret=turn-tls",
            "tlsPort=5443",
            "allowRestrictedPeerCidrs={10.1.0.0/16}",
        )
        for part in ("--set", f"livekit.deploy.turn.{setting}")
    ]
    rendered = template(CHART / "ci" / "small.yaml", *settings)
    assert rendered.returncode == 0, rendered.stderr
    resources = [resource for resource in yaml.safe_load_all(rendered.stdout) if resource]
    config = yaml.safe_load(find(resources, "ConfigMap", "voice-livekit")["data"]["livekit.yaml"])
    assert config["turn"] == {
        "enabled": True,
        "domain": "turn.example",
        "tls_port": 5443,
        "udp_port": 3478,
        "cert_file": "/etc/turn/tls.crt",
        "key_file": "/etc/turn/tls.key",
        "allow_restricted_peer_cidrs": ["10.1.0.0/16"],
    }
    pod = find(resources, "Deployment", "voice-livekit")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "turn-tls", "containerPort": 5443} in container["ports"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted["turn"] == "/etc/turn"
    assert {"name": "turn", "secret": {"secretName": "turn-tls"}} in pod["volumes"]
    for resource in resources:
        kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)


def test_the_schema_knows_every_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(values, schema)
    assert _names(values) == _schema_names(schema)


def _names(values: dict[str, Any], above: str = "") -> set[str]:
    names: set[str] = set()
    for key, value in values.items():
        name = f"{above}{key}"
        names.add(name)
        if isinstance(value, dict) and key != "resources":
            names |= _names(value, f"{name}.")
    return names


def _schema_names(schema: dict[str, Any], above: str = "") -> set[str]:
    names: set[str] = set()
    for key, value in schema.get("properties", {}).items():
        name = f"{above}{key}"
        names.add(name)
        if key != "resources":
            names |= _schema_names(value, f"{name}.")
    return names


def test_the_version_is_the_programs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    version = subprocess.run(
        [sys.executable, "-c", "from repartee.version import VERSION; print(VERSION)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert chart["appVersion"] == version.stdout.strip()
