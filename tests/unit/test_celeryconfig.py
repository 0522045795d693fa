"""Celery's configuration: nothing is left to accident, nothing but JSON gets in."""

import os
import ssl
import subprocess
import sys

import pytest
from celery import Celery
from celery.app.defaults import SETTING_KEYS
from kombu.transport import TRANSPORT_ALIASES

from holdfast import celeryconfig
from holdfast.jobs.errors import SettingsError
from holdfast.settings import Settings

REDIS = "redis://user:p%40ss@127.0.0.1:6390/2"
RABBITMQ = "amqp://user:pass@127.0.0.1:5690/jobs"


def config(**values):
    """Celery's configuration for some settings."""
    return celeryconfig.config(Settings(**{"broker_url": REDIS} | values))


def an_app(**values):
    """An app with that configuration, which nobody else sees."""
    app = Celery("test", set_as_current=False)
    app.conf.update(config(**values))
    return app


def is_left(key):
    """Whether a setting of Celery's is left at its default, with a reason."""
    families = tuple(name for name in celeryconfig.LEFT_AT_DEFAULT if name.endswith("_"))
    return key in celeryconfig.LEFT_AT_DEFAULT or key.startswith(families)


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_every_setting_of_celery_is_decided(url):
    """Each of Celery's settings is either set here or left at its default for a stated reason, not both."""
    decided = set(config(broker_url=url))
    assert set() == decided - SETTING_KEYS
    assert set() == {key for key in SETTING_KEYS if key not in decided and not is_left(key)}
    assert set() == {key for key in decided if is_left(key)}


def test_every_entry_of_the_table_of_defaults_is_one_of_celerys():
    """A setting that Celery drops leaves the table, too."""
    for key, reason in celeryconfig.LEFT_AT_DEFAULT.items():
        assert reason
        assert key in SETTING_KEYS or any(name.startswith(key) for name in SETTING_KEYS), key


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_json_and_nothing_else(url):
    """No serializer, no accepted content, no text anywhere in the configuration is anything but JSON."""
    values = config(broker_url=url)
    assert ["json"] == values["accept_content"] == values["result_accept_content"]
    for key in ("task_serializer", "result_serializer", "event_serializer"):
        assert "json" == values[key]
    for word in ("pickle", "yaml", "msgpack"):
        assert word not in repr(values)


def test_celery_loads_it_by_name(monkeypatch):
    """`config_from_object("holdfast.celeryconfig")` reads the environment at the first look."""
    monkeypatch.setenv("HOLDFAST_BROKER_URL", REDIS)
    monkeypatch.setenv("HOLDFAST_NAMESPACE", "blue")
    celeryconfig.configured.cache_clear()
    app = Celery("test", set_as_current=False)
    app.config_from_object("holdfast.celeryconfig")
    assert "blue.control" == app.conf.control_exchange
    assert "holdfast.workers.pool:AsyncioPool" == app.conf.worker_pool
    celeryconfig.configured.cache_clear()


def test_importing_it_reads_nothing():
    """A program that imports the module and configures Celery itself needs no settings."""
    code = (
        "import holdfast.celeryconfig as c; print(hasattr(c, '__path__'), c.configured.cache_info().misses)"
    )
    environment = {**os.environ, "HOLDFAST_WORKER_SLOTS": "many"}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "False 0" == answer.stdout.strip()


def test_without_a_broker_the_error_names_the_command(tmp_path):
    """An embedded broker that nobody runs is a clear error."""
    with pytest.raises(SettingsError, match="holdfast up"):
        config(broker_url="embedded", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("url", "reading"),
    [
        (REDIS, "holdfast-redis://user:p%40ss@127.0.0.1:6390/2"),
        ("rediss://user:pass@cache/0", "holdfast-redis://user:pass@cache/0"),
        ("redis+socket:///run/redis.sock", "holdfast-redis+socket:///run/redis.sock"),
        (RABBITMQ, RABBITMQ),
    ],
)
def test_only_the_reading_connection_has_our_transport(url, reading):
    """Whatever the address, workers read through our Redis transport; everything else keeps kombu's."""
    values = config(broker_url=url)
    assert reading == values["broker_read_url"]
    assert url == values["broker_url"] == values["broker_write_url"]
    scheme = "redis" if url.startswith("redis") else "amqp"
    app = an_app(broker_url=url)
    assert app.connection_for_write().transport_cls in (scheme, f"{scheme}s")
    read_scheme = "holdfast-redis" if scheme == "redis" else "amqp"
    assert read_scheme == app.connection_for_read().transport_cls
    assert read_scheme == app.connection_for_read().clone().transport_cls


def test_kombus_own_transports_stay_as_they_are():
    """Another Celery app in the same process finds the stock Redis transport."""
    assert "kombu.transport.redis:Transport" == TRANSPORT_ALIASES["redis"]
    assert "kombu.transport.redis:Transport" == TRANSPORT_ALIASES["rediss"]


def test_users_of_the_broker_reach_both_connections():
    """User, password, port and database of an ACL user are the same on both."""
    app = an_app()
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert ("user", "p@ss", 6390, "2") == (
            connection.userid,
            connection.password,
            connection.port,
            connection.virtual_host,
        )


@pytest.mark.parametrize("url", ["rediss://u:p@cache/0", "amqps://u:p@mq/v"])
def test_tls_verifies_the_broker_on_both_connections(url, tmp_path):
    """rediss:// under any scheme is encrypted, and the certificate and its name are looked at."""
    authority = tmp_path / "ca.pem"
    app = an_app(broker_url=url, broker_tls_ca_file=authority)
    for connection in (app.connection_for_read(), app.connection_for_write()):
        options = {key.removeprefix("ssl_"): value for key, value in connection.ssl.items()}
        assert ssl.CERT_REQUIRED == options["cert_reqs"]
        assert str(authority) == options["ca_certs"]
        assert options.get("check_hostname") or "mq" == options["server_hostname"]


def test_no_tls_unless_asked_for():
    """redis:// is not encrypted, and says so."""
    assert config()["broker_use_ssl"] is False


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_no_wait_is_endless(url):
    """Every wait for the broker has an end, save for a worker's attempts to come back."""
    values = config(broker_url=url)
    options = values["broker_transport_options"]
    timeouts = (
        ("socket_timeout", "socket_connect_timeout") if url == REDIS else ("read_timeout", "write_timeout")
    )
    assert all(0 < options[name] <= 5 for name in timeouts)
    assert 0 < values["broker_connection_timeout"] <= 5
    assert 0 < values["broker_pool_acquire_timeout"] <= 5
    assert options["max_retries"] is not None
    assert values["broker_connection_max_retries"] is None


def test_a_worker_reads_its_ring_queues_and_the_health_queue():
    """Rings come by the exchange without a name, so that nothing has to be bound."""
    queues = an_app(queues=("default", "mail")).amqp.queues
    assert ["holdfast.default", "holdfast.mail", "holdfast.health", "holdfast.plain"] == list(
        queues.consume_from
    )
    assert {("", name) for name in queues} == {
        (queue.exchange.name, queue.routing_key) for queue in queues.values()
    }


def test_a_queue_that_is_written_to_is_not_read():
    """Celery makes the intake's queue when something is sent to it, and does not begin to read it."""
    app = an_app()
    assert "celery" == app.amqp.router.route({}, "some.task")["queue"].name
    assert "celery" in app.amqp.queues
    assert "celery" not in app.amqp.queues.consume_from


def test_the_health_task_has_its_queue():
    """Whoever sends the ping, it goes past the jobs."""
    assert "holdfast.health" == an_app().amqp.router.route({}, "health.ping")["queue"].name


def test_quorum_queues_on_rabbitmq_and_a_classic_intake():
    """Our queues survive the loss of a node; the intake is declared as plain Celery producers declare it."""
    queues = an_app(broker_url=RABBITMQ).amqp.queues
    assert [{"x-queue-type": "quorum"}] * 3 == [queue.queue_arguments for queue in queues.values()]
    assert not queues["celery"].queue_arguments
    assert [None] * 3 == [queue.queue_arguments for queue in an_app().amqp.queues.values()]


def test_two_namespaces_share_nothing():
    """No queue, exchange or key of one is one of the other."""

    def names(namespace):
        values = config(namespace=namespace)
        options = values["broker_transport_options"]
        return {
            *(queue.name for queue in values["task_queues"]),
            *(
                values[key]
                for key in ("control_exchange", "event_exchange", "event_queue_prefix", "task_default_queue")
            ),
            *(options[key] for key in ("unacked_key", "unacked_index_key", "unacked_mutex_key")),
        }

    assert not names("blue") & names("green")
    assert not names("blue") & names("holdfast")


def test_celerys_own_variable_does_not_move_the_broker(monkeypatch):
    """CELERY_BROKER_URL, meant for another app in the same process, is not ours."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere/0")
    app = an_app()
    assert "127.0.0.1" == app.connection_for_write().hostname == app.connection_for_read().hostname


def test_a_jobs_result_is_never_thrown_away_by_celery():
    """The four settings by which Celery loses, doubles or hides results and jobs stay off."""
    values = config()
    for key in (
        "task_ignore_result",
        "task_acks_late",
        "task_reject_on_worker_lost",
        "worker_cancel_long_running_tasks_on_connection_loss",
    ):
        assert values[key] is False
