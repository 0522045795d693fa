"""How Celery runs here: every setting that matters, with its reason.

`config_from_object("holdfast.celeryconfig")` reads the platform's settings on
the first look at a value; importing this module does nothing but name our
Redis transport. `config(settings)` gives the same as a plain dict.

What no Celery setting can say is said in `workers/`: gossip and mingle are
options of the worker, and the longest pause between reconnects is an argument
of the consumer.
"""

import functools
import socket
import ssl
from typing import Final

from celery.app.defaults import SETTING_KEYS
from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from holdfast.settings import Broker, Settings, load

READING_SCHEME: Final = "holdfast-redis"
"""The scheme under which a worker's consumer finds our Redis transport."""
INTAKE_SCHEME: Final = "holdfast-intake"
"""The same for its intake."""

# An alias of our own, and only in the address that is read from: kombu takes the transport from the
# scheme also when it fails over or sees redis+socket://, where it ignores `broker_transport`; and
# everything else, other Celery apps in this process included, keeps the stock transport.
TRANSPORT_ALIASES.setdefault(READING_SCHEME, "holdfast.workers.redis_channel:Transport")
TRANSPORT_ALIASES.setdefault(INTAKE_SCHEME, "holdfast.workers.redis_channel:IntakeTransport")

HEALTH_TASK: Final = "health.ping"

LEFT_AT_DEFAULT: Final = {
    # Whole families: the key begins with the name.
    "arangodb_": "no result backend of Celery's is used; results are in the ledger",
    "azureblockblob_": "no result backend of Celery's is used",
    "beat_": "Celery's beat is not used; due times are in the ledger",
    "cache_": "no result backend of Celery's is used",
    "cassandra_": "no result backend of Celery's is used",
    "cosmosdbsql_": "no result backend of Celery's is used",
    "couchbase_": "no result backend of Celery's is used",
    "database_": "no result backend of Celery's is used",
    "elasticsearch_": "no result backend of Celery's is used",
    "gcs_": "no result backend of Celery's is used",
    "mongodb_": "no result backend of Celery's is used",
    "redis_": "no result backend of Celery's is used",
    "s3_": "no result backend of Celery's is used",
    "security_": "messages carry no arguments, so there is nothing to sign; the ledger judges each ring",
    # Single keys.
    "broker_failover_strategy": "one address only; the settings refuse several",
    "broker_heartbeat_checkrate": "three looks in a heartbeat's time are enough",
    "broker_host": "part of broker_url",
    "broker_login_method": "user and password, or none",
    "broker_native_delayed_delivery_queue_type": "no message has a delay",
    "broker_password": "part of broker_url",
    "broker_port": "part of broker_url",
    "broker_transport": "chosen by the scheme of each address, see READING_SCHEME",
    "broker_user": "part of broker_url",
    "broker_vhost": "part of broker_url",
    "control_queue_durable": "an order to a worker that is gone helps nobody",
    "control_queue_exclusive": "each worker has its own queue of orders",
    "control_queue_expires": "10 s after a worker is gone its queue of orders is, too",
    "control_queue_ttl": "an order that is five minutes old is stale",
    "event_queue_durable": "events are for watching; the truth is in the ledger",
    "event_queue_exclusive": "each watcher has its own queue",
    "event_queue_expires": "a minute after a watcher is gone its queue is, too",
    "imports": "task modules are loaded by the composition root, with errors that name file and line",
    "include": "as imports",
    "result_backend_always_retry": "the adapter does not retry; the ledger does",
    "result_backend_base_sleep_between_retries_ms": "see result_backend_always_retry",
    "result_backend_max_retries": "see result_backend_always_retry",
    "result_backend_max_sleep_between_retries_ms": "see result_backend_always_retry",
    "result_backend_transport_options": "the adapter has none",
    "result_cache_max": "-1: AsyncResult keeps no cache that grows",
    "result_chord_expires": "chords are refused",
    "result_chord_join_timeout": "chords are refused",
    "result_chord_retry_interval": "chords are refused",
    "result_compression": "results are in the ledger",
    "result_exchange": "results do not travel by message",
    "result_exchange_type": "results do not travel by message",
    "result_expires": "the ledger prunes by its own retention",
    "result_extended": "the ledger knows more",
    "result_failure_expires": "the ledger prunes by its own retention",
    "result_persistent": "results do not travel by message",
    "task_acks_on_failure": "decides for late acknowledgement only",
    "task_acks_on_failure_or_timeout": "deprecated, and decides for late acknowledgement only",
    "task_acks_on_timeout": "decides for late acknowledgement only",
    "task_allow_error_cb_on_chord_header": "chords are refused",
    "task_annotations": "no task is changed from outside",
    "task_compression": "a ring is a few hundred bytes",
    "task_create_missing_queue_exchange_type": "follows task_default_exchange_type",
    "task_default_exchange_type": "direct; the exchange without a name is direct",
    "task_default_priority": "a ring carries its job's priority",
    "task_default_rate_limit": "limits are in resilience/, shared by the fleet",
    "task_default_routing_key": "follows task_default_queue",
    "task_eager_propagates": "eager mode is off",
    "task_inherit_parent_priority": "priorities are the job's own",
    "task_publish_retry": "for plain Celery tasks only; the doorbell has its own patience",
    "task_queue_max_priority": "quorum queues have two levels by themselves; order is decided in the ledger",
    "task_remote_tracebacks": "needs tblib; a failure is stored as type and message",
    "task_soft_time_limit": "a plain Celery task says it itself; ours have limits of their own",
    "task_store_eager_result": "eager mode is off",
    "task_store_errors_even_if_ignored": "results are in the ledger",
    "task_time_limit": "a plain Celery task says it itself; ours have limits of their own",
    "worker_agent": "no agent",
    "worker_autoscaler": "the pool is one event loop; it does not grow",
    "worker_direct": "jobs are claimed, never sent to one worker",
    "worker_disable_rate_limits": "plain Celery tasks may have their rate_limit",
    "worker_enable_soft_shutdown_on_idle": "soft shutdown is off",
    "worker_log_color": "our own logging writes",
    "worker_log_datefmt": "our own logging writes",
    "worker_log_format": "our own logging writes",
    "worker_lost_wait": "no child processes",
    "worker_max_memory_per_child": "no child processes",
    "worker_max_tasks_per_child": "no child processes",
    "worker_pool_putlocks": "the gate holds back what has no slot",
    "worker_pool_start_method": "no child processes",
    "worker_proc_alive_timeout": "no child processes",
    "worker_redirect_stdouts_level": "output is not redirected",
    "worker_state_db": "cancelled jobs are in the ledger",
    "worker_task_log_datefmt": "our own logging writes",
    "worker_task_log_format": "our own logging writes",
    "worker_timer": "the hub's own",
    "worker_timer_precision": "the hub's own",
}
"""Settings of Celery's that keep their default, each with the reason; a test keeps the two lists complete."""


def config(settings: Settings) -> dict[str, object]:
    """Return Celery's configuration; SettingsError when an embedded broker is asked for and none runs."""
    broker = settings.broker()
    return {
        **_content(),
        **_connection(settings, broker),
        **_queues(settings, broker),
        **_tasks(),
        **_results(),
        **_worker(settings),
        **_watching(settings),
    }


@functools.cache
def configured() -> dict[str, object]:
    """Return the configuration for this process's settings, read once."""
    return config(load())


def __getattr__(name: str) -> object:
    if name in SETTING_KEYS and name in (values := configured()):
        return values[name]
    raise AttributeError(name)


def __dir__() -> list[str]:
    return [*globals(), *configured()]


def _content() -> dict[str, object]:
    return {
        # JSON and nothing else, on every door: tasks, results, events; control follows accept_content.
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "task_protocol": 2,  # what our rings are written in
        "task_repr_maxlevels": 1,  # reprs of arguments go into headers and logs: as little as can be
        "enable_utc": True,
        "timezone": "UTC",
    }


def _connection(settings: Settings, broker: Broker) -> dict[str, object]:
    reading = broker.url
    if broker.kind == "redis":
        _, rest = broker.url.split("://", 1)
        reading = f"{READING_SCHEME}{'+socket' if broker.host is None else ''}://{rest}"
    return {
        "broker_url": broker.url,
        "broker_write_url": broker.url,  # said again, or CELERY_BROKER_URL would outrank broker_url
        "broker_read_url": reading,
        "broker_use_ssl": _tls(broker),
        "broker_connection_timeout": settings.broker_connect_timeout_seconds,
        "broker_transport_options": _transport_options(settings, broker),
        "broker_heartbeat": settings.broker_heartbeat_seconds,  # the default finds a dead peer after 4 min
        "broker_connection_retry": True,  # a worker comes back by itself
        "broker_connection_retry_on_startup": True,  # broker and worker may start in any order
        "broker_connection_max_retries": None,  # for ever; the default gives up and ends the worker
        "broker_channel_error_retry": True,  # a closed channel is no reason to end, either
        "broker_pool_limit": 10,  # connections for plain Celery producers; the doorbell has its own
        "broker_pool_acquire_timeout": settings.broker_connect_timeout_seconds,  # the default waits for ever
    }


def _tls(broker: Broker) -> object:
    # Without this dict kombu would take rediss:// under our scheme for an unencrypted connection,
    # and under its own for one whose certificate nobody looks at.
    if broker.tls is None:
        return False
    tls = broker.tls
    requirement = ssl.CERT_REQUIRED if tls.verifies else ssl.CERT_NONE
    files = {"ca_certs": tls.ca_file, "certfile": tls.cert_file, "keyfile": tls.key_file}
    named = {name: path for name, path in files.items() if path is not None}
    if broker.kind == "rabbitmq":
        # py-amqp checks the host's name if it is told the name.
        return {
            **named,
            "cert_reqs": requirement,
            "server_hostname": broker.host if tls.checks_host else None,
        }
    prefixed = {f"ssl_{name}": path for name, path in named.items()}
    return {**prefixed, "ssl_cert_reqs": requirement, "ssl_check_hostname": tls.checks_host}


def _transport_options(settings: Settings, broker: Broker) -> dict[str, object]:
    patience = {
        # How long a plain Celery producer tries to connect: short, with an end.
        "max_retries": 2,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 1,
        "connect_retries_timeout": settings.broker_connect_timeout_seconds,
    }
    if broker.kind == "rabbitmq":
        return {
            **patience,
            "confirm_publish": True,  # a publish that returns has arrived
            "read_timeout": settings.broker_socket_timeout_seconds,
            "write_timeout": settings.broker_socket_timeout_seconds,
            "socket_settings": {
                socket.TCP_USER_TIMEOUT: _milliseconds(settings.broker_socket_timeout_seconds)
            },
            "client_properties": {"connection_name": settings.namespace},
        }
    names = settings.names
    return {
        **patience,
        # A half-open socket must not hold anyone for ever, which the default does.
        "socket_timeout": settings.broker_socket_timeout_seconds,
        "socket_connect_timeout": settings.broker_connect_timeout_seconds,
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive(settings),
        "health_check_interval": settings.broker_heartbeat_seconds,
        "retry_on_timeout": False,  # waiting twice helps nobody, and it would forbid sending rings in bulk
        "max_connections": 50,  # per channel; the default of 10 fails under load instead of waiting
        "client_name": settings.namespace,  # for people who read CLIENT LIST
        # For the intake, which keeps kombu's durable acknowledgement; ours alone, not the server's.
        "visibility_timeout": settings.broker_visibility_seconds,
        "unacked_key": names.redis_key("unacked"),
        "unacked_index_key": names.redis_key("unacked", "index"),
        "unacked_mutex_key": names.redis_key("unacked", "mutex"),
        "unacked_restore_throttle": 1,  # look every 10 s, not every 100
        "queue_order_strategy": "round_robin",  # no queue starves another
    }


def _keepalive(settings: Settings) -> dict[int, int]:
    # Numbers of Linux; elsewhere the system's own timing holds.
    if not hasattr(socket, "TCP_KEEPIDLE"):
        return {}
    return {
        socket.TCP_KEEPIDLE: settings.broker_heartbeat_seconds,
        socket.TCP_KEEPINTVL: 5,
        socket.TCP_KEEPCNT: 3,
    }


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _queues(settings: Settings, broker: Broker) -> dict[str, object]:
    names = settings.names
    arguments = {"x-queue-type": "quorum"} if broker.kind == "rabbitmq" else None
    wanted = [*(names.queue(name) for name in settings.queues), names.health_queue, names.plain_queue]
    return {
        # Rings and the health check, by the exchange without a name: nothing to bind, nothing to share.
        "task_queues": [
            Queue(name, exchange=Exchange(""), routing_key=name, durable=True, queue_arguments=arguments)
            for name in wanted
        ],
        "task_default_exchange": "",
        "task_default_queue": names.intake_queue,  # a message with arguments never shares a queue with rings
        "task_default_queue_type": "classic",  # as a producer that knows only Celery declares it
        "task_default_delivery_mode": 2,  # a restart of RabbitMQ keeps what was sent
        # The intake may be written to by name. Queues made in this way are never read (a worker reads what
        # task_queues names), and RabbitMQ refuses them the name of a ring queue, which is a quorum queue.
        "task_create_missing_queues": True,
        "task_create_missing_queue_type": "classic",
        "task_routes": {HEALTH_TASK: {"queue": names.health_queue}},
    }


def _tasks() -> dict[str, object]:
    return {
        # Early acknowledgement, given after our claim: late doubles each job that outlives the broker's wait.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,  # True requeues a killing job for ever; the ledger judges
        "task_retry_on_worker_lost": False,  # as above
        "task_ignore_result": False,  # True makes AsyncResult.get() answer None at once
        "task_track_started": False,  # the ledger knows
        "task_always_eager": False,  # a job runs in a worker, or not at all
        "task_send_sent_event": False,  # True makes each producing process a label of Flower's metrics
        # Two quick tries for plain Celery tasks, then the caller hears of it.
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
        },
    }


def _results() -> dict[str, object]:
    return {
        # Reads the ledger. A result store on a job's path eats the queue while it restarts.
        "result_backend": "holdfast.tasks.results:LedgerBackend",
    }


def _worker(settings: Settings) -> dict[str, object]:
    return {
        "worker_pool": "holdfast.workers.pool:AsyncioPool",
        "worker_consumer": "holdfast.workers.consumer:HoldfastConsumer",
        "worker_concurrency": settings.worker_slots,
        "worker_prefetch_multiplier": 1,  # the consumer's window is HOLDFAST_WORKER_RING_WINDOW
        "worker_enable_prefetch_count_reduction": False,  # it would shrink the window at a reconnect
        "worker_disable_prefetch": False,  # it counts running jobs as well, on Redis only
        "worker_eta_task_limit": 1000,  # messages with a delay wait in memory; unlimited by default
        "worker_detect_quorum_queues": True,  # sets the window per consumer, as quorum queues demand
        # A broker's blip must not kill paid-for work.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_deduplicate_successful_tasks": False,  # the claim does it, without asking a result store
        "worker_soft_shutdown_timeout": 0.0,  # it sleeps in the signal handler; our drain ends early
        "worker_pool_restarts": False,  # nobody restarts the pool from afar
        "worker_hijack_root_logger": False,  # logging is set up by monitoring/
        "worker_redirect_stdouts": False,  # what a handler prints is its own business
    }


def _watching(settings: Settings) -> dict[str, object]:
    names = settings.names
    return {
        "worker_send_task_events": True,  # Flower sees the jobs, without anyone remembering -E
        "event_exchange": names.event_exchange,
        "event_queue_prefix": names.event_queue_prefix,
        "event_queue_ttl": 5.0,  # a watcher that lags 5 s sees gaps; the broker does not fill up for it
        "worker_enable_remote_control": True,  # ping, inspect, pause; cancel goes through the ledger
        "control_exchange": names.control_exchange,
    }
