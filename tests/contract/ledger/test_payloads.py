"""Large arguments and results stand apart from their jobs' rows, and come and go with them."""

import json
from collections import Counter

import pytest
from sqlalchemy import Engine, event, select

from holdfast.jobs.children import FailurePolicy, Plan
from holdfast.jobs.claim_check import MARK, Reference
from holdfast.jobs.codec import LARGEST_BYTES
from holdfast.jobs.concurrency import ConcurrencyLimit
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Parentage
from holdfast.jobs.outcome import Completed, Quarantine, Retry
from holdfast.jobs.retention import RetentionPolicy
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.unique import Unique, key_of
from holdfast.ledger.engine import make_engine
from holdfast.ledger.schema_payloads import payloads
from holdfast.tests.support.builders import QUEUE, TASK, a_failure, a_new_job, a_settlement


def large(word="x"):
    """Arguments that have no room in a row."""
    return json.dumps({"text": word * 70_000, "word": word})


@pytest.fixture
def bodies(config):
    """How many payloads are kept apart, by job."""

    def read():
        engine = make_engine(config, only_ours=True)
        with engine.connect() as connection:
            found = Counter(connection.execute(select(payloads.c.job_id)).scalars())
        engine.dispose()
        return found

    return read


@pytest.fixture
def take(ledger, worker):
    """Claim what there is."""

    def claim(count=5, **limits):
        wishes = [ClaimRequest(new_lease_token()) for _ in range(count)]
        return ledger.claim(
            worker.id, wishes, queues=[QUEUE], default_attempt_seconds=60.0, hard_limits={}, **limits
        )

    return claim


def test_who_needs_them_gets_them_and_who_lists_jobs_does_not(ledger, claim, bodies):
    """A claim and a look at the job read them; lists and those who wait for a result find a reference."""
    job = a_new_job(arguments=large())
    ledger.enqueue([job])
    assert {job.id: 1} == bodies()
    assert large() == ledger.job(job.id).arguments
    for seen in (*ledger.list_jobs(), ledger.find([job.id])[job.id]):
        assert Reference.to(large()) == Reference.read(seen.arguments)
    taken = claim(job.id)
    assert large() == taken.job.arguments
    ledger.settle([a_settlement(taken.lease, Completed(large("y")))])
    assert {job.id: 2} == bodies()
    assert large("y") == ledger.job(job.id).result == ledger.find([job.id])[job.id].result
    assert ledger.list_jobs()[0].result.startswith(MARK)


def test_a_payload_may_be_larger_than_a_row(ledger, claim):
    """The table of jobs takes a mebibyte; characters of several bytes count as such."""
    huge = json.dumps({"text": "\u00e4" * (3 * LARGEST_BYTES)}, ensure_ascii=False)
    job = a_new_job(arguments=huge)
    ledger.enqueue([job])
    taken = claim(job.id)
    assert huge == taken.job.arguments
    ledger.settle([a_settlement(taken.lease, Completed(huge))])
    assert huge == ledger.job(job.id).result


def test_small_jobs_pay_nothing(ledger, worker, take):
    """Enqueue, claim, settle and read run no statement on the table of payloads."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        ledger.enqueue([a_new_job(arguments='{"n": 1}') for _ in range(3)])
        (first, *_) = taken = take()
        ledger.settle([a_settlement(one.lease) for one in taken])
        ledger.job(first.job.id)
        ledger.find([first.job.id])
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert statements
    assert [] == [one for one in statements if "payloads" in one]


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("DELETE FROM payloads WHERE job_id = :id", "are lost"),
        ("""UPDATE payloads SET body = '{"text": "other"}' WHERE job_id = :id""", "another digest"),
    ],
)
def test_lost_arguments_are_told_once(ledger, take, by_hand, harm, said):
    """Their job is quarantined with what is wrong, no attempt of it begins, and the others go on."""
    lost, whole = a_new_job(arguments=large()), a_new_job(arguments=large("y"))
    ledger.enqueue([lost, whole])
    by_hand(harm, id=lost.id)
    assert [whole.id] == [claim.job.id for claim in take()]
    found = ledger.job(lost.id)
    assert (JobState.QUARANTINED, QuarantineReason.INVALID_PAYLOAD) == (found.state, found.reason)
    assert said in found.detail
    assert [] == take()


def test_they_come_with_their_job_or_not_at_all(ledger, bodies):
    """In the caller's transaction, too: what is undone leaves nothing."""
    job = a_new_job(arguments=large())
    with ledger.session() as session:
        ledger.enqueue([job], connection=session.connection())
        session.rollback()
    assert {} == bodies()
    with ledger.session() as session:
        ledger.enqueue([job], connection=session.connection())
        session.commit()
    assert {job.id: 1} == bodies()
    assert not ledger.enqueue([job])[0].created
    assert {job.id: 1} == bodies()


def test_a_result_that_came_too_late_leaves_nothing(ledger, claim, bodies):
    """Nor does one in place of which the job was cancelled or tried again."""
    job = a_new_job()
    ledger.enqueue([job])
    first = claim(job.id)
    ledger.settle([a_settlement(first.lease, Retry(0.0, a_failure()))])
    ledger.stage(10)
    second = claim(job.id)
    assert ledger.settle([a_settlement(first.lease, Completed(large()))])[0].is_lost
    ledger.settle([a_settlement(second.lease, Completed(large("y")))])
    assert {job.id: 1} == bodies()
    assert large("y") == ledger.job(job.id).result


def test_an_outcome_that_is_written_twice_is_there_once(ledger, claim, bodies):
    """As by the heir of a spool after a lost reply."""
    job = a_new_job()
    ledger.enqueue([job])
    settlement = a_settlement(claim(job.id).lease, Completed(large()))
    assert ledger.settle([settlement]) == ledger.settle([settlement])
    assert ({job.id: 1}, large()) == (bodies(), ledger.job(job.id).result)


def test_a_requeue_keeps_the_arguments(ledger, claim):
    """The next generation runs with what was written."""
    job = a_new_job(arguments=large())
    ledger.enqueue([job])
    quarantined = Quarantine(QuarantineReason.PERMANENT, a_failure())
    ledger.settle([a_settlement(claim(job.id).lease, quarantined)])
    ledger.requeue(job.id)
    assert large() == claim(job.id).job.arguments


def test_pruning_takes_them_along(ledger, claim, bodies):
    """And leaves those of the jobs that stay."""
    old, young = a_new_job(arguments=large()), a_new_job(arguments=large())
    ledger.enqueue([old, young])
    ledger.settle([a_settlement(claim(old.id).lease, Completed(large("y")))])
    assert 1 == ledger.retention.prune(RetentionPolicy.plain(0.0, 0.0), 100)
    assert {young.id: 1} == bodies()


def test_replaced_arguments_are_let_go(ledger, bodies):
    """Large ones by others, and by small ones: the job that waits has what was asked for last."""
    policy = Unique(by=(), on_conflict="replace")

    def ask(arguments):
        job = a_new_job(arguments=arguments, delay_seconds=60.0, unique=key_of(TASK, None, arguments, policy))
        return ledger.enqueue([job])[0].job_id

    first = ask(large())
    for arguments in (large("y"), '{"small": 1}', large("z")):
        assert first == ask(arguments)
        assert arguments == ledger.job(first).arguments
        assert bodies().total() == (len(arguments) > 1000)


def test_limits_by_an_argument_count_large_jobs(ledger, take):
    """They are told apart by what was written, and not by the reference."""
    arguments = [json.dumps({"text": word * 70_000, "word": kind}) for word, kind in ("aA", "bA", "cB")]
    ledger.enqueue([a_new_job(arguments=one) for one in arguments])
    taken = take(concurrency={TASK: ConcurrencyLimit(1, "word")})
    assert 2 == len(taken)
    assert {"A", "B"} == {json.loads(one.job.arguments)["word"] for one in taken}


def test_children_have_large_arguments_and_results(ledger, claim):
    """A plan writes them with its jobs, and their parent gets what they came to."""
    parent = a_new_job()
    ledger.enqueue([parent])
    lease = claim(parent.id).lease
    child = a_new_job(arguments=large(), parentage=Parentage(parent.id, "g", 0))
    plan = Plan(
        parent=lease,
        generation=1,
        name="g",
        groups=("g",),
        digest="d",
        policy=FailurePolicy.ALL,
        jobs=(child,),
    )
    assert not ledger.children.plan(plan)
    taken = claim(child.id)
    assert large() == taken.job.arguments
    ledger.settle([a_settlement(taken.lease, Completed(large("y")))])
    assert [large("y")] == [end.result for end in ledger.children.ends(parent.id, ["g"])]


def test_the_books_name_what_does_not_fit_together(ledger, claim, by_hand):
    """Payloads without a job, and jobs whose arguments or result are gone; all else is in order."""
    kept, no_arguments, no_result, gone = (a_new_job(arguments=large()) for _ in range(4))
    ledger.enqueue([kept, no_arguments, no_result, gone])
    ledger.settle([a_settlement(claim(no_result.id).lease, Completed(large("y")))])
    books = ledger.inspection.payload_books()
    assert ([], []) == (list(books.orphans), list(books.dangling))
    by_hand("DELETE FROM payloads WHERE job_id = :id", id=no_arguments.id)
    digest = Reference.to(large("y")).digest
    by_hand("DELETE FROM payloads WHERE job_id = :id AND digest = :digest", id=no_result.id, digest=digest)
    by_hand("DELETE FROM jobs WHERE id = :id", id=gone.id)
    books = ledger.inspection.payload_books()
    assert {gone.id} == set(books.orphans)
    assert {no_arguments.id, no_result.id} == set(books.dangling)
    assert ledger.job(no_result.id).result.startswith(MARK)
