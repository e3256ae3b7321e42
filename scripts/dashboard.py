"""Write the Grafana dashboard, deploy/chart/dashboard.json, from the table below; `--check` only compares.

Only the standard library.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "deploy" / "chart" / "dashboard.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 8, 7
JOB = 'instance=~"$instance"'
NOT_ENDED = ', outcome!="ended"'


def rate(counter: str, by: str = "", more: str = "") -> str:
    """Return the rate of a counter in a second: over everything, or for each value of some labels."""
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({counter}{{%{more}}}[$__rate_interval]))"


def share(part: str, whole: str, by: str = "") -> str:
    """Return which share of one counter's rate another's is."""
    return f"{rate(part, by)} / {rate(whole, by)}"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: What it shows.
        queries: Legend and expression; `%` stands for the chosen instances.
        unit: Grafana's name of it.
        says: What to look at when it is not as usual.
        limit: A line in red, where an alert begins.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    says: str = ""
    limit: float | None = None


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Calls",
        (
            Panel(
                "Calls and seats",
                (("calls", "sum(repartee_calls_active{%})"), ("seats", "sum(repartee_calls_max{%})")),
                says="Seats become fewer while the loops of session processes are late.",
            ),
            Panel(
                "Begun, refused, handed over, per minute",
                (
                    ("begun", f"60 * {rate('repartee_calls_started_total')}"),
                    ("refused by workers", f"60 * {rate('repartee_calls_refused_total')}"),
                    ("handed over", f"60 * {rate('repartee_calls_handed_over_total')}"),
                    (
                        "no token: {{why}}",
                        f"60 * {rate('repartee_places_refused_total', 'why')} > 0",
                    ),
                ),
            ),
            Panel(
                "How calls end, per minute",
                (
                    (
                        "{{reason}}",
                        f"60 * {rate('repartee_calls_ended_because_total', 'reason')} > 0",
                    ),
                    (
                        "{{outcome}}",
                        f"60 * {rate('repartee_calls_ended_total', 'outcome', NOT_ENDED)} > 0",
                    ),
                ),
            ),
        ),
    ),
    (
        "Answers",
        (
            Panel(
                "From the caller's last sound to the first of the answer",
                tuple(
                    (
                        name,
                        f"histogram_quantile({quantile}, {rate('repartee_response_seconds_bucket', 'le')})",
                    )
                    for name, quantile in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
                ),
                "s",
                "The page of a slow call says whose part of the wait it was.",
                1.5,
            ),
            Panel(
                "Answers in a minute",
                (("answers", f"60 * {rate('repartee_response_seconds_count')}"),),
            ),
            Panel(
                "The model's first token, in multiples of the usual",
                (("{{instance}}", "repartee_first_token_ratio{%}"),),
            ),
        ),
    ),
    (
        "Providers",
        (
            Panel(
                "Requests that failed",
                (
                    (
                        "{{stage}}",
                        share("repartee_requests_failed_total", "repartee_requests_total", "stage"),
                    ),
                ),
                "percentunit",
                "Counted when a call is over.",
                0.05,
            ),
            Panel(
                "Why, per minute",
                (
                    (
                        "{{provider}} {{stage}}: {{why}}",
                        f"60 * {rate('repartee_provider_failures_total', 'provider, stage, why')} > 0",
                    ),
                ),
            ),
            Panel(
                "Breakers: 0 closed, 1 half open, 2 open, 3 key refused",
                (
                    (
                        "{{provider}} {{model}} {{operation}}",
                        "max by (provider, model, operation) (repartee_provider_breaker{%})",
                    ),
                ),
                limit=2,
            ),
        ),
    ),
    (
        "Load",
        (
            Panel(
                "Level of degradation",
                (("{{instance}}", "repartee_level{%}"),),
                says="0 to 5: docs/degradation.md.",
                limit=4,
            ),
            Panel(
                "Lag of event loops, p95",
                (("{{instance}}", "repartee_loop_lag_ms{%}"),),
                "ms",
                "What is late here, audio is late by as well.",
            ),
            Panel("Processors", (("{{instance}}", "repartee_cpu_share{%}"),), "percentunit"),
        ),
    ),
    (
        "Money",
        (
            Panel(
                "USD in an hour",
                (("{{stage}}", f"3600 * {rate('repartee_cost_usd_total', 'stage')}"),),
                "currencyUSD",
            ),
            Panel(
                "For nothing that was heard",
                (
                    (
                        "share",
                        share("repartee_cost_wasted_usd_total", "repartee_cost_usd_total"),
                    ),
                ),
                "percentunit",
                "Answers that were made in a pause and thrown away, as the caller went on.",
            ),
            Panel(
                "Of today's budget, and requests without a price",
                (
                    ("budget", "max(repartee_budget_spent_ratio{%})"),
                    (
                        "unpriced: {{model}}",
                        f"{rate('repartee_requests_unpriced_total', 'model')} > 0",
                    ),
                ),
                "percentunit",
                limit=0.8,
            ),
        ),
    ),
    (
        "Beneath",
        (
            Panel(
                "Rows that wait for the database",
                (("{{instance}}", "repartee_spool_bytes{%}"),),
                "bytes",
                "Nothing is lost while they fit on the disk.",
            ),
            Panel(
                "Disk that is left",
                (("{{instance}}", "repartee_disk_free_bytes{%}"),),
                "bytes",
                limit=2e9,
            ),
            Panel(
                "Networks and the database, events in a minute",
                (
                    ("{{what}}", f"60 * {rate('repartee_network_events_total', 'what')} > 0"),
                    (
                        "database {{what}}",
                        f"60 * {rate('repartee_store_troubles_total', 'what')} > 0",
                    ),
                ),
            ),
            Panel(
                "Registered with LiveKit, database answers",
                (
                    ("workers", "sum(repartee_worker_registered{%})"),
                    ("with a database", "sum(repartee_database_up{%})"),
                ),
            ),
            Panel(
                "Minutes of audio in a minute",
                (("{{what}}", rate("repartee_audio_seconds_total", "what")),),
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        for place, panel in enumerate(row):
            at = {"h": HEIGHT, "w": WIDTH, "x": place % 3 * WIDTH, "y": y + place // 3 * HEIGHT}
            panels.append(_panel(len(panels) + 1, panel, at))
        y += -(-len(row) // 3) * HEIGHT
    return {
        "uid": "repartee",
        "title": "repartee",
        "tags": ["repartee"],
        "timezone": "browser",
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _instances()]},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(number: int, panel: Panel, at: dict[str, int]) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "custom": {
                    "fillOpacity": 8,
                    "showPoints": "never",
                    "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
                },
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": expression.replace("%", JOB),
                "legendFormat": legend,
            }
            for place, (legend, expression) in enumerate(panel.queries)
        ],
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _instances() -> dict[str, Any]:
    query = 'label_values({__name__=~"repartee_worker_registered|repartee_places_given_total"}, instance)'
    return {
        "name": "instance",
        "type": "query",
        "label": "Instance",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "instances"},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def main() -> int:
    """Write the file, or say that it is not what this would write."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{FILE.name} is not what the table says; run `python scripts/dashboard.py`\n")
        return 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
