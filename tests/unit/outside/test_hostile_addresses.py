"""Addresses that a caller must not have the service reach. Only the resolver is made up."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.errors import AddressRefused, FetchFailed, OutsideError
from app.outside.addresses import meant
from app.outside.allowance import Allowance
from app.outside.fetching import Fetcher, FetchTimeouts
from app.outside.reach import Reach, system_resolve
from tests.support.neighbour import Neighbour
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio

PATIENT = FetchTimeouts()
QUICK = FetchTimeouts(connect=0.5, head=1.0)
"""For hosts that are not there, or say nothing: on a busy machine, others are not always as quick."""

NAMES = {
    "inside.test": ["10.1.2.3"],
    "mixed.test": ["93.184.215.14", "127.0.0.1"],
    "mixed6.test": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    "metadata.google.internal": ["169.254.169.254"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "scoped.test": ["fe80::1%eth0"],
    "odd.test": ["not-an-address"],
    "localhost.": ["127.0.0.1"],
    "localtest.test": ["127.0.0.1"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    "nobody.test": [],
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def resolve(host: str, port: int) -> list[str]:
    """Answer for names that are made up; numbers are read as the system reads them."""
    if host in NAMES:
        return NAMES[host]
    if host == "media.test":
        return ["127.0.0.1"]
    if host.endswith(".test"):
        raise socket.gaierror("unknown")
    return await system_resolve(host, port)


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    with Neighbour(files={"/clip": b"film", "/secret": b"secret"}).open() as there:
        yield there


def fetcher(neighbour: Neighbour, timeouts: FetchTimeouts = PATIENT) -> Fetcher:
    allowed = Allowance.of({"public", f"media.test:{neighbour.port}", "metadata.google.internal"})
    return Fetcher(allowed, timeouts=timeouts, resolve=resolve)


async def fetch(fetcher: Fetcher, url: str, most: int = 1 << 20) -> bytes:
    data = b""
    async with fetcher.fetch(url) as file:
        async for piece in file.pieces:
            data += piece
            assert len(data) <= most, "there is no end of it"
    return data


NOT_PUBLIC = "not on the public internet"
REFUSED = [
    # schemes, and what is no URL
    ("file:///etc/passwd", "http://"),
    ("ftp://example.org/a.mp4", "http://"),
    ("gopher://127.0.0.1:6379/_INFO", "http://"),
    ("dict://127.0.0.1:11211/stats", "http://"),
    ("ldap://127.0.0.1/", "http://"),
    ("jar:http://127.0.0.1!/", "http://"),
    ("unix:///var/run/docker.sock", "http://"),
    ("javascript:alert(1)", "http://"),
    ("//127.0.0.1/secret", "http://"),
    ("/secret", "http://"),
    ("", "http://"),
    ("http://", "no host"),
    ("http:///secret", "no host"),
    ("http://exa mple.org/", "cannot be resolved"),
    ("http://[::1/", "address"),
    ("http://example.org:99999/", "Port 99999"),
    ("http://example.org/\x00", "address"),
    ("http://example.org/" + "a" * 3000, "characters"),
    # what a URL may not have
    ("http://user:password@example.org/", "user name"),
    ("http://example.org@127.0.0.1/", "user name"),
    ("http://127.0.0.1:80@example.org/", "user name"),
    ("http://example.org:22/", "Port 22"),
    ("http://example.org:6379/", "Port 6379"),
    ("https://example.org:8443/", "Port 8443"),
    ("http://media.test:1/", "Port 1"),
    # loopback, however it is written
    ("http://127.0.0.1/", NOT_PUBLIC),
    ("https://127.0.0.1/", NOT_PUBLIC),
    ("http://127.0.0.1:443/", NOT_PUBLIC),
    ("http://127.1/", NOT_PUBLIC),
    ("http://127.255.255.254/", NOT_PUBLIC),
    ("http://2130706433/", NOT_PUBLIC),
    ("http://0x7f000001/", NOT_PUBLIC),
    ("http://0x7f.0.0.1/", NOT_PUBLIC),
    ("http://0177.0.0.1/", "not a valid address"),
    ("http://xn--/", "not a valid address"),
    ("http://xn--a/", "not a valid address"),
    ("http://example.org/\0", "at position 19."),
    ("http://017700000001/", NOT_PUBLIC),
    ("http://0/", NOT_PUBLIC),
    ("http://0.0.0.0/", NOT_PUBLIC),
    ("http://localhost/", NOT_PUBLIC),
    ("http://LOCALHOST/", NOT_PUBLIC),
    ("http://localhost./", NOT_PUBLIC),
    ("http://１２７.0.0.1/", "."),
    ("http://①②⑦.0.0.1/", "."),
    ("http://127。0。0。1/", "."),
    ("http://%31%32%37.0.0.1/", "."),
    ("http://[::1]/", NOT_PUBLIC),
    ("http://[0:0:0:0:0:0:0:1]/", NOT_PUBLIC),
    ("http://[::]/", NOT_PUBLIC),
    ("http://[::ffff:127.0.0.1]/", NOT_PUBLIC),
    ("http://[::ffff:7f00:1]/", NOT_PUBLIC),
    ("http://[::127.0.0.1]/", NOT_PUBLIC),
    ("http://[64:ff9b::127.0.0.1]/", NOT_PUBLIC),
    ("http://[64:ff9b:1::7f00:1]/", NOT_PUBLIC),
    ("http://[2002:7f00:1::]/", NOT_PUBLIC),
    ("http://[2001:0:7f00:1::80ff:fffe]/", NOT_PUBLIC),
    ("http://[2606:4700::5efe:7f00:1]/", NOT_PUBLIC),
    # private, link-local, multicast, reserved
    ("http://10.0.0.1/", NOT_PUBLIC),
    ("http://172.16.0.1/", NOT_PUBLIC),
    ("http://192.168.1.1/", NOT_PUBLIC),
    ("http://100.64.0.1/", NOT_PUBLIC),
    ("http://198.18.0.1/", NOT_PUBLIC),
    ("http://192.0.2.1/", NOT_PUBLIC),
    ("http://224.0.0.1/", NOT_PUBLIC),
    ("http://239.255.255.250/", NOT_PUBLIC),
    ("http://240.0.0.1/", NOT_PUBLIC),
    ("http://255.255.255.255/", NOT_PUBLIC),
    ("http://[fc00::1]/", NOT_PUBLIC),
    ("http://[fec0::1]/", NOT_PUBLIC),
    ("http://[fe80::1]/", NOT_PUBLIC),
    ("http://[ff02::1]/", NOT_PUBLIC),
    ("http://[2001:db8::1]/", NOT_PUBLIC),
    ("http://[::ffff:10.0.0.1]/", NOT_PUBLIC),
    ("http://[64:ff9b::a9fe:a9fe]/", NOT_PUBLIC),
    # metadata services
    ("http://169.254.169.254/latest/meta-data/", NOT_PUBLIC),
    ("http://2852039166/", NOT_PUBLIC),
    ("http://0xa9fea9fe/", NOT_PUBLIC),
    ("http://169.254.170.2/v2/credentials", NOT_PUBLIC),
    ("http://100.100.100.200/", NOT_PUBLIC),
    ("http://168.63.129.16/", NOT_PUBLIC),
    ("http://192.0.0.192/", NOT_PUBLIC),
    ("http://[fd00:ec2::254]/", NOT_PUBLIC),
    ("http://metadata.google.internal/", NOT_PUBLIC),
    # names
    ("http://inside.test/", NOT_PUBLIC),
    ("http://mixed.test/", NOT_PUBLIC),
    ("http://mixed6.test/", NOT_PUBLIC),
    ("http://mapped.test/", NOT_PUBLIC),
    ("http://nat64.test/", NOT_PUBLIC),
    ("http://scoped.test/", NOT_PUBLIC),
    ("http://localtest.test/", NOT_PUBLIC),
    ("http://127.0.0.1.nip.test/", NOT_PUBLIC),
    ("http://odd.test/", "cannot be read"),
    ("http://nobody.test/", "cannot be resolved"),
    ("http://unknown.test/", "cannot be resolved"),
]
"""An address, and a word of the sentence that it is refused with."""


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
async def test_none_of_these_is_reached(neighbour: Neighbour, url: str, sentence: str) -> None:
    with pytest.raises(OutsideError, match=sentence) as refusal:
        await fetch(fetcher(neighbour), url)
    assert refusal.value.detail.endswith(".")
    assert neighbour.taken == []


SENDABLE = [url for url, _ in REFUSED if url[:1] not in ("", "/") and url.isprintable() and len(url) < 2048]
"""What a server can lead on to."""


@pytest.mark.parametrize("url", SENDABLE)
async def test_no_redirect_leads_to_any_of_these(neighbour: Neighbour, url: str) -> None:
    with pytest.raises(OutsideError):
        await fetch(fetcher(neighbour), f"http://media.test:{neighbour.port}/to?url={quote(url, safe='')}")
    assert all(each.path.startswith("/to") for each in neighbour.taken)


async def test_a_name_that_means_something_else_the_second_time_is_asked_once(neighbour: Neighbour) -> None:
    asked = []

    async def rebind(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["1.2.3.4" if len(asked) == 1 else "127.0.0.1"]

    turning = Fetcher(Allowance.of({"public"}), timeouts=QUICK, resolve=rebind)
    with pytest.raises(FetchFailed):
        await fetch(turning, "http://turning.test/secret")
    assert asked == ["turning.test"]
    with pytest.raises(AddressRefused, match=NOT_PUBLIC):
        await fetch(turning, "http://turning.test/secret")


async def test_three_redirects_are_followed_and_no_more(neighbour: Neighbour) -> None:
    url = there = f"http://media.test:{neighbour.port}/clip"
    for _ in range(3):
        url = f"http://media.test:{neighbour.port}/to?url={quote(url, safe='')}"
    assert await fetch(fetcher(neighbour), url) == b"film"
    assert neighbour.paths()[-1] == there.removeprefix(f"http://media.test:{neighbour.port}")
    with pytest.raises(FetchFailed, match="more than 3"):
        await fetch(fetcher(neighbour), f"http://media.test:{neighbour.port}/to?url={quote(url, safe='')}")


@pytest.mark.parametrize(
    ("path", "sentence", "timeouts"),
    [
        ("/drip", "too slowly", FetchTimeouts(stretch=2.0)),
        ("/silent", "too long", QUICK),
        ("/packed", "compressed", PATIENT),
        ("/nothing", "answers 404", PATIENT),
    ],
)
async def test_a_host_that_misbehaves_is_given_up(
    neighbour: Neighbour, path: str, sentence: str, timeouts: FetchTimeouts
) -> None:
    with pytest.raises(FetchFailed, match=sentence):
        await fetch(fetcher(neighbour, timeouts), f"http://media.test:{neighbour.port}{path}")


async def test_a_host_that_never_ends_has_its_time(neighbour: Neighbour) -> None:
    allowed = Allowance.of({f"127.0.0.1:{neighbour.port}"})
    patient = Fetcher(allowed, timeouts=FetchTimeouts(total=0.3, least_bytes=0))
    with pytest.raises(FetchFailed, match=r"broke off.*too long"):
        await fetch(patient, f"{neighbour.url}/drip")


async def test_a_body_without_end_comes_piece_by_piece(neighbour: Neighbour) -> None:
    async with fetcher(neighbour).fetch(f"http://media.test:{neighbour.port}/endless") as file:
        sizes = [len(await anext(file.pieces)) for _ in range(20)]
    assert max(sizes) <= 1 << 20


async def test_nothing_is_reached_unless_that_is_allowed(neighbour: Neighbour) -> None:
    url = f"{neighbour.url}/clip"
    for setting in (set(), {"off"}):
        with pytest.raises(AddressRefused, match="MOUTHPIECE_FETCH"):
            await fetch(Fetcher(Allowance.of(setting)), url)
    with pytest.raises(AddressRefused, match="may not connect"):
        await fetch(Fetcher(Allowance.of({"127.0.0.1:1"})), url)
    listed = Fetcher(Allowance.of({f"127.0.0.1:{neighbour.port}"}))
    assert await fetch(listed, url) == b"film"
    with pytest.raises(AddressRefused, match="may not connect"):
        await fetch(listed, f"http://localhost:{neighbour.port}/clip")


async def test_the_host_is_told_the_name_that_it_was_asked_by(neighbour: Neighbour) -> None:
    await fetch(fetcher(neighbour), f"http://media.test:{neighbour.port}/clip")
    assert neighbour.taken[0].headers["host"] == f"media.test:{neighbour.port}"


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
async def test_an_address_that_cannot_be_connected_to_leads_to_the_next(
    monkeypatch: pytest.MonkeyPatch, error: type[httpx.TransportError]
) -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["2001:4860::1", "93.184.215.14"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "2001:4860::1":
            raise error("not there")
        return httpx.Response(200, text=request.url.host)

    reach = Reach(Allowance.of({"public"}), two)
    monkeypatch.setattr(reach, "_inner", httpx.MockTransport(answer))
    async with httpx.AsyncClient(transport=reach) as web:
        assert (await web.get("http://media.test/clip")).text == "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.7.7", "100.64.0.1", "fd12::1", "::1", "::ffff:10.0.0.1", "8.8.8.8"],
)
async def test_a_listed_host_may_be_of_a_private_network(address: str) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return [address]

    (found,) = await Reach(Allowance.of({"minio:9000"}), inside).addresses(httpx.URL("http://minio:9000/a"))
    assert found == meant(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "224.0.0.1",
    ],
)
async def test_a_listed_host_is_no_way_to_a_clouds_metadata(address: str) -> None:
    async def turned(host: str, port: int) -> list[str]:
        return [address]

    with pytest.raises(AddressRefused):
        await Reach(Allowance.of({"minio:9000"}), turned).addresses(httpx.URL("http://minio:9000/a"))


async def test_slow_names_hold_up_no_other_and_are_not_waited_for_once_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = Event()
    real = socket.getaddrinfo

    def slowly(host: str, *given: Any, **named: Any) -> Any:
        if host == "slow.test":
            assert goes_on.wait(DEADLINE)
            raise socket.gaierror("unknown")
        return real(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    slow = [asyncio.create_task(system_resolve("slow.test", 80)) for _ in range(24)]
    try:
        await asyncio.sleep(0.1)  # they begin
        assert await asyncio.wait_for(system_resolve("127.0.0.1", 80), DEADLINE / 4) == ["127.0.0.1"]
        slow[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(slow[0], DEADLINE / 4)
    finally:
        goes_on.set()
        await asyncio.gather(*slow, return_exceptions=True)


@pytest.mark.parametrize("owners", [("one", "other"), (None, None)])
async def test_slow_hosts_hold_up_no_other_key_and_no_other_host(
    neighbour: Neighbour, owners: tuple[str | None, str | None]
) -> None:
    allowed = Allowance.of({f"{host}:{neighbour.port}" for host in ("media.test", "127.0.0.1")})
    patient = Fetcher(allowed, at_a_time=4, resolve=resolve)
    slow, quick = f"http://media.test:{neighbour.port}/silent", f"{neighbour.url}/clip"

    async def fetch(address: str, owner: str | None) -> bytes:
        async with patient.fetch(address, owner) as fetched:
            return b"".join([piece async for piece in fetched.pieces])

    waiting = [asyncio.create_task(fetch(slow, owners[0])) for _ in range(8)]
    try:
        await asyncio.sleep(0.1)  # they begin
        assert await asyncio.wait_for(fetch(quick, owners[1]), DEADLINE / 4) == b"film"
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
