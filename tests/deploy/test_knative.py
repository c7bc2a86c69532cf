"""The manifests of Knative: valid, fitting together, and for exactly what the function understands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from handler import events
from handler.events.cts import OPERATIONS
from handler.model import CheckRequested, Ignored
from handler.settings import NAMES, Settings
from tests.support.deploy_kustomize import Manifest, build
from tests.support.tenant import cloud_event, trace

FOLDER = Path("deploy/knative")
REPLAY = FOLDER / "overlays/production/replay.yaml"
OURS = ("serving.knative.dev/", "eventing.knative.dev/", "sources.knative.dev/")
GONE = "5c1d4e8f-7a20-4b93-9f6e-d8250ba1c374"


@pytest.fixture(params=["small", "production"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(FOLDER / "overlays" / request.param)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(yaml.safe_load(Path("tests/deploy/knative.schema.yaml").read_text("utf-8")))


def _one(manifests: list[Manifest], kind: str, name: str = "unmirror") -> Manifest:
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def _is_ours(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith(OURS)


# --- valid ----------------------------------------------------------------------------------------------------


def test_the_kinds_of_knative_have_only_fields_that_exist(manifests: list[Manifest], schema: dict[str, Any]) -> None:
    for manifest in (*filter(_is_ours, manifests), yaml.safe_load(REPLAY.read_text("utf-8"))):
        kind = Draft202012Validator({**schema["$defs"][_schema_name(manifest)], "$defs": schema["$defs"]})
        assert [f"{error.json_path}: {error.message}" for error in kind.iter_errors(manifest)] == []
        assert Draft202012Validator(schema).is_valid(manifest)


def _schema_name(manifest: Manifest) -> str:
    kind: str = manifest["kind"]
    return kind[0].lower() + kind[1:]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template.spec.containers.0.securityContext.readOnlyRootFilesystem", False),
        ("spec.template.spec.containers.0.imagePullPolcy", "Always"),
        ("spec.template.spec.containerConcurrency", "32"),
        ("spec.template.metadata.annotations.autoscaling\\.knative\\.dev/minScale", "1"),
    ],
)
def test_the_schema_sees_a_field_that_is_wrong(path: str, value: object, schema: dict[str, Any]) -> None:
    service = _one(build(FOLDER / "base"), "Service")
    *parents, last = (part.replace("\0", ".") for part in path.replace("\\.", "\0").split("."))
    place: Any = service
    for name in parents:
        place = place[int(name) if isinstance(place, list) else name]
    place[last] = value
    assert not Draft202012Validator(schema).is_valid(service)


def test_the_kinds_of_kubernetes_are_valid(tmp_path: Path) -> None:
    core = [each for each in build(FOLDER / "overlays/production") if not _is_ours(each)]
    core.append(yaml.safe_load((FOLDER / "check.yaml").read_text("utf-8")))
    assert {each["kind"] for each in core} == {"Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy", "Job"}
    path = tmp_path / "core.yaml"
    path.write_text(yaml.safe_dump_all(core), "utf-8")
    tool = Path(sys.executable).with_name("kubernetes-validate")
    if not tool.exists():
        pytest.skip("no kubernetes-validate beside this Python")
    done = subprocess.run([tool, "--strict", path], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, "WARN" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr


# --- fitting together -------------------------------------------------------------------------------------------


def test_everything_that_is_referred_to_is_there(manifests: list[Manifest]) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for manifest in filter(_is_ours, manifests):
        for reference in _references(manifest["spec"]):
            elsewhere = reference.get("namespace", "unmirror") != "unmirror"
            assert elsewhere or (reference["kind"], reference["name"]) in there
        if manifest["kind"] == "Trigger":
            assert ("Broker", manifest["spec"]["broker"]) in there
    container = _one(manifests, "Service")["spec"]["template"]["spec"]["containers"][0]
    for source in container["envFrom"]:
        if "configMapRef" in source:
            assert ("ConfigMap", source["configMapRef"]["name"]) in there
        else:
            assert source["secretRef"]["optional"]


def _references(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value[name] for name in ("ref", "config") if isinstance(value.get(name), dict)]
    return own + [found for item in value.values() for found in _references(item)]


def test_the_settings_are_settings_and_it_starts_dry(manifests: list[Manifest]) -> None:
    data = _one(manifests, "ConfigMap")["data"]
    assert data.keys() <= set(NAMES)
    settings = Settings.from_env(data)
    assert settings.dry_run
    assert settings.trust_platform
    assert settings.missing == ()


def test_a_delivery_has_its_time_and_its_thread(manifests: list[Manifest]) -> None:
    spec = _one(manifests, "Service")["spec"]["template"]["spec"]
    environment = {each["name"]: each["value"] for each in spec["containers"][0]["env"]}
    deadline = float(_one(manifests, "ConfigMap")["data"]["UNMIRROR_DEADLINE"])
    assert spec["containerConcurrency"] == int(environment["THREADS"])
    assert 5 < float(environment["GRACE"]) < spec["timeoutSeconds"] > deadline, (
        "SIGTERM ends every deadline but for 5 s"
    )


def test_the_platform_that_is_trusted_is_the_only_one_that_reaches_the_function(manifests: list[Manifest]) -> None:
    service, policy = _one(manifests, "Service"), _one(manifests, "NetworkPolicy")
    assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"serving.knative.dev/service": service["metadata"]["name"]}
    assert all(rule["from"] for rule in policy["spec"]["ingress"])


def test_the_pod_reaches_name_servers_and_the_pod_identity_of_its_node_but_not_its_metadata(
    manifests: list[Manifest],
) -> None:
    """The metadata service would give the node's keys."""
    rules = _one(manifests, "NetworkPolicy")["spec"]["egress"]
    (node,) = (rule for rule in rules if rule["to"][0].get("ipBlock", {}).get("cidr") == "169.254.0.0/16")
    assert node["to"][0]["ipBlock"]["except"] == ["169.254.169.254/32"]
    assert {port["protocol"] for port in node["ports"]} == {"TCP", "UDP"}
    (anywhere,) = (rule for rule in rules if rule["to"][0].get("ipBlock", {}).get("cidr") == "0.0.0.0/0")
    assert anywhere["ports"] == [{"port": 443}]


def test_a_retry_never_blocks_the_consumer_for_long() -> None:
    """Kafka's dispatcher waits delay x 2^n, without a cap, and an event that waits keeps its place among 50."""
    manifests = build(FOLDER / "overlays/production")
    senders = [_one(manifests, "Broker"), _one(manifests, "KafkaSource", "deletions"), *_replay()]
    for sender in senders:
        delivery = sender["spec"]["delivery"]
        assert (delivery["backoffPolicy"], delivery["backoffDelay"]) == ("exponential", "PT1S")
        assert sum(2**n for n in range(1, delivery["retry"] + 1)) < 180


def test_production_forgets_nothing_and_what_is_replayed_does_not_come_back() -> None:
    manifests = build(FOLDER / "overlays/production")
    for manifest in manifests:
        if manifest["kind"] == "Broker":
            assert manifest["metadata"]["annotations"]["eventing.knative.dev/broker.class"] == "Kafka"
    for sender in (_one(manifests, "Broker"), _one(manifests, "KafkaSource", "deletions")):
        assert sender["spec"]["delivery"]["deadLetterSink"]["ref"]["name"] == "dead-letters"
    (replay,) = _replay()
    assert replay["spec"]["topics"] == ["knative-broker-unmirror-dead-letters"]
    assert "deadLetterSink" not in replay["spec"]["delivery"]
    assert replay["spec"]["sink"]["ref"]["kind"] == "Service"


def _replay() -> list[Manifest]:
    return [yaml.safe_load(REPLAY.read_text("utf-8"))]


# --- what the function understands --------------------------------------------------------------------------


def _deletions() -> str:
    (found,) = _one(build(FOLDER / "base"), "Trigger", "deletions")["spec"]["filters"]
    return str(found["cesql"])


def _passes(expression: str, attributes: dict[str, Any]) -> bool:
    """Tell what the filter says, for the part of CESQL that it uses: IN, LIKE with %, AND, OR."""

    def like(match: re.Match[str]) -> str:
        pattern = re.escape(match[2]).replace("%", ".*")
        return str(re.fullmatch(pattern, attributes[match[1]]) is not None)

    def among(match: re.Match[str]) -> str:
        return str(attributes[match[1]] in re.findall(r"'([^']*)'", match[2]))

    said = re.sub(r"(\w+) LIKE '([^']*)'", like, re.sub(r"(\w+) IN \(([^)]*)\)", among, expression))
    said = said.replace(" AND ", " and ").replace(" OR ", " or ")
    assert re.fullmatch(r"(?:True|False|and|or|[() ])+", said), said
    return bool(eval(said))  # noqa: S307 - nothing but truth values, and, or and brackets


@pytest.mark.parametrize("service", sorted({row.service for row in OPERATIONS}))
def test_the_filter_lets_every_trace_through_that_is_acted_upon(service: str) -> None:
    event = cloud_event(trace(GONE), f"{service}:CloudTrace:SystemAction", f"HC.{service}")
    assert _passes(_deletions(), event)
    assert not _ignored(event)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("io.unmirror.interface.deleted.v1", {"interface_ids": [GONE]}),
        ("io.unmirror.check.due.v1", {}),
        ("dev.knative.kafka.event", {"cts": trace(GONE)}),
    ],
)
def test_the_filter_lets_our_own_and_kafkas_events_through(type_: str, data: object) -> None:
    event = cloud_event(data, type_, "/anything")
    assert _passes(_deletions(), event)
    assert not _ignored(event)


@pytest.mark.parametrize(
    ("type_", "source"),
    [
        ("io.unmirror.report.v1", "/unmirror"),
        ("OBS:CloudTrace:ApiCall", "HC.OBS"),
        ("dev.knative.apiserver.resource.add", "/apis"),
        ("dev.knative.sources.ping", "/apis/v1/namespaces/unmirror/pingsources/sweep"),
    ],
)
def test_the_filter_keeps_everything_else_out(type_: str, source: str) -> None:
    assert not _passes(_deletions(), cloud_event({}, type_, source))


def test_the_other_trigger_takes_what_sweeps(manifests: list[Manifest]) -> None:
    (found,) = _one(manifests, "Trigger", "sweeps")["spec"]["filters"]
    types = {each["exact"]["type"] for each in found["any"]}
    data = json.loads(_one(manifests, "PingSource", "sweep")["spec"]["data"])
    assert types == {"dev.knative.sources.ping", "io.unmirror.sweep.due.v1"}
    for type_ in types:
        assert not _passes(_deletions(), cloud_event(data, type_, "/any"))
        assert not _ignored(cloud_event(data, type_, "/any"))


def test_the_check_of_the_page_is_an_event_that_the_function_understands() -> None:
    (container,) = yaml.safe_load((FOLDER / "check.yaml").read_text("utf-8"))["spec"]["template"]["spec"]["containers"]
    body = container["args"][container["args"].index("--data") + 1]
    (event,) = events.parse(events.from_http({"content-type": "application/json"}, body.encode())).events
    assert isinstance(event, CheckRequested)


def _ignored(event: dict[str, Any]) -> bool:
    return any(isinstance(each, Ignored) for each in events.parse(event).events)
