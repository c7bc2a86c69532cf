"""The API's signatures, checked from what arrived: SDK-HMAC-SHA256, and the lock of a key after too many failures.

Source: https://support.huaweicloud.com/eu/nl-nl/devg-apisign/api-sign-0001.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import web

from handler.emulator.messages import Refusal

# Failures in a row that lock no key yet; the next one does.
LOCK_AFTER = 5
# How long no signature is right for a locked key.
LOCK = timedelta(minutes=5)
# By which a caller's clock may be off.
SKEW = timedelta(minutes=15)

# A secret key; with its security token where the key is a temporary one.
Secret: TypeAlias = str | tuple[str, str]


class Authenticator:
    """Signatures: SDK-HMAC-SHA256, fifteen minutes of skew, and the lock after too many failures in a row."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.failures: dict[str, int] = {}
        self._locked_until: dict[str, datetime] = {}

    def check(self, request: web.BaseRequest, body: bytes, keys: Mapping[str, Secret]) -> None:
        """Raise a Refusal unless the request is signed rightly with one of the keys."""
        header = request.headers.get("Authorization", "")
        match = re.fullmatch(r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", header)
        if match is None:
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: no signature")
        access_key, names, signature = match.groups()
        if (until := self._locked_until.get(access_key)) is not None and self._now() < until:
            raise Refusal(401, "APIGW.0301", "AK access failed to reach the limit,forbidden")
        secret = keys.get(access_key)
        secret_key, token = secret if isinstance(secret, tuple) else (secret, "")
        right = (
            secret_key is not None and self._in_time(request) and request.headers.get("X-Security-Token", "") == token
        )
        if not right or not hmac.compare_digest(signature, _signature(request, body, names, secret_key or "")):
            self._count(access_key)
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail")
        self.failures.pop(access_key, None)

    def _in_time(self, request: web.BaseRequest) -> bool:
        try:
            sent = datetime.strptime(request.headers.get("X-Sdk-Date", "") + "+0000", "%Y%m%dT%H%M%SZ%z")
        except ValueError:
            return False
        return abs(self._now() - sent) <= SKEW

    def _count(self, access_key: str) -> None:
        self.failures[access_key] = self.failures.get(access_key, 0) + 1
        if self.failures[access_key] > LOCK_AFTER:
            self._locked_until[access_key] = self._now() + LOCK


def _signature(request: web.BaseRequest, body: bytes, names: str, secret_key: str) -> str:
    """Return the signature that a request should have, from what arrived."""
    path, _, query = request.raw_path.partition("?")
    segments = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        (
            request.method,
            segments if segments.endswith("/") else f"{segments}/",
            "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs),
            "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names.split(";")),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"SDK-HMAC-SHA256\n{request.headers.get('X-Sdk-Date', '')}\n{digest}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
