"""`unmirror demo`: the whole function, seen at work without a cloud."""

from __future__ import annotations

import json
import re
import signal

import pytest

from handler.emulator import sample as tenant
from tests.cli.conftest import Run, Start, described
from tests.cli.golden import same
from tests.support.function import check_report
from tests.support.processes import ended


def test_it_shows_what_it_claims_at_80_columns_and_as_json(start: Start) -> None:
    """Both at once, to wait for them together; in a pipe, and with a proxy that leads nowhere."""
    nowhere = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com"}
    with start("demo", settings=nowhere) as shown, start("demo", "--json") as told:
        text, errors = shown.communicate(timeout=40)
        as_json, _ = told.communicate(timeout=40)
    assert (shown.returncode, told.returncode, errors) == (0, 0, "")
    same("demo", re.sub(r"(took [^\n]*,)\s+(\d)\s+(?=remove_sources)", r"\1 \2 ", text))  # where the time leaves it
    claimed = described("demo", as_json)
    assert claimed["as_claimed"]
    for act in claimed["acts"]:
        check_report(act["report"], act["status"])
    assert [act["report"]["outcome"] for act in claimed["acts"]] == ["detached", "still_exists", "nothing_to_do"]
    changed = [act["before"] != act["after"] for act in claimed["acts"]]
    assert changed == [True, False, False]
    assert ended(shown)
    assert ended(told)


def test_it_fails_where_the_cloud_is_not_as_claimed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region in which a deletion detaches by itself: nothing is left for the event to do."""
    company = tenant.seed()
    delete = company.cloud.delete_port
    monkeypatch.setattr(company.cloud, "delete_port", lambda id_: delete(id_, detach=True))
    monkeypatch.setattr(tenant, "seed", lambda: company)
    result = run("demo", "--json")
    assert result.exit_code == 1
    assert not json.loads(result.stdout)["as_claimed"]
    assert "the outcome is detached" in result.stderr
    assert "\nnext: " in result.stderr


def test_it_ends_with_everything_that_it_started(start: Start) -> None:
    """By Ctrl-C and by SIGTERM, each once its function runs."""
    with start("demo") as interrupted, start("demo") as terminated:
        for child, number in ((interrupted, signal.SIGINT), (terminated, signal.SIGTERM)):
            assert child.stdout is not None
            while "API calls" not in child.stdout.readline():
                assert child.poll() is None
            child.send_signal(number)
        for child, code in ((interrupted, 130), (terminated, 143)):
            _, errors = child.communicate(timeout=20)
            assert child.returncode == code
            assert "Traceback" not in errors
            assert ended(child)
