"""The function as its callers see it: through functions-framework, with every answer checked for its shape."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeAlias
from unittest.mock import patch

import functions_framework
import pytest

from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from tests.support import schemas

MAIN, AT_ONCE = "handler/main.py", "tests/support/at_once.py"
"""Sources of the function; the second does not wait before it tries again."""

untraced = pytest.mark.no_cover
"""For what goes the same ways very often: coverage would double its time, and sees each of them in other tests."""

UNSAID: Mapping[str, Any] = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
"""How a server says that a body came in chunks."""

PROBLEM = {"type", "title", "status", "detail"}
PROBLEM_MAY_HAVE = PROBLEM | {"code", "request_id", "envelope", "violations"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def report(self) -> dict[str, Any]:
        assert "outcome" in self.json, self.json
        return dict(self.json)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["Content-Type"] == "application/problem+json", self.json
        return dict(self.json)

    @property
    def slug(self) -> str:
        """The last part of the problem's type."""
        return str(self.problem["type"].rpartition(":")[2])

    @property
    def enclosed(self) -> Answer:
        """The answer within the form that FunctionGraph asks for."""
        envelope = self.json
        return Answer(envelope["statusCode"], envelope["headers"], envelope["body"].encode())


class Function:
    """One process's function. Its settings are environment variables, given when it is made."""

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        target: Literal["on_event", "on_cloud_event"] = "on_event",
        source: str = MAIN,
    ) -> None:
        signature = "http" if target == "on_event" else "cloudevent"
        handler = signal.getsignal(signal.SIGTERM)
        with patch.dict(os.environ, settings):
            self._client = functions_framework.create_app(target, source, signature).test_client()
        signal.signal(signal.SIGTERM, handler)  # each function's would call that of the one before
        self._framework_answers = {200, 405} if target == "on_cloud_event" else set()

    def post(
        self,
        body: object = b"",
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "/",
        chunked: bool = False,
        method: str = "POST",
    ) -> Answer:
        """Send bytes as they are, and any other value as JSON; `chunked`: without a Content-Length."""
        headers = dict(headers or {})
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        length = UNSAID if chunked else {}
        return self._open(path, method=method, data=body, headers=headers, environ_overrides=length)

    def get(self, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        return self.post(b"", headers, path=path, method=method)

    def stream(self, body: IO[bytes], length: int | None = None) -> Answer:
        """Send JSON from a stream, with or without a Content-Length."""
        said = UNSAID if length is None else {"CONTENT_LENGTH": str(length)}
        sent = {"wsgi.input": body, **said}
        return self._open("/", method="POST", content_type="application/json", environ_overrides=sent)

    def _open(self, path: str, **request: Any) -> Answer:
        response = self._client.open(path, **request)
        answer = Answer(response.status_code, dict(response.headers), response.data)
        if answer.status not in self._framework_answers:
            check(answer)
        return answer


NewFunction: TypeAlias = Callable[..., Function]
"""Makes a function for the tenant: see the fixture `new_function`."""


def settings_for(emulator: Emulator, **settings: str) -> dict[str, str]:
    """Return settings for a function in the emulated tenant; one that is empty counts as absent."""
    return {
        "UNMIRROR_VPC_ENDPOINT": emulator.url,
        "UNMIRROR_TRUST": "platform",
        "RUNTIME_FUNC_NAME": "unmirror",  # as in FunctionGraph, which authenticates every caller
        "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
        "HUAWEICLOUD_SDK_SK": SECRET_KEY,
        "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT_ID,
        "NO_PROXY": "*",
        **settings,
    }


def check(answer: Answer) -> None:
    """Fail unless the answer has the shape of one of its kinds."""
    if not answer.body:
        assert ("Content-Length" in answer.headers) == (answer.status != 204)
        return
    assert answer.body.isascii()
    assert answer.body.endswith(b"\n")
    assert answer.body.count(b"\n") == 1
    value = answer.json
    if answer.headers["Content-Type"] == "application/problem+json":
        _check_problem(value, answer.status)
        return
    assert answer.headers["Content-Type"] == "application/json"
    if "outcome" in value:
        check_report(value, answer.status)
    elif "statusCode" in value:
        assert set(value) == {"statusCode", "headers", "body", "isBase64Encoded"}
        assert value["isBase64Encoded"] is False
        assert answer.status in (200, value["statusCode"])
        check(answer.enclosed)
    else:
        assert set(value) == {"name", "version", "ready", "missing"}


def check_report(report: dict[str, Any], status: int = 0) -> None:
    """Fail unless the report is as its schema says, and says what the status says."""
    assert schemas.violations("report", report) == []
    if status:
        assert status == (report["error"]["status"] if report["error"] else 200)


def _check_problem(problem: dict[str, Any], status: int) -> None:
    assert PROBLEM <= set(problem) <= PROBLEM_MAY_HAVE
    assert problem["status"] == status >= 400
    assert problem["type"].startswith("urn:unmirror:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert all(set(violation) == {"path", "rule"} for violation in problem.get("violations", []))
