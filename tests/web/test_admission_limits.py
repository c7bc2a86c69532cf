"""Every limit of what may be sent, at it and one beyond, over a real socket where the server has a part in it.

`test_bad_input.py` has what is sent wrongly, and `test_attacks.py` what is sent with intent.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from handler.emulator.sample import ACCESS_KEY, SECRET_KEY, seed
from handler.emulator.server import Emulator
from handler.events import MAX_EVENTS, MAX_INTERFACES
from handler.events.strict_json import MAX_NESTING
from handler.settings import BATCH_BYTES, MOST_BATCH_BYTES
from handler.web.app import MAX_BODY, MAX_TARGET
from tests.conftest import NewFunction, untraced
from tests.hostile.attacks.wire import TOKEN, chunked, post, send, stranger
from tests.hostile.test_attacks import served
from tests.support.function import Answer, Function, check, settings_for

JSON, BATCH = "application/json", "application/cloudevents-batch+json"
OURS = "io.unmirror.interface.deleted.v1"
THREADS = 2
"""Of the server: as many senders that hold one each leave none."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A function as the framework serves it, which gives a delivery a third of a second."""
    home = tmp_path_factory.mktemp("function")
    with Emulator(seed().cloud, keys={ACCESS_KEY: SECRET_KEY}) as emulator:
        settings = settings_for(
            emulator,
            UNMIRROR_TRUST="",
            UNMIRROR_BEARER_TOKENS=TOKEN,
            UNMIRROR_DEADLINE="0.3",
            UNMIRROR_MAX_BATCH_BYTES=str(MOST_BATCH_BYTES),
            THREADS=str(THREADS),
        )
        with served(settings, home) as port:
            yield port


@pytest.fixture
def roomy(new_function: NewFunction) -> Function:
    """A function that takes large batches."""
    return new_function(UNMIRROR_MAX_BATCH_BYTES=str(MOST_BATCH_BYTES))


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["with a length", "in chunks"])
@pytest.mark.parametrize(("media", "most"), [(JSON, MAX_BODY), (BATCH, MOST_BATCH_BYTES)], ids=["event", "batch"])
def test_a_body_may_be_256_kib_and_a_batch_what_is_set(port: int, media: str, most: int, framing: str) -> None:
    for size, status in ((most, 400), (most + 1, 413)):
        body = b"[" + b" " * (size - 1)
        if framing == "in chunks":
            raw = post(chunked(body[:1000], body[1000:]), media=media, framing="Transfer-Encoding: chunked")
        else:
            raw = post(body, media=media)
        answer = send(port, raw)
        check(answer)
        assert answer.status == status
        assert status == 400 or answer.problem["detail"] == f"the body is over {most} bytes"


def test_a_batch_is_256_kib_unless_more_is_set(new_function: NewFunction, roomy: Function) -> None:
    body = b"[" + b" " * BATCH_BYTES
    for media in (BATCH, f"{BATCH}; charset=utf-8", BATCH.upper()):
        assert new_function().post(body, {"Content-Type": media}).status == 413
        assert roomy.post(body, {"Content-Type": media}).status == 400
    for media in (JSON, "application/cloudevents+json", "text/plain", "", "application/cloudevents-batch+xml"):
        assert roomy.post(body, {"Content-Type": media}).status == 413
    assert BATCH_BYTES == MAX_BODY == 256 * 1024
    assert MOST_BATCH_BYTES == 1024 * 1024


def test_a_url_may_be_8_kib(port: int) -> None:
    """The framework tells its server to take any number."""
    for path, status in (("/" + "p" * (MAX_TARGET - 1), 200), ("/?q=" + "q" * (MAX_TARGET - 4), 200)):
        assert send(port, post(path=path, method="GET")).status == status
        answer = send(port, post(path=path + "x", method="GET"))
        check(answer)
        assert (answer.status, answer.problem["detail"]) == (414, f"path and query are over {MAX_TARGET} bytes")


def test_a_url_may_be_no_longer_for_a_cloudevent(new_function: NewFunction) -> None:
    answer = new_function("on_cloud_event").post({}, path="/?q=" + "q" * MAX_TARGET)
    assert (answer.status, answer.problem["detail"]) == (414, f"path and query are over {MAX_TARGET} bytes")


def test_who_takes_nothing_of_an_answer_is_given_up(tmp_path: Path) -> None:
    """Each thread has such a sender, and is stuck with an answer; who comes then is served once their time is up."""
    body = json.dumps({"type": OURS, "id": "1", "data": {"interface_ids": [str(uuid4()) for _ in range(6_000)]}})
    kept = post(body.encode()).replace(b"Connection: close", b"Connection: keep-alive")
    with Emulator(seed().cloud, keys={ACCESS_KEY: SECRET_KEY}) as emulator, ExitStack() as open_:
        settings = settings_for(emulator, UNMIRROR_BEARER_TOKENS=TOKEN, UNMIRROR_DEADLINE="1", THREADS=str(THREADS))
        with served(settings, tmp_path) as port:
            senders = [open_.enter_context(socket.socket()) for _ in range(THREADS)]
            for sender in senders:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sender.connect(("127.0.0.1", port))
            for _ in range(10):  # until no buffer on the way takes another answer
                for sender in senders:
                    with suppress(OSError):  # it has been given up
                        sender.sendall(kept)
                assert send(port, post(method="GET")).status == 200


def test_the_head_may_have_100_fields_of_8_kib_each(port: int) -> None:
    """The server's own limits, at which it answers by itself."""
    own = len(post().split(b"\r\n")) - 3
    for number, status in ((100 - own, 400), (101 - own, 431)):
        assert send(port, post(b"", {f"X-{each}": "x" for each in range(number)})).status == status
    for size, status in ((8_000, 400), (8_200, 431)):
        assert send(port, post(b"", {"X-Long": "x" * size})).status == status


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
@pytest.mark.parametrize("path", ["/", "/robots.txt", "/favicon.ico"])
def test_what_the_framework_reads_itself_has_the_same_bound(new_function: NewFunction, target: str, path: str) -> None:
    """It would keep a body of any size."""
    function = new_function(target)
    for chunks in (False, True):
        answer = function.post(b" " * (MAX_BODY + 1), {"Content-Type": JSON}, path=path, chunked=chunks)
        assert (answer.status, answer.problem["status"]) == (413, 413)


# --- numbers -----------------------------------------------------------------------------------------------------


def event(*numbers: int) -> dict[str, object]:
    ids = [str(UUID(int=number)) for number in numbers]
    attributes = {"specversion": "1.0", "id": str(numbers[0]), "source": "/x", "type": OURS}
    return {**attributes, "data": {"interface_ids": ids}}


def batch(function: Function, *events: object) -> Answer:
    return function.post(json.dumps(events, separators=(",", ":")).encode(), {"Content-Type": BATCH})


@untraced
def test_a_delivery_may_hold_1000_events(roomy: Function) -> None:
    events = [event(number) for number in range(MAX_EVENTS)]
    assert batch(roomy, *events).report["outcome"] == "nothing_to_do"
    answer = batch(roomy, *events, event(0))
    assert (answer.status, MAX_EVENTS) == (400, 1_000)
    assert answer.problem["violations"] == [{"path": "$", "rule": "maxItems: 1000"}]


@untraced
def test_a_delivery_may_name_10000_interfaces(roomy: Function) -> None:
    events = [event(*range(start, start + 1_000)) for start in range(0, MAX_INTERFACES, 1_000)]
    assert batch(roomy, *events).report["outcome"] == "nothing_to_do"
    answer = batch(roomy, *events, event(MAX_INTERFACES))
    assert (answer.status, MAX_INTERFACES) == (400, 10_000)
    assert answer.problem["detail"] == "a delivery holds at most 10000 interface ids"


def test_json_may_be_nested_64_deep(roomy: Function) -> None:
    for depth, says in ((MAX_NESTING, "an event is a JSON object"), (MAX_NESTING + 1, "at most 64 levels")):
        answer = roomy.post(b"[" * depth + b"]" * depth, {"Content-Type": JSON})
        assert answer.status == 400
        assert says in answer.problem["detail"]


# --- time --------------------------------------------------------------------------------------------------------

HEADS = {
    "with a length": post(framing="Content-Length: 100000"),
    "in chunks": post(framing="Transfer-Encoding: chunked"),
    "within a chunk": post(b"ffff\r\n", framing="Transfer-Encoding: chunked"),
    "with a method that takes none": post(framing="Content-Length: 100000", method="PUT"),
    "with a body that is too large": post(framing="Content-Length: 10000000"),
    "on its way to /robots.txt": post(framing="Content-Length: 100000", path="/robots.txt"),
    "and shows nothing": stranger(framing="Content-Length: 100000"),
}
STATUS = {"with a method that takes none": 405, "with a body that is too large": 413}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("pause", [0.02, None], ids=["dripping", "silent"])
def test_a_slow_sender_is_answered_when_its_time_is_up(port: int, kind: str, pause: float | None) -> None:
    """A byte comes again and again, or none; with as many of such senders as the server has threads."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            while pause is not None and not ended.wait(pause):
                connection.sendall(b"1")

    with ExitStack() as open_:
        connections = [open_.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(THREADS)]
        drips = [threading.Thread(target=drip, args=(connection,)) for connection in connections]
        for connection, dripping in zip(connections, drips, strict=True):
            connection.sendall(HEADS[kind])
            dripping.start()
        try:
            for connection in connections:
                response = HTTPResponse(connection)
                response.begin()
                answer = Answer(response.status, dict(response.getheaders()), response.read())
                check(answer)
                assert answer.status == STATUS.get(kind, 408)
                assert answer.status != 408 or answer.problem["detail"] == "the body took too long to arrive"
            assert send(port, post(method="GET")).status == 200
        finally:
            ended.set()
            for dripping in drips:
                dripping.join()


def test_a_body_that_arrives_in_time_is_read_however_it_comes(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        raw = post(b"{}")
        for at in range(len(raw)):
            connection.sendall(raw[at : at + 1])
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == 400
