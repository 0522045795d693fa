"""The broker is lost in every way: the worker comes back by itself, and no job notices.

One suite for both brokers. One worker lives through all faults of a broker, beside jobs that
began before each fault and end after it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import Ring
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.stage import DONE, RECOVERY_SECONDS, Stage, a_stage, live_through
from holdfast.tests.support.waiting import until

SHORT_SECONDS = 1.5
BROKERS = ["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
LONG = pytest.mark.outage


@pytest.fixture(scope="module", params=BROKERS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for all tests of a broker."""
    with a_stage(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.mark.parametrize(
    "fault",
    [
        "killed",
        "frozen",
        "silent",
        "full",
        pytest.param("flushed", marks=LONG),
        pytest.param("clients killed", marks=LONG),
        pytest.param("refused", marks=LONG),
        pytest.param("restarted", marks=LONG),
        pytest.param("wiped", marks=LONG),
        pytest.param("failed over", marks=LONG),
    ],
)
def test_a_worker_lives_through(stage: Stage, fault: str):
    """Running jobs feel nothing, producers wait for nobody, jobs of the outage run, rings are heard again."""
    live_through(stage, fault, SHORT_SECONDS)


@pytest.mark.outage
def test_a_worker_lives_through_a_read_only_redis(tmp_path: Path):
    """Writes answer READONLY, as from a replica. RabbitMQ has no such state."""
    with a_stage("redis", tmp_path) as stage:
        live_through(stage, "read only", SHORT_SECONDS)


@pytest.mark.parametrize("fault", ["flushed", pytest.param("failed over", marks=LONG)])
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
    stage.settle_down()


@pytest.mark.outage
def test_unacknowledged_messages_end_no_worker_when_the_broker_dies(stage: Stage):
    """A ring whose claim is under way and a late-acknowledged plain task are held when the broker is killed.

    The stock worker dies of either: when it gives back what it held through a connection that is
    gone, and when it acknowledges what ends later.
    """
    with stage.undisturbed(1):
        name = f"plain{stage.acts}"
        stage.send_plain("plain.attend", str(stage.held.folder), name)
        until(lambda: stage.lines(f"{name}.start"), timeout_seconds=30, what="the plain task to begin")
        # Those of earlier tests would keep the window full while no claim can be answered.
        stage.until_rings_are_heard()
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
