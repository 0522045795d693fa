"""What we lean on in Celery's consumer. Each docstring says which promise breaks when it changes."""

import threading
from types import SimpleNamespace

import pytest
from celery import Task, bootsteps
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu import Connection, Queue
from kombu.asynchronous.timer import Timer
from kombu.utils.limits import TokenBucket

from holdfast.workers.consumer import HoldfastConsumer


class PoolOfTwo:
    """As much of a pool as a consumer asks for."""

    num_processes, ring_window, is_green = 2, 7, False

    def __init__(self):
        self.flushed = 0

    def flush(self):
        self.flushed += 1

    def apply_async(self, *given, **options):
        """Take a plain task."""


def a_consumer(app, kind=Consumer, **options):
    """A consumer that has not started."""
    controller = SimpleNamespace(semaphore=None, use_eventloop=True, state=worker_state)
    fields = {"pool": PoolOfTwo(), "app": app, "controller": controller, "hostname": "h", "timer": Timer()}
    return kind(lambda _: None, **{**fields, **options})


def a_message(**headers):
    """A message with these headers, and what was done with it."""
    done = []
    return SimpleNamespace(
        headers=headers,
        done=done,
        ack_log_error=lambda logger, errors, **_: done.append(("ack", logger, errors)),
        reject_log_error=lambda logger, errors, requeue=False: done.append(
            ("reject", logger, errors, requeue)
        ),
    )


def names(consumer):
    """Return the steps that take part."""
    return {type(step).__name__ for step in consumer.steps}


def test_a_tasks_strategy_is_looked_up_by_its_attribute(app):
    """If `Task.Strategy` is no longer a name that is called with (task, app, consumer).

    Rings would be run as Celery tasks: claims, leases and fences would be bypassed.
    """

    class Ours(Task):
        name = "ours"
        Strategy = "types:SimpleNamespace"

        def __init__(self):
            self.seen = None

    task = app.register_task(Ours())
    seen = []
    type(task).Strategy = staticmethod(lambda *given: seen.append(given) or "handler")
    consumer = object()
    assert "handler" == task.start_strategy(app, consumer)
    assert [(task, app, consumer)] == seen


def test_strategies_are_made_when_the_consumer_updates_them(app):
    """If the consumer asked for strategies elsewhere, or by another key than the task's name.

    No ring would reach us.
    """

    @app.task(name="ours", shared=False)
    def ours():
        """Do nothing."""

    consumer = a_consumer(app)
    consumer.update_strategies()
    assert "ours" in consumer.strategies
    assert callable(consumer.strategies["ours"])


@pytest.mark.parametrize("word", ["ack", "reject"])
def test_a_handler_gets_promises_for_ack_and_reject_that_take_logger_and_errors(app, word):
    """If the promises change their arguments, rings are never acknowledged.

    The window fills and the worker starves. `reject(logger, errors, True)` must requeue.
    """
    consumer, given = a_consumer(app), []
    consumer.strategies["ours"] = lambda *parts: given.append(parts)
    message = a_message(task="ours", id="a")
    consumer.create_task_handler()(message)
    ((got, body, on_ack, on_reject, callbacks),) = given
    assert (message, None) == (got, body)
    assert callbacks is consumer.on_task_message
    if word == "ack":
        on_ack("logger", (OSError,))
        assert [("ack", "logger", (OSError,))] == message.done
    else:
        on_reject("logger", (OSError,), True)  # noqa: FBT003 -- the call that we make
        assert [("reject", "logger", (OSError,), True)] == message.done


def test_acknowledgements_go_through_the_hub(app, hub):
    """If they did not.

    An acknowledgement from the event loop would write to the broker's socket from a foreign thread.
    """
    consumer = a_consumer(app, hub=hub)
    consumer.strategies["ours"] = lambda message, body, on_ack, on_reject, callbacks: on_ack("logger", ())
    message = a_message(task="ours", id="a")
    consumer.create_task_handler()(message)
    assert [] == message.done
    for todo in hub._pop_ready():  # noqa: SLF001 -- the internal that this contract is about
        todo()
    assert [("ack", "logger", ())] == message.done


@pytest.mark.parametrize(
    ("headers", "hook"),
    [(None, "on_unknown_message"), ({"task": "nobody", "id": "a"}, "on_unknown_task")],
)
def test_messages_without_a_task_go_to_the_hooks(app, monkeypatch, headers, hook):
    """If the hooks are not asked, bad messages are dropped without a trace instead of quarantined."""
    called = []
    monkeypatch.setattr(Consumer, hook, lambda self, *given: called.append(given))
    message = a_message()
    message.headers = headers
    consumer = a_consumer(app)
    consumer.create_task_handler()(message)
    (given,) = called
    assert given[:2] == (None, message)


def test_gossip_and_mingle_can_be_left_out(app):
    """If these options are renamed, every worker talks to every other at each start and reconnect."""
    assert {"Gossip", "Mingle"} <= names(a_consumer(app, hub=object()))
    without = names(a_consumer(app, hub=object(), without_gossip=True, without_mingle=True))
    assert not {"Gossip", "Mingle"} & without
    assert {"Connection", "Events", "Tasks", "Evloop"} <= without


def test_the_steps_of_the_consumer_are_a_list_of_names(app):
    """If the blueprint's list of steps changes its form.

    Our own queues' step is not started and a ping is never heard.
    """
    assert all(isinstance(step, str) for step in Consumer.Blueprint.default_steps)
    assert "celery.worker.consumer.tasks:Tasks" in Consumer.Blueprint.default_steps
    assert "celery.worker.consumer.delayed_delivery:DelayedDelivery" in Consumer.Blueprint.default_steps
    assert issubclass(bootsteps.StartStopStep, bootsteps.Step)


def test_the_window_is_the_initial_prefetch_count(app):
    """If it is read elsewhere, a worker hoards a thousand rings, or none (B29)."""
    with Connection("memory://") as connection:
        consumer = a_consumer(app, initial_prefetch_count=7)
        consumer.connection = connection
        wanted = []
        (tasks,) = [step for step in consumer.steps if type(step).__name__ == "Tasks"]
        app.amqp.queues.select_add("celery")
        stock = app.amqp.TaskConsumer

        def recording(*given, **options):
            made = stock(*given, **options)
            made.qos = lambda **quality: wanted.append(quality["prefetch_count"])
            return made

        app.amqp.TaskConsumer = recording
        tasks.start(consumer)
        assert 7 == consumer.qos.value
        consumer.qos.set(consumer.qos.value)
        assert 7 in wanted


def test_the_largest_window_is_a_property_that_can_be_overridden(app):
    """If `max_prefetch_count` is computed elsewhere, the window grows back to all slots after a reconnect."""
    assert isinstance(Consumer.max_prefetch_count, property)
    assert 2 * 3 == a_consumer(app, prefetch_multiplier=3).max_prefetch_count
    assert isinstance(HoldfastConsumer.max_prefetch_count, property)


def test_a_lost_connection_flushes_the_pool(app):
    """If `flush` is not called, rings of a dead channel are acknowledged into nothing and fill the log."""
    consumer = a_consumer(app)
    consumer.task_buckets = {"ours": TokenBucket(1)}
    consumer.on_close()
    assert 1 == consumer.pool.flushed


def test_a_cold_shutdown_asks_the_consumer_to_cancel(app):
    """If `cancel_active_requests` is renamed.

    SIGQUIT cancels running jobs for good instead of handing them back.
    """
    assert callable(Consumer.cancel_active_requests)
    assert Consumer.cancel_active_requests is not HoldfastConsumer.cancel_active_requests


def test_queues_can_be_deselected(app):
    """If `queues.deselect` goes, the ping's queue stands on the rings' channel.

    And a full worker answers no ping.
    """
    app.conf.task_queues = [Queue("one"), Queue("two")]
    app.amqp.queues.deselect(["two"])
    assert "one" in app.amqp.queues.consume_from
    assert "two" not in app.amqp.queues.consume_from


def test_a_key_error_counts_as_a_lost_connection(app):
    """Why our handler catches KeyError first: with this, one message without an id reconnects for ever.

    If it is gone, that guard may go, too.
    """
    assert KeyError in a_consumer(app).connection_errors


def test_the_shutdown_flags_are_looked_at_by_a_function():
    """If `maybe_shutdown` goes, a worker that waits for its broker cannot be ended."""
    assert None is maybe_shutdown()


def test_a_hub_of_another_thread_is_not_needed_to_make_a_consumer(app):
    """If a consumer connected when it is made, a worker could not start before its broker."""
    before = threading.active_count()
    a_consumer(app)
    assert before == threading.active_count()
