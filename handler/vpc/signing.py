"""SDK-HMAC-SHA256, the signature of Huawei Cloud's API gateway. Pure.

Source: API signing guide, https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html, and what
the official SDK sends. The query of the URL has to be the canonical one, so it is built here too.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import quote, unquote

ALGORITHM = "SDK-HMAC-SHA256"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query that is signed and sent: sorted by key, then value, each percent-encoded."""
    return "&".join(f"{_encoded(key)}={_encoded(value)}" for key, value in sorted(pairs))


def signed(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    when: datetime,
) -> dict[str, str]:
    """Return the headers with `X-Sdk-Date` and `Authorization`.

    `query` is that of `canonical_query`. All given headers are signed but those whose name has an underscore;
    `Host` has to be among them, with the port if the URL has one. `when` is the moment of sending, UTC.
    """
    date = headers.get("X-Sdk-Date") or when.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Sdk-Date": date}
    canonical = {name.lower(): value.strip() for name, value in sent.items() if "_" not in name}
    names = ";".join(sorted(canonical))
    request = "\n".join(
        (
            method,
            _canonical_path(path),
            query,
            "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical)),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return {**sent, "Authorization": f"{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"}


def _canonical_path(path: str) -> str:
    """Encode each segment once, and end in a slash; the request itself goes without it."""
    encoded = "/".join(_encoded(segment) for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _encoded(text: str) -> str:
    return quote(text, safe="~")
