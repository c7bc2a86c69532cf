"""FunctionGraph's Python runtime as its guide describes it: code unpacked in a folder, events and a context.

    python -I -S deploy_runtime.py FOLDER

Reads one invocation a line, JSON with `event`, `user_data` and `keys`; writes `{"result": ...}` or `{"error": ...}`.
What the function writes to standard output is its log, and goes to standard error. The function can import only the
folder and the standard library.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from functiongraph import Context

sys.path.pop(0)


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    index = importlib.import_module("index")
    initialized = False
    for line in sys.stdin:
        invocation: dict[str, Any] = json.loads(line)
        context = Context(invocation["user_data"], tuple(invocation["keys"]))
        try:
            if not initialized:
                index.initializer(context)
                initialized = True
            answer = {"result": json.loads(json.dumps(index.handler(invocation["event"], context)))}
        except Exception as error:  # noqa: BLE001 - as the runtime does
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
