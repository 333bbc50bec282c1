"""Which IP addresses belong to the public internet, however they are written.

Based on IANA's special-purpose registries (RFC 6890), as ``ipaddress`` knows them. An IPv6 address that
embeds an IPv4 address counts as that address.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

_METADATA: Final = frozenset(
    ip_address(each)
    for each in (
        *("168.63.129.16", "192.0.0.192", "100.100.100.200"),  # Azure, Oracle, Alibaba
        *("fd00:ec2::254", "fd00:ec2::23"),  # AWS: EC2, EKS
        *("fd20:ce::254", "fd00:c1::a9fe:a9fe"),  # Google, Oracle
        *("fd00:42::42", "fd00:a9fe:a9fe::1"),  # Scaleway, Akamai
    )
)
"""Where clouds keep what only a machine itself may know, beside link-local addresses."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is routed in public."""
_SIXTOFOUR: Final = IPv6Network("2002::/16")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)


def meant(address: str) -> Address:
    """Return the address that a text means: IPv4 where it is carried by IPv6 (mapped, NAT64).

    Raises ValueError.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped
        if parsed in _NAT64:
            return IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed


def is_public(address: Address) -> bool:
    """Whether an address, as :func:`meant` returns it, is one of the public internet."""
    if address in _METADATA or not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    tunnelled = address in _SIXTOFOUR or address.teredo is not None or _is_isatap(address)
    return address in _UNICAST and not tunnelled


def is_host(address: Address) -> bool:
    """Whether an address can be one host, of this machine or a private network too: no cloud's metadata."""
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return address.is_loopback or not address.is_reserved


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
