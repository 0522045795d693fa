"""What we lean on in Celery's pool, tracer seam and worker state.

Each docstring says what breaks with a change.
"""

import weakref
from types import SimpleNamespace

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery, Task
from celery.app.task import Context
from celery.concurrency.base import BasePool, apply_target
from celery.contrib.testing.worker import start_worker
from celery.events import EventDispatcher
from celery.exceptions import WorkerShutdown
from celery.utils.collections import LimitedSet
from celery.worker import components, control
from celery.worker import state as worker_state
from kombu import Connection

from holdfast.tests.support.waiting import until
from holdfast.workers.celery_view import RequestStack

pytestmark = pytest.mark.filterwarnings(
    "ignore::celery.exceptions.SecurityWarning"  # tests may run as root in a container
)

# What Celery called, in order; the pool is made by Celery, so the record lies beside it.
CALLS: list[tuple[str, object]] = []


class RecordingPool(BasePool):
    """A pool that runs a task where it is applied, and writes down what it is told."""

    task_join_will_block = False

    def __init__(self, limit=None, **options):
        super().__init__(limit, **options)
        CALLS.append(("init", (limit, options)))

    def on_start(self):
        CALLS.append(("on_start", None))

    def register_with_event_loop(self, loop):
        CALLS.append(("register_with_event_loop", loop))

    def on_apply(self, target, args, kwargs, **options):
        CALLS.append(("on_apply", options))
        apply_target(target, args, kwargs, options["callback"], options["accept_callback"])
        return SimpleNamespaceWithWeakref()

    def flush(self):
        CALLS.append(("flush", None))

    def on_close(self):
        CALLS.append(("on_close", None))

    def on_stop(self):
        CALLS.append(("on_stop", None))

    def on_terminate(self):
        CALLS.append(("on_terminate", None))


class SimpleNamespaceWithWeakref:
    """What `on_apply` gives back: Celery keeps a weak reference."""

    def terminate(self, signal=None):
        """End it."""


@pytest.fixture
def calls():
    """An empty record."""
    CALLS.clear()
    return CALLS


def kinds():
    """Return what was called, in order."""
    return [kind for kind, _ in CALLS]


def test_how_a_pool_is_made(app, calls):
    """Limit first; `threads` false means that there is a hub; `initargs` ends in the worker's name.

    `app` is ours. If any of it changes, the worker does not start, or starts without a hub and acknowledges
    from foreign threads.
    """
    worker = app.Worker(pool=RecordingPool, concurrency=5, hostname="name@host", loglevel=None)
    ((limit, options),) = [told for kind, told in calls if kind == "init"]
    assert (5, False, app) == (limit, options["threads"], options["app"])
    assert (app, "name@host") == options["initargs"]
    assert worker.pool.limit == worker.pool.num_processes == 5


def test_a_broker_without_a_hub_is_told_by_threads(calls):
    """Why we refuse to start: an acknowledgement would be written at once, from the caller's thread."""
    app = Celery("contract", broker="memory://", set_as_current=False)
    app.Worker(pool=RecordingPool, concurrency=5, loglevel=None)
    ((_, options),) = [told for kind, told in calls if kind == "init"]
    assert options["threads"]


def test_stop_terminate_and_close_reach_the_pool(calls):
    """If a cold shutdown called something else than `on_terminate`, running jobs were not handed back."""
    pool = RecordingPool(1)
    worker = SimpleNamespace(pool=pool)
    step = object.__new__(components.Pool)
    pool.start()
    step.close(worker)
    pool.stop()
    step.terminate(worker)
    assert ["init", "on_start", "on_close", "on_stop", "on_terminate"] == kinds()


def test_the_life_of_a_pool_in_a_real_worker(redis_server, redis_url, calls):
    """Start before the hub is given; a lost connection flushes, and gives the hub again.

    Close before stop. If the order changes, rings are lost at a reconnect or claims go on during a drain. A
    plain task is applied with the callbacks that our pool passes on by name.
    """
    app = Celery("contract", broker=redis_url, backend="cache+memory://", set_as_current=False)
    app.conf.update(
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    ran = []

    @app.task(name="plain", shared=False)
    def plain():
        ran.append(True)

    with start_worker(
        app, pool=RecordingPool, concurrency=1, perform_ping_check=False, loglevel=None, shutdown_timeout=10.0
    ):
        until(lambda: "register_with_event_loop" in kinds(), what="the hub")
        assert ["init", "on_start", "register_with_event_loop"] == kinds()[:3]
        plain.delay()
        until(lambda: ran, what="a plain task")
        options = next(told for kind, told in calls if kind == "on_apply")
        assert {"accept_callback", "callback", "error_callback", "timeout_callback", "correlation_id"} <= set(
            options
        )
        before = kinds().count("register_with_event_loop")
        with redis_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        until(
            lambda: kinds().count("register_with_event_loop") > before, timeout_seconds=15, what="a reconnect"
        )
        assert kinds().index("flush") < len(calls) - 1 - kinds()[::-1].index("register_with_event_loop")
    # This worker is ended by a cold shutdown; a warm one calls `on_stop`, see above.
    assert kinds().index("on_close") < kinds().index("on_terminate")
    hubs = {id(told) for kind, told in calls if kind == "register_with_event_loop"}
    assert 1 == len(hubs)
    worker_state.reset_state()


def test_apply_target_tells_before_and_after():
    """The tracer's answer must reach `callback`, or the request stays among the active ones for ever."""
    told = []
    apply_target(
        lambda number: number + 1, (1,), {}, told.append, lambda pid, at: told.append((pid > 0, at > 0))
    )
    assert [(True, True), 2] == told


def test_apply_target_lets_exceptions_through():
    """Why our pool catches: an exception after the body would leak the request and its slot."""
    told = []

    def fail():
        raise ValueError("outside of the body")

    with pytest.raises(ValueError, match="outside"):
        apply_target(fail, (), {}, told.append, None)
    assert [] == told


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("odd")])
def test_apply_target_hands_over_an_exception_info_for_the_rest(error):
    """Why our pool looks at what comes: the request's `on_success` cannot unpack it.

    If this changes, that look may go.
    """
    told = []

    def leave():
        raise error

    apply_target(leave, (), {}, told.append, None)
    (info,) = told
    assert isinstance(info, ExceptionInfo)
    with pytest.raises(TypeError):
        _, _, _ = info


def test_apply_target_lets_a_shutdown_through():
    """A plain task that ends the worker must not be taken for one that failed."""

    def leave():
        raise WorkerShutdown(0)

    with pytest.raises(WorkerShutdown):
        apply_target(leave, (), {}, lambda _: None, None)


def test_a_pools_answer_is_weakly_referenced():
    """If it must be more than that, plain calls cannot be revoked while they wait."""
    assert weakref.ref(SimpleNamespaceWithWeakref()) is not None


# Worker state and remote control.


class Shown:
    """A running job as `celery_view` shows it."""

    id, name, task_name = "job-1", "ours", "ours"

    def __init__(self):
        self.ended = []

    def info(self, safe=False):  # noqa: FBT002 -- the signature that Celery calls
        return {"id": self.id, "safe": safe}

    def terminate(self, pool, signal=None):
        self.ended.append(signal)


@pytest.fixture
def shown():
    """One job in Celery's tables."""
    made = Shown()
    worker_state.requests[made.id] = made
    worker_state.active_requests.add(made)
    yield made
    worker_state.reset_state()


def test_the_tables_of_the_worker(shown):
    """If they are renamed or change their kind, `inspect active` and revoke know nothing of our jobs."""
    assert isinstance(worker_state.requests, dict)
    assert isinstance(worker_state.active_requests, weakref.WeakSet)
    assert isinstance(worker_state.revoked, LimitedSet)
    worker_state.total_count["ours"] += 1
    worker_state.all_total_count[0] += 1
    assert 1 == worker_state.total_count["ours"]


def test_inspect_active_asks_each_request_for_its_info(shown):
    """Operators see what runs, through `info(safe=...)`."""
    state = SimpleNamespace(tset=set, app=None)
    assert [{"id": "job-1", "safe": True}] == control.active(state, safe=True)


def test_revoke_finds_a_request_by_its_id_and_terminates_it(shown, app):
    """`control.revoke(id, terminate=True)` is how Flower and Celery users cancel one of our jobs."""
    state = SimpleNamespace(app=app, consumer=SimpleNamespace(pool=object()), hostname="h")
    control.revoke(state, ["job-1"], terminate=True, signal="SIGTERM")
    assert 1 == len(shown.ended)


# Requests of tasks.


def test_a_stack_of_requests_is_set_at_bind_and_on_bound_comes_after_it(app):
    """If `on_bound` came first, our stack for each context would be overwritten.

    And instrumentation would mix jobs up.
    """
    order = []

    class Ours(Task):
        name = "ours"

        def run(self):
            """Do nothing."""

        @classmethod
        def on_bound(cls, bound_to):
            order.append((bound_to, cls.request_stack is not None))
            cls.request_stack = RequestStack()

    task = app.register_task(Ours())
    app.finalize()
    assert (app, True) == order[-1]
    assert isinstance(task.request_stack, RequestStack)
    request = Context(id="a", retries=2, hostname="h", traceparent="00-ab")
    task.request_stack.push(request)
    assert ("a", 2, "h", "00-ab") == (
        task.request.id,
        task.request.retries,
        task.request.hostname,
        task.request.traceparent,
    )
    assert request is task.request_stack.pop()


def test_celerys_own_stack_has_the_same_verbs(app):
    """If Celery asks its stack for more, ours must learn it."""

    @app.task(name="plain", shared=False)
    def plain():
        """Do nothing."""

    app.finalize()
    for verb in ("push", "pop", "top", "stack", "__len__"):
        assert hasattr(type(plain.request_stack), verb) or hasattr(plain.request_stack, verb), verb
        assert hasattr(RequestStack, verb)


def test_the_event_dispatcher_sends_when_enabled():
    """`.enabled` and `.send(kind, **fields)`: without them Flower sees no job of ours."""
    with Connection("memory://") as connection:
        off = EventDispatcher(connection, enabled=False)
        assert not off.enabled
        on = EventDispatcher(connection, hostname="h", app=Celery("contract", set_as_current=False))
        assert on.enabled
        on.send("task-started", uuid="a")
        on.close()
