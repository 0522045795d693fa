"""The broker's address, taken apart."""

import pytest
import redis

from holdfast.settings.broker import Tls, parse


def test_redis_in_clear():
    """An address without TLS has no TLS part, whatever files are named."""
    broker = parse("redis://user:secret@cache:6380/2", tls=Tls(ca_file="/ca.pem"))
    assert ("redis", "cache", True, None) == (broker.kind, broker.host, broker.has_password, broker.tls)
    assert not broker.is_local


def test_tls_verifies_unless_told_otherwise():
    """rediss:// means that the certificate and its name are looked at."""
    broker = parse("rediss://cache/0", tls=Tls(ca_file="/ca.pem"))
    assert Tls(ca_file="/ca.pem", verifies=True, checks_host=True) == broker.tls


def test_parameters_of_the_address_win_and_leave_it():
    """What redis-py writes into an address is understood; kombu gets an address without it."""
    broker = parse(
        "rediss://cache/0?ssl_ca_certs=/other.pem&ssl_check_hostname=false", tls=Tls(ca_file="/ca.pem")
    )
    assert "rediss://cache/0" == broker.url
    assert Tls(ca_file="/other.pem", checks_host=False) == broker.tls


@pytest.mark.parametrize("value", ["none", "CERT_NONE", "optional"])
def test_a_certificate_that_nobody_looks_at_is_noticed(value):
    """Any requirement less than required counts as none."""
    tls = parse(f"amqps://mq/v?ssl_cert_reqs={value}").tls
    assert tls is not None
    assert not tls.verifies


def test_the_address_for_redis_py():
    """redis-py opens the same connection from its own kind of address."""
    tls = parse("rediss://u:p@cache:6380/3?ssl_ca_certs=/ca.pem").redis_url()
    options = redis.ConnectionPool.from_url(tls).connection_kwargs
    assert ("cache", 6380, 3, "u", "p") == tuple(
        options[key] for key in ("host", "port", "db", "username", "password")
    )
    assert ("/ca.pem", "required", True) == (
        options["ssl_ca_certs"],
        options["ssl_cert_reqs"],
        options["ssl_check_hostname"],
    )
    socket = parse("redis+socket://u:p@/run/redis.sock?virtual_host=2").redis_url()
    options = redis.ConnectionPool.from_url(socket).connection_kwargs
    assert ("/run/redis.sock", 2, "u", "p") == tuple(
        options[key] for key in ("path", "db", "username", "password")
    )


def test_a_password_apart_from_a_socket():
    """A socket file may have a password, too."""
    broker = parse("redis+socket:///run/redis.sock?virtual_host=2", password="p@ss")
    assert "redis+socket://:p%40ss@/run/redis.sock?virtual_host=2" == broker.url
    assert broker.is_local
    assert broker.has_password


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("mq", False),
    ],
)
def test_what_stays_on_the_machine(host, is_local):
    """Loopback addresses and localhost are local; a name is not."""
    assert is_local == parse(f"amqp://{host}/v").is_local


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("cache:6379", "is no address"),
        ("http://cache", "begins with http://"),
        ("valkey://cache", "write redis://"),
        ("sentinel://cache", "not supported"),
        ("postgresql://db/x", "HOLDFAST_DATABASE_URL"),
        ("redis://a;redis://b", "more than one"),
        ("redis:///0", "names no host"),
        ("redis+socket://", "no socket file"),
        ("redis://cache/0?ssl_ca_certs=/x", "takes none"),
        ("rediss://cache/0?visibility_timeout=3", "known are ssl_ca_certs"),
        ("rediss://cache/0?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("redis://cache:port/0", "ort"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(url, said):
    """Kombu would fail later, or silently do something else."""
    with pytest.raises(ValueError, match=said):
        parse(url)
