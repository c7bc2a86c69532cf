"""Reports, each in one line."""

from __future__ import annotations

from typing import Any

from handler.model import Cause, Detachment, Gone, SnapshotEvidence, SweepFigures
from handler.report import Report
from tests.support.clock import NOON


def detachment(session_id: str = "s-1", *interface_ids: str, status: Any = "detached", **members: Any) -> Detachment:
    """Return a detachment of `eni-1`, unless others are named."""
    return Detachment(session_id, f"name of {session_id}", interface_ids or ("eni-1",), status, **members)


def report(*detachments: Detachment, **members: Any) -> Report:
    """Return the report of a CTS event; members replace its own."""
    snapshot = SnapshotEvidence(NOON, ("page-1",), 0.5, predates_delivery=False)
    told = {
        "project_id": "p-1",
        "by": "event",
        "detachments": detachments,
        "snapshot": snapshot,
        "calls": (["one", "two", "three"],),
    }
    return Report("event-1", members.pop("envelope", "cts"), **{**told, **members})


def proven(**members: Any) -> Report:
    """Return the report of a detachment with its proof and its cause."""
    done = detachment(request_ids=("removed-1",), sources_before=("eni-1", "eni-2"), sources_after=("eni-2",))
    cause = Cause("VPC deletePort", "terraform", NOON, 4.25)
    return report(done, **{"gone": (Gone("eni-1", "absent-1"),), "cause": cause, "seconds": 0.25, **members})


def figures(**members: Any) -> SweepFigures:
    """Return a sweep's figures that add up to nothing; members replace its own."""
    names = ("sessions", "sources", "listed", "unlisted", "gone", "undecided", "protected", "detached")
    none = dict.fromkeys((*names, "would_detach", "places_freed", "would_free"), 0)
    return SweepFigures(**{**none, "emptied": (), "complete": True, "stop": None, **members})


def sweep(*detachments: Detachment, stop: Any = None, emptied: tuple[str, ...] = (), **members: Any) -> Report:
    """Return the report of a timer's sweep."""
    count = len({id_ for each in detachments for id_ in each.interface_ids if each.status == "detached"})
    found = figures(sessions=8, sources=30, listed=30 - count, gone=count, detached=count, emptied=emptied, stop=stop)
    return report(*detachments, **{"envelope": "timer", "by": "timer", "sweep": found, **members})
