"""What FunctionGraph's runtime gives a function: its context object, and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEMPORARY = ("TEMPORARY", "temporary-secret", "temporary-token")
"""A key as an agency gives it: id, secret, token."""


def key_headers(*three: str) -> dict[str, str]:
    """Return the headers in which FunctionGraph gives an image its keys."""
    names = ("X-CFF-Security-Access-Key", "X-CFF-Security-Secret-Key", "X-CFF-Security-Token")
    return dict(zip(names, three, strict=True))


class Context:
    """What the runtime gives with an event: the methods of its context object that are documented."""

    def __init__(
        self, user_data: Mapping[str, str], keys: tuple[Any, Any, Any] = TEMPORARY, left: int = 30_000
    ) -> None:
        self._user_data, self._keys, self._left = dict(user_data), keys, left

    def getUserData(self, key: str) -> str | None:  # noqa: N802 - the platform's name, here and below
        return self._user_data.get(key)

    def getSecurityAccessKey(self) -> Any:  # noqa: N802
        return self._keys[0]

    def getSecuritySecretKey(self) -> Any:  # noqa: N802
        return self._keys[1]

    def getSecurityToken(self) -> Any:  # noqa: N802
        return self._keys[2]

    def getRemainingTimeInMilliSeconds(self) -> int:  # noqa: N802
        return self._left
