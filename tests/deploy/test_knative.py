"""The manifests of Knative: valid, fitting together, and for exactly what the function understands."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from handler import events
from handler.events.cts import OPERATIONS
from handler.model import CheckRequested, Ignored, SweepRequested
from handler.settings import NAMES, Settings
from tests.support.deploy_knative import Manifest, build, check, is_knatives, read
from tests.support.tenant import cloud_event, trace

REPLAY, CHECK = "overlays/production/replay.yaml", "check.yaml"
GONE = "5c1d4e8f-7a20-4b93-9f6e-d8250ba1c374"


@pytest.fixture(params=["small", "production"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(f"overlays/{request.param}")


def _one(manifests: list[Manifest], kind: str, name: str = "unmirror") -> Manifest:
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


# --- valid ----------------------------------------------------------------------------------------------------


def test_the_kinds_of_knative_have_only_fields_that_exist(manifests: list[Manifest]) -> None:
    for manifest in (*filter(is_knatives, manifests), read(REPLAY)):
        check(manifest)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"readOnlyRootFilesystem": true', '"readOnlyRootFilesystem": false'),
        ('"periodSeconds"', '"periodSecond"'),
        ('"containerConcurrency": 32', '"containerConcurrency": "32"'),
        ('"autoscaling.knative.dev/min-scale"', '"autoscaling.knative.dev/minScale"'),
    ],
)
def test_a_field_that_is_wrong_is_seen(right: str, wrong: str) -> None:
    text = json.dumps(_one(build("base"), "Service"))
    assert right in text
    with pytest.raises(jsonschema.ValidationError):
        check(json.loads(text.replace(right, wrong)))


def test_the_kinds_of_kubernetes_are_valid(manifests: list[Manifest]) -> None:
    core = [read(CHECK), *(each for each in manifests if not is_knatives(each))]
    assert {each["kind"] for each in core} == {"Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy", "Job"}
    for manifest in core:
        check(manifest)


# --- fitting together -------------------------------------------------------------------------------------------


def test_everything_that_is_referred_to_is_there(manifests: list[Manifest]) -> None:
    there = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    for manifest in filter(is_knatives, manifests):
        for reference in _references(manifest["spec"]):
            elsewhere = reference.get("namespace", "unmirror") != "unmirror"
            assert elsewhere or (reference["kind"], reference["name"]) in there
        if manifest["kind"] == "Trigger":
            assert ("Broker", manifest["spec"]["broker"]) in there
    (settings, keys) = _one(manifests, "Service")["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    assert ("ConfigMap", settings["configMapRef"]["name"]) in there
    assert keys["secretRef"]["optional"]


def _references(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value[name] for name in ("ref", "config") if name in value]
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
    assert 5 < float(environment["GRACE"]) < spec["timeoutSeconds"] > deadline, "after SIGTERM calls get 5 s"


def test_only_the_trusted_platform_reaches_the_function(manifests: list[Manifest]) -> None:
    service, policy = _one(manifests, "Service"), _one(manifests, "NetworkPolicy")
    assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"serving.knative.dev/service": service["metadata"]["name"]}
    assert all(rule["from"] for rule in policy["spec"]["ingress"])


def test_the_pod_reaches_its_node_but_for_the_metadata_and_anywhere_by_https(manifests: list[Manifest]) -> None:
    """The metadata service would give the node's keys; name servers and the pod identity are the node's, too."""
    rules = _one(manifests, "NetworkPolicy")["spec"]["egress"]
    blocks = {rule["to"][0]["ipBlock"]["cidr"]: rule for rule in rules if "ipBlock" in rule["to"][0]}
    node, anywhere = blocks.pop("169.254.0.0/16"), blocks.pop("0.0.0.0/0")
    assert blocks == {}
    assert node["to"][0]["ipBlock"]["except"] == ["169.254.169.254/32"]
    assert {port["protocol"] for port in node["ports"]} == {"TCP", "UDP"}
    assert anywhere["ports"] == [{"port": 443}]


def test_a_retry_never_blocks_the_consumer_for_long() -> None:
    """Kafka's dispatcher waits delay x 2^n, without a cap, and an event that waits keeps its place among 50."""
    manifests = build("overlays/production")
    senders = [_one(manifests, "Broker"), _one(manifests, "KafkaSource", "deletions"), read(REPLAY)]
    for sender in senders:
        delivery = sender["spec"]["delivery"]
        assert (delivery["backoffPolicy"], delivery["backoffDelay"]) == ("exponential", "PT1S")
        assert sum(2**n for n in range(1, delivery["retry"] + 1)) < 180


def test_production_forgets_nothing_and_what_is_replayed_does_not_come_back() -> None:
    manifests = build("overlays/production")
    brokers = [each["metadata"] for each in manifests if each["kind"] == "Broker"]
    assert {each["annotations"]["eventing.knative.dev/broker.class"] for each in brokers} == {"Kafka"}
    for sender in (_one(manifests, "Broker"), _one(manifests, "KafkaSource", "deletions")):
        assert sender["spec"]["delivery"]["deadLetterSink"]["ref"]["name"] == "dead-letters"
    replay = read(REPLAY)
    assert replay["spec"]["topics"] == ["knative-broker-unmirror-dead-letters"]
    assert "deadLetterSink" not in replay["spec"]["delivery"]
    assert replay["spec"]["sink"]["ref"]["kind"] == "Service"


# --- what the function understands --------------------------------------------------------------------------

SERVICES = sorted({row.service for row in OPERATIONS})
EVENTS = [
    *((f"{each}:CloudTrace:SystemAction", f"HC.{each}", trace(GONE), "deletions") for each in SERVICES),
    ("io.unmirror.interface.deleted.v1", "/any", {"interface_ids": [GONE]}, "deletions"),
    ("io.unmirror.check.due.v1", "/any", {}, "deletions"),
    ("dev.knative.kafka.event", "/any", {"cts": trace(GONE)}, "deletions"),
    ("dev.knative.sources.ping", "/any", {}, "sweeps"),
    ("io.unmirror.sweep.due.v1", "/any", {}, "sweeps"),
    ("io.unmirror.report.v1", "/unmirror", {}, None),
    ("OBS:CloudTrace:ApiCall", "HC.OBS", {}, None),
    ("dev.knative.apiserver.resource.add", "/apis", {}, None),
]


@pytest.mark.parametrize(("type_", "source", "data", "taker"), EVENTS)
def test_the_triggers_take_what_the_function_acts_upon_and_nothing_else(
    type_: str, source: str, data: object, taker: str | None
) -> None:
    event = cloud_event(data, type_, source)
    triggers = [each for each in build("base") if each["kind"] == "Trigger"]
    takers = [each["metadata"]["name"] for each in triggers if _passes(each["spec"]["filters"][0], event)]
    assert takers == ([taker] if taker else [])
    assert taker is None or not any(isinstance(each, Ignored) for each in events.parse(event).events)


def _passes(filter_: dict[str, Any], event: dict[str, Any]) -> bool:
    if "any" in filter_:
        return any(_passes(each, event) for each in filter_["any"])
    if "exact" in filter_:
        return bool(filter_["exact"].items() <= event.items())
    return _cesql(filter_["cesql"], event)


def _cesql(expression: str, event: dict[str, Any]) -> bool:
    """Tell what an expression says, for the part of CESQL that is used: IN, LIKE with %, AND, OR."""

    def like(match: re.Match[str]) -> str:
        return str(re.fullmatch(re.escape(match[2]).replace("%", ".*"), event[match[1]]) is not None)

    def among(match: re.Match[str]) -> str:
        return str(event[match[1]] in re.findall(r"'([^']*)'", match[2]))

    said = re.sub(r"(\w+) LIKE '([^']*)'", like, re.sub(r"(\w+) IN \(([^)]*)\)", among, expression))
    said = said.replace(" AND ", " and ").replace(" OR ", " or ")
    assert re.fullmatch(r"(?:True|False|and|or|[() ])+", said), said
    return bool(eval(said))  # noqa: S307 - nothing but truth values, and, or and brackets


def test_the_function_understands_what_the_page_and_the_timer_send() -> None:
    (container,) = read(CHECK)["spec"]["template"]["spec"]["containers"]
    body = container["args"][container["args"].index("--data") + 1]
    (check_,) = events.parse(events.from_http({"content-type": "application/json"}, body.encode())).events
    assert isinstance(check_, CheckRequested)
    tick = json.loads(_one(build("base"), "PingSource", "sweep")["spec"]["data"])
    (sweep,) = events.parse(cloud_event(tick, "dev.knative.sources.ping")).events
    assert isinstance(sweep, SweepRequested)
