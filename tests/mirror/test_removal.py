"""How interfaces leave a session: by one call where the API lets them, and proven by its own answers."""

from __future__ import annotations

import pytest

from handler.errors import (
    ApiRefused,
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    OutcomeUnknown,
    RemovalRejected,
    UnmirrorError,
)
from handler.mirror.removal import Removal
from handler.mirror.rules import Rules
from handler.model import MirrorSession
from tests.support.cloud import FakeCloud

REJECTED = RemovalRejected("rejected", code="VPC.0001", request_id="no")
LOST = OutcomeUnknown("lost", request_id="perhaps")


def lost() -> None:
    """Lose a request before it is worked on."""
    raise LOST


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("s", ["a", "b", "c", "d"], gone=["a", "b", "c"])
    return cloud


def removal(
    cloud: FakeCloud,
    *ids: str,
    listed: MirrorSession | None = None,
    protect: str = "",
    seconds: float = 25.0,
    dry_run: bool = False,
) -> Removal:
    """Let the interfaces leave the session as it was listed, or is now."""
    rules = Rules((protect,) if protect else (), dry_run)
    deadline = cloud.clock.deadline(seconds)
    return Removal(cloud.api(), listed or cloud.sessions["s"], rules).run(ids, deadline)


def operations(cloud: FakeCloud) -> list[str]:
    return [call.operation for call in cloud.calls]


def test_the_answer_proves_the_removal(cloud: FakeCloud) -> None:
    done = removal(cloud, "a", "b")
    assert done.statuses == {"a": "detached", "b": "detached"}
    assert (done.before, done.after, done.absent) == (("a", "b", "c", "d"), ("c", "d"), {"a", "b"})
    assert done.request_ids == ["request-1"]


def test_a_source_leaves_in_every_spelling_that_the_session_has_for_it() -> None:
    cloud = FakeCloud()
    cloud.add("s", ["AB-c", "ab-C", "d"], gone=["ab-c"])
    assert removal(cloud, "ab-c").statuses == {"ab-c": "detached"}
    assert cloud.asked("remove_sources") == [("s", "AB-c", "ab-C")]
    assert cloud.sources() == {"s": ("d",)}


@pytest.mark.parametrize("doubt", [LOST, BadReply("no JSON")])
def test_an_answer_that_proves_nothing_is_looked_up_in_the_session(cloud: FakeCloud, doubt: UnmirrorError) -> None:
    def answered_badly() -> None:
        cloud.unwatch("s", "a")
        raise doubt

    cloud.then("remove_sources", answered_badly)
    assert removal(cloud, "a").statuses == {"a": "detached"}
    assert operations(cloud) == ["remove_sources", "show_session"]


def test_a_request_that_was_lost_on_its_way_is_sent_once_more(cloud: FakeCloud) -> None:
    cloud.then("remove_sources", lost)
    assert removal(cloud, "a").statuses == {"a": "detached"}
    assert operations(cloud) == ["remove_sources", "show_session", "remove_sources"]


def test_a_request_that_is_lost_twice_has_failed(cloud: FakeCloud) -> None:
    cloud.then("remove_sources", lost, lost)
    done = removal(cloud, "a")
    assert (done.statuses, done.errors) == ({"a": "failed"}, {"a": LOST})


def test_one_id_that_is_not_accepted_holds_up_no_other(cloud: FakeCloud) -> None:
    """The API does not document whether it rejects all for one."""
    cloud.failing("remove_sources", "b", REJECTED)
    done = removal(cloud, "a", "b", "c")
    assert done.statuses == {"a": "detached", "b": "failed", "c": "detached"}
    assert done.errors == {"b": REJECTED}
    assert cloud.sources() == {"s": ("b", "d")}


def test_what_somebody_else_removed_meanwhile_is_a_success(cloud: FakeCloud) -> None:
    cloud.then("remove_sources", lambda: cloud.unwatch("s", "a"))
    assert removal(cloud, "a", "b").statuses == {"a": "already_absent", "b": "detached"}


def test_what_an_earlier_request_may_have_removed_counts_as_its_own(cloud: FakeCloud) -> None:
    def lost_and_then_done() -> None:
        cloud.then("remove_sources", lambda: cloud.unwatch("s", "a"))
        raise LOST

    cloud.then("remove_sources", lost_and_then_done)
    assert removal(cloud, "a").statuses == {"a": "detached"}


def test_a_session_that_is_gone_lists_nothing_any_more(cloud: FakeCloud) -> None:
    done = removal(cloud, "a", listed=cloud.sessions.pop("s"))
    assert (done.statuses, done.session_gone, done.after) == ({"a": "already_absent"}, True, None)


def test_an_answer_that_still_lists_the_interface_is_checked_before_it_counts(cloud: FakeCloud) -> None:
    """It may be an old one: nothing documents that an answer shows what its own call changed."""
    cloud.stale("s")
    assert removal(cloud, "a").statuses == {"a": "detached"}
    cloud.stale("s", times=2)
    done = removal(cloud, "b")
    assert done.statuses == {"b": "failed"}
    assert isinstance(done.errors["b"], ApiUnavailable)


@pytest.mark.parametrize("error", [ApiRefused("no permission"), ApiUnavailable("away")])
def test_a_refusal_is_not_tried_again(cloud: FakeCloud, error: UnmirrorError) -> None:
    cloud.then("remove_sources", error)
    done = removal(cloud, "a", "b")
    assert (done.statuses, done.errors) == ({"a": "failed", "b": "failed"}, {"a": error, "b": error})
    assert operations(cloud) == ["remove_sources"]


def test_without_time_nothing_is_tried(cloud: FakeCloud) -> None:
    done = removal(cloud, "a", seconds=0)
    assert done.statuses == {"a": "not_tried"}
    assert isinstance(done.errors["a"], DeadlineExceeded)
    assert cloud.calls == []


def test_a_dry_run_says_what_would_be_left(cloud: FakeCloud) -> None:
    done = removal(cloud, "a", dry_run=True)
    assert (done.statuses, done.after, cloud.calls) == ({"a": "planned"}, ("b", "c", "d"), [])


class TestProtectionByName:
    """The name that the session has now decides, and not the one that it had when it was listed."""

    def test_a_session_that_was_renamed_to_be_protected_keeps_its_sources(self, cloud: FakeCloud) -> None:
        listed = cloud.sessions["s"]
        cloud.rename("s", "forensics-17")
        assert removal(cloud, "a", listed=listed, protect="forensics-*").statuses == {"a": "protected"}
        assert cloud.sources() == {"s": ("a", "b", "c", "d")}

    def test_a_session_that_was_renamed_away_is_protected_no_longer(self, cloud: FakeCloud) -> None:
        listed = cloud.sessions["s"]
        cloud.rename("s", "plain")
        assert removal(cloud, "a", listed=listed, protect="name of *").statuses == {"a": "detached"}

    def test_a_session_that_cannot_be_read_is_undecided(self, cloud: FakeCloud) -> None:
        error = ApiUnavailable("away")
        cloud.then("show_session", error)
        done = removal(cloud, "a", protect="forensics-*")
        assert (done.statuses, done.errors) == ({"a": "undecided"}, {"a": error})
        assert operations(cloud) == ["show_session"]

    def test_a_session_that_is_renamed_while_a_removal_is_in_doubt_is_left_alone(self, cloud: FakeCloud) -> None:
        def lost() -> None:
            cloud.rename("s", "forensics-17")
            raise LOST

        cloud.then("remove_sources", lost)
        assert removal(cloud, "a", protect="forensics-*").statuses == {"a": "protected"}
        assert operations(cloud) == ["show_session", "remove_sources", "show_session"]

    @pytest.mark.parametrize("first", ["rejected", "answered"])
    def test_a_session_that_is_renamed_while_one_leaves_after_the_other_keeps_the_rest(
        self, cloud: FakeCloud, first: str
    ) -> None:
        def renamed() -> None:
            cloud.rename("s", "forensics-17")
            if first == "rejected":
                raise REJECTED

        def rejected() -> None:
            raise REJECTED

        cloud.then("remove_sources", rejected, renamed)
        done = removal(cloud, "a", "b", "c", protect="forensics-*")
        left = {"rejected": "protected", "answered": "detached"}[first]
        assert done.statuses == {"a": left, "b": "protected", "c": "protected"}
        assert len(cloud.asked("remove_sources")) == 2

    def test_what_the_session_no_longer_lists_needs_no_removal(self, cloud: FakeCloud) -> None:
        listed = cloud.sessions["s"]
        cloud.unwatch("s", "a")
        assert removal(cloud, "a", listed=listed, protect="forensics-*").statuses == {"a": "already_absent"}
        assert operations(cloud) == ["show_session"]

    def test_protection_by_id_reads_no_name(self, cloud: FakeCloud) -> None:
        removal(cloud, "a", protect="5f1d0c8e-7a9b-4c3d-8e2f-6a1b0c9d8e7f")
        assert operations(cloud) == ["remove_sources"]
