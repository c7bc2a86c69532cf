"""What would leave which session, if all suspects were gone; and which sessions nobody may touch."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from handler.mirror.snapshot import Snapshot
from handler.model import MirrorSession

_ID_LETTERS = frozenset("0123456789abcdef-")


class Protection(NamedTuple):
    """The sessions that are never touched: by session id, or by a glob of the name."""

    patterns: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The globs. A session can be renamed, so that its name is read again before a removal."""
        return tuple(each for each in self.patterns if not (len(each) == 36 and _ID_LETTERS.issuperset(each.lower())))

    def covers_id(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected by its id."""
        return any(each.lower() == session.id.lower() for each in self.patterns)

    def covers_name(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected by the name that it has here."""
        return any(fnmatchcase(session.name, each) for each in self.names)

    def covers(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected, by its id or by the name that it has here."""
        return self.covers_id(session) or self.covers_name(session)


class Plan(NamedTuple):
    """Interfaces by what a snapshot says of them."""

    removals: dict[str, list[str]]
    """Interface ids by the id of a session that lists them and may be touched, as far as its id tells."""
    protected: dict[str, list[MirrorSession]]
    """By interface id the sessions that keep it because of their own id."""
    targets: dict[str, list[MirrorSession]]
    """By interface id the sessions that mirror to it."""
    unmirrored: list[str]
    """Interfaces that are neither source nor target."""

    @classmethod
    def of(cls, snapshot: Snapshot, interface_ids: Iterable[str], protection: Protection) -> Self:
        """Return the plan for these interfaces, assuming that each is gone."""
        plan = cls({}, {}, {}, [])
        for id_ in interface_ids:
            holding, targeting = snapshot.holding(id_), snapshot.targeting(id_)
            if targeting:
                plan.targets[id_] = targeting
            if not holding and not targeting:
                plan.unmirrored.append(id_)
            for session in holding:
                if protection.covers_id(session):
                    plan.protected.setdefault(id_, []).append(session)
                else:
                    plan.removals.setdefault(session.id, []).append(id_)
        return plan
