"""Parents and children: planned once, waited for without a count, and never left behind."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

from holdfast.jobs.backlog import BacklogLimit
from holdfast.jobs.children import CHILDREN, FailurePolicy, Plan, child_id, plan_digest
from holdfast.jobs.errors import IllegalTransition, LeaseLost, PlanChanged, QueueFull
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest, Parentage
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger import connect
from holdfast.ledger.job_filter import JobFilter
from holdfast.tests.support.builders import QUEUE, a_failure, a_new_job, a_settlement

ALL, ANY, COLLECT = FailurePolicy.ALL, FailurePolicy.ANY, FailurePolicy.COLLECT
BAD = Quarantine(QuarantineReason.PERMANENT, a_failure())


def a_plan(claim, count=3, *, group="map:1", policy=ALL, text="hello"):
    """A parent's plan of so many children that differ by a number."""
    parent, generation = claim.lease.job_id, claim.job.generation
    jobs = tuple(
        a_new_job(
            id=child_id(parent, group, position, generation),
            arguments=f'{{"text":"{text} {position}"}}',
            parentage=Parentage(parent, group, position),
        )
        for position in range(count)
    )
    digest = plan_digest([(job.task, job.arguments) for job in jobs])
    return Plan(claim.lease, generation, group, policy, (group,), digest, jobs)


@pytest.fixture
def parent(ledger, claim):
    """A running job."""
    job = a_new_job(id="parent")
    ledger.enqueue([job])
    return claim(job.id)


@pytest.fixture
def end(ledger, claim):
    """Run a job to an end."""

    def end_job(job_id, outcome=None):
        (settled,) = ledger.settle([a_settlement(claim(job_id).lease, outcome)])
        return settled.state

    return end_job


@pytest.fixture
def park(ledger):
    """Let a parent wait for what it planned."""

    def park_parent(claim, plan):
        (settled,) = ledger.settle(
            [a_settlement(claim.lease, Park(plan.waiting_for, wake_seq=claim.job.wake_seq))]
        )
        return settled.state

    return park_parent


def states(ledger, plan):
    """How the children stand, in their order."""
    return [end.state for end in ledger.children.ends(plan.parent.job_id, plan.groups)]


def test_a_plan_is_written_once(ledger, parent):
    """A parent that plans again finds its children; another plan under the same name is refused."""
    plan = a_plan(parent)
    assert [False, False] == [ledger.children.plan(plan), ledger.children.plan(plan)]
    jobs = [ledger.job(job.id) for job in plan.jobs]
    assert [(JobState.AVAILABLE, "parent", 1)] * 3 == [
        (job.state, job.parent_id, job.generation) for job in jobs
    ]
    assert 3 == len(ledger.list_jobs(states=[JobState.AVAILABLE]))
    with pytest.raises(PlanChanged):
        ledger.children.plan(a_plan(parent, text="goodbye"))
    with pytest.raises(PlanChanged):
        ledger.children.plan(a_plan(parent, count=4))


def test_only_the_lease_may_plan(ledger, parent):
    """A worker that lost its lease starts nothing (B2)."""
    ledger.hand_back([parent.lease], "drain")
    with pytest.raises(LeaseLost):
        ledger.children.plan(a_plan(parent))
    assert ["parent"] == [job.id for job in ledger.list_jobs()]


def test_a_plan_is_written_whole_or_not_at_all(config, parent):
    """A full queue takes no part of it, and the parent may plan it again when there is room."""
    full = connect(replace(config, backlog_limits={QUEUE: BacklogLimit(2, 2, 2)}))
    try:
        with pytest.raises(QueueFull):
            full.children.plan(a_plan(parent))
        assert ["parent"] == [job.id for job in full.list_jobs()]
        assert not full.children.plan(a_plan(parent, count=2))
    finally:
        full.close()


def test_the_last_child_wakes_its_parent(ledger, parent, park, end):
    """At once, by whoever ended it; the results come in the order of the plan."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    assert JobState.PARKED == park(parent, plan)
    for number, job in enumerate(reversed(plan.jobs)):
        assert JobState.PARKED == ledger.job("parent").state
        end(job.id, Completed(str(number)))
    assert JobState.AVAILABLE == ledger.job("parent").state
    assert ["2", "1", "0"] == [end.result for end in ledger.children.ends("parent", plan.groups)]
    assert "wake" == ledger.history("parent")[-1].kind


def test_families_do_not_wait_for_each_other(ledger, parent, park, claim, end):
    """Another parent's open children keep nobody, and another's ended ones wake nobody."""
    ledger.enqueue([a_new_job(id="other")])
    other = claim("other")
    plans = [a_plan(parent, count=1), a_plan(other, count=1)]
    for held, plan in zip((parent, other), plans, strict=True):
        ledger.children.plan(plan)
        park(held, plan)
    end(plans[1].jobs[0].id)
    assert (JobState.PARKED, JobState.AVAILABLE) == (ledger.job("parent").state, ledger.job("other").state)
    assert 0 == ledger.children.wake(10)
    end(plans[0].jobs[0].id)
    assert JobState.AVAILABLE == ledger.job("parent").state


def test_children_that_ended_before_the_parent_parked_wake_it_too(ledger, parent, park, end):
    """Nobody misses the last child's end: who parks looks, too (B14)."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    for job in plan.jobs:
        end(job.id)
    assert JobState.PARKED == park(parent, plan)
    assert JobState.AVAILABLE == ledger.job("parent").state


def test_a_plan_whose_children_have_ended_is_over_at_once(ledger, parent, end):
    """The parent that begins again need not park."""
    plan = a_plan(parent, count=1)
    assert not ledger.children.plan(plan)
    end(plan.jobs[0].id)
    assert ledger.children.plan(plan)


@pytest.mark.parametrize("policy", FailurePolicy)
@pytest.mark.parametrize(
    "outcome", [Completed('"x"'), BAD, Cancel("no")], ids=["completed", "bad", "cancelled"]
)
def test_what_ends_a_wait(ledger, parent, park, end, *, policy, outcome):
    """`all` ends with the first failure, `any` with the first result, `collect` with the last child."""
    plan = a_plan(parent, count=2, policy=policy)
    ledger.children.plan(plan)
    park(parent, plan)
    end(plan.jobs[0].id, outcome)
    is_result = isinstance(outcome, Completed)
    over = {ALL: not is_result, ANY: is_result, COLLECT: False}[policy]
    assert (JobState.AVAILABLE if over else JobState.PARKED) == ledger.job("parent").state
    if not over:
        end(plan.jobs[1].id)
        assert JobState.AVAILABLE == ledger.job("parent").state


def test_a_retry_of_a_child_is_no_end(ledger, parent, park, end):
    """Its parent waits on."""
    plan = a_plan(parent, count=1)
    ledger.children.plan(plan)
    park(parent, plan)
    assert JobState.SCHEDULED == end(plan.jobs[0].id, Retry(60.0, a_failure()))
    assert (0, JobState.PARKED) == (ledger.children.wake(10), ledger.job("parent").state)


def test_the_sweep_wakes_whom_nobody_woke(ledger, parent, park, by_hand):
    """Whoever ended the last child died before it could look: a level misses nobody."""
    plan = a_plan(parent, count=2)
    ledger.children.plan(plan)
    park(parent, plan)
    assert 0 == ledger.children.wake(10)
    for job in plan.jobs:
        # No word to the parent: as after a crash, or by a sweep.
        ledger.cancel(job.id)
    assert JobState.PARKED == ledger.job("parent").state
    assert (1, JobState.AVAILABLE) == (ledger.children.wake(10), ledger.job("parent").state)
    assert 0 == ledger.children.wake(10)


def test_the_sweep_wakes_who_waits_for_nothing(ledger, parent, park, by_hand):
    """A wait whose plan somebody deleted ends, and the handler plans again."""
    plan = a_plan(parent, count=1)
    ledger.children.plan(plan)
    park(parent, plan)
    by_hand("DELETE FROM gatherings")
    assert (1, JobState.AVAILABLE) == (ledger.children.wake(10), ledger.job("parent").state)


def test_two_last_children_that_end_at_once_wake_their_parent(ledger, config, claim, end):
    """Each looks after its own commit, so the later one sees both (B15)."""
    rounds = 12
    barrier = threading.Barrier(2)
    others = [connect(config), connect(config)]
    woken = 0

    def settle(mine, lease):
        barrier.wait()
        mine.settle([a_settlement(lease)])

    try:
        with ThreadPoolExecutor(2) as threads:
            for number in range(rounds):
                job = a_new_job(id=f"parent-{number}")
                ledger.enqueue([job])
                held = claim(job.id)
                plan = a_plan(held, count=2)
                ledger.children.plan(plan)
                ledger.settle([a_settlement(held.lease, Park(plan.waiting_for, wake_seq=0))])
                leases = [claim(child.id).lease for child in plan.jobs]
                list(threads.map(settle, others, leases))
                woken += ledger.job(job.id).state is JobState.AVAILABLE
    finally:
        for one in others:
            one.close()
    assert rounds == woken


def test_a_wait_for_several_groups(ledger, parent, park, end):
    """Children that were started one by one are waited for together."""
    plans = [a_plan(parent, count=1, group=f"spawn:{number}", policy=COLLECT) for number in (1, 2)]
    for plan in plans:
        ledger.children.plan(plan)
    groups = ("spawn:2", "spawn:1")
    wait = Plan(parent.lease, 1, "gather:1", ALL, groups, plan_digest([("", group) for group in groups]))
    assert not ledger.children.plan(wait)
    park(parent, wait)
    for number, plan in enumerate(plans):
        assert JobState.PARKED == ledger.job("parent").state
        end(plan.jobs[0].id, Completed(str(number)))
    assert JobState.AVAILABLE == ledger.job("parent").state
    assert ["1", "0"] == [one.result for one in ledger.children.ends("parent", groups)]


def test_a_parent_that_ends_without_a_result_takes_its_children_with_it(ledger, parent, park, claim, end):
    """Waiting ones at once, running ones are asked to stop; those of children follow."""
    plan = a_plan(parent, count=3)
    ledger.children.plan(plan)
    end(plan.jobs[0].id)
    child = claim(plan.jobs[1].id)
    grandchildren = a_plan(child, count=1, group="map:1")
    ledger.children.plan(grandchildren)
    park(parent, plan)
    ledger.cancel("parent")
    assert 2 == ledger.children.cancel_bereaved(100)
    assert [JobState.COMPLETED, JobState.RUNNING, JobState.CANCELLED] == states(ledger, plan)
    assert ledger.job(child.job.id).cancel_requested_at is not None
    assert 0 == ledger.children.cancel_bereaved(100), "the running one is asked once"
    ledger.settle([a_settlement(child.lease, Cancel())])
    assert 1 == ledger.children.cancel_bereaved(100)
    assert [JobState.CANCELLED] == states(ledger, grandchildren)
    assert 0 == ledger.children.cancel_bereaved(100)


def test_children_of_a_parent_that_completed_run_on(ledger, parent):
    """Who starts children and waits for none lets them go."""
    plan = a_plan(parent, policy=COLLECT)
    ledger.children.plan(plan)
    ledger.settle([a_settlement(parent.lease)])
    assert 0 == ledger.children.cancel_bereaved(100)
    assert [JobState.AVAILABLE] * 3 == states(ledger, plan)


def test_a_parent_cancels_what_it_needs_no_more(ledger, parent, claim, end):
    """Only what is open, and only under its lease."""
    plan = a_plan(parent, count=3, policy=ANY)
    ledger.children.plan(plan)
    end(plan.jobs[0].id)
    claim(plan.jobs[1].id)
    assert 2 == ledger.children.cancel(parent.lease, plan.groups, "not needed")
    assert 0 == ledger.children.cancel(parent.lease, plan.groups, "not needed")
    assert [JobState.COMPLETED, JobState.RUNNING, JobState.CANCELLED] == states(ledger, plan)
    ledger.hand_back([parent.lease], "drain")
    with pytest.raises(LeaseLost):
        ledger.children.cancel(parent.lease, plan.groups, "not needed")


def test_a_requeued_parent_starts_again_what_failed_below_it(ledger, parent, claim, park, end):
    """What completed is kept; what did not gives its place to a new child, and is shown as a child still."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    end(plan.jobs[0].id)
    end(plan.jobs[1].id, BAD)
    ledger.settle([a_settlement(parent.lease, BAD)])
    ledger.children.cancel_bereaved(100)
    ledger.requeue("parent")
    again = claim("parent")
    repeated = a_plan(again)
    assert not ledger.children.plan(repeated)
    assert [JobState.COMPLETED, JobState.AVAILABLE, JobState.AVAILABLE] == states(ledger, plan)
    assert [plan.jobs[0].id, *(job.id for job in repeated.jobs[1:])] == [
        end.job_id for end in ledger.children.ends("parent", plan.groups)
    ]
    assert JobState.QUARANTINED == ledger.job(plan.jobs[1].id).state
    park(again, repeated)
    for job in repeated.jobs[1:]:
        end(job.id)
    assert JobState.AVAILABLE == ledger.job("parent").state


def test_a_child_is_requeued_while_its_parent_waits_for_it_and_when_it_is_gone(ledger, parent, park, end):
    """In between its parent may have gone on with how it ended (B15)."""
    plan = a_plan(parent, count=2, policy=COLLECT)
    ledger.children.plan(plan)
    end(plan.jobs[0].id, BAD)
    with pytest.raises(IllegalTransition, match="its parent, job parent, is open"):
        ledger.requeue(plan.jobs[0].id)
    park(parent, plan)
    assert JobState.AVAILABLE == ledger.requeue(plan.jobs[0].id).state
    end(plan.jobs[0].id, BAD)
    ledger.cancel("parent")
    assert JobState.AVAILABLE == ledger.requeue(plan.jobs[0].id).state


def test_many_children_are_requeued_as_one_is(ledger, parent, park, end):
    """In bulk, too, those are left whose open parent does not wait for them."""
    held, awaited = a_plan(parent, 2, group="map:1"), a_plan(parent, 2, group="map:2", policy=COLLECT)
    for plan in (held, awaited):
        ledger.children.plan(plan)
    park(parent, awaited)
    for job in (held.jobs[0], awaited.jobs[0]):
        end(job.id, BAD)
    of_parent = JobFilter(parents=(parent.lease.job_id,))
    assert 4 == ledger.inspection.count(of_parent).total
    assert [{"requeued": 1, "held": 1}] == [dict(page) for page in ledger.bulk.requeue(of_parent)]
    assert [JobState.QUARANTINED, JobState.AVAILABLE] == [
        ledger.job(job.id).state for job in (held.jobs[0], awaited.jobs[0])
    ]


def test_cancelling_all_children_wakes_their_parent(ledger, parent, park):
    """As the sweep finds: nobody waits for what was cancelled in bulk."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    park(parent, plan)
    assert [{"cancelled": 3}] == [
        dict(page) for page in ledger.bulk.cancel(JobFilter(parents=(parent.lease.job_id,)))
    ]
    assert 1 == ledger.children.wake(10)
    assert JobState.AVAILABLE == ledger.job(parent.lease.job_id).state


def test_a_child_stays_as_long_as_its_parent_may_ask(ledger, parent, end, by_hand):
    """Retention removes it no sooner than the parent has ended for good; then its plan goes, too."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    for job in plan.jobs:
        end(job.id)

    def prune():
        return ledger.prune(completed_seconds=0.0, quarantined_seconds=3600.0, limit=100)

    assert 0 == prune()
    ledger.settle([a_settlement(parent.lease, BAD)])
    assert 0 == prune(), "an operator may requeue the parent"
    ledger.requeue("parent")
    ledger.cancel("parent")
    assert 4 == prune() + prune()
    with ledger.session() as session:
        assert (
            0
            == session.connection()
            .exec_driver_sql(
                f"SELECT count(*) FROM {_schema(session)}gatherings"  # noqa: S608 -- our own words
            )
            .scalar()
        )


def test_two_thousand_children(ledger, parent, park):
    """One transaction writes them; each look is a look at an index, and all results come back in order."""
    plan = a_plan(parent, count=2_000)
    ledger.children.plan(plan)
    park(parent, plan)
    done = 0
    while claims := ledger.claim(
        parent.lease.worker_id, _wishes(500), queues=[QUEUE], default_attempt_seconds=60.0, hard_limits={}
    ):
        done += len(claims)
        ledger.settle([a_settlement(one.lease, Completed(one.job.arguments)) for one in claims])
        if "parent" in {one.job.id for one in claims}:
            break
    ends = ledger.children.ends("parent", plan.groups)
    assert (2_001, 2_000) == (done, len(ends))
    assert [job.arguments for job in plan.jobs] == [one.result for one in ends]
    assert all(first.position + 1 == second.position for first, second in pairwise(ends))


def test_what_a_child_waits_in_is_named(ledger, parent, park):
    """Whoever looks at the parent sees what it waits for."""
    plan = a_plan(parent)
    ledger.children.plan(plan)
    park(parent, plan)
    assert f"{CHILDREN}map:1" == ledger.job("parent").waiting_for


def _wishes(count):
    return [ClaimRequest(new_lease_token()) for _ in range(count)]


def _schema(session):
    return "holdfast_test." if session.get_bind().dialect.name == "postgresql" else ""
