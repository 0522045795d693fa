"""The embedded broker is a real server, on whatever folder."""

import os
import signal

import pytest
import redis as redis_py

from holdfast.cli.supervisor.redis import EmbeddedRedis
from holdfast.cli.supervisor.signals import never
from holdfast.cli.supervisor.supervisor import Supervisor
from holdfast.tests.support.redis import redis_binary
from holdfast.tests.support.servers import require
from holdfast.tests.support.waiting import until


@pytest.fixture(params=["plain", "with blanks 'and' \"quotes\"", "long" * 40])
def folder(tmp_path, request):
    """A data folder with an ordinary, an odd and a long name."""
    require(redis_binary(), "redis-server on PATH, or the extra `local`")
    made = tmp_path / request.param
    made.mkdir()
    return made


@pytest.fixture
def supervisor():
    """A supervisor that stops what it started."""
    made = Supervisor(lambda _: None)
    yield made
    made.stop()


def test_it_keeps_its_data_on_any_folder(folder, supervisor):
    """It starts on odd and very long paths, and keeps what it had when it is killed."""
    server = EmbeddedRedis(folder, folder / "redis.log")
    pid = supervisor.start(server.spec())
    server.wait_until_ready(lambda: False, never)
    assert server.engine.split()[0] in {"Redis", "Valkey"}
    with redis_py.Redis.from_url(server.url) as client:
        client.lpush("queue", "message")
        settings = client.config_get("*")
    assert "noeviction" == settings["maxmemory-policy"]
    assert "yes" == settings["appendonly"]
    assert "everysec" == settings["appendfsync"]
    assert "" == settings["save"]
    assert "127.0.0.1" == settings["bind"]
    assert str(folder / "redis") == settings["dir"]
    # A killed process loses nothing that it had written: that is in the kernel's hands.
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.status()[0].pid not in (None, pid), what="the restart")
    server.wait_until_ready(lambda: False, never)
    with redis_py.Redis.from_url(server.url) as client:
        assert b"message" == client.rpop("queue")


def test_strangers_are_refused(folder, supervisor):
    """Without the password nothing is answered."""
    server = EmbeddedRedis(folder, folder / "redis.log")
    supervisor.start(server.spec())
    server.wait_until_ready(lambda: False, never)
    with (
        redis_py.Redis(port=server.port) as client,
        pytest.raises(redis_py.AuthenticationError),
    ):
        client.ping()
