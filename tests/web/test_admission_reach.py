"""Nothing that is sent becomes part of a path, a query, a header or a log line but in a form that is safe there."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler.emulator.sample import PROJECT_ID
from handler.emulator.server import Emulator
from handler.errors import ApiRefused, BadEvent, NotAllowed
from handler.model import Deadline, Origin
from handler.observability import logs as telemetry
from handler.report import Report
from handler.service import Service
from handler.vpc.client import ProjectApi
from handler.web import responses as answers
from tests.support.function import settings_for

ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)

anything = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            ".",
            "..",
            "../x",
            "%2e%2e",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a\r\nX: y",
            "a\0",
            "\uff0e\uff0e\uff0fa",
            "-x",
            "x" * 129,
        ]
    ),
)
once = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def service(emulator: Emulator) -> Service:
    return Service.from_env(settings_for(emulator), sleep=lambda _: None)


@pytest.fixture
def api(service: Service) -> ProjectApi:
    return service.api(PROJECT_ID, Deadline.within(30, service.clock))


@once
@given(anything)
def test_an_id_of_another_form_is_never_part_of_a_url(api: ProjectApi, emulator: Emulator, id_: str) -> None:
    """Whether it came with an event or in an answer of the API."""
    if ID.fullmatch(id_):
        return
    for call in (
        lambda: api.find_interface(id_),
        lambda: api.show_session(id_),
        lambda: api.list_interfaces([id_]),
        lambda: api.remove_sources(id_, [PROJECT_ID]),
        lambda: api.remove_sources(PROJECT_ID, [id_]),
        lambda: api.client.project(id_, api.deadline),
    ):
        with pytest.raises(ApiRefused, match="it was not sent"):
            call()
    assert emulator.calls == []


@once
@given(anything)
def test_a_project_that_is_not_ours_is_refused_before_it_is_part_of_anything(service: Service, id_: str) -> None:
    if id_ and id_ != PROJECT_ID:
        with pytest.raises(NotAllowed):
            service.project_of(Origin("1", "trace", project_id=id_))


@once
@given(anything)
def test_an_id_in_a_header_is_visible_ascii_and_says_the_same(id_: str) -> None:
    report = Report(id_, "cloudevent", "detached", "done")
    value = answers.of_report(report, NOW, as_cloudevent=True).headers["ce-id"]
    assert re.fullmatch(r"[!-~]+", value)
    assert unquote(value) == (id_ or "none")


@once
@given(anything, anything)
def test_a_line_of_the_log_is_one_line_of_ascii_whatever_is_in_it(
    capsys: pytest.CaptureFixture[str], id_: str, text: str
) -> None:
    telemetry.configure()
    capsys.readouterr()
    telemetry.delivered(Report(id_, "cloudevent", "ignored", text))
    telemetry.refused(BadEvent(text))
    out = capsys.readouterr().out
    assert out.isascii()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    for line in out.splitlines():
        json.loads(line)
    assert len(out.splitlines()) == 2
