"""Errands: handlers are not started in vain, and know on whose behalf, until when and with which ticket."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from holdfast.jobs import errors
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import Events, JobParked, ServiceFailed
from holdfast.jobs.ids import new_job_id
from holdfast.jobs.job import NewJob
from holdfast.jobs.outcome import Park
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.errand import current_errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.retry import RetryPolicy
from holdfast.tasks import Registry, task
from holdfast.tests.support.bench import claimed, registered
from holdfast.tests.support.builders import a_settlement
from holdfast.workers import errands
from holdfast.workers.attempt import Interrupt, RunningAttempt
from holdfast.workers.executor import Aids, Executor
from holdfast.workers.port import WorkerPort
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.writer import LedgerWriter

SEARCH = Ticket("search", 3)
OPEN = errors.BreakerOpen(upstream="search", retry_after_seconds=30, detail="search is open: streak")
ONCE = RetryPolicy(max_attempts=1)


class Known:
    """Upstreams of which a test says what they refuse."""

    def __init__(self):
        self.refuses: dict[str, errors.RejectedError | Exception] = {}
        self.asked, self.unused_ones, self.threads = [], [], set()
        self.flow = threading.Event()
        self.flow.set()
        self.fails = False

    def refusal(self, upstream, ticket):
        self.asked.append((upstream, ticket))
        answer = self.refuses.get(upstream)
        if isinstance(answer, Exception) and not isinstance(answer, errors.RejectedError):
            raise answer
        return None if ticket is not None else answer

    def unused(self, ticket):
        self.threads.add(threading.get_ident())
        self.flow.wait(10.0)
        self.unused_ones.append(ticket)
        if self.fails:
            raise ConnectionError("the store is gone")


class Ignored:
    def started(self, attempt):
        """Nobody watches."""

    def ended(self, attempt, result, settled, seconds):
        """Nobody watches."""


class Stage:
    """One task, one job with a ticket, and an executor that knows upstreams."""

    def __init__(self, ledger, seen):
        self.ledger, self.seen, self.known, self.registry = ledger, seen, Known(), Registry()
        self.writer = LedgerWriter(ledger, on_unavailable=lambda _: None)
        self.threads = DaemonThreads(2, name="test-handler")
        self.attempt = None
        self.executor = Executor(
            registry=self.registry,
            writer=self.writer,
            threads=self.threads,
            port=WorkerPort(ledger, self.writer, find=lambda _: self.attempt),
            events=Events(seen.append),
            clock=SystemClock(),
            watcher=Ignored(),
            on_abandoned=lambda _, end_late: end_late.close(),
            aids=Aids(upstreams=self.known),
        )

    def claim(self, handler, ticket=None, fields=None, **options):
        """Enqueue a job, let it park and be released with a ticket if there is one, and claim it."""
        made = task(name="tests.it", registry=self.registry, **options)(handler)
        worker_id = registered(self.ledger, [made.spec.offer()])
        (answer,) = self.ledger.enqueue([NewJob(new_job_id(), "tests.it", "{}", **(fields or {}))])
        claim = claimed(self.ledger, worker_id, answer.job_id)
        if ticket is not None:
            park = Park("upstream:search", wake_seq=claim.job.wake_seq)
            self.ledger.settle([a_settlement(claim.lease, park)])
            job = self.ledger.job(answer.job_id)
            self.ledger.release("upstream:search", job.priority, job.tenant, [str(ticket)])
            claim = claimed(self.ledger, worker_id, answer.job_id)
        self.attempt = RunningAttempt(claim, time.monotonic())

    async def run(self, handler, ticket=None, fields=None, **options):
        """Carry the job to its end and return its row."""
        if self.attempt is None:
            self.claim(handler, ticket, fields, **options)
        await asyncio.wait_for(self.executor.run(self.attempt), 10.0)
        return self.ledger.job(self.attempt.lease.job_id)

    def happened(self, kind):
        return [event for event in self.seen if isinstance(event, kind)]


@pytest.fixture
def stage(ledger, seen):
    """A stage whose writer runs."""
    made = Stage(ledger, seen)
    made.writer.start()
    yield made
    made.known.flow.set()
    assert made.writer.stop(5.0)
    made.threads.close()


async def on_loop():
    """Keep what a coroutine sees."""
    return keep()


def on_thread():
    """Keep what a function on a thread sees."""
    return keep()


KEPT = []


def keep():
    """Note the errand of the caller."""
    KEPT.append(current_errand())
    return "done"


@pytest.fixture(autouse=True)
def nothing_kept():
    """Each test begins with nothing."""
    KEPT.clear()


COLOURS = pytest.mark.parametrize("handler", [on_loop, on_thread])


@COLOURS
@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("policy", [RetryPolicy(), ONCE])
def test_a_job_whose_upstream_is_open_is_not_started(stage, handler, isolated, policy):
    """It is parked with the reason and has its attempt back, also where a handler may start only once."""
    stage.known.refuses["search"] = OPEN
    job = asyncio.run(stage.run(handler, upstreams=["mail", "search"], retry=policy, isolated=isolated))
    assert (JobState.PARKED, "upstream:search", 0) == (job.state, job.waiting_for, job.attempt)
    assert "search is open: streak" in job.detail
    assert [] == KEPT
    assert [("mail", None), ("search", None)] == stage.known.asked
    (parked,) = stage.happened(JobParked)
    assert ("upstream:search", job.id) == (parked.waiting_for, parked.job_id)


def test_a_refusal_that_names_no_upstream_is_waited_out(stage):
    """A limit of ours says when it has room again."""
    stage.known.refuses["search"] = errors.RateLimited(retry_after_seconds=60)
    job = asyncio.run(stage.run(on_loop, upstreams=["search"]))
    assert (JobState.SCHEDULED, 0, None) == (job.state, job.attempt, job.waiting_for)
    assert job.run_at - job.created_at > timedelta(seconds=60)
    assert [] == stage.happened(JobParked)


def test_a_job_with_a_ticket_is_started(stage):
    """The open upstream lets exactly this call through; the upstream is asked with the ticket."""
    stage.known.refuses["search"] = OPEN
    job = asyncio.run(stage.run(on_loop, SEARCH, upstreams=["search"]))
    assert JobState.COMPLETED is job.state
    assert [("search", SEARCH)] == stage.known.asked


def test_upstreams_that_fail_stop_no_job(stage):
    """What only protects a job must not be what stops it; it is told."""
    stage.known.refuses["search"] = RuntimeError("a bug of ours")
    job = asyncio.run(stage.run(on_loop, upstreams=["search"]))
    assert JobState.COMPLETED is job.state
    assert ["upstreams"] == [event.service for event in stage.happened(ServiceFailed)]


@pytest.mark.parametrize(
    ("raised", "is_sick", "policy", "became"),
    [
        (ConnectionError("gone"), True, RetryPolicy(), (JobState.PARKED, 0)),
        (RuntimeError("wrapped"), True, RetryPolicy(), (JobState.PARKED, 0)),
        (ConnectionError("gone"), False, RetryPolicy(), (JobState.SCHEDULED, 1)),
        (ConnectionError("gone"), True, ONCE, (JobState.QUARANTINED, 1)),
        (ConnectionError("gone"), True, RetryPolicy(give_up_on=(OSError,)), (JobState.QUARANTINED, 1)),
        (TypeError("a bug"), True, RetryPolicy(), (JobState.QUARANTINED, 1)),
    ],
)
def test_a_call_that_opened_its_breaker_costs_no_attempt(stage, raised, is_sick, policy, became):
    """Nor does a probe that fails: its job waits. A failure of another kind is what it is."""
    guard = Guard("search", retry=None, fleet=Fleet())
    guard.fleet.reporter.start = lambda: None

    async def handler() -> None:
        async def call() -> None:
            stage.known.refuses.update({"search": OPEN} if is_sick else {})
            raise ConnectionError("gone") if isinstance(raised, RuntimeError) else raised

        try:
            await guard.acall(call)
        except ConnectionError as error:
            if isinstance(raised, RuntimeError):
                raise raised from error
            raise

    job = asyncio.run(stage.run(handler, retry=policy))
    assert became == (job.state, job.attempt)


@COLOURS
def test_a_handler_knows_its_errand(stage, handler):
    """On the loop and on a thread: tenant, ticket, end, and that a refusal may come at once."""
    began = time.monotonic()
    asyncio.run(stage.run(handler, SEARCH, {"tenant": "acme"}, hard_timeout_seconds=50.0))
    (errand,) = KEPT
    assert ("acme", True) == (errand.tenant, errand.is_parkable)
    assert began + 50 <= errand.deadline <= time.monotonic() + 50
    assert None is current_errand()


@pytest.mark.parametrize(
    ("options", "fields", "seconds"),
    [
        ({"hard_timeout_seconds": 50.0, "soft_timeout_seconds": 20.0}, {}, 20),
        ({"hard_timeout_seconds": 50.0}, {"soft_timeout_seconds": 60.0}, 50),
        ({"hard_timeout_seconds": 50.0}, {"deadline_seconds": 10.0}, 10),
        ({}, {}, 3600),
    ],
)
def test_calls_end_with_the_attempt_or_at_the_deadline(stage, options, fields, seconds):
    """Whichever comes first; the deadline is the database's and ours only counts on."""
    asyncio.run(stage.run(on_loop, None, fields, **options))
    left = KEPT[0].deadline - time.monotonic()
    assert seconds - 5 <= left <= seconds


def test_a_handler_that_may_be_started_once_is_not_parkable(stage):
    """To be refused at once would end its job for good; its calls wait as long as they can."""
    asyncio.run(stage.run(on_loop, retry=ONCE))
    assert not KEPT[0].is_parkable


@COLOURS
def test_a_refusal_from_inside_the_handler_parks_the_job(stage, handler):
    """The attempt comes back, and the reason names the upstream."""

    async def refused_on_loop():
        raise OPEN

    def refused_on_thread():
        raise OPEN

    refused = refused_on_loop if handler is on_loop else refused_on_thread
    job = asyncio.run(stage.run(refused))
    assert (JobState.PARKED, "upstream:search", 0) == (job.state, job.waiting_for, job.attempt)


def test_once_begun_a_handler_that_may_be_started_once_is_not_parked(stage):
    """ADR 0014: not for a pushback, and not for a refusal."""

    async def refused():
        raise OPEN

    job = asyncio.run(stage.run(refused, retry=ONCE))
    assert (JobState.QUARANTINED, QuarantineReason.ATTEMPTS_EXHAUSTED) == (job.state, job.reason)


@COLOURS
def test_a_ticket_that_no_call_used_is_given_back(stage, handler):
    """Away from the event loop, before the attempt ends."""
    job = asyncio.run(stage.run(handler, SEARCH))
    assert [SEARCH] == stage.known.unused_ones
    assert threading.get_ident() not in stage.known.threads
    assert JobState.COMPLETED is job.state


def test_a_ticket_that_was_used_is_not_given_back(stage):
    """Who makes the call takes it out of the errand."""

    async def call():
        current_errand().tickets.pop("search")

    asyncio.run(stage.run(call, SEARCH))
    assert [] == stage.known.unused_ones


@pytest.mark.parametrize("how", ["fails", "unknown", "no arguments", "refused", "cancelled", "lost"])
def test_a_ticket_is_given_back_however_the_attempt_ends(stage, how):
    """Also when the handler never began."""

    async def fails():
        raise ConnectionResetError("gone")

    async def waits():
        await asyncio.Event().wait()

    def needs(number: int):
        return number

    handler = {"fails": fails, "no arguments": needs, "cancelled": waits, "lost": waits}.get(how, on_loop)
    stage.claim(handler, SEARCH, upstreams=["mail"], retry=RetryPolicy())
    if how == "refused":
        stage.known.refuses["mail"] = errors.BreakerOpen(upstream="mail")
    if how == "unknown":
        stage.registry._tasks.clear()  # noqa: SLF001 -- a job whose task is gone

    async def play():
        running = asyncio.create_task(stage.run(handler))
        if how in {"cancelled", "lost"}:
            await asyncio.sleep(0)
            stage.attempt.interrupt(Interrupt.CANCEL if how == "cancelled" else Interrupt.LEASE_LOST)
        await running

    asyncio.run(play())
    assert [SEARCH] == stage.known.unused_ones


def test_a_store_that_hangs_holds_up_neither_the_loop_nor_the_end(stage, monkeypatch):
    """The attempt ends without it: a ticket that stays away expires by itself."""
    monkeypatch.setattr(errands, "GIVE_BACK_SECONDS", 0.01)
    stage.known.flow.clear()
    job = asyncio.run(stage.run(on_loop, SEARCH))
    assert JobState.COMPLETED is job.state
    assert [] == stage.known.unused_ones


def test_a_store_that_fails_is_told(stage):
    """And the attempt ends as it would have."""
    stage.known.fails = True
    job = asyncio.run(stage.run(on_loop, SEARCH))
    assert JobState.COMPLETED is job.state
    assert ["upstreams"] == [event.service for event in stage.happened(ServiceFailed)]


def test_a_ticket_that_is_none_is_no_ticket(stage):
    """What somebody wrote by hand is worth nothing, and harms nobody."""
    asyncio.run(stage.run(on_loop, "not a ticket"))
    assert [] == stage.known.unused_ones
    assert {} == KEPT[0].tickets


def test_a_ticket_is_given_back_once(stage):
    """Who gives up on a handler, and the handler that ends after all, both bring back what is left."""
    stage.claim(on_loop, SEARCH)

    async def both():
        for _ in range(2):
            await stage.executor._errands.give_back(stage.attempt)  # noqa: SLF001 -- what both ways come to

    asyncio.run(both())
    assert [SEARCH] == stage.known.unused_ones


def test_who_was_woken_before_it_parked_is_not_told_of_as_parked(stage):
    """It is available again, and nobody waits."""

    async def woken():
        stage.ledger.wake(stage.attempt.lease.job_id)
        raise OPEN

    job = asyncio.run(stage.run(woken))
    assert JobState.AVAILABLE is job.state
    assert [] == stage.happened(JobParked)
