"""TLS and users with limited rights: Redis and PostgreSQL, with values from the settings."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu import Consumer, Producer
from kombu.exceptions import OperationalError
from sqlalchemy import text

from holdfast import celeryconfig, ledger
from holdfast.jobs.errors import LedgerError
from holdfast.ledger import upgrade
from holdfast.ledger.engine import make_engine
from holdfast.settings import Names, Settings, report
from holdfast.tests.support.certificates import Certificates, make_certificates
from holdfast.tests.support.servers import PostgresServer, RedisServer, a_password
from holdfast.tests.support.waiting import until

USER = "worker"
PASSWORD = a_password()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority, and a certificate for the loopback address."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Another authority, which signed nothing of ours."""
    return make_certificates(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def redis_server(certificates: Certificates) -> Iterator[RedisServer]:
    """A Redis that speaks TLS only and knows a user with few rights."""
    rights = (f"{USER} on >{PASSWORD} {Names().redis_rights()}",)
    with RedisServer(password=a_password(), tls=certificates, acl_users=rights) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server(certificates: Certificates) -> Iterator[PostgresServer]:
    """A PostgreSQL with a certificate."""
    with PostgresServer(tls=certificates) as server:
        yield server


def settings_for(server: RedisServer, authority: Path, **values: object) -> Settings:
    """Settings of a production worker for this Redis."""
    url = f"rediss://{USER}@127.0.0.1:{server.port}/0"
    return Settings.model_validate(
        {"broker_url": url, "broker_password": PASSWORD, "broker_tls_ca_file": authority} | values
    )


def app_for(settings: Settings) -> Celery:
    """An app with our configuration, which nobody else sees."""
    app = Celery("tls", set_as_current=False)
    app.conf.update(celeryconfig.config(settings))
    return app


@contextmanager
def answering(app: Celery) -> Iterator[None]:
    """Answer orders as a worker does, through our reading transport."""
    node = app.control.mailbox.Node("me@here", state=None, handlers={"greet": lambda _state: "hello"})
    ready, enough = threading.Event(), threading.Event()

    def serve() -> None:
        with app.connection_for_read() as connection:
            node.channel = connection.channel()
            node.listen(callback=node.handle_message)
            ready.set()
            while not enough.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(10), "the node could not listen"
        yield
    finally:
        enough.set()
        thread.join(10)


def connect(app: Celery) -> None:
    """Open a connection for writing and one for reading, without patience."""
    for connection in (app.connection_for_write(), app.connection_for_read()):
        with connection:
            connection.ensure_connection(max_retries=0)
            connection.default_channel.client.ping()


def test_a_message_goes_round_over_tls_with_few_rights(redis_server, certificates):
    """A ring sent by the stock transport arrives at our reading transport, both over TLS as an ACL user."""
    app = app_for(settings_for(redis_server, certificates.authority))
    queue = app.amqp.queues["holdfast.default"]
    arrived: list[object] = []
    with app.connection_for_write() as writing, app.connection_for_read() as reading:
        assert "holdfast-redis" == reading.transport_cls
        Producer(writing.default_channel).publish({"ring": 1}, routing_key=queue.name, declare=[queue])
        consumer = Consumer(reading.channel(), [queue], accept=["json"])
        consumer.register_callback(lambda body, message: (arrived.append(body), message.ack()))
        with consumer:
            until(lambda: arrived or reading.drain_events(timeout=5), what="the ring")
    assert [{"ring": 1}] == arrived


def test_the_rights_suffice_for_remote_control(redis_server, certificates):
    """An order reaches a worker and its reply comes back, both as the user with few rights."""
    with app_for(settings_for(redis_server, certificates.authority)) as app, answering(app):
        ask = partial(app.control.broadcast, "greet", reply=True, timeout=1, limit=1)
        assert [{"me@here": "hello"}] == until(ask, what="the reply")


def test_the_rights_suffice_for_events(redis_server, certificates):
    """Flower's way of listening works as the user with few rights."""
    seen: list[dict[str, object]] = []
    with (
        app_for(settings_for(redis_server, certificates.authority)) as app,
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname="me@here") as dispatcher,
    ):
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        listening = Consumer(connection.channel(), [receiver.queue], accept=["json"])
        listening.register_callback(receiver._receive)  # noqa: SLF001  what its own endless loop calls

        def heard() -> bool:
            # A subscription begins with the first look; an event sent before it is gone.
            dispatcher.send("worker-heartbeat")
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.2)
            return bool(seen)

        with listening:
            until(heard, what="an event")
    assert "worker-heartbeat" == seen[0]["type"]


def test_the_rights_end_at_the_namespace(redis_server, certificates):
    """Another namespace's keys are closed to the user."""
    broker = settings_for(redis_server, certificates.authority).broker()
    with redis.Redis.from_url(broker.redis_url()) as client:
        assert client.set("holdfast.test:key", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("blue.test:key", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()


def test_an_authority_that_we_do_not_trust_is_refused(redis_server, stranger):
    """Someone who stands in for the broker with a certificate of their own gets no password from us."""
    settings = settings_for(redis_server, stranger.authority)
    with pytest.raises(OperationalError, match="certificate verify failed"):
        connect(app_for(settings))
    with redis.Redis.from_url(settings.broker().redis_url()) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_private_authority_is_not_trusted_by_itself(redis_server):
    """Without a file the system's authorities are asked, and they do not know ours."""
    settings = Settings(broker_url=f"rediss://{USER}:{PASSWORD}@127.0.0.1:{redis_server.port}/0")
    with pytest.raises(OperationalError, match="certificate verify failed"):
        connect(app_for(settings))


def test_a_wrong_password_is_refused(redis_server, certificates):
    """The broker knows its users."""
    settings = settings_for(redis_server, certificates.authority, broker_password="wrong")
    with pytest.raises(OperationalError, match=r"(?i)invalid username-password pair|WRONGPASS"):
        connect(app_for(settings))


def test_the_authority_may_stand_in_the_address(redis_server, certificates):
    """The address that redis-py understands works as it is."""
    url = redis_server.url_for(user=USER, password=PASSWORD)
    connect(app_for(Settings(broker_url=url)))


def test_the_ledger_over_tls(postgres_server, certificates):
    """verify-full with a private authority reaches the ledger, and the session is encrypted."""
    config = postgres_settings(postgres_server, certificates.authority).ledger_config()
    upgrade.migrate(config)
    opened = ledger.connect(config)
    try:
        assert opened.ping().write_ms > 0
    finally:
        opened.close()
    assert encrypted(config)


def test_a_database_that_we_do_not_trust_is_refused(postgres_server, stranger):
    """A certificate of another authority ends the connection before the password is sent."""
    config = postgres_settings(postgres_server, stranger.authority).ledger_config()
    with pytest.raises(LedgerError, match="certificate verify failed"):
        upgrade.migrate(config)


def test_production_takes_these_settings(redis_server, postgres_server, certificates):
    """What was proved here is what production asks for."""
    database = postgres_settings(postgres_server, certificates.authority).database_url
    settings = settings_for(redis_server, certificates.authority, env="production", database_url=database)
    assert () == report(settings).errors


def postgres_settings(server: PostgresServer, authority: Path) -> Settings:
    """Settings for this PostgreSQL: fresh database, TLS verified to the full."""
    url = f"{server.url_of(server.create_database())}?sslmode=verify-full&sslrootcert={authority}"
    return Settings.model_validate({"database_url": url.replace("+psycopg", "")})


def encrypted(config: ledger.LedgerConfig) -> bool:
    """Ask the server whether our session is encrypted."""
    engine = make_engine(replace(config, application_name="test"))
    try:
        with engine.connect() as connection:
            asked = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(connection.execute(asked).scalar())
    finally:
        engine.dispose()
