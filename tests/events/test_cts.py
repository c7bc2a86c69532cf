"""What traces say. All of them are constructed: no capture of a trace of these operations is public."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from handler.errors import Violation
from handler.events.cts import OPERATIONS, Operation
from handler.model import Event, Ignored, InterfacesDeleted, ServersDeleted, SweepRequested, TargetDeleted
from tests.support.events import CARRIERS, only, trace, violations

ONE = "11111111-2222-4333-8444-55555555aaaa"
TWO = "66666666-7777-4888-8999-00000000bbbb"
SERVER, OTHER = "5d3b7f92-1c64-4e0a-b8d7-2a96e4c1f058", "0a6c5e18-94d3-4b7f-8c21-e3f05d9b7a46"
NOTHING = {"resource_id": ..., "request": None, "response": None, "message": None}
"""What the documents allow: every member with an id is optional."""


def of(operation: Operation, **members: object) -> dict[str, Any]:
    """Return a trace of the operation."""
    names = {"service_type": operation.service, "resource_type": operation.resource_type}
    return trace(**{**names, "trace_name": operation.name, **members})


def named(name: str) -> Operation:
    """Return the operation of a name."""
    return next(operation for operation in OPERATIONS if operation.name == name)


def nic(**members: object) -> dict[str, Any]:
    """Return a deleteNic trace: `resource_id` is the server, as the API's path has it."""
    return of(named("deleteNic"), **({"resource_id": SERVER} | members))


def servers(**members: object) -> dict[str, Any]:
    """Return a deleteServer trace that names no server."""
    return of(named("deleteServer"), **(NOTHING | members))


def ids_of(event: Event) -> tuple[str, ...]:
    """Return what the event says to be deleted."""
    match event:
        case InterfacesDeleted():
            return event.interface_ids
        case ServersDeleted():
            return event.server_ids
        case TargetDeleted():
            return (event.target_id,)
    return ()


def standing_at(path: str, *ids: str) -> dict[str, Any]:
    """Return members in which the ids stand at a path: `request.nics[].id`; the first of them where it has no list."""
    values: list[Any] = list(ids)
    for step in reversed(path.split(".")):
        name, many = step.removesuffix("[]"), step.endswith("[]")
        values = [{name: values}] if many else [{name: value} for value in values]
    return values[0]  # type: ignore[no-any-return]


# --- operation x carrier x rating x phase ----------------------------------------------------------------------

ACTED_UPON = {"interfaces": InterfacesDeleted, "servers": ServersDeleted, "target": TargetDeleted}
IDS = {"interfaces": {"nics": [{"id": ONE}]}, "servers": {"servers": [{"id": SERVER}]}, "target": {}}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_operation_is_read_in_every_carrier_with_every_rating_in_both_phases(carrier: str) -> None:
    ratings = [("trace_rating", "trace_status"), ("trace_status", "trace_rating")]
    grades = ["normal", "Normal", "incident", "INCIDENT", "warning", None, ...]
    phases: list[object] = ["", None, {"job_id": "4f", "status": "SUCCESS"}, {"job_id": "4f"}, '{"status": "RUNNING"}']
    for operation, (field, absent), grade, response in itertools.product(OPERATIONS, ratings, grades, phases):
        value = of(operation, request=IDS[operation.deletes], response=response, **{field: grade, absent: ...})
        event = only(CARRIERS[carrier](value))
        pending = response in phases[3:]
        failed = grade == "warning" and response not in phases[2:]
        if pending or failed:
            assert isinstance(event, Ignored), value
            assert event.pending is pending, value
        else:
            kind = ACTED_UPON[operation.deletes] if operation.ids else SweepRequested
            assert type(event) is kind, value
        assert event.metadata.id == value["trace_id"]
        assert event.metadata.operation == str(operation)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_names_are_compared_without_regard_to_case_and_blanks(operation: Operation) -> None:
    """One region's pages print `delete loadbalancer`. Of the resource type there are translations, too."""
    for spell in (str.lower, str.upper, lambda name: f" {name[:6]} {name[6:]}\t"):
        names = {"service_type": spell(operation.service), "trace_name": spell(operation.name)}
        event = only(trace(**names, resource_type="Anything"))
        assert not isinstance(event, Ignored)
        assert event.metadata.operation == str(operation)


def test_an_operation_that_deletes_nothing_is_ignored() -> None:
    for service, name in [("VPC", "updatePort"), ("EIP", "deletePort"), ("ECS", "createServer")]:
        event = only(trace(service_type=service, trace_name=name))
        assert event == Ignored(event.metadata, f"{name} deletes no interface and no mirror target")
        assert event.metadata.operation is None


@pytest.mark.parametrize("name", ["", "two words", "line\nbreak", "x" * 65, "<b>"])
def test_a_name_that_no_operation_has_is_not_repeated(name: str) -> None:
    event = only(trace(trace_name=name))
    assert isinstance(event, Ignored)
    assert event.reason.startswith("an operation without a name")


def test_the_empty_template_of_the_trigger_is_ignored() -> None:
    """What the console offers as a test event: every text empty, `resource_id` an object."""
    template = dict.fromkeys(("time", "record_time", "resource_type", "service_type", "trace_name", "trace_id"), "")
    event = only({"cts": {**template, "resource_id": {}, "request": {}, "response": {}, "code": 204}})
    assert isinstance(event, Ignored)
    assert event.metadata.id


# --- success and failure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 200, 204, 404, "204", "500", None, ...])
def test_success_is_never_read_from_the_code(code: object) -> None:
    assert isinstance(only(trace(code=code)), InterfacesDeleted)


@pytest.mark.parametrize(
    "members",
    [
        {"trace_rating": "Warning", "code": 200},
        {"trace_rating": "normal", "trace_status": "warning"},
        {"response": {"code": "VPC.0514", "message": "not possible"}},
        {"response": '{"error_code": "VPC.2010", "error_msg": "in use"}'},
        {"response": {"NeutronError": {"type": "PortInUse"}}},
        {"response": {"status": 404, "error": "Not Found"}},
        {"trace_rating": "incident", "response": {"status": "FAIL", "job_id": "1", "fail_reason": "quota"}},
    ],
    ids=str,
)
def test_a_failed_operation_is_ignored(members: dict[str, object]) -> None:
    event = only(trace(**members))
    assert event == Ignored(event.metadata, "VPC deletePort failed")


def job(*statuses: str, member: str = "nic_id", **members: object) -> dict[str, object]:
    """Return the result of a job that failed, with one sub-job for each status, about ONE and TWO."""
    ids = dict(zip((ONE, TWO), statuses, strict=False))
    sub_jobs = [{"status": status, "entities": {member: id_}} for id_, status in ids.items()]
    return {"job_id": "4f", "status": "FAIL", "entities": {"sub_jobs": sub_jobs}} | members


BOTH = {"nics": [{"id": ONE}, {"id": TWO}]}


@pytest.mark.parametrize("rating", ["normal", "warning", "incident"])
@pytest.mark.parametrize(
    "members",
    [
        {"response": job("SUCCESS", "FAIL")},
        {"response": json.dumps(job("FAIL", "SUCCESS", error_code="Ecs.0319", fail_reason="one of them"))},
        {"response": job("FAIL", ""), "request": BOTH},
        {"response": {"job_id": "4f", "status": "FAIL"}, "request": BOTH},
        {"response": job("SUCCESS", "SUCCESS", status="SUCCESS")},
    ],
    ids=str,
)
def test_a_job_that_failed_in_part_is_looked_at(members: dict[str, object], rating: str) -> None:
    """What the API says is gone leaves."""
    assert ids_of(only(nic(**members, trace_rating=rating))) == (ONE, TWO)
    of_servers = servers(response=job("SUCCESS", "FAIL", member="server_id"), trace_rating=rating)
    assert ids_of(only(of_servers)) == (ONE, TWO)


@pytest.mark.parametrize(
    "response",
    [
        job("FAIL", "FAIL"),
        job("ERROR", "FAILED", status=None, error_code="Ecs.0319"),
        job("FAIL"),
        {"status": "FAIL", "job_id": "4f", "entities": {"nic_id": ONE}},
        {"error": {"code": "Ecs.0319"}},
    ],
    ids=str,
)
def test_a_job_that_can_have_deleted_nothing_is_ignored(response: dict[str, object]) -> None:
    event = only(nic(response=response, trace_rating="warning"))
    assert event == Ignored(event.metadata, "ECS deleteNic failed")


@pytest.mark.parametrize(
    ("response", "pending"),
    [
        ('{"job_id": "4f"}', True),
        ({"job_id": "4f", "error_code": None, "fail_reason": None}, True),
        (job("SUCCESS", status="init"), True),
        (job("RUNNING", status=""), False),
        (job("SUCCESS", status=""), False),
        ({"job_id": "4f", "status": "SUCCESS", "entities": {"nic_id": ONE}}, False),
    ],
    ids=str,
)
def test_the_request_of_a_job_is_not_yet_a_deletion(response: object, pending: bool) -> None:
    event = only(nic(request={"nics": [{"id": ONE}]}, response=response))
    assert (isinstance(event, Ignored) and event.pending) is pending


@pytest.mark.parametrize("empty", [{}, ..., "null", [], "no JSON", '{"a": 1, "a": 2}'], ids=repr)
def test_request_and_response_may_be_empty_absent_or_anything(empty: object) -> None:
    assert isinstance(only(trace(request=empty, response=empty)), InterfacesDeleted)


# --- ids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "path"), [(each, path) for each in OPERATIONS for path in each.ids], ids=str)
def test_an_id_is_found_at_every_place_of_the_table_in_lower_case(operation: Operation, path: str) -> None:
    members = standing_at(path, ONE.upper(), TWO, ONE)
    as_text = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in members.items()}
    for each in (members, as_text):
        found = ids_of(only(of(operation, **(NOTHING | each))))
        assert found == ((ONE, TWO) if "[]" in path else (ONE,))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("deletePort", {"message": f"DELETE /v1/0123/ports/{ONE}, delete port"}),
        ("deletePort", {"resource_url": f"https://vpc.example.com/v3/0123/ports/{ONE.upper()}"}),
        ("deletePort", {"resource_id": "port-1", "request": {"port_id": ONE}}),
        ("deletePort", {"resource_id": "port-1", "message": f"/ports/{ONE}"}),
        *(("deleteServer", {"resource_url": f"/v2.1/0123/{kind}servers/{ONE}"}) for kind in ("", "cloud", "baremetal")),
        ("deleteLoadbalancer", {"resource_url": f"/v3/0123/elb/loadbalancers/{ONE}"}),
    ],
    ids=str,
)
def test_an_id_is_found_in_a_url_too(name: str, members: dict[str, object]) -> None:
    assert ids_of(only(of(named(name), **(NOTHING | members)))) == (ONE,)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
@pytest.mark.parametrize("absent", [..., None, "", {}], ids=repr)
def test_an_operation_that_does_not_say_which_is_a_sweep(operation: Operation, absent: object) -> None:
    """Every member with an id is optional by the documents; what was deleted is found among all."""
    event = only(of(operation, **dict.fromkeys(("resource_id", "request", "response"), absent), message=None))
    if operation.deletes == "target":
        assert event == Ignored(event.metadata, f"{operation} does not say which load balancer it deleted")
    else:
        assert event == SweepRequested(event.metadata, f"{operation} names no interface", by="server")


@pytest.mark.parametrize("value", [{"id": ONE}, 7, "port-1", ONE + "\n", ONE + "\0", [ONE]], ids=repr)
def test_what_stands_in_the_place_of_an_id_has_to_be_one(value: object) -> None:
    for deleting in (named("deletePort"), named("deleteLoadbalancer")):
        refused = violations({"cts": of(deleting, **(NOTHING | {"resource_id": value}))})
        assert refused == (Violation("$.cts.resource_id", "format: uuid"),)
    assert isinstance(only({"cts": trace(resource_id=value, trace_rating="warning")}), Ignored)
    assert isinstance(only({"cts": trace(resource_id=value, trace_name="updatePort")}), Ignored)
    assert isinstance(only(servers(resource_id=value)), SweepRequested)


def test_nics_whose_ids_are_none_are_refused_each_by_its_place() -> None:
    refused = violations(nic(request={"nics": [{"id": 1}, {"id": "x"}]}))
    assert refused == tuple(Violation(f"$.request.nics[{index}].id", "format: uuid") for index in range(2))
    assert ids_of(only(nic(request={"nics": [{"id": "x"}, {"id": ONE}]}))) == (ONE,)


def test_several_servers_of_one_deletion_are_told_once_each() -> None:
    request = {"servers": [{"id": SERVER}, {"id": OTHER.upper()}]}
    response = {"status": "SUCCESS", "entities": {"sub_jobs": [{"entities": {"server_id": OTHER}}, {}]}}
    assert ids_of(only(servers(resource_id=SERVER, request=json.dumps(request), response=response))) == (SERVER, OTHER)


def test_a_server_that_lives_on_is_no_deleted_server() -> None:
    """Its other interfaces may be mirrored for years: they say nothing of the one that was deleted."""
    for name in ("deleteNic", "changeVpc"):
        event = only(of(named(name), resource_id=SERVER, response={"status": "SUCCESS"}))
        assert isinstance(event, SweepRequested), event


# --- metadata --------------------------------------------------------------------------------------------------

MOMENT = datetime(2022, 2, 14, 3, 58, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1644811083000, MOMENT),
        (1644811083, MOMENT),
        (1644811083.0, MOMENT),
        ("1644811083000", MOMENT),
        ("2022/02/14 11:58:03 GMT+08:00", MOMENT),
        ("2022-02-14T03:58:03Z", MOMENT),
        ("2022-02-14t03:58:03Z", None),
        ("2022-02-14T03:58:03.204518937Z", MOMENT.replace(microsecond=204518)),
        ("2022-02-13T21:28:03.5-0630", MOMENT.replace(microsecond=500000)),
        ("2022-02-14 03:58:03 UTC", MOMENT),
        *((absurd, None) for absurd in ("2022/02/14 11:58:03", "2022-13-45T99:99:99Z", "0001-01-01T00:00:00+23:59")),
        *((absurd, None) for absurd in ("", None, ..., 0, -5, 10**30, 10**4000, 1e308, float("nan"), float("inf"))),
        *((absurd, None) for absurd in ("9" * 19, "٢٠٢٢-02-14T03:58:03Z")),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_every_form_of_time_is_read_and_no_absurd_one_stops_an_event(written: object, read: object) -> None:
    """The time of the record counts, else that of the trace."""
    assert only(trace(record_time=written, time=...)).metadata.time == read
    assert only(trace(record_time=written, time=0.5)).metadata.time == (read or datetime.fromtimestamp(0.5, UTC))


def test_a_trace_tells_its_id_project_and_actor_and_no_region() -> None:
    metadata = only(trace(trace_id="t-1", project_id="p1", user={"name": "ada"})).metadata
    assert (metadata.id, metadata.project_id, metadata.actor, metadata.region) == ("t-1", "p1", "ada", None)
    silent = only(trace(project_id=..., user={"name": 7})).metadata
    assert (silent.project_id, silent.actor) == (None, None)
    assert only(trace(project_id="", tenant_id="p2")).metadata.project_id == "p2"
    assert only(trace(user='{"user_name": "bob"}')).metadata.actor == "bob"


@pytest.mark.parametrize("odd", ["p1\r\nX-Odd: 1", "\x1b[2J", "x" * 513, "\x00"], ids=lambda odd: repr(odd)[:20])
def test_a_text_that_no_line_of_a_log_should_hold_is_not_repeated(odd: str) -> None:
    """A project of that name is another than ours, and not the default."""
    metadata = only(trace(project_id=odd, user={"name": odd})).metadata
    assert (metadata.project_id, metadata.actor) == ("?", None)
