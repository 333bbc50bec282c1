"""What the operator lets the service reach: nothing, the public internet, or listed hosts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from app.errors import AddressRefused
from app.outside.addresses import Address, is_host, is_public

PORTS: Final = {"http": 80, "https": 443}
"""The schemes that are spoken, and their ports: the only ones of a host whose port is not listed."""
MAX_URL_LENGTH: Final = 2048


@dataclass(frozen=True)
class Allowance:
    """Whether the public internet may be reached, and which hosts besides: (name, port); None: 80 and 443."""

    public: bool = False
    hosts: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def of(cls, entries: Collection[str]) -> Self:
        """Return what ``MOUTHPIECE_FETCH`` says: ``off``, or ``public`` and hosts, with or without a port."""
        hosts = {entry.lower() for entry in entries} - {"off", "public"}
        return cls("public" in entries, frozenset(_split(host) for host in hosts))

    @classmethod
    def for_url(cls, url: str) -> Self:
        """Return an allowance for the host of a URL that the operator set. Raises ``AddressRefused``."""
        try:
            return cls(hosts=frozenset({_split(urlsplit(url).netloc)}))
        except ValueError as error:
            raise AddressRefused(f"That is not a valid address: {str(error).rstrip('.')}.") from error

    @property
    def is_empty(self) -> bool:
        """Whether nothing may be reached."""
        return not (self.public or self.hosts)

    def check(self, url: httpx.URL) -> bool:
        """Raise ``AddressRefused`` unless a URL's host may be looked up; return whether it is listed."""
        if url.scheme not in PORTS:
            named = f", not {url.scheme[:20]!r}" if url.scheme else ""
            raise AddressRefused(f"An address must begin with http:// or https://{named}.")
        if self.is_empty:
            raise AddressRefused(
                "This service may not connect to other hosts; the operator can set MOUTHPIECE_FETCH."
            )
        if url.userinfo:
            raise AddressRefused("An address must not contain a user name or a password; leave them out.")
        host, port = _plain(url.raw_host.decode("ascii")), url.port or PORTS[url.scheme]
        if not host:
            raise AddressRefused("The address has no host; write it as https://host/path.")
        usual = port in PORTS.values()
        if (host, port) in self.hosts or (usual and (host, None) in self.hosts):
            return True
        if not self.public:
            raise AddressRefused(
                f"This service may not connect to {host[:80]!r}; the operator can add it to MOUTHPIECE_FETCH."
            )
        if not usual:
            raise AddressRefused(
                f"Port {port} is not allowed, only 80 and 443; the operator can add the host and its "
                "port to MOUTHPIECE_FETCH."
            )
        return False

    def check_address(self, address: Address, *, listed: bool) -> None:
        """Raise ``AddressRefused`` unless what a host's name stands for may be connected to."""
        if not (is_public(address) or (listed and is_host(address))):
            raise AddressRefused("The host is not on the public internet; use a public address.")


def read_url(text: str) -> httpx.URL:
    """Return the URL that a text is. Raises ``AddressRefused``."""
    if len(text) > MAX_URL_LENGTH:
        raise AddressRefused(f"The address has more than {MAX_URL_LENGTH} characters; use a shorter one.")
    try:
        url = httpx.URL(text.strip())
        _ = url.host  # read from Punycode only here, which fails where it is none
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"That is not a valid address: {str(error).rstrip('.')}.") from error
    return url


def check_own_url(url: str) -> None:
    """Raise ``AddressRefused`` if nothing could be sent to a URL that the operator configured."""
    Allowance.for_url(url).check(read_url(url))


def _plain(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


def _split(host: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{host}")
    return _plain(parts.hostname or ""), parts.port
