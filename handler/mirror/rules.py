"""What the operator decided about removals."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from handler.model import MirrorSession

_ID_LETTERS = frozenset("0123456789abcdef-")


class Rules(NamedTuple):
    """Which sessions are never touched, whether anything is, and how much one sweep may remove."""

    protect: tuple[str, ...] = ()
    """Each a session id, or a glob of session names."""
    dry_run: bool = False
    sweep_limit: Callable[[int, int], bool] = lambda leaving, sources: True
    """Whether one sweep may let so many of so many sources leave."""

    @property
    def protected_names(self) -> tuple[str, ...]:
        """The globs. A session can be renamed, so that its name is read again before a removal."""
        return tuple(each for each in self.protect if not (len(each) == 36 and _ID_LETTERS.issuperset(each.lower())))

    def protects_id(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected by its id."""
        return any(each.lower() == session.id.lower() for each in self.protect)

    def protects_name(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected by the name that it has here."""
        return any(fnmatchcase(session.name, each) for each in self.protected_names)

    def protects(self, session: MirrorSession) -> bool:
        """Tell whether the session is protected, by its id or by the name that it has here."""
        return self.protects_id(session) or self.protects_name(session)
