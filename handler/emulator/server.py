"""An emulator of the VPC API: sessions and interfaces over real HTTP, as the API's documents describe them.

Where they say nothing, `Behaviour` switches between the possible answers. It imports nothing of ours, so that it
cannot drift to suit the client; the official SDK is run against it in the tests.
Served by aiohttp: a C parser, latency without threads, and a transport that can be reset.
"""

import asyncio
import itertools
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import web

from handler.emulator.messages import Answer, Refusal, Request
from handler.emulator.operations import DOCUMENTED, MAX_PAGE, Api, Behaviour, Fault
from handler.emulator.routes import Operation, route
from handler.emulator.signatures import Authenticator, Secret
from handler.emulator.state import Cloud

# Bytes; the gateway's, which answers 414 beyond.
MAX_URI = 32 * 1024
# Between the bytes of an answer that drips; a test sees some of them, and never all.
DRIP_SECONDS = 0.05


@dataclass(frozen=True)
class Call:
    """One request, as it was answered."""

    operation: str
    method: str
    path: str
    status: int
    """0: no answer was sent."""
    access_key: str
    at: float
    """Monotonic seconds."""
    ids: tuple[str, ...] = ()
    """The sources of a removal or an addition."""
    query: str = ""
    """As it was sent."""


class Emulator:
    """Serves a cloud on loopback, in a thread of its own; a context manager."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        keys: Mapping[str, Secret] | None = None,
        behaviour: Behaviour = DOCUMENTED,
        latency: float = 0.0,
        jitter: float = 0.0,
        page_cap: int = MAX_PAGE,
        rate_limit: float | None = None,
        retry_after: int | None = None,
        port: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what is served, and how.

        `keys`: secret keys by access key; None: no signatures are asked for. `latency`: seconds before each answer,
        give or take its `jitter`-th part. `rate_limit`: requests a second; more are answered 429. All may be changed
        while it serves.
        """
        self.cloud = cloud
        self.keys = dict(keys or {})
        self.authenticator = Authenticator(now) if keys is not None else None
        self.behaviour = behaviour
        self.page_cap = page_cap
        self.latency = latency
        self.jitter = jitter
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.on_call: Callable[[Call], None] | None = self.calls.append
        """Hears of each request, in the thread that serves; keeps it in `calls`, unless it is replaced."""
        self.hold: Callable[[str], Awaitable[None]] | None = None
        """Awaited with the operation's name before it takes effect: lets a test hold a call."""
        self.counts: dict[str, int] = {}
        """Answers by operation, whoever hears of calls."""
        self.url = ""
        self.loop = asyncio.new_event_loop()
        """The loop that serves, for what `hold` waits on."""
        self._now = now
        self._port = port
        self._random = random.Random(0)  # noqa: S311 - latencies that a test can repeat
        self._numbers = itertools.count(1)
        self._second, self._requests = 0, 0
        self._released = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._ready = threading.Event()

    def clear_faults(self) -> None:
        """End all faults, and let go of what hangs or drips."""
        self.faults.clear()
        self.loop.call_soon_threadsafe(self._released.set)
        self.loop.call_soon_threadsafe(self._released.clear)

    def changes(self) -> list[Call]:
        """Return the calls that could change a session."""
        return [call for call in self.calls if call.method != "GET"]

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10) or not self.url:
            raise RuntimeError("the emulator could not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            runner = self.loop.run_until_complete(self._listen())
        finally:
            self._ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _listen(self) -> web.ServerRunner:
        server = web.Server(self._serve, access_log=None, max_line_size=MAX_URI, max_field_size=MAX_URI)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.method == "DELETE" and (asked := _DELETIONS.fullmatch(request.raw_path)):
            return self._delete(asked["kind"], asked["id"], float(asked["after"] or 0))
        path, _, query = request.raw_path.partition("?")
        operation, parts = route(request.method, path)
        if self.latency:
            await asyncio.sleep(self.latency * (1 + self._random.uniform(-self.jitter, self.jitter)))
        fault = next((fault for fault in self.faults if fault.strikes(operation.name)), None)
        if self.hold is not None:
            await self.hold(operation.name)
        asked_for = Request(
            project_id=str(parts.get("project") or request.headers.get("X-Project-Id", "")),
            path=parts,
            query=parse_qsl(query, keep_blank_values=True),
            body=body,
            request_id=f"{next(self._numbers):032x}",
            access_key=request.headers.get("Authorization", "").partition("Access=")[2].partition(",")[0],
            version=operation.version or "v3",
        )
        if fault is None or fault.kind not in ("answer", "hang", "reset"):
            answer = self._perform(operation, asked_for, request)
        else:
            answer = Answer(fault.status if fault.kind == "answer" else 0, fault.body)
        self.counts[operation.name] = self.counts.get(operation.name, 0) + 1
        if self.on_call is not None:
            self.on_call(
                Call(
                    *(operation.name, request.method, path, answer.status, asked_for.access_key),
                    *(time.monotonic(), answer.ids, query),
                )
            )
        response = self._response(answer, asked_for.request_id)
        return response if fault is None else await self._fail(fault, request, answer, response)

    def _delete(self, kind: str, id_: str, after: float) -> web.Response:
        """Delete what a person asks for with curl; nothing has to be signed."""
        if kind == "ports":
            found = self.cloud.delete_port(id_)
        else:
            found = self.cloud.delete_server(id_, ports="pending" if after else "at once")
            self.loop.call_later(after, self.cloud.finish_deletion, id_)
        return web.Response(status=204) if found else web.Response(status=404, text=f"{kind}: there is no {id_}\n")

    def _perform(self, operation: Operation, asked_for: Request, request: web.BaseRequest) -> Answer:
        """Answer as the API does that the gateway lets through."""
        try:
            self._count()
            if self.authenticator is not None:
                self.authenticator.check(request, asked_for.body, self.keys)
            return operation.answer(Api(self.cloud, self.behaviour, self.page_cap), asked_for)
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body(asked_for.request_id))

    def _count(self) -> None:
        """Raise a Refusal over the rate limit, which the gateway counts in whole seconds."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._requests = second, 0
        self._requests += 1
        if self.rate_limit is not None and self._requests > self.rate_limit:
            raise Refusal(429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit")

    def _response(self, answer: Answer, request_id: str) -> web.Response:
        headers = {"X-Request-Id": request_id}
        if (offset := self.behaviour.date_offset) is not None:
            headers["Date"] = format_datetime(self._now() + timedelta(seconds=offset), usegmt=True)
        if answer.status == 429 and self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if answer.body:
            headers["Content-Type"] = "application/json"
        return (web.Response if "Date" in headers else _Undated)(
            status=answer.status or 500, body=answer.body, headers=headers
        )

    async def _fail(
        self, fault: Fault, request: web.BaseRequest, answer: Answer, response: web.Response
    ) -> web.StreamResponse:
        """Let an answer go wrong on the wire; but for what returns, the connection is reset."""
        streamed = web.StreamResponse(status=response.status, headers=response.headers)
        streamed.content_length = len(answer.body)
        transport = request.transport
        match fault.kind:
            case "answer":
                response.headers.update(fault.headers)
                return response
            case "interim" if transport is not None:
                transport.write(f"HTTP/1.1 {fault.status} Interim\r\n\r\n".encode())
                await asyncio.sleep(fault.seconds)
                return response
            case "drip":
                await streamed.prepare(request)
                with suppress(ConnectionResetError):  # nobody waits for it any more
                    for byte in answer.body:
                        await streamed.write(bytes((byte,)))
                        await asyncio.sleep(DRIP_SECONDS if fault in self.faults else 0)
                return streamed
            case "truncate":
                await streamed.prepare(request)
                await streamed.write(answer.body[: len(answer.body) // 2])
            case "hang":
                await self._released.wait()
        if transport is not None:
            transport.abort()
        return streamed


# What a person may ask for with curl, beside the API; a server's interfaces go so many seconds after it.
_DELETIONS = re.compile(r"/emulator/(?P<kind>ports|servers)/(?P<id>[^/?]+)(?:\?after=(?P<after>\d+(?:\.\d+)?))?")


class _Undated(web.Response):
    """An answer without the `Date` that aiohttp would add."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        del self.headers["Date"]
