"""SDK-HMAC-SHA256, the signature of Huawei Cloud's API gateway. Pure.

Source: API signing guide, https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-algorithm.html, and what
the official SDK sends. The query of the URL has to be the canonical one, so it is built here too.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import quote, unquote

from handler.vpc.credentials import AccessKey

ALGORITHM = "SDK-HMAC-SHA256"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query that is signed and sent: sorted by key, then value, each percent-encoded."""
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(pairs))


def signed(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, key: AccessKey, when: datetime
) -> dict[str, str]:
    """Return the headers with the key's token, `X-Sdk-Date`, of `when` in UTC, and `Authorization`.

    `query` is a canonical one. All headers are signed but those whose name has an underscore; `Host` is to be among
    them, with the port if the URL has one.
    """
    date = when.strftime("%Y%m%dT%H%M%SZ")
    token = {"X-Security-Token": key.security_token} if key.security_token else {}
    sent = {**headers, **token, "X-Sdk-Date": date}
    canonical = sorted((name.lower(), value.strip()) for name, value in sent.items() if "_" not in name)
    lines = "".join(f"{name}:{value}\n" for name, value in canonical)
    names = ";".join(name for name, _ in canonical)
    encoded = quote(unquote(path), safe="/~").removesuffix("/") + "/"  # the request itself goes without the slash
    request = "\n".join((method, encoded, query, lines, names, hashlib.sha256(body).hexdigest()))
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key.secret.encode(), to_sign.encode(), "sha256").hex()
    sent["Authorization"] = f"{ALGORITHM} Access={key.id}, SignedHeaders={names}, Signature={signature}"
    return sent
