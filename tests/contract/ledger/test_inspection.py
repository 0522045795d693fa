"""Lists and counts of jobs by what is said of them."""

from datetime import timedelta

import pytest

from holdfast.jobs.errors import InvalidArguments
from holdfast.jobs.failure import Failure
from holdfast.jobs.outcome import Park, Quarantine
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.job_filter import JobFilter, Place
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement


def at(minute: int) -> str:
    """Return an instant of one hour."""
    return f"2026-01-01T00:{minute:02}:00.000000Z"


@pytest.fixture
def listed(ledger):
    """List the ids that a filter lets through, and see that as many are counted."""

    def ids(**fields):
        which = JobFilter(**fields)
        found = [job.id for job in ledger.inspection.page(which).jobs]
        assert len(found) == ledger.inspection.count(which).total
        return found

    return ids


@pytest.fixture
def aside(ledger, claim):
    """Put a job aside with a reason and a failure."""

    def quarantine(job, reason=QuarantineReason.PERMANENT, failure=None):
        ledger.settle([a_settlement(claim(job.id).lease, Quarantine(reason, failure or a_failure()))])

    return quarantine


def test_by_words(ledger, listed, aside):
    """State, task, queue, tenant and reason: of several values one is enough, of several fields all count."""
    one, two, three = (
        a_new_job(),
        a_new_job(task="mail.send", queue="mail", tenant="acme"),
        a_new_job(task="mail.send", delay_seconds=60, tenant="acme"),
    )
    for job in (one, two, three):
        ledger.enqueue([job])
    aside(one)
    assert [three.id, two.id, one.id] == listed()
    assert [three.id, two.id] == listed(tasks=("mail.send",))
    assert [two.id] == listed(tasks=("mail.send", "other"), queues=("mail",))
    assert [three.id, two.id] == listed(states=(JobState.AVAILABLE, JobState.SCHEDULED))
    assert [three.id, two.id] == listed(tenants=("acme",))
    assert [one.id] == listed(reasons=(QuarantineReason.PERMANENT, QuarantineReason.POISON))
    assert [] == listed(reasons=(QuarantineReason.POISON,))
    assert [two.id] == listed(ids=(two.id, "nothing"))


def test_by_tags(ledger, listed):
    """A job must have all the tags; they are read with the job, and a claim has them, too."""
    one, two, none = a_new_job(tags=("red", "big one")), a_new_job(tags=("red", 'a "quote" \\')), a_new_job()
    for job in (one, two, none):
        ledger.enqueue([job])
    assert [two.id, one.id] == listed(tags=("red",))
    assert [one.id] == listed(tags=("big one", "red"))
    assert [] == listed(tags=("blue",))
    assert [two.tags, one.tags, ()] == [ledger.job(job.id).tags for job in (two, one, none)]


def test_a_claim_has_the_tags(ledger, claim):
    """Whoever runs the job may read them."""
    job = a_new_job(tags=("red",))
    ledger.enqueue([job])
    assert ("red",) == claim(job.id).job.tags


@pytest.mark.parametrize(
    "tags",
    [
        ("",),
        (" x",),
        ("a,b",),
        ("x" * 65,),
        ("line\nbreak",),
        ("\x00",),
        ("\ud800",),
        tuple("abcdefghijklmnopq"),
    ],
)
def test_bad_tags_are_refused(ledger, tags):
    """By name, and nothing is written."""
    job = a_new_job(tags=tags)
    with pytest.raises(InvalidArguments, match="tag"):
        ledger.enqueue([job])
    assert {} == ledger.find([job.id])


def test_a_repeated_enqueue_leaves_the_tags(ledger, listed):
    """The first one's stay, whether it is the id or the key that is known."""
    job = a_new_job(tags=("first",), key="k")
    ledger.enqueue([job])
    ledger.enqueue([a_new_job(id=job.id, tags=("second",))])
    ledger.enqueue([a_new_job(tags=("third",), key="k")])
    assert [[job.id], [], []] == [listed(tags=(tag,)) for tag in ("first", "second", "third")]


def test_tags_are_pruned_with_their_job(ledger, listed, by_hand):
    """What finds them goes with the row, and another job keeps its own."""
    gone, other = a_new_job(tags=("red", "blue")), a_new_job(tags=("red",))
    ledger.enqueue([gone, other])
    ledger.cancel(gone.id)
    ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=10)
    assert [other.id] == listed(tags=("red",))
    with ledger.session() as session:
        schema = "holdfast_test." if session.get_bind().dialect.name == "postgresql" else ""
        question = f"SELECT tag FROM {schema}job_tags"  # noqa: S608 -- our own words
        left = session.connection().exec_driver_sql(question).scalars().all()
    assert ["red"] == left


def test_by_time(ledger, listed, by_hand):
    """Bounds belong to the range; a bound on the end lets only ended jobs through."""
    jobs = [a_new_job() for _ in range(4)]
    ledger.enqueue(jobs)
    for number, job in enumerate(jobs):
        by_hand("UPDATE jobs SET created_at = :at WHERE id = :id", at=at(number), id=job.id)
    zero, one, two, three = [ledger.job(job.id) for job in jobs]
    assert [three.id, two.id] == listed(created_since=two.created_at)
    assert [one.id, zero.id] == listed(created_until=one.created_at)
    assert [one.id] == listed(created_since=one.created_at, created_until=one.created_at)
    for job in (zero, one):
        ledger.cancel(job.id)
        by_hand("UPDATE jobs SET finished_at = created_at WHERE id = :id", id=job.id)
    assert [one.id] == listed(finished_since=one.created_at)
    assert [zero.id] == listed(finished_until=zero.created_at)
    assert [] == listed(finished_since=one.created_at + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("timed OUT", True),
        ("ReadTimeout", True),
        ('said "no" to \\x', True),
        ("line 3, in fetch", True),
        ("100%", True),
        ("1000", False),
        ("_", False),
        ("message", False),
        ("traceback", False),
        ("type", False),
    ],
)
def test_by_text(ledger, listed, aside, text, found):
    """In type, message and traceback as they were said; no wildcard, and not in the names of the fields."""
    job, other = a_new_job(), a_new_job()
    ledger.enqueue([job, other])
    failure = Failure("httpx.ReadTimeout", 'timed out after 100% and said "no" to \\x', "line 3, in fetch")
    aside(job, failure=failure)
    assert ([job.id] if found else []) == listed(text=text)


def test_by_text_in_the_detail(ledger, listed):
    """What a job says of itself is searched, too, whatever alphabet it is in."""
    job = a_new_job()
    ledger.enqueue([job, a_new_job()])
    ledger.cancel(job.id, "verspätet")
    assert [job.id] == listed(text="spät")


def test_pages(ledger, by_hand):
    """Each job is on one page, though many are of one instant, and jobs come, go and change meanwhile."""
    jobs = [a_new_job() for _ in range(7)]
    ledger.enqueue(jobs)
    by_hand("UPDATE jobs SET created_at = :at", at=at(5))
    seen, after = [], None
    while True:
        page = ledger.inspection.page(after=after, limit=3)
        seen += [job.id for job in page.jobs]
        if page.next is None:
            break
        after = Place.parse(str(page.next))
        assert after == page.next
        ledger.enqueue([a_new_job()])
        ledger.cancel(seen[-1])
    assert sorted((job.id for job in jobs), reverse=True) == seen


def test_a_list_holds_no_payloads(ledger):
    """Arguments and results may be large and private; the job itself has them."""
    job = a_new_job()
    ledger.enqueue([job])
    (listed,) = ledger.inspection.page().jobs
    assert ("", None) == (listed.arguments, listed.result)
    assert job.arguments == ledger.job(job.id).arguments


def test_a_count_says_when_and_of_what(ledger, claim):
    """By state, within the states that were asked for; its instant keeps out what comes later."""
    running, parked, waiting = a_new_job(), a_new_job(), a_new_job()
    ledger.enqueue([running, parked, waiting])
    ledger.settle([a_settlement(claim(parked.id).lease, Park("event:x"))])
    claim(running.id)
    counted = ledger.inspection.count()
    assert {JobState.RUNNING: 1, JobState.PARKED: 1, JobState.AVAILABLE: 1} == counted.by_state
    assert 1 == ledger.inspection.count(among=[JobState.RUNNING, JobState.COMPLETED]).total
    assert counted.at >= ledger.job(waiting.id).created_at
    assert 0 == ledger.inspection.count(JobFilter(created_until=counted.at - timedelta(days=1))).total


@pytest.mark.parametrize(
    "text", ["", "x", "2026-01-01,x", ",x", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z,"]
)
def test_a_place_that_is_none(text):
    """What nobody wrote is refused."""
    with pytest.raises(ValueError, match=r"."):
        Place.parse(text)


def test_an_overview(ledger, claim, worker, aside):
    """What has not ended, by queue; what runs, where; what is waited for; what ended just now; who lives."""
    running, parked, back, waits, later = (
        a_new_job(), a_new_job(), a_new_job(), a_new_job(queue="mail"), a_new_job(delay_seconds=60),
    )  # fmt: skip
    ledger.enqueue([running, parked, back, waits, later, *(ended := [a_new_job(), a_new_job()])])
    claim(running.id)
    ledger.settle([a_settlement(claim(parked.id).lease, Park("event:x"))])
    aside(back)
    ledger.cancel(ended[0].id)
    ledger.settle([a_settlement(claim(ended[1].id).lease)])
    ledger.pause_queue("mail", "why")
    now = ledger.inspection.overview()
    assert {
        ("default", "running", 1), ("default", "parked", 1), ("default", "quarantined", 1),
        ("default", "scheduled", 1), ("mail", "available", 1),
    } == {(count.queue, str(count.state), count.count) for count in now.counts}  # fmt: skip
    assert {JobState.COMPLETED: 1, JobState.CANCELLED: 1} == now.recent
    assert ([running.id], {worker.id: 1}) == ([job.id for job in now.running], now.held)
    assert [("event:x", 1)] == [(wait.waiting_for, wait.count) for wait in now.waits]
    assert ([worker.id], ["mail"]) == ([one.id for one in now.workers], [one.queue for one in now.pauses])
    assert (1, 2) == (now.number(JobState.RUNNING), now.number(JobState.PARKED, JobState.AVAILABLE))


def test_an_overview_of_nothing(ledger):
    """Nobody is there, and nothing is broken by it."""
    now = ledger.inspection.overview()
    assert ([], {}, [], {}, []) == (now.counts, now.recent, now.running, now.held, now.waits)
