"""No job lost, none ended twice: real workers, really killed."""

from pathlib import Path

from holdfast.jobs.state import JobState
from holdfast.tests.support import sample_tasks
from holdfast.tests.support.platform import Platform
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.traffic import monitored
from holdfast.tests.support.waiting import until

DONE = JobState.COMPLETED


def ids_of(handles) -> list[str]:
    """Return the ids of handles."""
    return [handle.id for handle in handles]


def lines(folder: Path, name: str) -> list[str]:
    """Return what was marked under a name."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def test_a_job_goes_from_end_to_end(held: Platform):
    """A job of each kind of handler runs and its result is readable, typed, by client and by AsyncResult."""
    held.worker()
    echo = sample_tasks.echo.enqueue_sync("hello")
    add = sample_tasks.add.delay(1, 2)
    assert "hello" == echo.result_sync(timeout_seconds=10)
    assert 3 == add.result_sync(timeout_seconds=10)
    assert 3 == held.app.AsyncResult(add.id).get(timeout=5)
    assert ["enqueue", "claim", "complete"] == [moment.kind for moment in held.ledger.history(echo.id)]


def test_a_killed_workers_jobs_run_again_and_end_once(held: Platform, tmp_path: Path):
    """SIGKILL in mid-job: another worker takes the jobs within seconds, and each ends exactly once."""
    first = held.worker(worker_slots=10)
    handles = sample_tasks.witness.enqueue_many_sync([(str(tmp_path), f"j{n}", 1.5) for n in range(10)])
    until(lambda: held.count(ids_of(handles), JobState.RUNNING) == 10, what="ten running jobs")
    first.kill()
    second = held.worker(worker_slots=10)
    held.until_all(ids_of(handles), DONE)
    for number, job in enumerate(held.jobs(ids_of(handles))):
        assert 1 == len(lines(tmp_path, f"j{number}.end"))
        assert 1 == job.attempt, "a crash that was not the job's own fault costs no attempt"
        assert ["lost", "completed"] == [attempt.outcome for attempt in held.ledger.attempts(job.id)]
    assert second.is_running


def test_a_drained_worker_hands_back_what_it_could_not_finish(held: Platform, tmp_path: Path):
    """SIGTERM: short work ends, long work is handed back with its attempt, the exit is clean."""
    first = held.worker(shutdown_grace_seconds=1.5)
    short = sample_tasks.witness.enqueue_sync(str(tmp_path), "short", 1.0)
    long = sample_tasks.witness.enqueue_sync(str(tmp_path), "long", 60.0)
    until(lambda: held.count([short.id, long.id], JobState.RUNNING) == 2, what="two running jobs")
    first.stop()
    states = {handle.id: held.ledger.job(handle.id) for handle in (short, long)}
    assert DONE == states[short.id].state
    assert (JobState.AVAILABLE, 0) == (states[long.id].state, states[long.id].attempt)
    assert not held.ledger.workers(), "it has taken its leave"
    assert "Traceback" not in first.log


def test_a_full_worker_hoards_no_rings(embedded: Platform):
    """Worker A is full of long jobs; what comes then starts on worker B within two seconds."""
    embedded.worker(worker_slots=5)
    full = sample_tasks.wait.enqueue_many_sync([(60.0,)] * 5)
    until(lambda: embedded.count(ids_of(full), JobState.RUNNING) == 5, what="a full worker")
    more = sample_tasks.wait.enqueue_many_sync([(60.0,)] * 20)
    embedded.worker(worker_slots=20)
    until(
        lambda: embedded.count(ids_of(more), JobState.RUNNING) == 20,
        timeout_seconds=2.0,
        what="all to start on B",
    )


def test_a_cancelled_job_ends_in_any_worker(embedded: Platform):
    """Cancel reaches a waiting job at once and a running one within seconds."""
    embedded.worker(worker_slots=1)
    running = sample_tasks.wait.enqueue_sync(60.0)
    until(lambda: embedded.count([running.id], JobState.RUNNING) == 1, what="a running job")
    waiting = sample_tasks.wait.enqueue_sync(60.0)
    assert "cancelled" == waiting.cancel_sync("not needed")
    assert "requested" == running.cancel_sync("not needed")
    embedded.until_all([running.id, waiting.id], JobState.CANCELLED, timeout_seconds=5)
    assert "already_final" == running.cancel_sync()


def test_limits_end_what_runs_too_long(embedded: Platform):
    """A soft limit cancels a coroutine; a thread that outlives the hard one ends its worker alone."""
    worker = embedded.worker()
    slow = sample_tasks.slow.enqueue_sync(30.0)
    embedded.until_all([slow.id], JobState.QUARANTINED)
    assert "holdfast.jobs.errors.AttemptTimeout" == (embedded.ledger.job(slow.id).failure or object()).type
    sample_tasks.stubborn.enqueue_sync(30.0)
    until(lambda: not worker.is_running, timeout_seconds=15, what="the worker to leave")


def test_a_failure_is_kept_with_its_cause(embedded: Platform):
    """The attempt row says what went wrong, with the traceback, and the budget of attempts is respected."""
    embedded.worker()
    job_id = sample_tasks.broken.enqueue_sync("no such thing").id
    embedded.until_all([job_id], JobState.QUARANTINED)
    job = embedded.ledger.job(job_id)
    assert ("ValueError", "no such thing") == (job.failure.type, job.failure.message)
    assert "TypeError: the cause" in job.failure.traceback
    assert ["retry", "quarantine"] == [attempt.outcome for attempt in embedded.ledger.attempts(job_id)]


def test_a_retry_and_a_snooze_wait_in_the_ledger(embedded: Platform, tmp_path: Path):
    """A flaky job succeeds on its third attempt; a snooze gives the attempt back."""
    embedded.worker()
    flaky = sample_tasks.flaky.enqueue_sync(3)
    rested = sample_tasks.snooze.enqueue_sync(str(tmp_path), 0.5)
    assert 3 == flaky.result_sync(timeout_seconds=10)
    assert "rested" == rested.result_sync(timeout_seconds=10)
    assert 1 == embedded.ledger.job(rested.id).attempt


def test_secrets_stay_in_the_ledger(embedded: Platform, own_redis: RedisServer):
    """An argument appears neither on the broker, nor in the worker's log, nor in any event of Celery's."""
    key = "sk-live-0123456789abcdef0123456789abcdef"
    with monitored(own_redis.port) as traffic:
        worker = embedded.worker()
        job = sample_tasks.secret.enqueue_sync(api_key=key)
        assert len(key) == job.result_sync(timeout_seconds=10)
        broken = sample_tasks.broken.enqueue_sync(f"could not log in with {key}")
        embedded.until_all([broken.id], JobState.QUARANTINED)
        until(lambda: any("task-failed" in line or job.id in line for line in traffic()), what="traffic")
        assert not [line for line in traffic() if key in line]
    assert key not in worker.log
