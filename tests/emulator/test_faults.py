"""What goes wrong on purpose: faults, throttling, and clocks that are off."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from handler.emulator.operations import Behaviour, Fault
from tests.support.region import PROJECT, SESSIONS, NewRegion, Region


def test_over_the_rate_limit_the_gateway_answers_429(new_region: NewRegion) -> None:
    answer = new_region(rate_limit=0, retry_after=7).ask(SESSIONS)
    assert (answer.status_code, answer.json()["error_code"]) == (429, "APIGW.0308")
    assert answer.headers["Retry-After"] == "7"


def test_a_fault_strikes_at_its_operation_as_often_as_it_says_after_what_it_skips(region: Region) -> None:
    session = region.cloud.add_session(PROJECT)
    region.emulator.faults.append(Fault("show_session", status=503, times=2, skip=1, headers={"Retry-After": "1"}))
    assert region.ask(SESSIONS).status_code == 200
    answers = [region.ask(f"{SESSIONS}/{session}") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 503, 503, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert [call.status for call in region.emulator.calls] == [200, 200, 503, 503, 200]


@pytest.mark.parametrize(("kind", "left"), [("reset", ("a",)), ("lost", ()), ("truncate", ())])
def test_an_answer_breaks_off_before_or_after_the_removal_was_done(
    region: Region, kind: Any, left: tuple[str, ...]
) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    region.emulator.faults.append(Fault("remove_sources", kind))
    with pytest.raises(requests.RequestException):
        region.remove(session, "a")
    assert region.cloud.sources(PROJECT)[session] == left


@pytest.mark.parametrize("status", [102, 103, 199])
def test_an_interim_answer_comes_before_the_true_one(region: Region, status: int) -> None:
    region.emulator.faults.append(Fault("show_port", "interim", status=status))
    address = urlsplit(region.emulator.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=30) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(f"GET /v3/{PROJECT}/ports/missing HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        interim, blank, final = (stream.readline() for _ in range(3))
    assert interim.startswith(f"HTTP/1.1 {status} ".encode())
    assert blank == b"\r\n"
    assert final.startswith(b"HTTP/1.1 404 ")


def test_what_hangs_is_let_go_when_the_faults_are_cleared(region: Region) -> None:
    region.emulator.faults.append(Fault(kind="hang", times=-1))
    with pytest.raises(requests.ReadTimeout):
        region.ask(SESSIONS, timeout=0.2)
    region.emulator.clear_faults()
    assert region.ask(SESSIONS).status_code == 200


def test_an_answer_drips_until_the_faults_are_cleared(region: Region) -> None:
    region.emulator.faults.append(Fault(kind="drip"))
    answer = requests.get(f"{region.emulator.url}/v3/{PROJECT}/ports/missing", stream=True, timeout=30)
    first = answer.raw.read1(1000)
    region.emulator.clear_faults()
    rest = answer.raw.read()
    assert rest.endswith(b"}")
    assert len(first) < len(rest)


@pytest.mark.parametrize(("offset", "date"), [(0, "12:00:00"), (7200, "14:00:00"), (-30, "11:59:30"), (None, "")])
def test_the_date_of_answers_may_be_off_or_missing(new_region: NewRegion, offset: float | None, date: str) -> None:
    region = new_region(behaviour=Behaviour(date_offset=offset), now=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))
    region.emulator.faults.append(Fault("show_port"))
    for path in (SESSIONS, f"/v3/{PROJECT}/ports/missing", f"/v3/{PROJECT}/ports/missing"):
        expected = f"Fri, 01 May 2026 {date} GMT" if date else None
        assert region.ask(path).headers.get("Date") == expected


def test_a_latency_varies_by_its_jitter(new_region: NewRegion, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, *rest: Any) -> None:
        waits.append(seconds)
        await sleep(0, *rest)

    monkeypatch.setattr(asyncio, "sleep", note)
    region = new_region(latency=0.2, jitter=0.5)
    for _ in range(20):
        region.ask(SESSIONS)
    assert all(0.1 <= wait <= 0.3 for wait in waits)
    assert min(waits) < 0.19 < 0.21 < max(waits)
