"""Any interleaving of enqueues, attempts, sweeps and prunings gives at most one live job for a key (B22)."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.jobs.errors import IllegalTransition, JobNotFound, KeyBusy, NotUnique
from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Cancel, Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.unique import UNTIL_ENDED, Unique, key_of
from holdfast.ledger.reading import DEFAULT_LIST
from holdfast.tests.support.builders import TASK, a_failure, a_new_job, a_settlement, a_worker, an_offer

HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}
PATIENT_SECONDS = 60.0
POLICIES = ["return", "reject", "replace", "debounce", "drop", "cancel_running"]
KEYS = ["a", "b", "c"]
OUTCOMES = {
    "complete": Completed("1"),
    "cancel": Cancel(),
    "quarantine": Quarantine(QuarantineReason.PERMANENT),
    "retry": Retry(0.0, a_failure()),
    "snooze": Snooze(0.0),
    "park": Park("event:x"),
}
SWEEPS = ["stage", "rescue", "expire", "prune", "die", "wake", "requeue", "operator"]
VERBS = ["claim", "claim", *OUTCOMES, "hand_back", *SWEEPS]


@pytest.fixture
def config(config):
    """On SQLite one writer's turn comes after all others': on a busy machine that may be long."""
    return replace(config, lock_timeout_seconds=PATIENT_SECONDS)


def a_request(name, policy, **fields):
    """A request under a unique key of this name."""
    rule = Unique(on_conflict=policy)
    return a_new_job(unique=key_of(TASK, None, f'{{"k":"{name}"}}', rule), trace=name, **fields)


def live(ledger):
    """Return the keys' jobs that are not over, but for those that wait for the end of another one."""
    jobs = ledger.list_jobs(states=sorted(UNTIL_ENDED), limit=10 * DEFAULT_LIST)
    return [job for job in jobs if not (job.waiting_for or "").startswith("unique:")]


def doubled(ledger):
    """Return the keys of which more than one job is live."""
    counted = Counter(job.trace for job in live(ledger))
    return [key for key, count in counted.items() if count > 1]


@dataclass
class Fleet:
    """Workers, sweeps and operators, as one object that does one thing at a time."""

    ledger: object
    leases: list = field(default_factory=list)

    def __post_init__(self):
        """Begin with a living worker."""
        self.worker = a_worker()
        self.ledger.register_worker(self.worker, [an_offer()])

    def play(self, verb, choose):
        """Do one thing; `choose` picks one of a list."""
        if verb == "claim":
            self.leases += [
                one.lease
                for one in self.ledger.claim(self.worker.id, [ClaimRequest(new_lease_token())], **HOW)
            ]
        elif verb == "die":
            self.ledger.retire_worker(self.worker.id)
            self.leases.clear()
            self.__post_init__()
        elif verb in OUTCOMES or verb == "hand_back":
            self._end(verb, choose)
        elif verb == "prune":
            self.ledger.prune(completed_seconds=0, quarantined_seconds=0, limit=5)
        elif verb in {"stage", "rescue", "expire"}:
            getattr(self.ledger, verb)(10)
        else:
            self._meddle(verb, choose)

    def _end(self, verb, choose):
        if not self.leases:
            return
        lease = self.leases.pop(self.leases.index(choose(self.leases)))
        if verb == "hand_back":
            self.ledger.hand_back([lease], "drain")
        else:
            self.ledger.settle([a_settlement(lease, OUTCOMES[verb])])

    def _meddle(self, verb, choose):
        jobs = self.ledger.list_jobs(limit=20)
        if not jobs:
            return
        job = choose(jobs)
        try:
            if verb == "wake":
                self.ledger.wake(job.id)
            elif verb == "operator":
                self.ledger.cancel(job.id, "an operator's hand")
            elif job.state is JobState.QUARANTINED:
                self.ledger.requeue(job.id)
        except (NotUnique, IllegalTransition, JobNotFound):
            # The job that is there is in the way, or another thread was faster.
            pass


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(KEYS[:2])), st.tuples(st.sampled_from(VERBS), st.just(""))
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(steps=STEPS, policy=st.sampled_from(POLICIES), chance=st.randoms(use_true_random=False))
def test_any_order_of_verbs(ledger, by_hand, steps, policy, chance):
    """After each step one job of a key is live at most, and a request is answered with that one."""
    for table in ("unique_keys", "job_moments", "attempts", "jobs"):
        by_hand(f"DELETE FROM {table}")  # noqa: S608  names of our own tables
    fleet = Fleet(ledger)
    for verb, key in steps:
        if verb == "ask":
            check_answer(ledger, a_request(key, policy))
        else:
            fleet.play(verb, chance.choice)
        assert [] == doubled(ledger)
    end_all(ledger, fleet)
    # Everything has ended, so each key is free.
    assert all(one.created for one in ledger.enqueue([a_request(key, policy) for key in KEYS]))


def check_answer(ledger, job):
    """Ask, and hold the answer, or the refusal, against what was there."""
    was_there = {one.id for one in live(ledger) if one.trace == job.trace}
    answered = ask(ledger, [job])[0]
    assert {answered} == (was_there or {job.id}) or job.unique.policy.on_conflict == "cancel_running"


def ask(ledger, jobs):
    """Enqueue; return the ids of the jobs that hold the keys, also where the request is refused.

    Again if a key changed hands each time the ledger looked: so it may, where all want the same three.
    """
    try:
        answers = ledger.enqueue(jobs)
    except NotUnique as refused:
        return [refused.job_id]
    except KeyBusy:
        return ask(ledger, jobs)
    wanted = [job.id for job in jobs]
    assert [one.created for one in answers] == [one.job_id in wanted for one in answers]
    return [one.job_id for one in answers]


def end_all(ledger, fleet):
    """End whatever is not over: what waits, what runs, and what waited for that."""
    for _ in range(2):
        for job in ledger.list_jobs(states=sorted(UNTIL_ENDED), limit=DEFAULT_LIST):
            ledger.cancel(job.id)
        ledger.retire_worker(fleet.worker.id)
        ledger.rescue(100)


def repeated(work, seed):
    """Do something again and again, each time by another chance."""
    chance = random.Random(seed)  # noqa: S311 -- a seed, so that each thread does what it did before
    for _ in range(60):
        work(chance)


class Watcher(threading.Thread):
    """Looks all the time whether a key has two jobs."""

    def __init__(self, ledger):
        """Begin with nothing found."""
        super().__init__()
        self.found = []
        self._ledger = ledger
        self._is_over = threading.Event()

    def run(self):
        """Look."""
        while not self._is_over.is_set():
            self.found += doubled(self._ledger)

    def stop(self):
        """Look a last time."""
        self._is_over.set()
        self.join()
        self.found += doubled(self._ledger)


@pytest.mark.parametrize("policy", POLICIES)
def test_many_threads_at_once(ledger, policy):
    """Producers, workers, sweeps and operators in transactions of their own, and somebody who looks on."""
    fleets, watcher = [Fleet(ledger) for _ in range(2)], Watcher(ledger)

    def produce(chance):
        answered = ask(ledger, [a_request(key, policy) for key in chance.sample(KEYS, 2)])
        assert len(answered) == len(set(answered)) == (2 if policy != "reject" else len(answered))

    watcher.start()
    with ThreadPoolExecutor(5) as pool:
        running = [pool.submit(repeated, produce, seed) for seed in range(3)]
        running += [
            pool.submit(
                repeated, lambda chance, fleet=fleet: fleet.play(chance.choice(VERBS), chance.choice), 7
            )
            for fleet in fleets
        ]
    watcher.stop()
    assert [None] * 5 == [one.result() for one in running]
    assert [] == watcher.found


def test_of_many_that_ask_at_once_one_is_new(ledger):
    """All get the same job."""
    barrier = threading.Barrier(6)

    def ask_at_once(_):
        barrier.wait()
        return ledger.enqueue([a_request("a", "return"), a_request("b", "return")])

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask_at_once, range(6)))
    for place in (0, 1):
        assert 1 == len({answer[place].job_id for answer in answers})
        assert 1 == sum(answer[place].created for answer in answers)


@pytest.mark.parametrize("policy", ["return", "replace", "cancel_running"])
def test_batches_in_opposite_orders_do_not_block_each_other(ledger, policy):
    """Three hundred keys, asked for from both ends at once, again and again."""
    keys = [str(number) for number in range(300)]

    def ask_for_all(is_backwards):
        wanted = keys[::-1] if is_backwards else keys
        return [one.created for one in ledger.enqueue([a_request(key, policy) for key in wanted])]

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(ask_for_all, [False, True] * 4))
    assert [] == doubled(ledger)
    assert 300 == len(live(ledger))
    made = sum(map(sum, told))
    assert made == (300 * 8 if policy == "cancel_running" else 300)


@pytest.mark.parametrize("key", [None, "batch"])
def test_the_end_of_a_job_and_the_next_request_at_once(ledger, worker, key):
    """Each request gets the job that ends or a new one; none is lost, and none doubled."""
    rounds = 40
    for number in range(rounds):
        running = a_request("a", "return")
        answer = ledger.enqueue([running])[0]
        wish = ClaimRequest(new_lease_token(), answer.job_id)
        claims = ledger.claim(worker.id, [wish], **HOW)
        barrier = threading.Barrier(2)

        def settle(leases=tuple(one.lease for one in claims), barrier=barrier):
            barrier.wait()
            ledger.settle([a_settlement(lease) for lease in leases])

        def ask_once(barrier=barrier, number=number):
            barrier.wait()
            wanted = a_request("a", "return", key=key and f"{key}-{number}")
            return ledger.enqueue([wanted])[0]

        with ThreadPoolExecutor(2) as pool:
            ended, asked = pool.submit(settle), pool.submit(ask_once)
            ended.result(30)
            got = asked.result(30)
        assert got.created or got.job_id == answer.job_id
        assert len(live(ledger)) == got.created


def test_the_end_of_a_job_and_the_newest_at_once(ledger, worker):
    """The newest begins with that end, whichever comes first: nobody waits for a job that is over."""
    for _ in range(40):
        running = a_request("a", "cancel_running")
        ledger.enqueue([running])
        wish = ClaimRequest(new_lease_token(), running.id)
        leases = [one.lease for one in ledger.claim(worker.id, [wish], **HOW)]
        barrier = threading.Barrier(2)

        def settle(leases=tuple(leases), barrier=barrier):
            barrier.wait()
            ledger.settle([a_settlement(lease) for lease in leases])

        def win(barrier=barrier):
            barrier.wait()
            return ledger.enqueue([a_request("a", "cancel_running")])[0]

        with ThreadPoolExecutor(2) as pool:
            ended, asked = pool.submit(settle), pool.submit(win)
            ended.result(30)
            newest = asked.result(30)
        assert newest.created
        assert JobState.AVAILABLE == ledger.job(newest.job_id).state
        ledger.cancel(newest.job_id)
