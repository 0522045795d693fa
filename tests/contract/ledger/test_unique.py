"""Unique jobs: one at a time for a key, whatever the job's life; what becomes of the others is said (B22)."""

from dataclasses import replace

import pytest
from sqlalchemy import event

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.errors import InvalidArguments, NotUnique, QueueFull
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.unique import UNTIL_STARTED, Unique, key_of
from holdfast.ledger import connect
from holdfast.tests.support.builders import TASK, a_failure, a_new_job, a_settlement, a_worker

EVERY_STATE = frozenset(JobState)


def a_unique_job(rule=None, *, of="one", **fields):
    """A request that is the same as every other one of this name."""
    rule = rule or Unique()
    return a_new_job(unique=key_of(TASK, None, f'{{"of":"{of}"}}', rule), **fields)


def answers(ledger, *jobs, **options):
    """Enqueue in one call; return the id, whether it is new, and what was done about a conflict, for each."""
    return [(one.job_id, one.created, one.conflict) for one in ledger.enqueue(jobs, **options)]


def count(ledger):
    """Count the jobs that are not over."""
    return sum(one.count for one in ledger.counts() if not one.state.is_final)


def end(ledger, claim, job, outcome=None):
    """Run a job, and end its attempt so."""
    return ledger.settle([a_settlement(claim(job.id).lease, outcome)])[0].state


@pytest.fixture
def read(ledger, config):
    """Ask the database."""

    def ask(statement):
        with ledger.session() as session:
            if session.get_bind().dialect.name == "postgresql":
                session.connection().exec_driver_sql(f"SET LOCAL search_path TO {config.schema}")
            return session.connection().exec_driver_sql(statement).all()

    return ask


@pytest.fixture
def statements(ledger):
    """The statements that the ledger runs, as texts."""
    heard = []

    def hear(_connection, _cursor, statement, *_):
        heard.append(statement)

    engine = ledger._engine  # noqa: SLF001 -- nobody else knows what it asks of the database
    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


# While the key is held


@pytest.mark.parametrize("how", ["return", "drop"])
def test_the_job_that_is_there_is_the_answer(ledger, how):
    """A second request makes no second job, and hears so; another key is another job."""
    rule = Unique(on_conflict=how)
    first, second, other = a_unique_job(rule), a_unique_job(rule), a_unique_job(rule, of="two")
    assert [(first.id, True, None)] == answers(ledger, first)
    said = {"return": "returned", "drop": "dropped"}[how]
    assert [(first.id, False, said), (other.id, True, None)] == answers(ledger, second, other)
    assert {} == ledger.find([second.id])


def test_the_answer_says_how_the_job_stands(ledger, claim):
    """The state is the holder's, as it is now."""
    first = a_unique_job()
    ledger.enqueue([first])
    claim(first.id)
    assert JobState.RUNNING == ledger.enqueue([a_unique_job()])[0].state


def test_a_refusal_writes_nothing_of_the_call(ledger):
    """All or none: the free key of the same call stays free."""
    rule = Unique(on_conflict="reject")
    first = a_unique_job(rule)
    ledger.enqueue([first])
    other = a_unique_job(rule, of="two")
    with pytest.raises(NotUnique) as told:
        ledger.enqueue([other, a_unique_job(rule)])
    assert first.id == told.value.job_id
    assert [(other.id, True, None)] == answers(ledger, other)


def test_a_transaction_of_the_callers_goes_on_after_a_refusal(ledger):
    """What else it writes is committed, and no key is left with a job that never came."""
    rule = Unique(on_conflict="reject")
    first, plain, other = a_unique_job(rule), a_new_job(), a_unique_job(rule, of="two", key="its-key")
    ledger.enqueue([first])
    with ledger.session() as session:
        ledger.enqueue([plain], connection=session.connection())
        with pytest.raises(NotUnique):
            ledger.enqueue([other, a_unique_job(rule, key="k")], connection=session.connection())
        session.commit()
    assert {plain.id} == set(ledger.find([plain.id, other.id]))
    again = [replace(other, id=f"{other.id}-again"), a_new_job(key="k")]
    assert [True, True] == [created for _, created, _ in answers(ledger, *again)]


def test_one_job_at_a_time_is_the_databases_own_rule(ledger, by_hand):
    """A program that forgets to ask is refused by the unique index."""
    ledger.enqueue([a_unique_job()])
    with pytest.raises(Exception, match=r"(?i)unique"):
        by_hand("INSERT INTO unique_keys (job_id, digest, place) SELECT 'x', digest, place FROM unique_keys")


# When it is free again


@pytest.mark.parametrize(
    "outcome",
    [Completed("1"), Cancel("enough"), Quarantine(QuarantineReason.PERMANENT)],
    ids=["completed", "cancelled", "quarantined"],
)
def test_the_key_is_free_when_its_job_has_ended(ledger, claim, outcome):
    """However it ends."""
    first, second = a_unique_job(), a_unique_job()
    ledger.enqueue([first])
    assert end(ledger, claim, first, outcome).is_final
    assert [(second.id, True, None)] == answers(ledger, second)


@pytest.mark.parametrize("way", ["cancel", "deadline", "too many losses", "no offer", "not claimable"])
def test_every_other_way_to_an_end_frees_the_key(ledger, worker, claim, by_hand, way):
    """Those of operators and of the sweeps, too."""
    first, second = a_unique_job(deadline_seconds=3600.0), a_unique_job()
    ledger.enqueue([first])
    if way == "cancel":
        ledger.cancel(first.id)
    elif way == "deadline":
        by_hand("UPDATE jobs SET ends_at = '2026-01-01T00:00:00.000000Z', deadline_at = ends_at")
        assert 1 == len(ledger.expire(10))
    elif way == "no offer":
        ledger.retire_worker(worker.id)
        ledger.register_worker(a_worker(), [])
        ledger.without_offer(quarantine_after_seconds=3600.0, limit=10)
        by_hand("UPDATE workers SET started_at = '2026-01-01T00:00:00.000000Z'")
        by_hand("UPDATE jobs SET no_offer_since = '2026-01-01T00:00:00.000000Z'")
        assert 1 == len(ledger.without_offer(quarantine_after_seconds=3600.0, limit=10)[1])
    elif way == "too many losses":
        by_hand("UPDATE jobs SET losses = 19")
        ledger.retire_worker(claim(first.id).lease.worker_id)
        assert [JobState.QUARANTINED] == [one.state for one in ledger.rescue(10)]
    else:
        by_hand("UPDATE jobs SET claims = 1000000000")
        with pytest.raises(AssertionError):
            claim(first.id)
    assert ledger.job(first.id).state.is_final
    assert [(second.id, True, None)] == answers(ledger, second)


@pytest.mark.parametrize(
    "outcome",
    [Retry(0.0, a_failure()), Snooze(0.0), Park("event:x"), None],
    ids=["retry", "snooze", "park", "hand back"],
)
def test_the_key_is_held_between_attempts(ledger, claim, outcome):
    """A job that waits for its next attempt is there all the same."""
    first = a_unique_job()
    ledger.enqueue([first])
    lease = claim(first.id).lease
    if outcome is None:
        ledger.hand_back([lease], "drain")
    else:
        ledger.settle([a_settlement(lease, outcome)])
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job())
    ledger.stage(10)
    ledger.wake(first.id)
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job())


def test_until_started(ledger, claim):
    """The key is free with the first claim, and a retry does not take it again."""
    rule = Unique(states=UNTIL_STARTED)
    first, second, third = (a_unique_job(rule) for _ in range(3))
    ledger.enqueue([first])
    lease = claim(first.id).lease
    assert [(second.id, True, None)] == answers(ledger, second)
    ledger.settle([a_settlement(lease, Retry(0.0, a_failure()))])
    ledger.stage(10)
    assert [(second.id, False, "returned")] == answers(ledger, third)
    assert [JobState.AVAILABLE] * 2 == [ledger.job(one.id).state for one in (first, second)]


def test_for_a_time(ledger, claim):
    """One job in a period, however it ends; also when its row is pruned the key answers with its id."""
    rule = Unique(states=EVERY_STATE, seconds=3600.0)
    first = a_unique_job(rule)
    ledger.enqueue([first])
    end(ledger, claim, first)
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job(rule))
    assert 1 == ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    answer = ledger.enqueue([a_unique_job(rule)])[0]
    assert (first.id, False, JobState.COMPLETED) == (answer.job_id, answer.created, answer.state)


@pytest.mark.parametrize("is_pruned", [True, False])
def test_after_its_time(ledger, claim, by_hand, is_pruned):
    """A key whose time is over is the next one's, though the first job is still there."""
    rule = Unique(states=EVERY_STATE, seconds=3600.0)
    first, second = a_unique_job(rule), a_unique_job(rule)
    ledger.enqueue([first])
    by_hand("UPDATE unique_keys SET held_until = '2026-01-01T00:00:00.000000Z'")
    if is_pruned:
        ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [(second.id, True, None)] == answers(ledger, second)
    # What the first one does from now on is its own affair.
    end(ledger, claim, first)
    assert [(second.id, False, "returned")] == answers(ledger, a_unique_job(rule))


def test_pruning_leaves_nothing(ledger, claim, by_hand, read):
    """Keys without a time go with their jobs, those with one when it is over."""
    lasting = Unique(states=EVERY_STATE, seconds=3600.0)
    for job in (a_unique_job(), a_unique_job(lasting, of="two")):
        ledger.enqueue([job])
        end(ledger, claim, job)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    by_hand("UPDATE unique_keys SET held_until = '2026-01-01T00:00:00.000000Z'")
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [] == read("SELECT job_id FROM unique_keys")


def test_a_key_is_not_lost_with_a_program_that_knows_none(ledger, by_hand):
    """A holder that has ended under a worker of an older version is found out, and the key is free."""
    first, second = a_unique_job(), a_unique_job()
    ledger.enqueue([first])
    by_hand(
        "UPDATE jobs SET state = 'cancelled', finished_at = created_at, next_ring_at = NULL"
        " WHERE state = 'available'"
    )
    assert [(second.id, True, None)] == answers(ledger, second)


def test_a_key_is_not_lost_with_a_row_that_was_deleted(ledger, by_hand):
    """A holder that is no more holds nothing."""
    first, second = a_unique_job(), a_unique_job()
    ledger.enqueue([first])
    by_hand("DELETE FROM jobs")
    assert [(second.id, True, None)] == answers(ledger, second)


# Coming back


def test_a_requeue_takes_the_key_again(ledger, claim):
    """The next generation is there like any job."""
    first = a_unique_job()
    ledger.enqueue([first])
    end(ledger, claim, first, Quarantine(QuarantineReason.PERMANENT))
    ledger.requeue(first.id)
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job())
    end(ledger, claim, first)
    assert answers(ledger, a_unique_job())[0][1]


def test_a_requeue_meets_the_job_that_is_there(ledger, claim):
    """It is refused by name and changes nothing; when that job has ended it can be done."""
    first, second = a_unique_job(), a_unique_job()
    ledger.enqueue([first])
    end(ledger, claim, first, Quarantine(QuarantineReason.PERMANENT))
    ledger.enqueue([second])
    with pytest.raises(NotUnique, match="requeue again") as told:
        ledger.requeue(first.id)
    assert second.id == told.value.job_id
    assert (JobState.QUARANTINED, 1) == (ledger.job(first.id).state, ledger.job(first.id).generation)
    end(ledger, claim, second)
    assert JobState.AVAILABLE == ledger.requeue(first.id).state


def test_a_requeue_after_its_time_takes_no_key(ledger, claim, by_hand):
    """It comes back beside the one that is there: the promise was for a time."""
    rule = Unique(seconds=3600.0)
    first, second = a_unique_job(rule), a_unique_job(rule)
    ledger.enqueue([first])
    end(ledger, claim, first, Quarantine(QuarantineReason.PERMANENT))
    by_hand("UPDATE unique_keys SET held_until = '2026-01-01T00:00:00.000000Z'")
    ledger.enqueue([second])
    assert JobState.AVAILABLE == ledger.requeue(first.id).state


def test_quarantined_jobs_can_hold_their_key(ledger, claim):
    """Who says so gets no second job beside one that an operator has to look at."""
    rule = Unique(states=frozenset(JobState) - {JobState.COMPLETED, JobState.CANCELLED})
    first = a_unique_job(rule)
    ledger.enqueue([first])
    end(ledger, claim, first, Quarantine(QuarantineReason.PERMANENT))
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job(rule))
    ledger.requeue(first.id)
    end(ledger, claim, first, Quarantine(QuarantineReason.PERMANENT))
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert answers(ledger, a_unique_job(rule))[0][1]


# Replace and debounce


def test_replace(ledger):
    """The job that waits takes the newest arguments, and keeps its id, its time and its history."""
    rule = Unique(on_conflict="replace")
    first = a_unique_job(rule, arguments='{"n":1}', delay_seconds=60.0, priority=2)
    newest = a_unique_job(rule, arguments='{"n":2}', version="2", trace="t", priority=7)
    ledger.enqueue([first])
    before = ledger.job(first.id)
    assert [(first.id, False, "replaced")] == answers(ledger, newest)
    job = ledger.job(first.id)
    assert ('{"n":2}', "2", "t", 2) == (job.arguments, job.version, job.trace, job.priority)
    assert (before.run_at, before.expires_at) == (job.run_at, job.expires_at)
    assert [("enqueue", JobState.SCHEDULED), ("replace", JobState.SCHEDULED)] == [
        (moment.kind, moment.state) for moment in ledger.history(first.id)
    ]


@pytest.mark.parametrize("how", ["replace", "debounce"])
@pytest.mark.parametrize("now", ["running", "retried", "requeued"])
def test_a_job_that_has_begun_keeps_its_arguments(ledger, claim, how, now):
    """Its finished steps belong to them; the stated fallback is the answer."""
    rule = Unique(on_conflict=how)
    first = a_unique_job(rule, arguments='{"n":1}')
    ledger.enqueue([first])
    lease = claim(first.id).lease
    if now == "retried":
        ledger.settle([a_settlement(lease, Retry(60.0, a_failure()))])
    elif now == "requeued":
        ledger.settle([a_settlement(lease, Quarantine(QuarantineReason.PERMANENT))])
        ledger.requeue(first.id)
    before = ledger.job(first.id)
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job(rule, arguments='{"n":2}'))
    assert before == ledger.job(first.id)
    strict = Unique(on_conflict=how, if_started="reject")
    with pytest.raises(NotUnique):
        ledger.enqueue([a_unique_job(strict, arguments='{"n":2}')])


def test_debounce(ledger):
    """Each request moves the job's time and gives it the newest arguments."""
    rule = Unique(on_conflict="debounce")
    first = a_unique_job(rule, arguments='{"n":1}', delay_seconds=60.0)
    ledger.enqueue([first])
    before = ledger.job(first.id)
    assert [(first.id, False, "moved")] == answers(
        ledger, a_unique_job(rule, arguments='{"n":2}', delay_seconds=120.0)
    )
    job = ledger.job(first.id)
    assert '{"n":2}' == job.arguments
    assert 50 < (job.run_at - before.run_at).total_seconds() < 70
    assert 7 * 24 * 3600 == round((job.expires_at - job.run_at).total_seconds())
    assert "debounce" == ledger.history(first.id)[-1].kind


def test_debounce_cannot_starve(ledger):
    """However often it is asked for, the job is due at last; and its own first delay is kept."""
    rule = Unique(on_conflict="debounce", longest_seconds=90.0)
    first = a_unique_job(rule, delay_seconds=60.0)
    ledger.enqueue([first])
    for _ in range(3):
        answers(ledger, a_unique_job(rule, delay_seconds=3600.0))
    job = ledger.job(first.id)
    assert 90 == round((job.run_at - job.created_at).total_seconds())
    late = a_unique_job(rule, of="two", delay_seconds=600.0)
    ledger.enqueue([late])
    answers(ledger, a_unique_job(rule, of="two", delay_seconds=3600.0))
    job = ledger.job(late.id)
    assert 600 == round((job.run_at - job.created_at).total_seconds())


def test_debounce_keeps_before_the_deadline(ledger):
    """What was promised to begin before an instant is not moved past it."""
    rule = Unique(on_conflict="debounce")
    first = a_unique_job(rule, delay_seconds=60.0, deadline_seconds=90.0)
    ledger.enqueue([first])
    before = ledger.job(first.id)
    answers(ledger, a_unique_job(rule, delay_seconds=120.0))
    assert before.run_at == ledger.job(first.id).run_at


def test_what_is_due_is_not_put_off(ledger):
    """It takes the newest arguments, as it has not begun, and stays due."""
    rule = Unique(on_conflict="debounce")
    first = a_unique_job(rule)
    ledger.enqueue([first])
    newest = a_unique_job(rule, arguments='{"n":2}', delay_seconds=60.0)
    assert [(first.id, False, "replaced")] == answers(ledger, newest)
    assert (JobState.AVAILABLE, '{"n":2}') == (ledger.job(first.id).state, ledger.job(first.id).arguments)


# The newest wins


def test_the_newest_wins_over_one_that_waits(ledger):
    """The older one is cancelled, says by which, and the newest has its key."""
    rule = Unique(on_conflict="cancel_running")
    first, second = a_unique_job(rule), a_unique_job(rule)
    ledger.enqueue([first])
    assert [(second.id, True, "superseded")] == answers(ledger, second)
    old = ledger.job(first.id)
    assert (JobState.CANCELLED, f"superseded by job {second.id}") == (old.state, old.detail)
    assert JobState.AVAILABLE == ledger.job(second.id).state
    assert ["enqueue", "cancel"] == [moment.kind for moment in ledger.history(first.id)]


@pytest.mark.parametrize("outcome", [Completed("1"), Cancel(), Retry(0.0, a_failure()), None])
def test_the_newest_waits_for_the_end_of_the_one_that_runs(ledger, claim, outcome):
    """Never two at a time: it begins with the end of the older one, however that ends or is lost."""
    rule = Unique(on_conflict="cancel_running")
    first, second = a_unique_job(rule), a_unique_job(rule)
    ledger.enqueue([first])
    lease = claim(first.id).lease
    answer = ledger.enqueue([second])[0]
    assert (second.id, True, JobState.PARKED, "waits") == (
        answer.job_id,
        answer.created,
        answer.state,
        answer.conflict,
    )
    assert f"unique:{first.id}" == ledger.job(second.id).waiting_for
    assert [True] == [held.cancel_requested for held in ledger.held(lease.worker_id)]
    if outcome is None:
        ledger.retire_worker(lease.worker_id)
        assert [JobState.CANCELLED] == [one.state for one in ledger.rescue(10)]
    else:
        ledger.settle([a_settlement(lease, outcome)])
    assert ledger.job(first.id).state.is_final
    assert (JobState.AVAILABLE, None) == (ledger.job(second.id).state, ledger.job(second.id).waiting_for)
    assert ["enqueue", "wake"] == [moment.kind for moment in ledger.history(second.id)]
    assert [second.id] == [ring.job_id for ring in ledger.due_rings(limit=10, epoch=None)]


def test_of_those_that_wait_the_newest_is_left(ledger, claim):
    """One runs, one waits: whoever waited before is cancelled."""
    rule = Unique(on_conflict="cancel_running")
    first, second, third = (a_unique_job(rule) for _ in range(3))
    ledger.enqueue([first])
    lease = claim(first.id).lease
    ledger.enqueue([second])
    assert [(third.id, True, "waits")] == answers(ledger, third)
    assert JobState.CANCELLED == ledger.job(second.id).state
    ledger.settle([a_settlement(lease)])
    assert JobState.AVAILABLE == ledger.job(third.id).state
    assert JobState.COMPLETED == end(ledger, claim, third)
    assert answers(ledger, a_unique_job(rule))[0][1:] == (True, None)


@pytest.mark.parametrize("way", ["cancel", "deadline"])
def test_one_that_waits_can_end_without_having_begun(ledger, claim, by_hand, way):
    """Then the end of the older one frees the key for anybody."""
    rule = Unique(on_conflict="cancel_running")
    first, second, third = a_unique_job(rule), a_unique_job(rule, deadline_seconds=3600.0), a_unique_job(rule)
    ledger.enqueue([first])
    lease = claim(first.id).lease
    ledger.enqueue([second])
    if way == "cancel":
        assert "cancelled" == ledger.cancel(second.id)
    else:
        by_hand("UPDATE jobs SET ends_at = '2026-01-01T00:00:00.000000Z' WHERE state = 'parked'")
        assert 1 == len(ledger.expire(10))
    ledger.settle([a_settlement(lease)])
    assert ledger.job(second.id).state.is_final
    assert [(third.id, True, None)] == answers(ledger, third)


def test_no_operator_wakes_one_that_waits_for_its_key(ledger, claim):
    """Two would run at once."""
    rule = Unique(on_conflict="cancel_running")
    first, second = a_unique_job(rule), a_unique_job(rule)
    ledger.enqueue([first])
    claim(first.id)
    ledger.enqueue([second])
    assert not ledger.wake(second.id)
    assert JobState.PARKED == ledger.job(second.id).state


def test_a_delay_and_the_newest_wins_make_no_sense_together(ledger):
    """It begins with the end of another job, and not at a time."""
    rule = Unique(on_conflict="cancel_running")
    with pytest.raises(InvalidArguments, match="has no delay"):
        ledger.enqueue([a_unique_job(rule, delay_seconds=1.0)])


# In bulk


@pytest.mark.parametrize(
    ("how", "said", "arguments"),
    [
        ("return", "returned", 1),
        ("drop", "dropped", 1),
        ("replace", "replaced", 3),
        ("debounce", "replaced", 3),
        ("cancel_running", "replaced", 3),
    ],
)
def test_the_same_thrice_in_one_call(ledger, how, said, arguments):
    """As if they came one after the other; nothing of the older ones is ever seen to run."""
    rule = Unique(on_conflict=how)
    jobs = [a_unique_job(rule, arguments=f'{{"n":{number}}}') for number in (1, 2, 3)]
    other = a_unique_job(rule, of="two")
    first = jobs[0].id
    assert [
        (first, True, None),
        (first, False, said),
        (first, False, said),
        (other.id, True, None),
    ] == answers(ledger, *jobs, other)
    assert f'{{"n":{arguments}}}' == ledger.job(first).arguments
    assert 2 == count(ledger)


def test_the_same_twice_in_one_call_is_refused(ledger):
    """Where the rule is to refuse."""
    rule = Unique(on_conflict="reject")
    with pytest.raises(NotUnique, match="one call asks for it twice"):
        ledger.enqueue([a_unique_job(rule), a_unique_job(rule)])
    assert [] == ledger.list_jobs()


def test_the_same_twice_in_one_call_beside_one_that_is_there(ledger):
    """Both are answered with the job that holds the key, and the last arguments win."""
    rule = Unique(on_conflict="replace")
    first = a_unique_job(rule)
    ledger.enqueue([first])
    jobs = [a_unique_job(rule, arguments=f'{{"n":{number}}}') for number in (1, 2)]
    assert [(first.id, False, "replaced")] * 2 == answers(ledger, *jobs)
    assert '{"n":2}' == ledger.job(first.id).arguments


def test_several_rules_in_one_call_are_refused(ledger):
    """A refusal by one would come after the changes by another."""
    with pytest.raises(InvalidArguments, match="several policies"):
        ledger.enqueue([a_unique_job(), a_unique_job(Unique(on_conflict="drop"), of="two")])


def test_thousands_at_once(ledger):
    """Half of them are there already; each is there once."""
    ledger.enqueue([a_unique_job(of=str(number)) for number in range(0, 2500, 2)])
    told = answers(ledger, *[a_unique_job(of=str(number)) for number in range(2500)])
    assert 1250 == sum(created for _, created, _ in told)
    assert 2500 == count(ledger) == len({job_id for job_id, _, _ in told})


# With the other promises of an enqueue


def test_a_repeated_request_is_the_same_job(ledger, claim):
    """As after a commit whose answer was lost: also where the rule is to refuse, and after the job's end."""
    job = a_unique_job(Unique(on_conflict="reject"))
    ledger.enqueue([job])
    assert [(job.id, False, None)] == answers(ledger, job)
    end(ledger, claim, job)
    assert [(job.id, False, None)] == answers(ledger, job)
    second = a_unique_job(Unique(on_conflict="reject"))
    assert [(second.id, True, None)] == answers(ledger, second)
    assert [(job.id, False, None)] == answers(ledger, job)


def test_a_known_id_takes_no_key(ledger):
    """A job of this id is there, and was enqueued without a key."""
    plain, second = a_new_job(), a_unique_job()
    ledger.enqueue([plain])
    assert [(plain.id, False, None)] == answers(ledger, a_unique_job(id=plain.id))
    assert [(second.id, True, None)] == answers(ledger, second)


def test_a_key_answers_before_the_unique_key(ledger, claim):
    """A repeated request gets its first answer, also when another job holds the unique key now."""
    first, second = a_unique_job(key="k"), a_unique_job()
    ledger.enqueue([first])
    end(ledger, claim, first)
    ledger.enqueue([second])
    assert [(first.id, False, None)] == answers(ledger, a_unique_job(key="k"))


def test_a_key_remembers_the_job_that_was_there_instead(ledger, claim):
    """Who repeats a request that was answered with another job gets that one again, though it has ended."""
    first = a_unique_job()
    ledger.enqueue([first])
    assert [(first.id, False, "returned")] == answers(ledger, a_unique_job(key="k"))
    end(ledger, claim, first)
    assert [(first.id, False, None)] == answers(ledger, a_unique_job(key="k"))


def test_in_the_callers_transaction(ledger):
    """The key is taken with the job's commit, and vanishes with its rollback."""
    kept, dropped = a_unique_job(), a_unique_job(of="two")
    with ledger.session() as session:
        ledger.enqueue([kept], connection=session.connection())
        session.commit()
        ledger.enqueue([dropped], connection=session.connection())
        session.rollback()
    second, third = a_unique_job(), a_unique_job(of="two")
    assert [(kept.id, False, "returned"), (third.id, True, None)] == answers(ledger, second, third)


def test_a_full_queue_takes_who_makes_no_new_job(ledger, config):
    """Who is answered with a job that is there takes no room; who would be a new one is refused."""
    limited = connect(replace(config, backlog_limits=limits_of(["default=1"])))
    rule = Unique(on_conflict="replace")
    first = a_unique_job(rule)
    limited.enqueue([first])
    assert [(first.id, False, "replaced")] == answers(limited, a_unique_job(rule, arguments='{"n":2}'))
    with pytest.raises(QueueFull):
        limited.enqueue([a_unique_job(rule, of="two")])
    limited.close()


def test_jobs_without_a_key_cost_no_statement(ledger, worker, statements):
    """What is not unique is enqueued, claimed and ended by the statements that it always took."""
    plain, unique = [a_new_job() for _ in range(3)], [a_unique_job(of=str(number)) for number in range(3)]
    counted = {}
    for name, jobs in (("plain", plain), ("unique", unique)):
        ledger.enqueue(jobs)
        wishes = [ClaimRequest(new_lease_token(), job.id) for job in jobs]
        statements.clear()
        claims = ledger.claim(worker.id, wishes, queues=[], default_attempt_seconds=60.0, hard_limits={})
        ledger.settle([a_settlement(claim.lease) for claim in claims])
        counted[name] = (len(statements), [one for one in statements if "unique_keys" in one])
    assert [] == counted["plain"][1]
    assert 1 == len(counted["unique"][1]) == counted["unique"][0] - counted["plain"][0]
