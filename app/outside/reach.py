"""An HTTP transport that cannot be tricked: each request is checked, resolved once, and sent to that address.

Names are resolved here, not by the library that connects. So the address that was checked is the one
connected to, even if the name means something else a moment later (DNS rebinding). A redirect is a request
like any other.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self

import httpx

from app.errors import AddressRefused
from app.outside.addresses import Address, meant
from app.outside.allowance import PORTS, Allowance
from app.threads import on_names

MAX_REDIRECTS: Final = 3

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, best first. Raises OSError if there are none."""


async def system_resolve(host: str, port: int) -> list[str]:
    """Ask the system, as a connection would; it also understands all odd ways to write an IPv4 address."""
    # Not by the event loop: uvloop has two threads for it, so two slow names would hold up all others.
    found = await on_names(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Reach(httpx.AsyncBaseTransport):
    """Sends requests to whom an allowance lets be reached, and to nobody else."""

    def __init__(self, allowance: Allowance, resolve: Resolve = system_resolve) -> None:
        self._allowance = allowance
        self._resolve = resolve
        # No connection is kept: kept ones are told apart by their address, and two names may share one.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises ``AddressRefused``, and what httpx raises."""
        host = request.url.raw_host.decode("ascii")
        failure: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in await self.addresses(request.url):
            sent = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host.strip("[]")},
            )
            try:
                return await self._inner.handle_async_request(sent)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing has been sent yet
                failure = error
        assert failure is not None
        raise failure

    async def addresses(self, url: httpx.URL) -> list[Address]:
        """Return the addresses of a URL's host, all of which may be connected to.

        Raises ``AddressRefused``, also if only one may not be, and ``httpx.ConnectError`` if there are none.
        """
        listed = self._allowance.check(url)
        try:
            named = await self._resolve(url.raw_host.decode("ascii"), url.port or PORTS[url.scheme])
            addresses = [meant(address) for address in named]
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("the name of its host cannot be resolved") from error
        except ValueError as error:
            raise AddressRefused("The host has an address that cannot be read.") from error
        if not addresses:
            raise httpx.ConnectError("the name of its host cannot be resolved")
        for address in addresses:
            self._allowance.check_address(address, listed=listed)
        return addresses

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, traceback)


def client(allowance: Allowance, resolve: Resolve, timeout: httpx.Timeout) -> httpx.AsyncClient:
    """Return a client that reaches whom it may, by no proxy."""
    return httpx.AsyncClient(
        transport=Reach(allowance, resolve),
        timeout=timeout,
        trust_env=False,
        headers={"User-Agent": "mouthpiece"},
    )


async def send(web: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a request and return the beginning of its answer, after at most three redirects of the same kind.

    The library would follow them, too, but read what comes with each, however much that is. Raises
    ``AddressRefused``, and what httpx raises.
    """
    for _ in range(MAX_REDIRECTS + 1):
        try:
            response = await web.send(request, stream=True)
        except UnicodeError as error:  # of a host that is no Punycode, which the library does not catch
            raise httpx.InvalidURL(f"it redirects to an address that is not valid: {error}") from error
        if response.next_request is None or response.next_request.method != request.method:
            return response
        await response.aclose()
        request = response.next_request
    raise httpx.TooManyRedirects("too many redirects", request=request)


@lru_cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
