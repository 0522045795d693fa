"""A broker to break, a worker that lives through it, and jobs that must not notice."""

import contextlib
import statistics
import time
from collections.abc import Generator
from pathlib import Path

from celery import Celery

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.brokers import LOSES_DATA, BreakableBroker, BreakableRabbitMQ, BreakableRedis
from holdfast.tests.support.platform import Platform, platform
from holdfast.tests.support.waiting import until
from holdfast.tests.support.worker import WorkerServer

DONE = JobState.COMPLETED
SLOTS = 5
RUNNING = 3
RECOVERY_SECONDS = 60.0
"""When a test gives up; docs/outages.md says how long it takes."""


class Stage:
    """A broker, a platform on it, and a worker whose window is partly filled."""

    def __init__(self, broker: BreakableBroker, held: Platform, database: Path) -> None:
        self.broker = broker
        self.held = held
        self.database = database
        self.worker = held.worker(worker_slots=SLOTS)
        self.acts = 0
        self.round_trip()
        self.settle_down()

    def revive(self) -> WorkerServer:
        """Have a worker again after a test that ended it."""
        if not self.worker.is_running:
            self.worker = self.held.worker(worker_slots=SLOTS)
        return self.worker

    def settle_down(self) -> None:
        """Let the broker keep what was declared anew, as the next fault may come right afterwards."""
        # First of all it has to be declared: jobs end by direct claims before a worker is back at the broker.
        self.round_trip()
        self.broker.settle_down()
        self.round_trip()

    def round_trip(self) -> None:
        """Send a plain Celery message to the intake and wait for its result: every consumer works."""
        sent = self.send_plain("plain.multiply", 6, 7)
        assert 42 == self.held.app.AsyncResult(sent).get(timeout=RECOVERY_SECONDS)

    def send_plain(self, task: str, *args: object) -> str:
        """Send a plain Celery message over a connection of its own; returns the id of its job."""
        with contextlib.closing(Celery(broker=self.held.broker_url, set_as_current=False)) as celery:
            # All plain applications of a process share their connections: one that is silent is waited
            # for without end, and what is sent over one that is gone may be lost.
            celery.conf.broker_pool_limit = 0
            return until(
                lambda: _sent(celery, task, args),
                timeout_seconds=RECOVERY_SECONDS,
                what="a message to be sent",
            )

    @contextlib.contextmanager
    def undisturbed(self, count: int = RUNNING) -> Generator[None]:
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


def _sent(celery: Celery, task: str, args: tuple[object, ...]) -> str:
    with contextlib.suppress(Exception):  # a broker that is not back yet refuses in many ways
        return str(celery.send_task(task, args=args, retry=False).id)
    return ""


@contextlib.contextmanager
def a_stage(kind: str, folder: Path) -> Generator[Stage]:
    """Set a stage for the length of a block."""
    broker = BreakableRedis() if kind == "redis" else BreakableRabbitMQ()
    database = folder / "ledger.sqlite3"
    with broker, platform(folder, broker_url=broker.url, database_url=f"sqlite:///{database}") as held:
        yield Stage(broker, held, database)


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
        after = [handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(20)])]
        stage.held.until_all([*ids, *after], DONE, timeout_seconds=RECOVERY_SECONDS)
        stage.round_trip()
        stage.until_rings_are_heard()
        # Two of the hundred may be unlucky with the machine; none may wait for the broker.
        assert sorted(took)[-3] <= usual + 0.1
        assert max(took) < 1.0
    if fault in LOSES_DATA:
        stage.settle_down()
