"""What a cluster would not say: drains that are cut, probes that kill, secrets that are not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from repartee.settings import Settings
from tests.deploy.rendering import CHART, ROOT, SETS, Resource, find, golden, pods

OURS = ("voice-worker", "voice-server")


def containers(resources: list[Resource]) -> list[tuple[str, Resource, Resource]]:
    return [(name, pod, pod["containers"][0]) for name, pod in pods(resources).items()]


def environment(container: Resource) -> dict[str, Any]:
    return {item["name"]: item for item in container["env"]}


@pytest.mark.parametrize("name", SETS)
class TestEverySet:
    def test_a_drain_fits_into_the_grace_period(self, name: str) -> None:
        worker = pods(golden(name))["voice-worker"]
        drain_s = int(environment(worker["containers"][0])["REPARTEE_DRAIN_S"]["value"])
        assert worker["terminationGracePeriodSeconds"] >= drain_s + 15
        server = pods(golden(name))["voice-server"]
        leave_s = int(server["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        assert server["terminationGracePeriodSeconds"] >= leave_s + 15

    def test_probes_differ(self, name: str) -> None:
        # A liveness probe that asks what readiness asks kills a worker that drains, and its calls.
        worker = pods(golden(name))["voice-worker"]["containers"][0]
        live, ready = worker["livenessProbe"], worker["readinessProbe"]
        assert live["httpGet"]["path"] == "/livez"
        assert ready["httpGet"]["path"] == "/readyz"
        for _, _, container in containers(golden(name)):
            patience = container["livenessProbe"]
            assert patience["periodSeconds"] * patience["failureThreshold"] >= 30
            assert (
                container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
                >= 60
            )

    def test_probes_ask_a_port_that_is_there(self, name: str) -> None:
        for _, _, container in containers(golden(name)):
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                assert asked["port"] in ports

    def test_least_rights(self, name: str) -> None:
        for _, pod, container in containers(golden(name)):
            assert pod["automountServiceAccountToken"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}

    def test_what_is_written_to_is_mounted(self, name: str) -> None:
        for deployment in OURS:
            pod = pods(golden(name))[deployment]
            container = pod["containers"][0]
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            assert set(mounts.values()) == set(volumes)
            for variable in ("REPARTEE_STATE_DIR", "HOME"):
                assert "emptyDir" in volumes[mounts[environment(container)[variable]["value"]]]
            assert mounts["/tmp"] in volumes  # noqa: S108 - the container's own

    def test_memory_is_what_was_asked_for(self, name: str) -> None:
        # A pod over its request is the first to be killed, with its calls.
        for _, _, container in containers(golden(name)):
            resources = container["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"]
            assert "cpu" not in resources["limits"], "a CPU limit makes gaps in the audio"

    def test_no_floating_image(self, name: str) -> None:
        for _, _, container in containers(golden(name)):
            assert re.search(r"(@sha256:[0-9a-f]{64}|:[^:@/]+)$", container["image"])
            assert not container["image"].endswith(":latest")

    def test_selectors_match(self, name: str) -> None:
        resources = golden(name)
        labels = [r["spec"]["template"]["metadata"]["labels"] for r in resources if r["kind"] == "Deployment"]
        for resource in resources:
            spec = resource.get("spec", {})
            match resource["kind"]:
                case "Service":
                    selector = spec["selector"]
                case "Deployment" | "PodDisruptionBudget":
                    selector = spec["selector"]["matchLabels"]
                case "NetworkPolicy":
                    selector = spec["podSelector"]["matchLabels"]
                case _:
                    continue
            assert sum(selector.items() <= of.items() for of in labels) == 1, resource["metadata"]["name"]

    def test_services_lead_to_ports(self, name: str) -> None:
        resources = golden(name)
        named = {
            (r["metadata"]["labels"]["app.kubernetes.io/component"], port["name"])
            for r in resources
            if r["kind"] == "Deployment"
            for port in r["spec"]["template"]["spec"]["containers"][0]["ports"]
        }
        for service in (r for r in resources if r["kind"] == "Service"):
            component = service["spec"]["selector"]["app.kubernetes.io/component"]
            for port in service["spec"]["ports"]:
                assert (component, port["targetPort"]) in named

    def test_a_disruption_is_possible(self, name: str) -> None:
        for budget in (r for r in golden(name) if r["kind"] == "PodDisruptionBudget"):
            assert budget["spec"]["maxUnavailable"] >= 1, "a node could never be emptied"

    def test_one_scaler(self, name: str) -> None:
        resources = golden(name)
        scalers = [r for r in resources if r["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}]
        worker = find(resources, "Deployment", "voice-worker")
        assert len(scalers) <= 1
        # A number of pods in the deployment would undo the scaler at each upgrade.
        assert ("replicas" in worker["spec"]) == (not scalers)

    def test_workers_listen_to_nobody_but_metrics(self, name: str) -> None:
        policy = find(golden(name), "NetworkPolicy", "voice-worker")["spec"]
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [8081]
        assert all(rule["from"] for rule in policy["ingress"]), "an empty list lets everybody in"

    def test_our_variables_are_read_by_somebody(self, name: str) -> None:
        known = {field.upper() for field in Settings.model_fields}
        for field in Settings.model_fields.values():
            alias = field.validation_alias
            known |= {str(alias).upper()} if isinstance(alias, str) else set()
            known |= {str(choice).upper() for choice in getattr(alias, "choices", ())}
        for deployment in OURS:
            for variable in environment(pods(golden(name))[deployment]["containers"][0]):
                assert variable in known | {"HOME"}, f"nobody reads {variable}"

    def test_a_worker_has_processes_for_the_cores_it_asks_for_not_for_its_node_s(self, name: str) -> None:
        container = pods(golden(name))["voice-worker"]["containers"][0]
        assert float(container["resources"]["requests"]["cpu"]) >= 1
        [processes] = [item for item in container["env"] if item["name"] == "REPARTEE_SESSION_PROCESSES"]
        if "value" in processes:
            assert int(processes["value"]) >= 1
        else:
            assert processes["valueFrom"]["resourceFieldRef"] == {
                "containerName": container["name"],
                "resource": "requests.cpu",
                "divisor": "1",
            }

    def test_secrets_are_referred_to(self, name: str) -> None:
        given = yaml.safe_load((CHART / "ci" / f"{name}.yaml").read_text(encoding="utf-8"))
        named = set(re.findall(r"'existingSecret': '(\w+)'", str(given)))
        for resource in golden(name):
            assert resource["kind"] != "Secret"
        for _, _, container in containers(golden(name)):
            for item in container["env"]:
                reference = item.get("valueFrom", {}).get("secretKeyRef")
                if reference is not None:
                    assert reference["name"] in named
                    assert reference["key"].endswith(item["name"])


def test_the_image_is_not_root_and_has_what_it_copies() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert all(":" in stage and ":latest" not in stage for stage in stages)
    assert any(re.fullmatch(r"USER \d+:\d+", line) for line in lines)
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in ignored, source


def test_the_schema_is_json() -> None:
    json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
