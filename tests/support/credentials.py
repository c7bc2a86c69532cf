"""Where keys come from, made up: link-local services, variables and a profile file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from handler.deadline import Deadline
from handler.vpc.credentials import METADATA, CredentialChain, CredentialsNotFound
from tests.support.clock import NOON

POD = "http://169.254.1.1/credentials"


def deadline(seconds: float = 5.0) -> Deadline:
    return Deadline.within(seconds, lambda: 0.0)


def temporary(name: str = "meta", hours: float = 6, now: datetime = NOON) -> tuple[int, bytes]:
    expires_at = (now + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    key = {"access": f"{name}-ak", "secret": f"{name}-sk", "securitytoken": f"{name}-token", "expires_at": expires_at}
    return 200, json.dumps({"credential": key}).encode()


class Services:
    """The link-local services: an answer for each URL, an exception where nobody listens."""

    def __init__(self, answers: Mapping[str, tuple[int, bytes] | list[tuple[int, bytes]]] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.on_ask: Callable[[], None] = lambda: None

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        assert 0 < timeout <= 3.0
        self.asked.append((method, url, dict(headers)))
        self.on_ask()
        answer = self.answers.get(url)
        if answer is None:
            raise CredentialsNotFound("no answer")
        return answer.pop(0) if isinstance(answer, list) else answer


TOKEN_URL = f"{METADATA}/meta-data/latest/api/token"
KEY_URL = f"{METADATA}/openstack/latest/securitykey"


def metadata(*keys: tuple[int, bytes], token: tuple[int, bytes] = (404, b"")) -> Services:
    """Return a metadata service that gives these keys one after the other, or one for ever."""
    return Services({TOKEN_URL: token, KEY_URL: [*keys] if len(keys) > 1 else keys[0]})


VARIABLES = {"HUAWEICLOUD_SDK_AK": "env-ak", "HUAWEICLOUD_SDK_SK": "env-sk"}
PROFILE = "[basic]\nak = file-ak\nsk = file-sk%1\nsecurity_token = file-token\n"

Chain: TypeAlias = Callable[..., CredentialChain]
