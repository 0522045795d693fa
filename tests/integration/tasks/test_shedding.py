"""Load shedding, end to end: a producer, a full queue, and a worker that empties it."""

import threading
from pathlib import Path

import holdfast
from holdfast.jobs.errors import QueueFull
from holdfast.jobs.state import JobState
from holdfast.settings import load
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import platform

LIMIT = 3


def test_a_producer_comes_again_when_it_was_told_to(sqlite_url: str, redis_url: str, tmp_path: Path):
    """Refused while the queue is full, let in after `retry_after_seconds` if a worker was there meanwhile."""
    (tmp_path / "env").touch()
    with platform(tmp_path, broker_url=redis_url, database_url=sqlite_url) as made:
        settings = load(
            broker_url=redis_url,
            database_url=sqlite_url,
            data_dir=tmp_path,
            env_file=tmp_path / "env",
            backlog_limits=f"default={LIMIT}",
        )
        made.worker(backlog_limits=f"default={LIMIT}")
        made.ledger.pause_queue("default")
        with holdfast.connect(settings) as client:
            taken = [client.enqueue_sync(sample_tasks.echo, (f"{number}",)) for number in range(LIMIT)]
            refused = _refused(client)
            assert (LIMIT, LIMIT, "normal") == (refused.waiting, refused.limit, refused.job_class)
            # A message is in the broker already: a worker takes it, whatever waits.
            adopted = made.app.send_task("sample.echo", args=("plain",))
            made.until_all_exist([adopted.id])
            made.ledger.resume_queue("default")
            made.until_all([handle.id for handle in taken] + [adopted.id], JobState.COMPLETED)
            threading.Event().wait(refused.retry_after_seconds)
            assert "again" == sample_tasks.echo.enqueue_sync("again").result_sync(timeout_seconds=30)


def _refused(client: holdfast.Client) -> QueueFull:
    try:
        client.enqueue_sync(sample_tasks.echo, ("one more",))
    except QueueFull as full:
        return full
    raise AssertionError("the queue took more than its limit")
