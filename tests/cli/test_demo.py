"""`unmirror demo`: the whole function, seen at work without a cloud."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from handler.emulator import sample
from tests.support.cli import TERMINAL, Run, Start, described
from tests.support.golden import same
from tests.support.processes import ended


def test_it_shows_what_it_claims_at_80_columns_and_as_json(start: Start) -> None:
    """Both at once, to wait for them together; with a proxy and settings that lead nowhere."""
    nowhere = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com", "UNMIRROR_REGION": "!"}
    with start("demo", **nowhere, **TERMINAL) as shown, start("demo", "--json") as printed:
        text, errors = shown.communicate(timeout=40)
        as_json, _ = printed.communicate(timeout=40)
    assert (shown.returncode, printed.returncode, errors) == (0, 0, "")
    same("demo", re.sub(r"took [^[]*?(?=\n\n|\nsession)", "took           0 ms; the calls", text))
    claimed = described("demo", as_json)
    assert claimed["as_claimed"]
    outcomes = ["detached", "still_exists", "nothing_to_do", "detached"]
    assert [act["report"]["outcome"] for act in claimed["acts"]] == outcomes
    assert [act["before"] != act["after"] for act in claimed["acts"]] == [True, False, False, True]
    assert claimed["acts"][3]["report"]["by"] == "server"


def test_it_fails_where_the_cloud_is_not_as_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region in which a deletion detaches by itself: nothing is left for the event to do."""
    tenant = sample.seed()
    delete = tenant.cloud.delete_port
    monkeypatch.setattr(tenant.cloud, "delete_port", lambda id_: delete(id_, detach=True))
    monkeypatch.setattr(sample, "seed", lambda: tenant)
    run = Run(tmp_path, {})
    assert not run.json("demo", exit_code=1)["as_claimed"]
    errors = run("demo").stderr
    assert "the outcome is detached" in errors
    assert "\nnext: " in errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_with_everything_that_it_started(start: Start, number: signal.Signals, code: int) -> None:
    with start("demo") as child:
        assert child.stdout is not None
        while "API calls" not in child.stdout.readline():
            assert child.poll() is None
        child.send_signal(number)
        printed, errors = child.communicate(timeout=20)
        assert child.returncode == code
        assert '"event"' not in printed
        assert "Traceback" not in errors
        assert "HTTP/1.1" not in errors
        assert ended(child)
