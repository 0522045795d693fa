"""What takes longer to show: an outage of half a minute, and that a backlog is no loss of rings."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.stage import SLOTS, Stage, a_stage, live_through
from holdfast.tests.support.waiting import until

pytestmark = pytest.mark.outage
LONG_SECONDS = 25.0
"""Longer than every pause between two tries has grown by then, and than every socket's timeout."""
BROKERS = ["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]


@pytest.fixture(scope="module", params=BROKERS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for all tests of a broker."""
    with a_stage(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.mark.parametrize("fault", ["killed", "forgotten"])
def test_a_long_outage_is_no_other_than_a_short_one(stage: Stage, fault: str):
    """When every pause between two tries has grown to its longest, the worker still comes back in seconds."""
    live_through(stage, fault, LONG_SECONDS)


@pytest.mark.parametrize("kind", BROKERS)
def test_a_backlog_is_no_loss_and_a_loss_is_no_backlog(kind: str, tmp_path: Path):
    """Nobody rings again for jobs that only wait; when their rings are lost, somebody does (B10)."""
    with a_stage(kind, tmp_path) as stage, stage.undisturbed(SLOTS):
        waiting = [
            handle.id for handle in sample_tasks.echo.enqueue_many_sync([(str(n),) for n in range(30)])
        ]
        # Once by the producer, and once by the stager, which cannot know that the producer did.
        until(lambda: stage.broker.rings() >= 30, timeout_seconds=30, what="all rings in the queue")
        time.sleep(4.0)  # noqa: TID251 -- both have rung by now
        seen = stage.broker.rings()
        time.sleep(12.0)  # noqa: TID251 -- two looks of the epoch watch, each of which might be wrong
        assert 30 <= seen == stage.broker.rings() <= 65
        assert "epoch_changed" not in stage.worker.log
        let_the_epoch_be_old(stage.database)
        with stage.broker.flushed():
            # The worker is full: only the epoch can tell that these rings are missing.
            until(
                lambda: "epoch_changed" in stage.worker.log, timeout_seconds=30, what="the loss to be noticed"
            )
            until(lambda: stage.broker.rings() >= 30, timeout_seconds=30, what="all rings to be sent again")
        assert 30 == stage.held.count(waiting, JobState.AVAILABLE)


def let_the_epoch_be_old(database: Path) -> None:
    """It may change once a minute, and the ledger of a test is younger."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE meta SET changed_at = '2020' || substr(changed_at, 5) WHERE name = 'epoch'"
        )
