"""`AsyncResult(job_id)` reads the ledger, on both databases."""

import threading
import time

import pytest
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import AsyncResult, GroupResult, ResultSet

from holdfast.jobs.errors import LedgerFailure, ResultExpired, SettingsError, UnsupportedOption
from holdfast.jobs.failure import Failure
from holdfast.jobs.outcome import Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import QuarantineReason
from holdfast.tasks import results
from holdfast.tasks.application import make_app


@pytest.fixture
def app(ledger):
    """A Celery application whose results are in the ledger."""
    app = make_app("reader", {"result_backend": "holdfast.tasks.results:LedgerBackend"})
    before = results.use_ledger(ledger)
    yield app
    results.use_ledger(before)
    app.close()


@pytest.fixture
def enqueue(client, greet, app):
    """Make a job, and Celery's view of it."""
    return lambda: AsyncResult(greet.enqueue_sync("Ada").id, app=app)


def failed(type_name: str, message: str) -> Quarantine:
    """A failure for good."""
    return Quarantine(QuarantineReason.PERMANENT, Failure(type_name, message, "Traceback: line 1"))


def test_the_result_of_a_completed_job(enqueue, hand):
    """A plain Celery program gets the handler's value."""
    result = enqueue()
    hand.run(result.id, Completed('{"words":[1,2]}'))

    assert {"words": [1, 2]} == result.get(timeout=5)
    assert "SUCCESS" == result.state
    assert result.successful()
    assert result.date_done is not None


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (None, "PENDING"),
        (Retry(60, Failure("ValueError", "no")), "PENDING"),
        (Snooze(60), "PENDING"),
        (Park("upstream:search"), "PENDING"),
        (failed("ValueError", "no"), "FAILURE"),
    ],
)
def test_states_in_celerys_words(enqueue, hand, outcome, state):
    """What waits is PENDING, whatever it waits for."""
    result = enqueue()
    if outcome is not None:
        claim = hand.claim(result.id)
        assert "STARTED" == result.state
        hand.settle(claim, outcome)

    assert state == result.state
    assert ("FAILURE" == state) == result.ready()


def test_a_builtin_exception_is_rebuilt(enqueue, hand):
    """`except ValueError` works for callers of Celery's kind."""
    result = enqueue()
    hand.run(result.id, failed("ValueError", "not a number"))

    with pytest.raises(ValueError, match="not a number"):
        result.get(timeout=5)
    assert isinstance(result.get(timeout=5, propagate=False), ValueError)
    assert "Traceback: line 1" == result.traceback


@pytest.mark.parametrize(
    "type_name",
    ["httpx.ReadTimeout", "os.system", "SystemExit", "UnicodeDecodeError", "print", "antigravity.X"],
)
def test_no_row_says_which_module_is_imported_or_what_is_called(enqueue, hand, type_name):
    """Everything that is no plain builtin exception becomes text."""
    result = enqueue()
    hand.run(result.id, failed(type_name, "boom"))

    with pytest.raises(LedgerFailure) as caught:
        result.get(timeout=5)
    assert f"{type_name}: boom" == str(caught.value)


def test_a_cancelled_job_is_revoked(enqueue, client):
    """Celery's word for it, with the reason."""
    result = enqueue()
    client.cancel_sync(result.id, "not needed")

    assert "REVOKED" == result.state
    with pytest.raises(TaskRevokedError, match="not needed"):
        result.get(timeout=5)


def test_a_job_that_failed_without_an_exception_says_why(enqueue, hand):
    """The reason of the quarantine stands for the message."""
    result = enqueue()
    hand.run(result.id, Quarantine(QuarantineReason.PERMANENT))

    with pytest.raises(LedgerFailure, match="permanent"):
        result.get(timeout=5)


def test_waiting_is_quick_and_ends_on_time(enqueue, hand):
    """A result is seen within a fraction of a second; a timeout is kept."""
    result = enqueue()
    began = time.monotonic()
    with pytest.raises(CeleryTimeout):
        result.get(timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 5

    worker = threading.Thread(target=hand.run, args=(result.id,))
    worker.start()
    assert "done" == result.get(timeout=5)
    worker.join()


def test_many_results_are_read_together(enqueue, hand):
    """`join` and `join_native` work on sets of jobs."""
    first, second = enqueue(), enqueue()
    hand.run(first.id)
    hand.run(second.id, Completed("2"))

    assert ["done", 2] == ResultSet([first, second]).join(timeout=5)
    assert ["done", 2] == ResultSet([first, second]).join_native(timeout=5)


def test_one_of_many_that_does_not_come_times_out(enqueue, hand):
    """The caller waits no longer than was said."""
    first, second = enqueue(), enqueue()
    hand.run(first.id)

    with pytest.raises(CeleryTimeout):
        ResultSet([first, second]).join_native(timeout=0.2)


@pytest.mark.parametrize(
    "job_id", ["nobody", "", "with space", "ü", "x" * 300, "00000000-0000-0000-0000-000000000000"]
)
def test_an_unknown_id_is_pending(app, job_id):
    """As everywhere in Celery; no id makes the database complain."""
    assert "PENDING" == app.backend.get_task_meta(job_id)["status"]


def test_a_pruned_job_is_expired_while_its_tombstone_lasts(enqueue, hand, ledger, app):
    """A caller who comes too late does not wait for ever."""
    result = enqueue()
    hand.run(result.id)
    until_pruned(ledger)

    with pytest.raises(ResultExpired):
        AsyncResult(result.id, app=app).get(timeout=5)


def until_pruned(ledger) -> None:
    """Prune what has ended."""
    assert 1 == ledger.prune(completed_seconds=-1, quarantined_seconds=3600, limit=10)


def test_forgetting_leaves_the_row(enqueue, hand, client):
    """Rows are pruned by age, not by whoever read the result."""
    result = enqueue()
    hand.run(result.id)

    result.forget()

    assert "done" == client.result_sync(result.id)


def test_storing_for_a_job_of_ours_changes_nothing(enqueue, app, ledger):
    """The worker's own machinery reports unknown and revoked tasks; only a settle ends a job."""
    result = enqueue()
    request = type("Request", (), {"task": "tests.greet"})()

    app.backend.store_result(result.id, "forged", "SUCCESS")
    app.backend.mark_as_failure(result.id, ValueError("forged"))
    app.backend.store_result(result.id, "forged", "SUCCESS", request=request)

    assert "PENDING" == result.state


def test_a_plain_celery_task_keeps_its_result_in_the_ledger_too(app):
    """Tasks of other people, loaded beside ours, need no second store."""
    request = type("Request", (), {"task": "other.task"})()
    app.backend.store_result("plain-1", {"a": [1, 2]}, "SUCCESS", request=request)
    app.backend.store_result("plain-2", KeyError("k"), "FAILURE", traceback="line 1", request=request)

    assert {"a": [1, 2]} == AsyncResult("plain-1", app=app).get(timeout=5)
    with pytest.raises(KeyError, match="k"):
        AsyncResult("plain-2", app=app).get(timeout=5)


def test_chords_and_saved_groups_are_refused(app, enqueue):
    """The error names our way."""
    with pytest.raises(UnsupportedOption, match="enqueue_many"):
        app.backend.ensure_chords_allowed()
    with pytest.raises(UnsupportedOption):
        GroupResult("g", [enqueue()], app=app).save()
    assert GroupResult.restore("g", app=app) is None


def test_the_backend_tells_no_address(app):
    """Banners and logs show where results are without a password."""
    assert "ledger://" == app.backend.as_uri(include_password=True)


def test_a_backend_without_a_ledger_says_how_to_get_one(app):
    """A program that only made its own application is told what to use."""
    results.use_ledger(None)
    with pytest.raises(SettingsError, match=r"holdfast\.connect"):
        app.backend.get_task_meta("job-1")


def test_a_ledger_may_be_opened_when_it_is_first_needed(app, ledger):
    """A worker's application connects to nothing while it is imported."""
    opened = []
    results.use_ledger(lambda: opened.append(1) or ledger)

    assert [] == opened
    results._slot.ledger()  # noqa: SLF001 -- the slot is what this is about
    results._slot.ledger()  # noqa: SLF001 -- the slot is what this is about
    assert [1] == opened
