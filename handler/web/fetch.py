"""One page of the internet: what a signed message may make the function ask for, and no way to anywhere else.

Only https, to an address that was looked up once, looked at and then connected to, so that no second look-up can
lead elsewhere. No redirect is followed, no proxy is asked, nothing is sent along. Who calls decides which URLs.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from time import monotonic
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import certifi
import urllib3

from handler.errors import CannotVerify, DeadlineExceeded
from handler.model import Deadline
from handler.vpc.connections import TlsPool

PAGE_SECONDS = 2.5
"""For one page, from the look-up of its name to its last byte: SMN waits 5 s for the whole delivery."""
PAGE_BYTES = 64 * 1024
"""A certificate has 2 KiB."""
WORKERS = 4
MOST_ADDRESSES = 4
"""Of a host that are looked at and tried."""

Address: TypeAlias = IPv4Address | IPv6Address
T = TypeVar("T")

_CLOUD_SERVICES = IPv4Network("100.125.0.0/16")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_DOCUMENTATION = IPv6Network("3fff::/20")
"""Of 2024, which not every Python knows for what it is."""


def is_public(address: Address) -> bool:
    """Tell whether the address is one of the internet's: none of a private network, of this machine or of its link.

    An IPv4 address within an IPv6 one counts as itself. Within Huawei Cloud's own networks its DNS answers for its
    services with addresses in 100.125.0.0/16, which are nobody's else there.
    """
    if isinstance(address, IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            within = IPv4Address(int(address) & 0xFFFF_FFFF)
        if within is not None:
            return is_public(within)
        if address not in _GLOBAL_UNICAST or address in _DOCUMENTATION:
            return False  # what is outside may translate to an IPv4 address, here or there
    elif address in _CLOUD_SERVICES:
        return True
    return address.is_global and not address.is_multicast


def addresses_of(host: str) -> Sequence[str]:
    """Ask the system for the addresses of a name."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")


@dataclass(frozen=True, slots=True)
class Fetch:
    """How pages are fetched: threads of its own, so that not even a name server can hold a delivery."""

    resolve: Callable[[str], Sequence[str]] = addresses_of
    allows: Callable[[Address], bool] = is_public
    port: int = 443
    authorities: str = field(default_factory=certifi.where)
    """The file of the certificates that a server's has to lead to."""
    seconds: float = PAGE_SECONDS
    threads: ThreadPoolExecutor = field(default_factory=_pool)

    def begin(self, url: str, read: Callable[[bytes], T]) -> Future[T]:
        """Fetch a page and read it; the result raises CannotVerify unless it is a 200 within the bounds."""
        return self.threads.submit(lambda: read(self._page(url)))

    def _page(self, url: str) -> bytes:
        deadline = Deadline.within(self.seconds, monotonic)
        parts = urlsplit(url)
        host, target = parts.hostname or "", parts._replace(scheme="", netloc="").geturl()
        addresses = self._addresses(host)
        for last, address in enumerate(addresses, 1 - len(addresses)):
            try:
                return self._ask(address, host, target, deadline)
            except urllib3.exceptions.NewConnectionError as error:
                if last == 0:
                    raise CannotVerify("the host of the page is not to be reached") from error
            except (urllib3.exceptions.HTTPError, OSError, DeadlineExceeded) as error:
                raise CannotVerify(f"the page cannot be fetched: {type(error).__name__}") from error
        raise CannotVerify("the host of the page has no address")

    def _addresses(self, host: str) -> list[str]:
        """Return the host's addresses; raise CannotVerify when one of them is not allowed."""
        try:
            found = list(dict.fromkeys(self.resolve(host)))[:MOST_ADDRESSES]
            allowed = all(self.allows(ipaddress.ip_address(address)) for address in found)
        except (OSError, ValueError) as error:  # ValueError: a scope (fe80::1%eth0), or a name that is none
            raise CannotVerify("the host of the page cannot be looked up") from error
        if not allowed:
            raise CannotVerify("the host of the page has an address that is not public")
        return found

    def _ask(self, address: str, host: str, target: str, deadline: Deadline) -> bytes:
        left = deadline.require("fetching a page")
        with TlsPool(
            address,
            self.port,
            server_hostname=host,
            assert_hostname=host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self.authorities,
            timeout=urllib3.Timeout(connect=left, read=left),
        ) as pool:
            page = pool.urlopen(
                "GET",
                target,
                headers={"Host": host, "Accept-Encoding": "identity"},
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                if page.status != 200:
                    raise CannotVerify(f"the page answers with status {page.status}")
                return _read(page, deadline)
            finally:
                page.close()


def within(page: Future[T], seconds: float) -> T:
    """Return what was begun; raise CannotVerify when it failed, or is not there within so many seconds."""
    try:
        error = page.exception(max(0.0, seconds))
    except NotYet:
        raise CannotVerify("the page takes too long") from None
    if isinstance(error, CannotVerify):
        raise CannotVerify(str(error)) from error  # several may wait for it: each gets an error of its own
    return page.result()


def _read(page: urllib3.BaseHTTPResponse, deadline: Deadline) -> bytes:
    content = b""
    while chunk := page.read1(PAGE_BYTES, decode_content=False):
        content += chunk
        if len(content) > PAGE_BYTES:
            raise CannotVerify(f"the page is over {PAGE_BYTES} bytes")
        sock = getattr(page.connection, "sock", None)
        if sock is not None:
            sock.settimeout(deadline.require("reading a page"))
    return content
