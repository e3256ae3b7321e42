"""Alerts and the dashboard: queries ask for what is exported, and alerts fire when they must and not before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from repartee.providers.breakers import State
from repartee.providers.shared import BreakerKey
from repartee.server.metrics import ServerMetrics
from repartee.session.bill import Bill
from repartee.telemetry.load import LoadBoard
from repartee.telemetry.usage import Usage
from repartee.worker.degrading import LoadWatch
from repartee.worker.metrics import WorkerMetrics
from tests.deploy.rendering import CHART, ROOT, promtool, template
from tests.documents import DOCUMENTS, anchors

ALERTS = CHART / "alerts.yaml"
TESTS = sorted(Path(__file__).parent.glob("alerts*_test.yaml"))
OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that no program of ours gives."""


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "dashboard.json").read_text(encoding="utf-8"))
    return found


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a worker and a server show to which everything has happened."""
    states: dict[BreakerKey, State] = {BreakerKey("openai", "m", "k", "chat"): "open"}
    worker = WorkerMetrics(lambda: 1, lambda: True, lambda: states, lambda: 8)
    folder = tmp_path_factory.mktemp("state")
    worker.watch_tasks(lambda: 200)
    worker.watch_load(LoadWatch(LoadBoard(folder), cpu=lambda: 0.1))
    worker.watch_store(folder, folder / "spool", lambda: True)
    bill = Bill()
    bill.add(Usage("a", "llm", "openai", "new"), None)
    bill.add(Usage("b", "stt", "openai", "whisper-1", {"audio_s": Decimal(1)}), Decimal("0.1"))
    worker.billed(bill.summary())
    worker.ended("ended", "budget")
    worker.network({"caller_lost": 1})
    worker.provider_failures([("openai", "llm", "timeout", 1)])
    worker.answered(700.0)
    return ServerMetrics(beside=worker.text).text().decode()


@pytest.fixture(scope="module")
def exported(exposition: str) -> dict[str, set[str]]:
    """Every metric there is, by name, with its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a query with the labels that it is chosen by."""
    for name, chosen in re.findall(r"\b(repartee_\w+)(?:\{([^}]*)\})?", query):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?", chosen))


@pytest.mark.parametrize(
    "query", [*(rule["expr"] for rule in rules()), *dashboard_queries()], ids=lambda query: query[:60]
)
def test_a_query_asks_for_what_is_exported(query: str, exported: dict[str, set[str]]) -> None:
    known: set[str] = set()
    for name, labels in asked(query):
        assert name in exported, f"nothing exports {name}"
        assert labels <= exported[name] | OF_PROMETHEUS, name
        known |= exported[name]
    assert known or query.count("repartee_"), query
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert set(grouped.split(", ")) <= known | OF_PROMETHEUS, grouped


def test_documents_name_what_is_exported(exported: dict[str, set[str]]) -> None:
    families = {name.removesuffix("_bucket").removesuffix("_total") for name in exported}
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    said = set(re.findall(r"\b(repartee_[a-z_]+)(?=[`{,])", text))
    assert said
    assert {name.removesuffix("_total") for name in said} <= families
    assert {name for name in said if name.endswith("_total")} <= set(exported)


def test_metrics_are_as_prometheus_would_have_them(exposition: str) -> None:
    checked = promtool("check", "metrics", given=exposition)
    # Milliseconds are this program's unit for what is shorter than a second.
    assert set((checked.stdout + checked.stderr).splitlines()) == {
        "repartee_loop_lag_ms metric names should not contain abbreviated units"
    }


def test_the_rules_are_valid() -> None:
    checked = promtool("check", "rules", str(ALERTS))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_s_queries_are_valid(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(dashboard_queries())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}), encoding="utf-8")
    checked = promtool("check", "rules", str(file))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_must(file: Path) -> None:
    ran = promtool("test", "rules", str(file))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_is_tried_both_ways() -> None:
    said: dict[str, set[bool]] = {rule["alert"]: set() for rule in rules()}
    for file in TESTS:
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for query in case.get("promql_expr_test", []):
                [alert] = re.findall(r'alertname="(\w+)"', query["expr"])
                said[alert].add(query["exp_samples"][0]["value"] > 0)
    assert said == {rule["alert"]: {True, False} for rule in rules()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["action"]
    document, _, anchor = notes["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower()
    assert anchor in anchors((ROOT / document).read_text(encoding="utf-8")), (
        f"{document} has no section of it"
    )


def test_the_dashboard_is_what_its_table_says() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0, "run `python scripts/dashboard.py`"


def test_the_dashboard_s_panels_lie_beside_one_another() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_chart_carries_both() -> None:
    named = ("livekit.url=wss://livekit.example.org", "livekit.existingSecret=livekit")
    wanted = ("dashboard.enabled=true", "alerts.enabled=true", "alerts.docsUrl=https://docs.example/voice/")
    rendered = template(None, *(part for setting in (*named, *wanted) for part in ("--set", setting)))
    assert rendered.returncode == 0, rendered.stderr
    resources = {item["kind"]: item for item in yaml.safe_load_all(rendered.stdout) if item}
    assert json.loads(resources["ConfigMap"]["data"]["repartee.json"]) == dashboard()
    assert resources["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    groups = resources["PrometheusRule"]["spec"]["groups"]
    links = [rule["annotations"]["runbook_url"] for rule in groups[0]["rules"]]
    assert links[0] == "https://docs.example/voice/operating.md#reparteenoworker"
    assert [rule["expr"] for rule in groups[0]["rules"]] == [rule["expr"] for rule in rules()]


def test_metrics_that_nothing_protects_are_refused() -> None:
    named = ("livekit.url=wss://livekit.example.org", "livekit.existingSecret=livekit")
    bare = (*named, "serviceMonitor.enabled=true", "networkPolicy.enabled=false")
    rendered = template(None, *(part for setting in bare for part in ("--set", setting)))
    assert rendered.returncode != 0
    assert "needs metrics.existingSecret" in rendered.stderr
    guarded = template(
        None, *(part for setting in (*bare, "metrics.existingSecret=m") for part in ("--set", setting))
    )
    assert guarded.returncode == 0, guarded.stderr
    assert "REPARTEE_METRICS_OPEN" not in guarded.stdout
