"""The dashboard and the alert rules name what the code measures, all of it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum

from handler.errors import BadEvent, UnmirrorError
from handler.model import ApiCall, By, Detachment
from handler.report import Outcome
from tests.support.pages import anchors, table
from tests.support.processes import run
from tests.support.reports import NOON, proven, sweep
from tests.support.telemetry import Recorder

FOLDER, RUNBOOK = Path("deploy/observability"), Path("docs/operations.md")

_UNITS = {"s": "_seconds"}
_SUFFIXES = {Sum: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}


def series(metric: Metric) -> set[str]:
    """Return the names of a metric's series, as OTLP's metrics get them in Prometheus.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/: dots become underscores, the
    unit is appended in words unless it is in braces, and a counter ends in `_total`.
    """
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit or "", "")
    return {name + suffix for suffix in _SUFFIXES[type(metric.data)]}


def recorded() -> list[Metric]:
    """Return every metric that there is, recorded at least once."""
    recorder = Recorder()
    recorder.deliver(proven(), sweep())
    recorder.otel.on_call(ApiCall("list_sessions", 200, "", 0.1, NOON), [])
    recorder.otel.on_rejected(BadEvent("no"))
    recorder.otel.on_abandoned("p-1")
    return list(recorder.metrics().values())


def attributes(metric: Metric) -> dict[str, set[str]]:
    """Return the attributes of a metric with the values that were recorded."""
    found: dict[str, set[str]] = {}
    for point in metric.data.data_points:
        for name, value in (point.attributes or {}).items():
            found.setdefault(name, set()).add(str(value))
    return found


RESOURCE = {"cloud_account_id", "cloud_region"}
"""What the collector makes labels of every series."""

METRICS = recorded()
KNOWN = {name: metric for metric in METRICS for name in series(metric)}

DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = {
    f"{panel['title']} {target['refId']} ({panel['id']})": target["expr"]
    for panel in PANELS
    for target in panel.get("targets", ())
}
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
QUERIES: dict[str, str] = {**SHOWN, **{rule["alert"]: rule["expr"] for rule in RULES}}
"""Every query of the dashboard and of the rules, by where it stands."""


def used(query: str) -> list[tuple[str, set[str]]]:
    """Return each series of a query, and the labels that are asked of it."""
    found = re.findall(r"\b(unmirror_\w+)(?:\{([^}]*)\})?", query)
    return [(name, set(re.findall(r"(\w+)\s*[=!]", labels))) for name, labels in found]


def slugs(kind: type[UnmirrorError] = UnmirrorError) -> set[str]:
    return {kind.slug}.union(*map(slugs, kind.__subclasses__()))


POSSIBLE = {
    "outcome": {*get_args(Outcome), *slugs()},
    "problem": {*slugs(), "none"},
    "by": set(get_args(By)),
    "state": set.union(*(attributes(metric).get("state", set()) for metric in METRICS)),
    "predates_delivery": {"true", "false"},
    "status": {*get_args(get_type_hints(Detachment)["status"]), *map(str, range(200, 600)), "none"},
}
"""The values that labels can have, where they are ours."""


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_asks_for_series_labels_and_values_that_there_are(where: str) -> None:
    query = QUERIES[where]
    named = used(query)
    assert named, "a query of something else"
    for name, labels in named:
        assert labels <= {*attributes(KNOWN[name]), *RESOURCE}
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
    has = {label for name, _ in named for label in attributes(KNOWN[name])}
    assert grouped <= has | {"le"} | RESOURCE
    assert ("le" in grouped) is any(name.endswith("_bucket") for name, _ in named)
    assert query.count("(") == query.count(")")
    for label, text in re.findall(r'(\w+)\s*[=!]~?"([^"$]*)"', query):  # $: a variable of the dashboard
        for alternative in text.split("|"):
            assert any(re.fullmatch(alternative, value) for value in POSSIBLE[label]), alternative


def test_every_metric_is_shown_and_on_the_page() -> None:
    names = {metric.name for metric in METRICS}
    assert {KNOWN[name].name for query in SHOWN.values() for name, _ in used(query)} == names
    page = (FOLDER / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(unmirror\.[a-z_.]+)` \|[^|]*\| ([^|]*) \|", page, re.MULTILINE))
    assert rows.keys() == names
    for metric in METRICS:
        assert re.findall(r"`(\w+)`", rows[metric.name]) == list(attributes(metric))


def test_each_problem_rings_one_alert() -> None:
    named = [
        problem
        for rule in RULES
        for text in set(re.findall(r'problem=~?"([^"]*)"', rule["expr"]))
        for problem in text.split("|")
    ]
    assert sorted(named) == sorted(slugs())


def test_each_alert_rings_when_it_should_and_not_before() -> None:
    """By Prometheus's own test runner, in times that nobody waits for."""
    played = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text("utf-8"))
    asked = [each for test in played["tests"] for each in test["promql_expr_test"]]
    rung = {re.findall(r'alertname="(\w+)"', sample["labels"])[0] for each in asked for sample in each["exp_samples"]}
    assert rung == {rule["alert"] for rule in RULES}
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool comes with Prometheus")
    done = run(promtool, "test", "rules", str(FOLDER / "alerts_test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    explained = {row[0]: row[1] for row in table(RUNBOOK, "alert", "severity", "means", "do")}
    assert explained == {rule["alert"]: rule["labels"]["severity"] for rule in RULES}
    assert set(explained.values()) == {"page", "ticket"}
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert labels <= set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))


def test_alerts_and_panels_link_to_headings_of_the_runbook() -> None:
    linked = [link["url"] for part in (DASHBOARD, *PANELS) for link in part.get("links", ())]
    linked += [rule["annotations"]["runbook_url"] for rule in RULES]
    assert {url.partition("#")[0] for url in linked} == {str(RUNBOOK)}
    assert {url.partition("#")[2] for url in linked} - {""} <= anchors(RUNBOOK)


def test_the_dashboard_can_be_narrowed_to_an_account_a_region_and_a_project() -> None:
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "account", "region", "project"]
    for where, query in SHOWN.items():
        for name, labels in used(query):
            assert labels >= RESOURCE | ({"project"} & set(attributes(KNOWN[name]))), where


def test_the_panels_do_not_overlap_and_choose_their_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["interval"] == "1m"  # metrics are exported once a minute
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


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
