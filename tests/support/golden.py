"""Outputs as they were looked at and found good, in `tests/cli/golden/`: at 80 columns, and as a pipe gets them.

After a change that is meant, write them anew with GOLDEN=write, and look at the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "cli" / "golden"

_VARYING = (
    (r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT"),
    (r"\d+\.\d s;", "0.0 s;"),
    (r"[\d,]+ ms", "0 ms"),
    (r"request: \w+", "request: ID"),
    (r"metadata service: [^\n]*", "metadata service: WHY"),
    (r"/[^\s;:]*/credentials", "HOME/credentials"),
)


def same(name: str, output: str, *, width: int | None = 80) -> None:
    """Fail unless the output is the golden one, and fits into the width."""
    for pattern, replacement in _VARYING:
        output = re.sub(pattern, replacement, output)
    output = "".join(f"{line.rstrip(' ')}\n" for line in output.splitlines())
    assert width is None or max(map(len, output.splitlines())) <= width
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(output, "utf-8")
    # of lists, pytest shows what differs
    assert output.splitlines(keepends=True) == file.read_text("utf-8").splitlines(keepends=True)
