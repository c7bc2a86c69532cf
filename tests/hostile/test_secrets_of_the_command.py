"""No secret comes out of the command either: what it prints, and what it says of where its key comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.cli import invoked
from tests.support.function import untraced
from tests.support.secrets import FAULTS, MARKED, Ear, everything, marked, secret_settings
from tests.support.tenant import delete


@pytest.fixture
def command(emulator: Emulator, ear: Ear, tmp_path: Path) -> Callable[..., int]:
    """Return what calls the command with all secrets in its environment, and hears what it says."""
    settings = secret_settings(emulator)

    def call(*arguments: str, **environ: str) -> int:
        env = {**settings, "HOME": str(tmp_path), "COLUMNS": "80", **environ}
        result = invoked(arguments, env)
        ear.hear(result.output, result.stdout, result.stderr)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code

    return call


@untraced
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["for people", "JSON"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_command_says_any(
    fault: str,
    as_json: tuple[str, ...],
    command: Callable[..., int],
    emulator: Emulator,
    tenant: Tenant,
    tmp_path: Path,
) -> None:
    gone, living = delete(tenant), tenant.interfaces["db-1"]
    emulator.faults += FAULTS[fault]
    letters, one = tmp_path / "letters.jsonl", tmp_path / "one.json"
    events = [body for body, _ in everything(gone, tenant.cloud.new_id()) if isinstance(body, dict)]
    events = events[:1] if FAULTS[fault] else events
    letters.write_text("".join(f"{json.dumps(event)}\n" for event in events) + MARKED["a value of an event"])
    one.write_text(json.dumps(marked(living)))
    seconds = "0.2" if FAULTS[fault] else "20"  # no time to try again and again
    codes = [
        command(*words, *as_json, "--deadline", seconds)
        for words in (("check",), ("detach", gone), ("sweep", "--dry-run"), ("sweep",), ("sessions",))
    ]
    codes.append(command("replay", str(letters), *as_json, "--deadline", seconds))
    codes.append(command("explain", str(one), *as_json))
    assert set(codes) <= {0, 1, 2, 3}
    assert 1 in codes


PROFILE = f"[basic]\nak = {MARKED['access key of the profile']}\nsk = {MARKED['secret key of the profile']}\n"
PROFILES = {
    "whole": PROFILE.encode(),
    "not a profile": MARKED["a line of a broken profile"].encode(),
    "a line that is none": f"{PROFILE}{MARKED['a line of a broken profile']}\n".encode(),
    "the same twice": f"{PROFILE}sk = {MARKED['a line of a broken profile']}\n".encode(),
    "not UTF-8": MARKED["a line of a broken profile"].encode() + b"\xff\xfe",
    "a key without its half": f"[basic]\nak = {MARKED['access key of the profile']}\n".encode(),
    "a key that no header can carry": PROFILE.replace("sk = ", "sk = \u201c").encode(),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_source_of_keys_is_quoted(
    profile: str, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The API refuses the profile's key, or the profile is broken and the pod's service is not there."""
    monkeypatch.setattr("handler.vpc.credentials.METADATA", "http://127.0.0.1:9")
    file, token = tmp_path / "credentials", tmp_path / "token"
    file.write_bytes(PROFILES[profile])
    token.write_text(MARKED["token of a pod"])
    from_files = {
        "HUAWEICLOUD_SDK_AK": "",
        "HUAWEICLOUD_SDK_SK": "",
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": "",
        "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(file),
        "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
        "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    for words in (("check",), ("check", "--json"), ("sweep",)):
        assert command(*words, **from_files) == 1
