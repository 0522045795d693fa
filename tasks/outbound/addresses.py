"""Which addresses a call may go to: those of the public internet, and the networks that were allowed.

Sources: the IANA registries of special-purpose addresses (RFC 6890) for IPv4
and IPv6; RFC 4291 for mapped addresses, RFC 3056 for 6to4, RFC 6052 for NAT64;
the documents of the clouds for their metadata services.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "fd00:ec2::254",  # Amazon
        "fd20:ce::254",  # Google
        "fe80::a9fe:a9fe",  # OpenStack
        "169.254.170.2", "169.254.170.23", "fd00:ec2::23",  # the credentials of Amazon's containers
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure; it stands among public addresses
    )
)  # fmt: skip
_SPECIAL: Final = tuple(
    (ip_network(text), kind)
    for text, kind in (
        ("127.0.0.0/8", "a loopback address"),
        ("::1/128", "a loopback address"),
        ("10.0.0.0/8", "a private address"),
        ("172.16.0.0/12", "a private address"),
        ("192.168.0.0/16", "a private address"),
        ("fc00::/7", "a private address"),
        ("fec0::/10", "a private address"),
        ("100.64.0.0/10", "a shared address"),
        ("169.254.0.0/16", "a link-local address"),
        ("fe80::/10", "a link-local address"),
        ("224.0.0.0/4", "a multicast address"),
        ("ff00::/8", "a multicast address"),
        ("0.0.0.0/32", "an unspecified address"),
        ("::/128", "an unspecified address"),
        ("0.0.0.0/8", "a reserved address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.88.99.0/24", "a reserved address"),
        ("198.18.0.0/15", "a reserved address"),
        ("240.0.0.0/4", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("2001::/23", "a reserved address"),  # tunnels of Teredo among them
    )
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
"""All that is given out to the public; the rest of IPv6 is special or not in use."""
_CARRIERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""IPv6 addresses that lead to an IPv4 address, and how many bits stand behind that."""
_32_BITS: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Which addresses may be called. Without `allowed`: those of the public internet alone."""

    allowed: tuple[Network, ...] = ()
    """Networks that may be called beside it. Metadata services stay forbidden: they give away credentials."""

    @classmethod
    def of(cls, networks: Sequence[str]) -> Self:
        """Read networks (`10.1.0.0/16`) and addresses. Raises ValueError for a text that is neither."""
        return cls(tuple(ip_network(text) for text in networks))

    def why_not(self, address: Address) -> str | None:
        """Say what is wrong with an address, in words; None if it may be called.

        An IPv6 address that leads to an IPv4 address is judged by that one.
        """
        way = tuple(_way(address))
        if any(one in _METADATA for one in way):
            return "the address of a metadata service"
        if any(one in network for one in way for network in self.allowed if network.version == one.version):
            return None
        return _kind(way[-1])


def _way(address: Address) -> Iterator[Address]:
    """Give the address, without its zone, and the IPv4 address that it leads to."""
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    yield IPv6Address(number)
    for network, behind in _CARRIERS:
        if address in network:
            yield IPv4Address(number >> behind & _32_BITS)
            return


def _kind(address: Address) -> str | None:
    for network, kind in _SPECIAL:
        if address.version == network.version and address in network:
            return kind
    return "a reserved address" if isinstance(address, IPv6Address) and address not in _PUBLIC_6 else None
