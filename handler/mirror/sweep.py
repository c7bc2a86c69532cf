"""What no event told: every source of every session of a project, and the gone ones handed to the worker.

List the sessions, look their sources up in the list of interfaces, ask by id for each that it does not show, keep the
safety limits, and only then remove. A list never decides: one that ignores the ids it is asked for, or that is scoped
to an enterprise project, costs calls and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

from handler.calls import Calls
from handler.deadline import Deadline
from handler.errors import DeadlineExceeded, Interrupted, UnmirrorError
from handler.mirror.detach import verify
from handler.mirror.jobs import OUT_OF_TIME, Progress, Swept
from handler.mirror.port import MirrorApi
from handler.mirror.removal import Part, kept, name, still_exists
from handler.mirror.rules import Rules
from handler.mirror.snapshot import Snapshot
from handler.model import Gone, Kept, Presence, SweepFigures

# Ids in one look-up: 4 KiB of the URI's 32 KiB; no limit on their number is documented.
BATCH = 100
# Interfaces that are asked for one by one because their list failed; for more, its error ends the sweep.
MAX_UNLISTED = 200
# Interfaces that are asked for by id and are gone, where no list shows any, until the credentials count as blind.
BLIND_AFTER = 20
# Consecutive failures after which the rest is not asked for; the cause is probably common.
MAX_FAILURES = 20
# Undecided interfaces that a report names.
MAX_NAMED = 100
# For one call with all its attempts: throttled, it may have to wait for a slot behind many others.
CALL_SECONDS = 60.0
# For all pages with all their attempts.
LISTING_SECONDS = 600.0


class Sweep:
    """One sweep of one project, and how far it has come. Used once."""

    def __init__(
        self,
        api: MirrorApi,
        calls: Callable[[], Calls],
        remove: Callable[[Snapshot, Mapping[str, Presence]], Mapping[str, Part]],
        *,
        deadline: Deadline,
        rules: Rules,
        progress: Progress,
    ) -> None:
        """Take what the sweep works with; `remove` hands gone interfaces to the worker and waits for its answer."""
        self._api, self._calls, self._hand_over = api, calls, remove
        self._deadline, self._rules, self._progress = deadline, rules, progress
        self._snapshot: Snapshot
        self._sources: dict[str, None] = {}
        self._leaving: set[str] = set()
        """Sources that a session lists which is not protected."""
        self._suspects: list[str] = []
        self._listed: set[str] = set()
        self._alive: dict[str, Presence] = {}
        """Suspects that exist all the same."""
        self._gone: dict[str, Presence] = {}
        self._leaving_gone = 0
        self._errors: dict[str, UnmirrorError] = {}
        self._stop: Literal["limit", "blind"] | None = None
        self._parts: Mapping[str, Part] = {}

    def run(self) -> Swept:
        """Sweep as far as time allows; raise what the list of sessions raises."""
        self._progress("list", 0, 0)
        listing = self._calls().call("the list of sessions", self._api.list_sessions, LISTING_SECONDS)
        self._snapshot, failure = Snapshot(listing), None
        for session in listing.sessions:
            if session.type == "eni":
                self._sources.update(dict.fromkeys(session.sources))
                self._leaving.update(() if self._rules.protects(session) else session.sources)
        targets = [each.target_id for each in listing.sessions if each.target_type == "eni" and each.target_id]
        self._suspects = list(self._sources | dict.fromkeys(targets))
        try:
            self._look_up()
            if self._is_blind():
                self._stop = "blind"
            else:
                self._verify_and_remove()
        except UnmirrorError as error:
            failure = error
        return self._result(failure)

    def _look_up(self) -> None:
        """Look the interfaces up in the list, by id. Those of a list that failed stay suspects, up to a number."""
        interfaces = self._suspects
        batches = [tuple(interfaces[start : start + BATCH]) for start in range(0, len(interfaces), BATCH)]
        failed = 0
        for batch, listed in self._calls().map(self._api.list_interfaces, batches, CALL_SECONDS):
            if isinstance(listed, UnmirrorError):
                failed += len(batch)
                if failed > MAX_UNLISTED:
                    raise listed
            else:
                self._listed |= listed
                self._progress("look_up", len(self._listed), len(interfaces))
        self._deadline.require("looking up all interfaces")
        self._suspects = [id_ for id_ in interfaces if id_ not in self._listed]

    def _is_blind(self) -> bool:
        """Tell whether the credentials see no interface at all; never where anything that was asked is undecided."""
        if self._listed or not self._suspects:
            return False
        if self._calls().call("the list of interfaces", self._api.has_interfaces, CALL_SECONDS):
            return False
        some = self._suspects[:BLIND_AFTER]
        self._ask(some, enough=lambda: bool(self._alive or self._errors))
        return len(self._gone) == len(some)

    def _verify_and_remove(self) -> None:
        self._ask(self._suspects, enough=lambda: not self._rules.dry_run and self._is_over())
        self._stop = "limit" if self._is_over() else None
        undecided = len(self._undecided() & self._leaving)  # as good as gone, for the limit
        if self._gone and (self._rules.dry_run or not self._is_over(undecided)):
            self._progress("remove", 0, len(self._gone))
            self._parts = {
                id_: part._replace(gone=Gone(id_, self._gone[id_].request_id))  # one that time ended, too
                for id_, part in self._hand_over(self._snapshot, self._gone).items()
            }

    def _ask(self, suspects: Sequence[str], enough: Callable[[], bool]) -> None:
        """Ask for each suspect by id, until it is enough, or everything fails."""
        undecided, failures = self._undecided(), 0
        todo = [id_ for id_ in suspects if id_ in undecided and id_ not in self._errors]
        work = partial(verify, self._api, self._snapshot)
        for done, (id_, answer) in enumerate(self._calls().map(work, todo, CALL_SECONDS), 1):
            failures = failures + 1 if isinstance(answer, UnmirrorError) else 0
            if isinstance(answer, UnmirrorError):
                self._errors[id_] = answer
            elif answer.exists:
                self._alive[id_] = answer
            else:
                self._gone[id_] = answer
                self._leaving_gone += id_ in self._leaving
            self._progress("verify", done, len(todo))
            if failures >= MAX_FAILURES or enough():
                return

    def _is_over(self, undecided: int = 0) -> bool:
        return not self._rules.sweep_limit(self._leaving_gone + undecided, len(self._sources))

    def _undecided(self) -> set[str]:
        return {*self._suspects} - self._gone.keys() - self._alive.keys()

    def _result(self, failure: UnmirrorError | None) -> Swept:
        stopped = self._stop is not None and not self._parts
        undecided = [] if failure or stopped else sorted(self._undecided())  # else the reason is told already
        unlisted: dict[str, list[Kept]] = {}
        for id_, presence in self._alive.items():
            kept = still_exists(id_, self._snapshot.naming(id_), presence.request_id)
            unlisted.setdefault(presence.device_id, []).append(kept)
        return Swept(
            self._figures(),
            self._snapshot,
            {},
            self._parts,
            tuple(map(self._kept, undecided[:MAX_NAMED])),
            failure or (self._failure(len(undecided)) if undecided else None),
            unlisted,
        )

    def _failure(self, undecided: int) -> UnmirrorError:
        """Return why some sources are undecided: the time, or the worst of what their calls ended with."""
        if self._deadline.cancellation.cancelled:
            return Interrupted(f"interrupted with {undecided} interface(s) undecided")
        if self._deadline.remaining() <= 0:
            return DeadlineExceeded(OUT_OF_TIME)
        return max(self._errors.values(), key=lambda each: each.status)

    def _kept(self, id_: str) -> Kept:
        error, holding = self._errors.get(id_), tuple(map(name, self._snapshot.holding(id_)))
        return Kept(id_, "undecided", holding, error.request_id if error else "", error)

    def _figures(self) -> SweepFigures:
        parts, stop, listing = self._parts, self._stop, self._snapshot.listing
        gone, undecided = self._gone.keys() & self._sources.keys(), self._undecided() & self._sources.keys()
        left = [(id_, removal) for id_, part in parts.items() for removal in part.removals]
        freed = [(id_, removal) for id_, removal in left if removal.statuses[id_] == "detached"]
        would = [(id_, removal) for id_, removal in left if removal.statuses[id_] == "planned"]
        emptied = {each.session.id for _, each in (*freed, *would) if each.session.enabled and each.after == ()}
        failed = any(part.errors(id_) for id_, part in parts.items())
        return SweepFigures(
            sessions=len(listing.sessions),
            sources=len(self._sources),
            listed=len(self._listed & self._sources.keys()),
            unlisted=len(self._alive.keys() & self._sources.keys()),
            gone=len(gone),
            undecided=len(undecided),
            protected=sum(any(each.reason == "protected" for each in kept(id_, part)) for id_, part in parts.items()),
            detached=len({id_ for id_, _ in freed}),
            would_detach=len(gone) if stop and not parts else len({id_ for id_, _ in would}),
            places_freed=len(freed),
            would_free=len(would),
            emptied=tuple(sorted(emptied)),
            complete=not (stop or failed or self._undecided() or listing.unreadable),
            stop=stop,
        )
