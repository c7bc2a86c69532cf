"""Where deliveries are sent to again: the VPC API by way of the service, or a function's URL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import click
import requests
import urllib3
from requests.adapters import HTTPAdapter
from standardwebhooks.webhooks import Webhook

from handler import __version__
from handler.cli.deliveries import Delivery, Ending
from handler.errors import BadEvent, NotConfigured
from handler.model import Deadline
from handler.service import Service
from handler.settings import Settings

ANSWER_SECONDS = 60.0
"""A function may take longer than its own deadline when it has to start first."""
MAX_ANSWER = 4 * 1024 * 1024

GIVE_UP_AFTER = 20
"""Deliveries that fail one after another until the rest are not sent: what ails them ails all."""

Send: TypeAlias = Callable[[Delivery], Ending]


def to_api(service: Service, deadline: Deadline) -> Send:
    """Return what lets the service handle a delivery as if the function had got it."""

    def send(delivery: Delivery) -> Ending:
        try:
            report = service.handle(delivery.payload, seconds=deadline.remaining())
        except BadEvent as error:
            return Ending(delivery, "unreadable", error.status, str(error))
        return Ending(delivery, report.outcome, report.status, report.reason, report.to_json())

    return send


@contextmanager
def to_function(url: str, secret: str, token: str, in_flight: int, deadline: Deadline) -> Iterator[Send]:
    """Give what posts a delivery to a URL, signed or with a token where they are not empty.

    Raises UsageError, which says what is wrong with them. Nothing is followed, and nothing secret is kept or shown.
    """
    signer = _signer(secret)
    _check(url, with_token=bool(token))
    headers = {"Content-Type": "application/json", "User-Agent": f"unmirror/{__version__}"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    with requests.Session() as session:
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # threads share the session, and no state
        session.auth = lambda request: request  # or a .netrc would replace the token
        session.mount(url, HTTPAdapter(pool_maxsize=in_flight))

        def send(delivery: Delivery) -> Ending:
            body = delivery.body
            seconds = min(ANSWER_SECONDS, deadline.remaining() or 0.001)
            ready = headers | signer(f"replay-{delivery.key}", body)
            try:
                with session.post(
                    url, data=body, headers=ready, timeout=seconds, allow_redirects=False, stream=True
                ) as answer:
                    content = answer.raw.read(MAX_ANSWER, decode_content=True)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                return Ending(delivery, "unanswered", 0, f"no answer: {type(error).__name__}")
            return _ending(delivery, answer.status_code, content)

        yield send


def patient(send: Send, deadline: Deadline) -> Send:
    """Return what sends until time is up, or too many fail in a row; then it says that it did not send."""
    failures = 0

    def unless_hopeless(delivery: Delivery) -> Ending:
        nonlocal failures
        if failures >= GIVE_UP_AFTER:
            return Ending(delivery, "not_sent", 0, f"not sent, because {GIVE_UP_AFTER} before it failed in a row")
        if deadline.remaining() <= 0:
            return Ending(delivery, "not_sent", 0, "not sent before the end")
        ending = send(delivery)
        failed = ending.outcome in ("failed", "refused", "unanswered") and ending.status != 403  # its own project
        failures = failures + 1 if failed else 0
        return ending

    return unless_hopeless


def _signer(secret: str) -> Callable[[str, bytes], dict[str, str]]:
    if not secret:
        return lambda _, __: {}
    try:
        first = Settings.from_env({"UNMIRROR_WEBHOOK_SECRETS": secret}).webhook_secrets[0]
    except (NotConfigured, IndexError):
        raise click.UsageError("the secret is not whsec_ and the base64 of 16 bytes or more") from None
    webhook = Webhook(first)

    def sign(id_: str, body: bytes) -> dict[str, str]:
        now = datetime.now(timezone.utc)
        return {
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": webhook.sign(id_, now, body.decode("ascii")),
        }

    return sign


def _check(url: str, *, with_token: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise click.UsageError("the URL is https://host/path, without a name or a password")
    try:
        Settings.from_env({"UNMIRROR_VPC_ENDPOINT": f"{parts.scheme}://{parts.netloc}"} if with_token else {})
    except NotConfigured:
        raise click.UsageError("a token is sent over https only, or to a loopback address") from None


def _ending(delivery: Delivery, status: int, content: bytes) -> Ending:
    try:
        said: Any = json.loads(content or b"{}")
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    if "outcome" in said:
        return Ending(delivery, str(said["outcome"]), status, str(said.get("reason", "")), said)
    detail = str(said.get("detail", "")) or _WORDS.get(status // 100, "")
    outcome = "unreadable" if status == 400 else "answered" if status in (200, 204) else "refused"
    return Ending(delivery, outcome, status, detail)


_WORDS = {3: "it redirects, which is not followed: give the URL to which it leads", 4: "refused", 5: "it failed"}
