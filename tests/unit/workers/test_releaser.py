"""The releaser on a real ledger, with a turnstile that a test turns."""

import threading
from collections import Counter

import pytest
from sqlalchemy import text

from holdfast.jobs.errors import LedgerError
from holdfast.jobs.events import JobReleased, ServiceFailed
from holdfast.jobs.outcome import Park
from holdfast.jobs.state import JobState
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.release import Release
from holdfast.tests.support.bench import FakeClock, Unsteady, claimed, enqueued, registered
from holdfast.tests.support.builders import a_settlement, a_worker, an_offer
from holdfast.tests.support.waiting import until
from holdfast.workers.services import releaser as releaser_module
from holdfast.workers.services.releaser import LONGEST_REST_SECONDS, RAMP_SECONDS, Releaser
from holdfast.workers.services.rescuer import Rescuer

SWEEP = 1.0


class Gate:
    """A turnstile that lets through what a test puts in, and keeps what comes back."""

    def __init__(self):
        self.answers: dict[str, list] = {}
        self.asked: list[tuple[str, int]] = []
        self.given_back: list[str] = []
        self.came_back = threading.Event()
        self.flow: dict[str, threading.Event] = {}

    def put(self, upstream, *answers):
        self.answers.setdefault(upstream, []).extend(answers)

    def ask(self, upstream, waiting):
        self.asked.append((upstream, waiting))
        if upstream in self.flow:
            self.flow[upstream].wait(10.0)
        answers = self.answers.get(upstream) or [Release((), 60.0)]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give_back(self, upstream, tickets):
        self.given_back += tickets
        self.came_back.set()
        if upstream == "broken":
            raise ConnectionError("the store is gone")


class Stage:
    """A releaser, and jobs to park."""

    def __init__(self, ledger, events, seen):
        self.ledger, self.line, self.seen = ledger, Unsteady(ledger), seen
        self.gate, self.clock, self.rung = Gate(), FakeClock(), []
        self.worker_id = registered(ledger, [an_offer()])
        self.releaser = self.another(events)

    def another(self, events, batch=500):
        """One more releaser, as of a leader that woke up beside its successor."""
        return Releaser(
            self.line.as_ledger(),
            self.gate,
            self.rung.extend,
            events=events,
            clock=self.clock,
            sweep_seconds=SWEEP,
            batch=batch,
        )

    def park(self, count=1, upstream="search", **fields):
        """Park jobs; returns their ids, oldest first."""
        parked = []
        for job_id in enqueued(self.ledger, count, **fields):
            claim = claimed(self.ledger, self.worker_id, job_id)
            park = Park(f"upstream:{upstream}", wake_seq=claim.job.wake_seq)
            self.ledger.settle([a_settlement(claim.lease, park)])
            parked.append(job_id)
        return parked

    def sweep(self, seconds=SWEEP):
        """Let a sweep's time pass, and sweep."""
        self.clock.advance(seconds)
        return self.releaser.run_once()

    def free(self):
        """Return who is available, in the order of release."""
        return [event.job_id for event in self.seen if isinstance(event, JobReleased)]

    def happened(self, kind):
        return [event for event in self.seen if isinstance(event, kind)]


@pytest.fixture
def stage(ledger, events, seen, monkeypatch):
    """A stage whose rounds wait for every answer that comes."""
    monkeypatch.setattr(releaser_module, "PATIENCE_SECONDS", 5.0)
    made = Stage(ledger, events, seen)
    yield made
    for flow in made.gate.flow.values():
        flow.set()


def test_nobody_waits(stage):
    """One query in a sweep, and no upstream is asked."""
    for _ in range(3):
        assert not stage.sweep()
    assert 3 == stage.line.count("parked_groups") == len(stage.line.calls)
    assert [] == stage.gate.asked
    assert SWEEP == pytest.approx(stage.releaser.pause_seconds)


def test_who_waits_is_released_with_a_ticket_and_rung(stage):
    """The turnstile says how many; the oldest goes, carries its ticket, and its ring does not wait."""
    first, second = stage.park(2)
    stage.gate.put("search", Release(("t1",), 0.1))
    assert not stage.sweep()
    assert [("search", 2)] == stage.gate.asked
    job = stage.ledger.job(first)
    assert (JobState.AVAILABLE, "t1") == (job.state, job.ticket)
    assert JobState.PARKED is stage.ledger.job(second).state
    assert [first] == [ring.job_id for ring in stage.rung]
    (event,) = stage.happened(JobReleased)
    assert (first, "search", "tests.echo") == (event.job_id, event.upstream, event.task)
    assert event.waited_seconds >= 0
    assert [] == stage.gate.given_back


def test_where_the_breaker_is_closed_all_go_without_a_ticket(stage):
    """They are available like any other job, and the stager rings."""
    jobs = stage.park(3)
    stage.gate.put("search", Release((None,) * 3, 60.0))
    stage.sweep()
    assert jobs == stage.free()
    assert [] == stage.rung
    assert {None} == {stage.ledger.job(one).ticket for one in jobs}


def test_a_small_tenant_is_not_behind_a_large_one(stage):
    """Two hundred of one parked first, ten of another: its first is among the first two that go."""
    stage.park(200, tenant="a")
    small = stage.park(10, tenant="b")
    stage.gate.put("search", *[Release((f"t{number}",), 0.1) for number in range(20)])
    for _ in range(20):
        stage.sweep(RAMP_SECONDS)
    assert small[0] in stage.free()[:2]
    assert 10 == len(set(small) & set(stage.free()))
    assert small == [one for one in stage.free() if one in small]


def test_a_higher_priority_goes_first_whatever_its_age(stage):
    """0 is first, 9 is last."""
    old, new = stage.park(2, priority=9), stage.park(1, priority=0)
    stage.gate.put("search", Release(("t1", "t2"), 0.1))
    stage.sweep()
    assert [*new, old[0]] == stage.free()


def test_in_a_ramp_it_asks_by_the_tenth_and_counts_by_the_sweep(stage):
    """A count over a hundred thousand rows is dear; between two it goes by what it released itself."""
    stage.park(20)
    stage.gate.put("search", *[Release(("t",), 0.05)] * 11)
    stage.sweep()
    assert pytest.approx(RAMP_SECONDS) == stage.releaser.pause_seconds
    for _ in range(9):
        stage.sweep(RAMP_SECONDS)
    assert 10 == len(stage.free())
    assert 1 == stage.line.count("parked_groups")
    assert [("search", 20 - number) for number in range(10)] == stage.gate.asked


def test_counting_takes_a_tenth_of_the_time(stage, monkeypatch):
    """With millions of rows a count takes half a second; then it comes every five."""
    really = stage.ledger.parked_groups

    def slowly():
        stage.clock.advance(0.5)
        return really()

    monkeypatch.setattr(stage.ledger, "parked_groups", slowly)
    stage.sweep()
    assert pytest.approx(4.5) == stage.releaser.pause_seconds


def test_who_went_is_forgotten(stage):
    """Names of upstreams may come from handlers, and a leader lives for months."""
    for number in range(5):
        stage.park(upstream=f"name-{number}")
        stage.gate.put(f"name-{number}", Release((None,), 60.0))
        stage.sweep()
    stage.sweep()
    assert {} == stage.releaser._lines  # noqa: SLF001 -- what it keeps


def test_a_group_that_is_gone_is_asked_for_once(stage):
    """The count was of a second ago; one empty answer says that it was wrong."""
    gone = stage.park(3)
    stage.gate.put("search", Release((), 0.1), Release(("t1",), 0.1))
    stage.sweep()
    for job_id in gone:
        stage.ledger.cancel(job_id)
    stage.sweep(RAMP_SECONDS)
    assert 1 == stage.line.count("release")


def test_a_job_that_runs_apart_is_not_rung_for(stage):
    """Workers with a lane look for it; a ring would be dropped."""
    stage.ledger.register_worker(a_worker(has_lane=True), [an_offer()])
    (job_id,) = stage.park()
    with stage.ledger.session() as session:
        session.execute(text("UPDATE jobs SET cohort = 1 WHERE id = :id"), {"id": job_id})
        session.commit()
    stage.gate.put("search", Release(("t1",), 0.1))
    stage.sweep()
    assert [job_id] == stage.free()
    assert [] == stage.rung


def test_an_answer_that_is_late_is_looked_for(stage, monkeypatch):
    """By the tenth of a second, though nothing else is due: it may hold the fleet's one probe."""
    monkeypatch.setattr(releaser_module, "PATIENCE_SECONDS", 0.02)
    stage.park(upstream="stuck")
    stage.gate.flow["stuck"] = threading.Event()
    stage.sweep()
    assert pytest.approx(RAMP_SECONDS) == stage.releaser.pause_seconds


def test_an_open_upstream_is_asked_once_in_a_sweep(stage):
    """Or earlier, if it says so; never later, as somebody may close it by hand."""
    stage.park()
    stage.gate.put("search", Release((), 30.0), Release((), 0.4))
    stage.sweep()
    assert SWEEP == pytest.approx(stage.releaser.pause_seconds)
    stage.sweep()
    assert pytest.approx(0.4) == stage.releaser.pause_seconds
    stage.sweep(0.3)
    assert 2 == len(stage.gate.asked)
    stage.sweep(0.1)
    assert 3 == len(stage.gate.asked)


@pytest.mark.parametrize("absurd", [-1.0, float("nan"), float("inf"), 0.0])
def test_a_time_that_is_none_keeps_nobody_and_spins_for_nobody(stage, absurd):
    """The next question comes within a sweep, and not at once."""
    stage.park()
    stage.gate.put("search", Release((), absurd))
    stage.sweep()
    assert RAMP_SECONDS <= stage.releaser.pause_seconds <= SWEEP
    stage.sweep(0.0)
    assert 1 == len(stage.gate.asked)
    stage.sweep(SWEEP)
    assert 2 == len(stage.gate.asked)


def test_more_than_a_batch_goes_in_several_rounds(stage, events):
    """No statement touches more rows than allowed, and no pause lies between them."""
    jobs = stage.park(5)
    stage.releaser = stage.another(events, batch=2)
    stage.gate.put("search", *[Release((None, None), 60.0)] * 2, Release((None,), 60.0))
    assert [True, True, False] == [stage.sweep(0.0) for _ in range(3)]
    assert jobs == stage.free()
    assert [("search", 5), ("search", 3), ("search", 1)] == stage.gate.asked


def test_tickets_that_no_job_took_go_back(stage):
    """Who waited was cancelled since the count; its ticket goes to another group, or back."""
    (gone,) = stage.park(tenant="a")
    (other,) = stage.park(tenant="b")
    stage.gate.put("search", Release((), 0.1), Release(("t1", "t2"), 0.1))
    stage.sweep()
    stage.ledger.cancel(gone)
    stage.sweep(RAMP_SECONDS)
    assert [other] == stage.free()
    assert stage.gate.came_back.wait(10.0)
    assert {"t1", "t2"} == {stage.ledger.job(other).ticket, *stage.gate.given_back}


def test_a_ticket_that_nobody_can_use_is_asked_for_ever_less_often(stage):
    """A probe that is taken and given back each second would keep all others from probing."""
    stage.park(queue="mail")
    stage.ledger.pause_queue("mail")
    stage.gate.put("search", *[Release(("probe",), 0.1)] * 20)
    for _ in range(200):
        stage.sweep()
    assert 5 <= len(stage.gate.asked) < 15
    assert len(stage.gate.asked) == len(stage.gate.given_back)
    assert LONGEST_REST_SECONDS >= stage.releaser.pause_seconds
    stage.ledger.resume_queue("mail")
    for _ in range(31):
        stage.sweep()
    assert 1 == len(stage.free())


def test_an_upstream_that_hangs_holds_up_no_other(stage, monkeypatch):
    """Its answer is heard when it comes; it is not asked a second time meanwhile."""
    monkeypatch.setattr(releaser_module, "PATIENCE_SECONDS", 0.02)
    (stuck,) = stage.park(upstream="stuck")
    jobs = stage.park(3)
    stage.gate.flow["stuck"] = threading.Event()
    stage.gate.put("stuck", Release(("late",), 0.1))
    stage.gate.put("search", *[Release(("t",), 0.1)] * 3)

    def all_went():
        stage.sweep(RAMP_SECONDS)
        return jobs == stage.free()

    until(all_went, what="the others are served")
    assert 1 == Counter(upstream for upstream, _ in stage.gate.asked)["stuck"]
    assert pytest.approx(RAMP_SECONDS) == stage.releaser.pause_seconds, "it looks for the answer"
    stage.gate.flow["stuck"].set()

    def came():
        stage.sweep(RAMP_SECONDS)
        return stuck in stage.free()

    until(came, what="the late answer is heard")


def test_an_upstream_that_fails_holds_up_no_other(stage):
    """It is told, and asked again in the next sweep."""
    stage.park(upstream="broken")
    jobs = stage.park()
    stage.gate.put("broken", ConnectionError("the store is gone"), Release(("t",), 0.1))
    stage.gate.put("search", Release(("t",), 0.1))
    stage.sweep()
    assert jobs == stage.free()
    assert ["releaser"] == [event.service for event in stage.happened(ServiceFailed)]
    assert "broken: ConnectionError" in stage.happened(ServiceFailed)[0].error
    stage.sweep()
    assert 2 == len(stage.free())


def test_a_give_back_that_fails_is_told(stage):
    """And nothing else comes of it."""
    stage.park(upstream="broken", queue="mail")
    stage.ledger.pause_queue("mail")
    stage.gate.put("broken", Release(("t",), 0.1))
    stage.sweep()
    until(lambda: stage.happened(ServiceFailed), what="the failure is told")


def test_the_tickets_of_the_dead_go_back(stage, events):
    """The fleet's probe may be among them: another job may have it at once. What is no ticket is left out."""
    (job_id,) = stage.park()
    ticket = str(Ticket("search", 7, "token"))
    stage.gate.put("search", Release((ticket,), 0.1))
    stage.sweep()
    claimed(stage.ledger, stage.worker_id, job_id)
    stage.ledger.declare_dead(stage.worker_id, 0)
    rescuer = Rescuer(stage.ledger, stage.releaser.give_back, events=events, pause_seconds=1.0, batch=10)
    rescuer.run_once()
    until(lambda: [ticket] == stage.gate.given_back, what="the probe is free")
    stage.releaser.give_back(["", "strange", ticket])
    until(lambda: [ticket, ticket] == stage.gate.given_back, what="nothing else comes of it")


def test_the_probe_of_a_job_that_is_cancelled_before_it_begins_goes_back(stage):
    """Whoever cancels reaches the ledger only; the others who wait need not wait for the probe's lease."""
    gone, waiting = stage.park(2)
    ticket = str(Ticket("search", 7, "token"))
    stage.gate.put("search", Release((ticket,), 0.1))
    stage.sweep()
    assert ticket == stage.ledger.job(gone).ticket
    stage.sweep()
    assert [] == stage.gate.given_back, "it may begin at any moment"
    stage.ledger.cancel(gone)
    stage.sweep()
    until(lambda: [ticket] == stage.gate.given_back, what="the probe is free")
    stage.gate.put("search", Release((str(Ticket("search", 7, "another")),), 0.1))
    stage.sweep()
    assert JobState.AVAILABLE is stage.ledger.job(waiting).state
    assert [ticket] == stage.gate.given_back


def test_the_probe_of_a_job_that_began_is_its_workers(stage):
    """The worker gives back what no call has used: nobody looks at the job any more."""
    (job_id,) = stage.park()
    stage.gate.put("search", Release((str(Ticket("search", 7, "token")),), 0.1))
    stage.sweep()
    claimed(stage.ledger, stage.worker_id, job_id)
    for _ in range(3):
        stage.sweep()
    assert ([], 1) == (stage.gate.given_back, stage.line.count("find"))


def test_tickets_of_a_release_whose_answer_was_lost_are_not_given_back(stage):
    """A job may have them; those that were not sent yet go back, and who is left waits for the next sweep."""
    stage.park(tenant="a")
    stage.park(tenant="b")
    stage.gate.put("search", Release(("t1", "t2"), 0.1))
    stage.line.after.add("release")
    stage.sweep()
    stage.line.after.clear()
    assert stage.gate.came_back.wait(10.0)
    assert ["t2"] == stage.gate.given_back
    assert [] == stage.happened(ServiceFailed)
    stage.gate.put("search", Release(("t3",), 0.1))
    stage.sweep()
    assert 2 == len(stage.ledger.list_jobs(states=[JobState.AVAILABLE]))


def test_a_ledger_that_refuses_is_told(stage):
    """The tickets of the statement that failed are nobody's; the others go back."""
    stage.park()
    stage.gate.put("search", Release(("t1",), 0.1))
    stage.line.errors["release"] = LedgerError(detail="a row that nobody can move")
    stage.sweep()
    assert "a row that nobody can move" in stage.happened(ServiceFailed)[0].error


def test_a_ledger_that_is_away_is_not_asked_at_once_again(stage):
    """The pause is a sweep's, and afterwards all goes on."""
    jobs = stage.park()
    stage.line.before.add("parked_groups")
    with pytest.raises(LedgerError):
        stage.sweep()
    assert SWEEP == pytest.approx(stage.releaser.pause_seconds)
    stage.line.before.clear()
    stage.gate.put("search", Release(("t1",), 0.1))
    stage.sweep()
    assert jobs == stage.free()


def test_two_leaders_release_nothing_twice(stage, events):
    """One that was frozen goes by an old count, and finds what is left."""
    jobs = stage.park(4)
    other = stage.another(events)
    stage.gate.put(
        "search", Release((), 0.1), Release((), 0.1), Release(("t1", "t2"), 0.1), Release(("t3", "t4"), 0.1)
    )
    stage.sweep()
    other.run_once()
    stage.clock.advance(RAMP_SECONDS)
    stage.releaser.run_once()
    other.run_once()
    assert sorted(jobs) == sorted(stage.free())
    assert {"t1", "t2", "t3", "t4"} == {stage.ledger.job(one).ticket for one in jobs}


def test_a_job_that_is_parked_again_keeps_its_age(stage):
    """A released job that finds the gate closed is not behind those that came later."""
    first, second = stage.park(2)
    stage.gate.put("search", Release(("t1",), 0.1), Release(("t2",), 0.1))
    stage.sweep()
    claim = claimed(stage.ledger, stage.worker_id, first)
    stage.ledger.settle([a_settlement(claim.lease, Park("upstream:search", wake_seq=claim.job.wake_seq))])
    stage.sweep()
    assert [first, first] == stage.free()
    assert JobState.PARKED is stage.ledger.job(second).state


def test_what_waits_for_something_else_is_left_alone(stage):
    """An approval is given by people."""
    claim = claimed(stage.ledger, stage.worker_id, enqueued(stage.ledger)[0])
    stage.ledger.settle([a_settlement(claim.lease, Park("approval"))])
    stage.sweep()
    assert [] == stage.gate.asked
