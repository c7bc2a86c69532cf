"""One batch: the interfaces that several jobs name are verified once, and leave each session together.

Sequential code over calls that run side by side: this thread starts calls, takes what they end with one after
another, and is the only one that decides, answers jobs and writes the snapshot.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from handler.calls import Calls, Ended
from handler.deadline import Deadline
from handler.errors import ApiUnavailable, DeadlineExceeded, Overloaded, UnmirrorError
from handler.lru import LruCache
from handler.mirror.jobs import Job
from handler.mirror.port import MirrorApi
from handler.mirror.removal import CALL_SECONDS, Part, Removal, lost_targets, name, still_exists
from handler.mirror.rules import Rules
from handler.mirror.snapshot import Snapshot
from handler.model import Gone, Kept, Presence

# For all calls of one removal: to read the session's protection, to remove, and to prove it.
REMOVAL_SECONDS = 3 * CALL_SECONDS
# For one list of the interfaces of servers; it may have pages.
SERVERS_SECONDS = 10.0
# What is said of an id that was not decided in time.
LATE = "no answer in time; it may be done all the same, sent again it will be found so"

# Interfaces that a worker knows to be gone, or to have existed: about 10 MiB each.
MAX_GONE = 50_000
# Interfaces whose removal failed and may have been done: what fails so often is told by no event again.
MAX_REQUESTED = 1_000


class Memory:
    """What a worker remembers, batch after batch."""

    def __init__(self) -> None:
        self.gone: LruCache[str, Presence] = LruCache(MAX_GONE)
        """Interfaces that are confirmed gone."""
        self.existed: LruCache[str, bool] = LruCache(MAX_GONE)
        """Interfaces that the API has shown: an event that says that one was deleted may have said so too early."""
        self.requested: dict[str, dict[str, Removal]] = {}
        """By interface and session the failed removals that may have been done all the same."""

    def note(self, removal: Removal) -> None:
        """Note what of a removal may have been done, and no more what is proved."""
        for id_, status in removal.statuses.items():
            requested = self.requested.setdefault(id_, {})
            if status == "failed" and id_ in removal.asked:
                requested[removal.session.id] = removal.proved(id_, None)  # which knows of nobody who reports
            elif status in ("detached", "already_absent"):
                requested.pop(removal.session.id, None)
            if not requested:
                del self.requested[id_]
        while len(self.requested) > MAX_REQUESTED:
            del self.requested[next(iter(self.requested))]

    def take_proved(self, id_: str, snapshot: Snapshot) -> dict[str, Removal]:
        """Return by session what the snapshot proves, as the session is gone or without the interface; to one alone."""
        proved: dict[str, Removal] = {}
        if id_ not in self.requested:
            return proved
        requested, holding = self.requested.pop(id_), {each.id for each in snapshot.holding(id_)}
        for session_id in requested.keys() - holding:
            session = snapshot.sessions.get(session_id)
            if session or not snapshot.listing.unreadable:
                proved[session_id] = requested.pop(session_id).proved(id_, session)
        if requested:
            self.requested[id_] = requested
        return proved


def verify(api: MirrorApi, snapshot: Snapshot, interface_id: str, deadline: Deadline) -> Presence:
    """Ask for the interface in each spelling that a session has for it; it is gone only if it is gone in all."""
    spellings = [each for session in snapshot.holding(interface_id) for each in session.spelled(interface_id)]
    presence = Presence(exists=True)
    for spelling in dict.fromkeys([*spellings, interface_id]):
        presence = api.find_interface(spelling, deadline)
        if presence.exists:
            break
    return presence


def answer_unmirrored(job: Job, snapshot: Snapshot, memory: Memory) -> bool:
    """Answer a job none of whose interfaces is a source or a target; return False, and do nothing, for any other."""
    if job.kind != "interfaces" or any(snapshot.naming(each) or each in memory.requested for each in job.ids):
        return False
    job.parts = {id_: Part((Kept(id_, "not_mirrored"),)) for id_ in job.ids}
    job.end()
    return True


class Batch:
    """The jobs of one batch, and how far it has come."""

    def __init__(
        self,
        jobs: Sequence[Job],
        snapshot: Snapshot,
        api: MirrorApi,
        calls: Calls,
        rules: Rules,
        memory: Memory,
    ) -> None:
        self._jobs, self._snapshot, self._api, self._calls = jobs, snapshot, api, calls
        self._rules, self._memory = rules, memory
        self._jobs_of: dict[str, list[Job]] = {}
        self._decided: dict[str, Presence | UnmirrorError] = {}
        self._begun: dict[str, Removal] = {}
        """By session id."""
        self._removals: dict[str, dict[str, Removal]] = {}
        """By interface id and session id."""
        self._suspects: dict[str, list[str]] = {}
        """By the id of each session that may be touched, as far as its id tells: its interfaces that may be gone."""
        self._sessions_of: dict[str, set[str]] = {}
        """By interface id the sessions whose removal has not ended."""
        for job in jobs:
            for id_ in job.ids if job.kind == "interfaces" else ():
                self._jobs_of.setdefault(id_, []).append(job)
        for id_ in self._jobs_of:
            self._removals[id_] = memory.take_proved(id_, snapshot)
            for session in snapshot.holding(id_):
                if not rules.protects_id(session):
                    self._suspects.setdefault(session.id, []).append(id_)
                    self._sessions_of.setdefault(id_, set()).add(session.id)

    def work_off(self) -> None:
        """Verify, remove and answer, until every job is answered or the batch's time is up."""
        self._answer_from_the_snapshot()
        self._start_verifications()
        while (ended := self._calls.next()) is not None:
            self._take(ended)
        self._answer_the_rest()

    # --- steps ---------------------------------------------------------------------------------------

    def _answer_from_the_snapshot(self) -> None:
        for job in self._jobs:
            if job.kind == "target":
                sessions = self._snapshot.targeting(job.ids[0])
                self._settle(job, job.ids[0], Part(lost_targets=lost_targets(sessions, confirmed=False)))
        servers = tuple(dict.fromkeys(id_ for job in self._jobs if job.kind == "servers" for id_ in job.ids))
        size = self._api.servers_a_call
        for start in range(0, len(servers), size):
            some = servers[start : start + size]
            self._calls.start(("servers", some), partial(self._api.list_server_interfaces, some), SERVERS_SECONDS)

    def _start_verifications(self) -> None:
        for id_ in self._jobs_of:  # in the order of arrival, so that the first sessions are decided first
            known, removals = self._memory.gone.get(id_), tuple(self._removals[id_].values())
            for job in self._jobs_of[id_] if removals else ():
                job.unfinished[id_] = Part(removals=removals)
            if not self._snapshot.naming(id_):
                self._answer(id_, Part(() if removals else (Kept(id_, "not_mirrored"),), removals))
            elif known is not None:
                self._decide(id_, known)
            else:
                self._calls.start(("verify", id_), partial(verify, self._api, self._snapshot, id_), CALL_SECONDS)

    def _take(self, ended: Ended) -> None:
        match ended.key:
            case "verify", str(id_):
                self._decide(id_, ended.error or ended.result)
            case "remove", str(session_id) if ended.error is not None:
                had_no_thread = isinstance(ended.error, Overloaded)
                self._give_up(session_id, "not_tried" if had_no_thread else "failed", ended.error)
            case "remove", str(session_id):
                self._end_removal(session_id, ended.result)
            case "servers", tuple(server_ids):
                self._answer_servers(server_ids, ended)

    def _decide(self, id_: str, answer: Presence | UnmirrorError) -> None:
        """Note what the API says of an interface, and start each removal that has waited only for that."""
        self._decided[id_] = answer
        if isinstance(answer, Presence) and answer.exists:
            self._memory.existed.put(id_, True)
        elif isinstance(answer, Presence):
            self._memory.gone.put(id_, answer)
        for session_id in sorted(self._sessions_of.get(id_, ())):
            if all(each in self._decided for each in self._suspects[session_id]):
                self._start_removal(session_id)
        self._answer_if_decided(id_)

    def _start_removal(self, session_id: str) -> None:
        if not (gone := self._gone_from(session_id)):
            self._end_removal(session_id, None)
        elif self._calls.is_running(("remove", session_id)):
            error = ApiUnavailable("an earlier removal from the session has not come back yet")
            self._give_up(session_id, "not_tried", error)
        else:
            removal = self._begun[session_id] = self._removal_from(session_id)
            self._calls.start(("remove", session_id), partial(removal.run, gone), REMOVAL_SECONDS)

    def _removal_from(self, session_id: str) -> Removal:
        requested = self._memory.requested
        asked = [id_ for id_ in self._suspects[session_id] if session_id in requested.get(id_, ())]
        return Removal(self._api, self._snapshot.sessions[session_id], self._rules, asked)

    def _give_up(self, session_id: str, status: Literal["failed", "not_tried"], error: UnmirrorError) -> None:
        """End a removal of which nobody knows what became of the rest, or that was not tried."""
        removal = self._begun.get(session_id) or self._removal_from(session_id)
        self._end_removal(session_id, removal.so_far(self._gone_from(session_id), status, error))

    def _end_removal(self, session_id: str, removal: Removal | None) -> None:
        if removal is not None:
            self._memory.note(removal)
            self._snapshot.remove(session_id, None if removal.session_gone else removal.absent)
        for id_ in self._suspects[session_id]:
            if removal is not None and id_ in removal.statuses:
                self._removals[id_][session_id] = removal
            self._sessions_of[id_].discard(session_id)
            self._answer_if_decided(id_)
            if self._is_gone(id_):
                for job in self._jobs_of[id_]:
                    job.unfinished[id_] = self._part(id_, self._decided[id_])

    def _answer_servers(self, server_ids: Sequence[str], ended: Ended) -> None:
        """Answer for servers: an interface that the list shows of one, and that is mirrored, still exists."""
        listed: Mapping[str, frozenset[str]] = ended.result or {}
        for id_ in (each for alive in listed.values() for each in alive):
            self._memory.existed.put(id_, True)
        for job in self._jobs:
            for server_id in job.ids if job.kind == "servers" else ():
                if server_id in server_ids:
                    alive = sorted(filter(self._snapshot.naming, listed.get(server_id, ())))
                    kept = tuple(map(self._still_exists, alive))
                    self._settle(job, server_id, Part(kept, failure=ended.error))

    # --- answers -------------------------------------------------------------------------------------

    def _answer_if_decided(self, id_: str) -> None:
        answer = self._decided.get(id_)
        if answer is not None and (not self._is_gone(id_) or not self._sessions_of.get(id_)):
            self._answer(id_, self._part(id_, answer))

    def _part(self, id_: str, answer: Presence | UnmirrorError) -> Part:
        holding = self._snapshot.holding(id_)
        removals = tuple(self._removals[id_].values())
        if isinstance(answer, UnmirrorError):
            return Part((Kept(id_, "undecided", tuple(map(name, holding)), answer.request_id, answer),), removals)
        if answer.exists:
            return Part((self._still_exists(id_, answer.request_id),), removals)
        protected = tuple(name(each) for each in holding if self._rules.protects_id(each))
        return Part(
            kept=(Kept(id_, "protected", protected),) if protected else (),
            removals=removals,
            gone=Gone(id_, answer.request_id),
            lost_targets=lost_targets(self._snapshot.targeting(id_), confirmed=True),
        )

    def _still_exists(self, id_: str, request_id: str = "") -> Kept:
        return still_exists(id_, self._snapshot.naming(id_), request_id)

    def _answer_the_rest(self) -> None:
        """Answer what the batch's time was not enough for."""
        late = DeadlineExceeded(LATE)
        untried = DeadlineExceeded("no time left to try the removal")
        for session_id in self._suspects:
            if any(session_id in self._sessions_of[id_] for id_ in self._gone_from(session_id)):
                if session_id in self._begun and self._calls.is_running(("remove", session_id)):
                    self._give_up(session_id, "failed", late)
                else:
                    self._give_up(session_id, "not_tried", untried)
        for job in self._jobs:
            for id_ in job.ids:
                if id_ not in job.parts:
                    part = (
                        Part(failure=late) if job.kind == "servers" else self._part(id_, self._decided.get(id_, late))
                    )
                    self._settle(job, id_, part)

    def _answer(self, id_: str, part: Part) -> None:
        for job in self._jobs_of[id_]:
            self._settle(job, id_, part)

    def _settle(self, job: Job, id_: str, part: Part) -> None:
        if id_ not in job.parts:
            job.parts[id_] = part
            if len(job.parts) == len(job.ids):
                job.end()

    def _gone_from(self, session_id: str) -> list[str]:
        return [id_ for id_ in self._suspects[session_id] if self._is_gone(id_)]

    def _is_gone(self, id_: str) -> bool:
        answer = self._decided.get(id_)
        return isinstance(answer, Presence) and not answer.exists
