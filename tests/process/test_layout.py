"""What is shipped: the wheel."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from handler import __version__
from tests.support import schemas
from tests.support.processes import run


def test_the_wheel_holds_every_schema_and_works_where_it_is_installed(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "target"
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    installed = run(sys.executable, *pip, "--target", str(target), str(wheel))
    assert installed.returncode == 0, installed.stderr
    shipped = target / "handler" / "schemas"
    assert sorted(file.relative_to(shipped).with_suffix("").as_posix() for file in shipped.rglob("*.json")) == (
        schemas.names()
    )
    assert {entry.name for entry in target.iterdir()} <= {"handler", "bin", f"unmirror-{__version__}.dist-info"}
    environ = {**os.environ, "PYTHONPATH": str(target)}
    use = (
        "import handler.functiongraph as f; from handler import events; print(f.__file__, events.validate('timer', 1))"
    )
    used = run(sys.executable, "-c", use, cwd=tmp_path, env=environ)
    assert used.returncode == 0, used.stderr
    place, _, found = used.stdout.partition(" ")
    assert Path(place).is_relative_to(target)
    assert "Violation" in found, "the schema that is shipped was read"
    assert (
        run(str(target / "bin" / "unmirror"), "--version", env=environ).stdout == f"unmirror, version {__version__}\n"
    )
    assert json.loads((shipped / "report.json").read_text())["$id"] == "urn:unmirror:schema:report"
