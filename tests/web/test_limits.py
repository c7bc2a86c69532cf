"""Every limit of what may be sent, at it and one beyond. Over a real socket: tests/process/test_served.py."""

from __future__ import annotations

import io
from typing import Any

import pytest

from handler.deadline import Deadline
from handler.service import Service
from handler.web.app import MAX_BATCH, MAX_BODY, MAX_DRAINED, MAX_URI
from tests.support.function import Function, NewFunction
from tests.support.tenant import BATCH

JSON = "application/json"


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(
    ("media", "limit"),
    [
        (JSON, 256 * 1024),
        ("application/cloudevents+json", 256 * 1024),
        ("application/cloudevents-batch+xml", 256 * 1024),
        (BATCH, 1024 * 1024),
        (f"{BATCH.upper()}; charset=utf-8", 1024 * 1024),
    ],
)
def test_a_body_may_be_256_kib_and_a_batch_1_mib(function: Function, media: str, limit: int, chunked: bool) -> None:
    assert limit in (MAX_BODY, MAX_BATCH)
    body = b"[" + b" " * (limit - 1)
    assert function.post(body, {"Content-Type": media}, chunked=chunked).status in (400, 415)
    answer = function.post(body + b" ", {"Content-Type": media}, chunked=chunked)
    assert (answer.status, answer.problem["detail"]) == (413, f"the body is over {limit} bytes")


@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_what_the_framework_reads_itself_has_the_same_bound(new_function: NewFunction, path: str) -> None:
    """It would keep a body of any size."""
    answer = new_function("on_cloud_event").post(b" " * (MAX_BODY + 1), path=path, chunked=True)
    assert (answer.status, answer.slug) == (413, "too-large")


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_a_url_may_be_8_kib(new_function: NewFunction, target: str) -> None:
    """The framework tells its server to take any number."""
    function = new_function(target)
    answer = function.post({}, path="/?q=" + "q" * (MAX_URI - 3))
    assert (answer.status, answer.problem["detail"]) == (414, f"path and query are over {MAX_URI} bytes")
    assert function.post({}, path="/?q=" + "q" * (MAX_URI - 4)).status == 400


def test_a_body_without_an_end_is_given_up(function: Function) -> None:
    given = []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            given.append(size or 0)
            return b" " * given[-1]

    assert function.stream(Endless()).status == 413
    assert sum(given) <= 2 * MAX_DRAINED


def test_a_body_that_breaks_off_is_a_400(function: Function) -> None:
    class BreaksOff(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError("marked")

    for answer in (function.stream(BreaksOff()), function.stream(io.BytesIO(b'{"x":'), length=1_000)):
        assert (answer.status, answer.problem["detail"]) == (400, "the body broke off")


def test_a_body_that_takes_longer_than_a_delivery_is_a_408(new_function: NewFunction) -> None:
    answer = new_function(UNMIRROR_DEADLINE="0.000001").post({})
    assert (answer.status, answer.slug) == (408, "request-timeout")


def test_the_time_for_the_body_is_of_the_time_for_the_delivery(
    new_function: NewFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Deadline] = []
    make = Service.deadline
    monkeypatch.setattr(Service, "deadline", lambda *given: began.append(make(*given)) or began[-1])
    assert new_function().post({}).status == 400
    assert len(began) == 1


def test_a_stop_while_the_body_is_read_is_no_fault_of_the_sender(
    new_function: NewFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, make = new_function(), Service.deadline

    def stopping(*given: Any) -> Deadline:
        deadline = make(*given)
        monkeypatch.setattr(deadline.cancellation, "cancelled", True)
        return deadline

    monkeypatch.setattr(Service, "deadline", stopping)
    answer = function.post({})
    assert (answer.status, answer.slug) == (503, "deadline-exceeded")
