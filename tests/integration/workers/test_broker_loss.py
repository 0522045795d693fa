"""The broker is lost in every way: the worker comes back by itself, and no job notices.

One suite for both brokers. One worker lives through all faults of a broker, beside jobs that
began before each fault and end after it.
"""

import contextlib
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import Ring
from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.brokers import BreakableBroker, BreakableRabbitMQ, BreakableRedis
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

DONE = JobState.COMPLETED
SLOTS = 5
RUNNING = 3
SHORT_SECONDS = 1.5
LONG_SECONDS = 25.0
"""Longer than every pause between two tries has grown by then, and than every socket's timeout."""
RECOVERY_SECONDS = 60.0
"""When a test gives up; docs/outages.md says how long it takes."""
BROKERS = ["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
SLOW = pytest.mark.slow


class Stage:
    """A broker, a platform on it, and a worker whose window is partly filled."""

    def __init__(self, broker: BreakableBroker, held: Platform, database: Path) -> None:
        self.broker = broker
        self.held = held
        self.database = database
        self.worker = held.worker(worker_slots=SLOTS)
        self.acts = 0
        self.round_trip()
        broker.settle_down()
        self.round_trip()

    def revive(self) -> WorkerServer:
        """Have a worker again after a test that ended it."""
        if not self.worker.is_running:
            self.worker = self.held.worker(worker_slots=SLOTS)
        return self.worker

    def round_trip(self) -> None:
        """Send a plain Celery message to the intake and wait for its result: every consumer works."""
        with contextlib.closing(Celery(broker=self.held.broker_url, set_as_current=False)) as celery:
            # All plain applications of a process share their connections, and wait for ever for a silent one.
            celery.conf.broker_pool_limit = 0
            sent = until(lambda: _sent(celery), timeout_seconds=RECOVERY_SECONDS, what="a message to be sent")
        assert 42 == self.held.app.AsyncResult(sent).get(timeout=RECOVERY_SECONDS)

    @contextlib.contextmanager
    def undisturbed(self, count: int = RUNNING) -> Iterator[None]:
        """Have jobs run in one process for the length of the block: one attempt, one start, one end."""
        worker = self.revive()
        pid = worker.worker_pid
        self.acts += 1
        names = [f"act{self.acts}-{number}" for number in range(count)]
        handles = sample_tasks.attend.enqueue_many_sync([(str(self.held.folder), name) for name in names])
        ids = [handle.id for handle in handles]
        until(
            lambda: self.held.count(ids, JobState.RUNNING) == count, timeout_seconds=30, what="running jobs"
        )
        try:
            yield
        finally:
            for name in names:
                (self.held.folder / f"{name}.go").touch()
        self.held.until_all(ids, DONE)
        assert worker.is_running
        assert pid == worker.worker_pid
        for name, job in zip(names, self.held.jobs(ids), strict=True):
            assert (1, 1) == (len(self.lines(f"{name}.start")), len(self.lines(f"{name}.end")))
            assert 1 == job.attempt
        assert "lease_was_lost" not in worker.log
        assert "Unrecoverable" not in worker.log

    def lines(self, name: str) -> list[str]:
        """Return the marks under a name."""
        path = self.held.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def until_rings_are_heard(self) -> None:
        """Wait until the worker has taken all rings from the queue."""
        until(
            lambda: self.broker.rings() == 0, timeout_seconds=RECOVERY_SECONDS, what="the rings to be taken"
        )


def _sent(celery: Celery) -> str:
    with contextlib.suppress(Exception):  # a broker that is not back yet refuses in many ways
        return str(celery.send_task("plain.multiply", args=(6, 7), retry=False).id)
    return ""


@contextlib.contextmanager
def a_stage(kind: str, folder: Path) -> Iterator[Stage]:
    """Set a stage for the length of a block."""
    broker = BreakableRedis() if kind == "redis" else BreakableRabbitMQ()
    database = folder / "ledger.sqlite3"
    with broker, platform(folder, broker_url=broker.url, database_url=f"sqlite:///{database}") as held:
        yield Stage(broker, held, database)


@pytest.fixture(scope="module", params=BROKERS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for all tests of a broker."""
    with a_stage(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def timed_enqueues(count: int) -> tuple[list[str], list[float]]:
    """Enqueue one by one; return the ids, and the seconds that each took."""
    ids, seconds = [], []
    for number in range(count):
        began_at = time.perf_counter()
        ids.append(sample_tasks.echo.enqueue_sync(str(number)).id)
        seconds.append(time.perf_counter() - began_at)
    return ids, seconds


def live_through(stage: Stage, fault: str, seconds: float) -> None:
    """Break and mend; producers are as fast as ever, and everything works again without help."""
    with stage.undisturbed():
        usual = statistics.median(timed_enqueues(20)[1])
        with stage.broker.faults[fault]():
            ids, took = timed_enqueues(100)
            time.sleep(seconds)  # noqa: TID251 -- an outage has a length
        mended_at = time.monotonic()
        after = [handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(20)])]
        stage.held.until_all([*ids, *after], DONE, timeout_seconds=RECOVERY_SECONDS)
        stage.round_trip()
        stage.until_rings_are_heard()
        print(f"{stage.broker.server.name}, {fault}: {time.monotonic() - mended_at:.1f} s")
        # Two of the hundred may be unlucky with the machine; none may wait for the broker.
        assert sorted(took)[-3] <= usual + 0.1
        assert max(took) < 1.0


@pytest.mark.parametrize(
    "fault",
    [
        "killed",
        "frozen",
        "silent",
        "full",
        pytest.param("flushed", marks=SLOW),
        pytest.param("clients killed", marks=SLOW),
        pytest.param("refused", marks=SLOW),
        pytest.param("restarted", marks=SLOW),
        pytest.param("wiped", marks=SLOW),
        pytest.param("failed over", marks=SLOW),
    ],
)
def test_a_worker_lives_through(stage: Stage, fault: str):
    """Running jobs feel nothing, producers wait for nobody, jobs of the outage run, rings are heard again."""
    live_through(stage, fault, SHORT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "silent", "forgotten"])
def test_a_long_outage_is_no_other_than_a_short_one(stage: Stage, fault: str):
    """When every pause between two tries has grown to its longest, the worker still comes back in seconds."""
    live_through(stage, fault, LONG_SECONDS)


@pytest.mark.slow
def test_a_worker_lives_through_a_read_only_redis(tmp_path: Path):
    """Writes answer READONLY, as from a replica. RabbitMQ has no such state."""
    with a_stage("redis", tmp_path) as stage:
        live_through(stage, "read only", SHORT_SECONDS)


@pytest.mark.parametrize("fault", ["flushed", pytest.param("failed over", marks=SLOW)])
def test_a_backlog_outlives_the_loss_of_its_rings(stage: Stage, fault: str):
    """A hundred jobs wait, and all their rings are gone: each of them ends, and none twice."""
    stage.revive()
    names = [f"{fault}-{number}" for number in range(100)]
    handles = sample_tasks.witness.enqueue_many_sync([(str(stage.held.folder), name, 0.1) for name in names])
    ids = [handle.id for handle in handles]
    until(lambda: stage.held.count(ids, DONE) >= 5, what="some work done")
    with stage.broker.faults[fault]():
        pass
    stage.held.until_all(ids, DONE, timeout_seconds=RECOVERY_SECONDS)
    assert all(1 == len(stage.lines(f"{name}.end")) for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKERS)
def test_a_backlog_is_no_loss_and_a_loss_is_no_backlog(kind: str, tmp_path: Path):
    """Nobody rings again for jobs that only wait; when their rings are lost, somebody does (B10)."""
    with a_stage(kind, tmp_path) as stage, stage.undisturbed(SLOTS):
        waiting = [
            handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(30)])
        ]
        until(lambda: stage.broker.rings() == 30, timeout_seconds=30, what="all rings in the queue")
        time.sleep(12.0)  # noqa: TID251 -- two looks of the epoch watch, each of which might be wrong
        assert 30 == stage.broker.rings()
        assert "epoch_changed" not in stage.worker.log
        with stage.broker.flushed():
            # The worker is full: only the epoch can tell that these rings are missing.
            until(
                lambda: "epoch_changed" in stage.worker.log, timeout_seconds=30, what="the loss to be noticed"
            )
            until(lambda: stage.broker.rings() == 30, timeout_seconds=30, what="all rings to be sent again")
        assert 30 == stage.held.count(waiting, JobState.AVAILABLE)


def test_unacknowledged_messages_end_no_worker_when_the_broker_dies(stage: Stage):
    """A ring whose claim is under way and a late-acknowledged plain task are held when the broker is killed.

    The stock worker dies of either: when it gives back what it held through a connection that is
    gone, and when it acknowledges what ends later.
    """
    with stage.undisturbed(1):
        name = f"plain{stage.acts}"
        stage.held.app.send_task("plain.attend", args=(str(stage.held.folder), name), queue="celery")
        until(lambda: stage.lines(f"{name}.start"), timeout_seconds=30, what="the plain task to begin")
        lost = stage.worker.log.count("Connection to broker lost")
        with contextlib.closing(sqlite3.connect(stage.database, isolation_level=None)) as rival:
            rival.execute("BEGIN IMMEDIATE")
            stage.held.doorbell.ring([Ring(new_job_id(), "sample.echo", "default", 4)])
            assert stage.held.doorbell.flush(10)
            stage.until_rings_are_heard()
            with stage.broker.killed():
                until(
                    lambda: stage.worker.log.count("Connection to broker lost") > lost,
                    timeout_seconds=30, what="the loss to be noticed",
                )  # fmt: skip
                rival.execute("ROLLBACK")
                (stage.held.folder / f"{name}.go").touch()
                until(lambda: stage.lines(f"{name}.end"), timeout_seconds=30, what="the plain task to end")
        stage.round_trip()
