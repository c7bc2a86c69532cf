"""Look up: which of many interfaces no list shows. Suspects, no more: a list may show less than there is.

The rule which list. Look-ups by id cost one call for each hundred ids; the list of all interfaces costs a page
for each two thousand that the project has, however few of them are asked for. How many it has is not known before.
So, where one look-up is not enough, all interfaces are listed for as long as that has cost no more pages than the
look-ups would; what is still unseen then is looked up by id. The dearer way can cost at most twice the cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.abreast import abreast
from handler.mirror.port import MirrorApi

BATCH = 100
"""Ids in one look-up: 4 KiB of the URI's 32, and no limit on their number is documented."""

MOST_UNLISTED = 200
"""Interfaces that are asked for one by one because a list was refused; for more, its error ends the sweep."""


class Lookup:
    """Interfaces, and how far the lists have come in showing them."""

    def __init__(self, interface_ids: Collection[str], seen: Collection[str] = ()) -> None:
        self.unseen = dict.fromkeys(id_ for id_ in interface_ids if id_ not in seen)
        """Those that no list showed, in order; once `run` has returned, the suspects."""
        self.pages = 0
        self.batches = 0
        self.visible = len(self.unseen) < len(interface_ids)
        """Whether any interface of the project was shown, asked for or not."""

    def run(self, api: MirrorApi, in_flight: int, tell: Callable[[], None]) -> None:
        """Look through the lists; call `tell` after each answer.

        Raises DeadlineExceeded when time runs out; what was seen until then stays. A list of all that breaks off
        is gone on with by id. Ids whose look-up fails stay suspects, up to MOST_UNLISTED; beyond, its error.
        """
        if not self.unseen:
            return
        if len(self.unseen) <= BATCH or not self._list_all(api, tell):
            self._list_by_id(api, in_flight, tell)
        if not self.visible and not self.pages:
            self._list_all(api, tell, most=1)

    def _list_all(self, api: MirrorApi, tell: Callable[[], None], most: int | None = None) -> bool:
        """Return whether the list came to its end, or there was no need to read on."""
        most = most or -(-len(self.unseen) // BATCH)
        try:
            for page in api.list_all_interfaces():
                self.pages += 1
                self._show(page)
                tell()
                if not self.unseen:
                    return True
                if self.pages >= most:
                    return False
        except DeadlineExceeded:
            raise
        except UnmirrorError:
            self.pages += 1
            return False
        return True

    def _list_by_id(self, api: MirrorApi, in_flight: int, tell: Callable[[], None]) -> None:
        ids = tuple(self.unseen)
        batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        failed = 0

        def listed(batch: Sequence[str]) -> frozenset[str] | UnmirrorError:
            try:
                return api.list_interfaces(batch)
            except UnmirrorError as error:
                return error

        with abreast(listed, batches, in_flight) as answers:
            for batch, answer in answers:
                self.batches += 1
                if isinstance(answer, UnmirrorError):
                    failed += len(batch)
                    if isinstance(answer, DeadlineExceeded) or failed > MOST_UNLISTED:
                        raise answer
                else:
                    self._show(answer)
                tell()

    def _show(self, interface_ids: frozenset[str]) -> None:
        self.visible = self.visible or bool(interface_ids)
        for id_ in interface_ids:
            self.unseen.pop(id_, None)
