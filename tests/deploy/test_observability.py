"""The dashboard and the alert rules name what the code measures, all of it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from handler.errors import UnmirrorError
from handler.observability.otel import METRICS, SESSION_STATES, SOURCE_STATES, Metric
from handler.report import Detachment, Outcome
from tests.observability.test_log import kinds_of

FOLDER = Path("deploy/observability")
PROMTOOL = shutil.which("promtool")

_UNITS = {"s": "_seconds"}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def series(metric: Metric) -> set[str]:
    """Return the names of a metric's series, as OTLP's metrics get them in Prometheus.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/: dots become underscores, the
    unit is appended in words unless it is in braces, and a counter ends in `_total`.
    """
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit, "")
    return {name + suffix for suffix in _SUFFIXES[metric.kind]}


KNOWN = {name: metric for metric in METRICS for name in series(metric)}


@cache
def panels() -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"])


@cache
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Return every query of the dashboard and of the rules, by where it stands."""
    shown = {
        f"{panel['title']} {target['refId']} ({panel['id']})": target["expr"]
        for panel in panels()
        for target in panel.get("targets", ())
    }
    return shown | {rule["alert"]: rule["expr"] for rule in rules()}


def used(query: str) -> list[tuple[str, set[str]]]:
    """Return each series of a query, and the labels that are asked of it."""
    found = re.findall(r"\b(unmirror_\w+)(?:\{([^}]*)\})?", query)
    return [(name, set(re.findall(r"(\w+)\s*[=!]", labels))) for name, labels in found]


@pytest.mark.parametrize("where", queries())
def test_a_query_names_series_and_labels_that_there_are(where: str) -> None:
    query = queries()[where]
    named = used(query)
    assert named, "a query of something else"
    for name, labels in named:
        assert name in KNOWN
        assert labels <= set(KNOWN[name].attributes)
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
    has = {label for name, _ in named for label in KNOWN[name].attributes}
    assert grouped <= has | {"le"}
    assert ("le" in grouped) is any(name.endswith("_bucket") for name, _ in named)
    assert query.count("(") == query.count(")")


def test_every_metric_is_shown() -> None:
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    assert {KNOWN[name].name for query in shown for name, _ in used(query)} == {metric.name for metric in METRICS}


def values() -> dict[str, set[str]]:
    """Return the values that labels can have, where they are ours."""
    slugs = {kind.slug for kind in kinds_of(UnmirrorError)}
    return {
        "outcome": {*get_args(Outcome), *slugs},
        "problem": {*slugs, "none"},
        "state": {*SOURCE_STATES, *SESSION_STATES},
        "reused": {"true", "false"},
        "status": {*get_args(get_type_hints(Detachment)["status"]), *map(str, range(200, 600)), "none"},
    }


@pytest.mark.parametrize("where", queries())
def test_a_query_asks_for_values_that_there_are(where: str) -> None:
    possible = values()
    for label, text in re.findall(r'(\w+)\s*[=!]~?"([^"]*)"', queries()[where]):
        for alternative in text.split("|"):
            assert any(re.fullmatch(alternative, value) for value in possible[label]), alternative


def test_each_alert_is_played() -> None:
    played = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text("utf-8"))
    asked = [each for test in played["tests"] for each in test["promql_expr_test"]]
    rung = {sample["labels"] for each in asked for sample in each["exp_samples"]}
    assert rung == {f'{{alertname="{rule["alert"]}"}}' for rule in rules()}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with Prometheus")
def test_each_alert_rings_when_it_should_and_not_before() -> None:
    """By Prometheus's own test runner, in times that nobody waits for."""
    played = [str(PROMTOOL), "test", "rules", str(FOLDER / "alerts_test.yaml")]
    done = subprocess.run(played, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert labels <= set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))


def test_the_panels_do_not_overlap_and_choose_their_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in panels()}) == len(list(panels()))


def test_the_collector_has_what_its_pipelines_name_and_prometheus_asks_it() -> None:
    collector = yaml.safe_load((FOLDER / "collector.yaml").read_text("utf-8"))
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(collector[kind])
    prometheus = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    (job,) = prometheus["scrape_configs"]
    port = collector["exporters"]["prometheus"]["endpoint"].rpartition(":")[2]
    assert job["static_configs"][0]["targets"] == [f"collector:{port}"]
    assert all((FOLDER / name).exists() for name in prometheus["rule_files"])


def test_the_page_has_every_metric() -> None:
    page = (FOLDER / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(unmirror\.[a-z_.]+)` \|[^|]*\| ([^|]*) \|", page, re.MULTILINE))
    assert set(rows) == {metric.name for metric in METRICS}
    for metric in METRICS:
        assert re.findall(r"`(\w+)`", rows[metric.name]) == list(metric.attributes)
