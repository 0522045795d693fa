"""Which addresses may be called."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.tasks.outbound import AddressRules

PUBLIC = AddressRules()
METADATA = [
    "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "fe80::a9fe:a9fe", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
]  # fmt: skip


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::1.1.1.1"])
def test_the_public_internet_may_be_called(text):
    """In either family, and from a network that has IPv6 only."""
    assert PUBLIC.why_not(ip_address(text)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("::1", "loopback"),
        ("10.0.0.1", "private"), ("172.16.0.1", "private"), ("172.31.255.255", "private"),
        ("192.168.1.1", "private"), ("fc00::1", "private"), ("fdff::1", "private"), ("fec0::1", "private"),
        ("100.64.0.1", "shared"), ("169.254.1.1", "link-local"), ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"), ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 -- nothing is bound to it
        ("::", "unspecified"), ("0.1.2.3", "reserved"), ("192.0.0.1", "reserved"),
        ("198.18.0.1", "reserved"), ("198.19.255.255", "reserved"), ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"), ("192.88.99.1", "reserved"), ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"), ("203.0.113.1", "documentation"),
        ("2001:db8::1", "documentation"), ("3fff::1", "documentation"), ("2001::1", "reserved"),
        ("4000::1", "reserved"), ("64:ff9b:1::1", "reserved"), ("::127.0.0.1", "reserved"),
        ("100::1", "reserved"), ("5f00::1", "reserved"),
        # What leads to an IPv4 address is that address.
        ("::ffff:127.0.0.1", "loopback"), ("::ffff:10.0.0.1", "private"), ("::ffff:0.0.0.0", "unspecified"),
        ("64:ff9b::10.0.0.1", "private"), ("64:ff9b::127.0.0.1", "loopback"),
        ("2002:7f00:1::", "loopback"), ("2002:c0a8:101::1", "private"),
    ],
)  # fmt: skip
def test_special_addresses_may_not(text, why):
    """And the reason is named."""
    assert why in (PUBLIC.why_not(ip_address(text)) or "")


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_nothing_is_public_that_python_calls_special(address):
    """Our table forbids at least what that of the standard library does, but for addresses that lead on."""
    leads_on = isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour)
    if PUBLIC.why_not(address) is None and not leads_on:
        assert address.is_global
        assert not address.is_multicast


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_has_one_fate_however_it_is_written(address):
    """Mapped, by 6to4, by NAT64: the same answer as for itself."""
    number = int(address)
    forms = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(0x64_FF9B << 96 | number),
    ]
    assert [PUBLIC.why_not(address)] * 3 == [PUBLIC.why_not(form) for form in forms]


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"])
def test_a_network_that_was_allowed_may_be_called(text):
    """Also by an address that leads into it."""
    rules = AddressRules.of(["10.1.0.0/16", "fd00::/64"])
    assert rules.why_not(ip_address(text)) is None
    assert rules.why_not(ip_address("10.2.0.1")) is not None


@pytest.mark.parametrize("text", METADATA)
def test_metadata_may_not_be_called_whatever_is_allowed(text):
    """Who reads them has the credentials of the machine."""
    everything = AddressRules.of(["0.0.0.0/0", "::/0"])
    assert "metadata" in (everything.why_not(ip_address(text)) or "")


def test_a_text_that_is_no_network_is_refused():
    """Host bits that are set are a typing error, too."""
    with pytest.raises(ValueError, match="host bits"):
        AddressRules.of(["10.1.0.1/16"])
