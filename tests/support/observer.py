"""What a worker tells, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from handler.errors import UnmirrorError
from handler.model import ApiCall


@dataclass
class RecordingObserver:
    calls: list[tuple[ApiCall, Sequence[object]]] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)

    def on_call(self, call: ApiCall, traces: Sequence[object]) -> None:
        self.calls.append((call, traces))

    def on_abandoned(self, project_id: str) -> None:
        self.abandoned.append(project_id)

    def on_unhandled(self, error: BaseException) -> UnmirrorError:
        self.bugs.append(error)
        return UnmirrorError("a bug")
