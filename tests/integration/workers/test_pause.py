"""A paused queue begins nothing, whatever is restarted, and goes on at once when it is resumed."""

from pathlib import Path

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.waiting import until

HOW = {"queues": "default,mail", "worker_slots": 30}
JOBS = 20
AT_ONCE_SECONDS = 5.0
"""A sweep and a claim take a fifth of a second each; the rest is for a busy machine."""


def pause_and_resume(held: Platform, folder: Path) -> None:
    """Play the whole story; what it is played on is the caller's."""
    first = held.worker(**HOW)
    mail = sample_tasks.witness.options(queue="mail")
    running = mail.enqueue_sync(str(folder), "running", 1.5)
    until((folder / "running.start").exists, what="a running job")
    held.ledger.pause_queue("mail")
    waiting = [handle.id for handle in mail.enqueue_many_sync([(str(folder), f"w{n}") for n in range(JOBS)])]

    def nothing_begins() -> None:
        # A canary beside them shows that the worker hears rings, and claims.
        assert "canary" == sample_tasks.echo.enqueue_sync("canary").result_sync(timeout_seconds=30)
        assert JOBS == held.count(waiting, JobState.AVAILABLE)

    nothing_begins()
    held.until_all([running.id], JobState.COMPLETED, timeout_seconds=30)
    first.stop()
    held.worker(**HOW)
    nothing_begins()
    assert ["mail"] == [pause.queue for pause in held.ledger.paused_queues()]
    held.ledger.resume_queue("mail")
    held.until_all(waiting, JobState.COMPLETED, timeout_seconds=AT_ONCE_SECONDS)
    assert [1] * JOBS == [job.claims for job in held.jobs(waiting)]


def test_a_paused_queue_begins_nothing_and_goes_on_when_it_is_resumed(held: Platform, tmp_path: Path):
    """Twenty jobs wait through a restart of the worker; running ones end; after the resume all run, once."""
    pause_and_resume(held, tmp_path)
