"""The helpers that start real servers keep their word."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import amqp
import psutil
import psycopg
import pytest
import redis

from holdfast.tests.support.servers import (
    PostgresServer,
    RabbitMQServer,
    RedisServer,
    ServerFailed,
    a_password,
    make_certificates,
)
from holdfast.tests.support.waiting import until

STARTS_REDIS_AND_WAITS = """
from holdfast.tests.support.servers import RedisServer
server = RedisServer().start()
print(server.pid, server.folder, flush=True)
input()
"""


def test_redis_keeps_what_it_answered_over_a_kill():
    """With appendonly, a killed and restarted Redis has every answered write."""
    with RedisServer(appendonly=True) as server:
        with server.client() as client:
            client.set("key", "value")
        server.kill()
        assert not server.is_running
        with server.client() as client, pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()
        with server.client() as client:
            assert client.get("key") == b"value"


def test_frozen_redis_answers_only_after_it_is_resumed(redis_server):
    """A paused server keeps connections open and answers nothing."""
    with redis_server.client() as client:
        client.ping()
        redis_server.pause()
        try:
            with redis_server.client(timeout_seconds=0.2) as hasty, pytest.raises(redis.TimeoutError):
                hasty.ping()
        finally:
            redis_server.resume()
        assert client.ping()


def test_a_frozen_server_is_stopped_in_good_order():
    """Stopping wakes a frozen server first, so that the clean-up of a failed test takes no time."""
    with RedisServer() as server:
        server.pause()
        server.stop()
        assert "bye bye" in server.log
    assert not server.folder.exists()


def test_redis_with_password_and_users():
    """A password and ACL users are enforced."""
    password = a_password()
    with RedisServer(password=password, acl_users=["worker on >w0rker ~app:* +@all"]) as server:
        with server.client(server.url_for(user="worker", password="w0rker")) as client:
            assert client.set("app:1", "x")
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.set("other", "x")
        nameless = server.client(server.url_for(password=""))
        with nameless as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_redis_over_tls(tmp_path):
    """TLS is the only way in, and the server's certificate is checked."""
    certificates = make_certificates(tmp_path)
    try:
        server = RedisServer(tls=certificates).start()
    except ServerFailed as failure:
        if "tls-port" not in str(failure):
            raise
        pytest.skip("needs a redis-server that was built with TLS")
    with contextlib.closing(server):
        assert server.url.startswith("rediss://")
        with server.client() as client:
            assert client.ping()


def test_postgres_database_survives_a_kill():
    """A killed and restarted PostgreSQL has what was committed."""
    with PostgresServer(fsync=True) as server:
        name = server.create_database()
        with server.connect(name) as connection:
            connection.execute("CREATE TABLE t (n int)")
            connection.execute("INSERT INTO t VALUES (7)")
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        server.restart()
        with server.connect(name) as connection:
            assert connection.execute("SELECT n FROM t").fetchone() == (7,)


def test_postgres_databases_are_fresh_and_templates_are_copied(postgres_server):
    """A database made from a template has its tables; others do not."""

    def prepare(url: str) -> None:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE TABLE prepared (n int)")

    template = postgres_server.template("prepared_once", prepare)
    for name, expected in (
        (postgres_server.create_database(template), True),
        (postgres_server.create_database(), False),
    ):
        with postgres_server.connect(name) as connection:
            found = connection.execute("SELECT to_regclass('prepared') IS NOT NULL").fetchone()
        assert (expected,) == found
        postgres_server.drop_database(name)


def test_postgres_over_tls(tmp_path):
    """A client that verifies the certificate gets an encrypted connection."""
    certificates = make_certificates(tmp_path)
    with PostgresServer(tls=certificates) as server:
        url = (
            server.url.replace("+psycopg", "") + f"?sslmode=verify-full&sslrootcert={certificates.authority}"
        )
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert (True,) == row


def test_frozen_postgres_leaves_a_question_unanswered():
    """A paused PostgreSQL, its sessions included, answers only after it is resumed."""
    with PostgresServer() as server, server.connect() as connection:
        server.pause()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url.replace("+psycopg", ""), connect_timeout=2).close()
        server.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.rabbitmq
def test_rabbitmq_keeps_durable_messages_over_a_kill():
    """A killed and restarted RabbitMQ node has the confirmed persistent messages."""
    with RabbitMQServer() as server:
        with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
            connection.channel().queue_declare("kept", durable=True, auto_delete=False)
        # A node that is killed right after a declaration may forget the queue, once in about twenty times.
        server.restart()
        with amqp.Connection(f"127.0.0.1:{server.port}", confirm_publish=True) as connection:
            message = amqp.Message("hello", delivery_mode=2)
            connection.channel().basic_publish(message, routing_key="kept")
        server.kill()
        server.start()
        with amqp.Connection(f"127.0.0.1:{server.port}") as connection:
            assert connection.channel().basic_get("kept").body == "hello"


def test_nothing_survives_a_killed_test_run():
    """When the process that started a server is killed, the server ends and its folder goes."""
    run = subprocess.Popen(
        [sys.executable, "-c", STARTS_REDIS_AND_WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        pid, folder = run.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        run.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(int(pid)), what="the server to end")
    until(lambda: not Path(folder).exists(), what="its folder to be removed")


def test_a_server_that_cannot_start_says_why():
    """The error of a failed start carries the server's own words."""
    with pytest.raises(ServerFailed, match="no-such-option"), RedisServer(options=("--no-such-option", "1")):
        pass
