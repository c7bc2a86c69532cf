"""FunctionGraph's Python runtime as its guide describes it: code unpacked in a folder, events and a context.

    python -I -S functiongraph_runtime.py FOLDER

Reads one invocation a line, JSON with `event`, `user_data` and `keys`; writes `{"result": ...}` or `{"error": ...}`.
What the function writes to standard output is its log, and goes to standard error. Only the folder and the standard
library can be imported.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import traceback
from typing import Any

HANDLER, INITIALIZER = "index.handler", "index.initializer"


class Context:
    """The methods of the context that the guide names for Python."""

    def __init__(self, user_data: dict[str, str], keys: tuple[str, str, str]) -> None:
        self._user_data, self._keys = user_data, keys

    def getUserData(self, key: str) -> str | None:  # noqa: N802 - the platform's names, here and below
        return self._user_data.get(key)

    def getSecurityAccessKey(self) -> str:  # noqa: N802
        return self._keys[0]

    def getSecuritySecretKey(self) -> str:  # noqa: N802
        return self._keys[1]

    def getSecurityToken(self) -> str:  # noqa: N802
        return self._keys[2]

    def getRemainingTimeInMilliSeconds(self) -> int:  # noqa: N802
        return 55_000

    def getRequestID(self) -> str:  # noqa: N802
        return "9d3f6a52-7c18-4b0e-8f25-e61b904cd7a3"

    def getFunctionName(self) -> str:  # noqa: N802
        return "unmirror"

    def getLogger(self) -> logging.Logger:  # noqa: N802
        return logging.getLogger("runtime")


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    initialized = False
    for line in sys.stdin:
        invocation = json.loads(line)
        context = Context(invocation["user_data"], tuple(invocation["keys"]))
        try:
            if not initialized:
                _function(INITIALIZER)(context)
                initialized = True
            answer = {"result": json.loads(json.dumps(_function(HANDLER)(invocation["event"], context)))}
        except Exception as error:  # noqa: BLE001 - as the runtime does
            answer = {"error": type(error).__name__, "trace": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def _function(path: str) -> Any:
    module, _, name = path.partition(".")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    main(sys.argv[1])
