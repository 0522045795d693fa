"""Any interleaving of two workers, a rescuer and an operator leaves one owner and one ending."""

import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.jobs.ids import new_lease_token
from holdfast.jobs.job import ClaimRequest
from holdfast.jobs.outcome import Completed, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, QuarantineReason, can_move
from holdfast.tests.support.builders import a_failure, a_new_job, a_settlement, a_worker, an_offer

VERBS = [
    "claim",
    "claim_again",
    "complete",
    "retry",
    "snooze",
    "park",
    "quarantine",
    "hand_back",
    "check",
    "die",
]
OUTSIDE = ["stage", "wake", "rescue", "cancel", "requeue"]
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(VERBS + OUTSIDE)), min_size=4, max_size=25
)
HOW = {"queues": ["default"], "default_attempt_seconds": 60.0, "hard_limits": {}}


@pytest.fixture
def database_url(sqlite_url):
    """SQLite only: the verbs come one after the other here; races are other tests' subject."""
    return sqlite_url


class Player:
    """A worker that remembers every lease it was ever given, and never stops trying."""

    def __init__(self, ledger, job_id):
        self.ledger = ledger
        self.job_id = job_id
        self.lease = None
        self.wish = None
        self.wake_seq = 0
        self.lives = []
        self.live()

    def live(self):
        """Start as a new worker process that still holds the old lease in its hands."""
        self.worker = a_worker()
        self.lives.append(self.worker)
        self.ledger.register_worker(self.worker, [an_offer()])
        self.wish = None

    def play(self, verb):
        """Do one thing; return the state that the ledger gave the job by it, if it took it."""
        if verb == "die":
            self.ledger.retire_worker(self.worker.id)
            self.live()
        elif verb.startswith("claim"):
            if verb == "claim" or self.wish is None:
                self.wish = ClaimRequest(new_lease_token(), self.job_id)
            for granted in self.ledger.claim(self.worker.id, [self.wish], **HOW):
                self.lease, self.wake_seq = granted.lease, granted.job.wake_seq
        elif self.lease is not None:
            return self._end(verb)
        return None

    def _end(self, verb):
        outcomes = {
            "complete": Completed(f'"{self.lease.token}"'),
            "retry": Retry(0, a_failure()),
            "snooze": Snooze(0),
            "park": Park("event:x", wake_seq=self.wake_seq),
            "quarantine": Quarantine(QuarantineReason.PERMANENT),
        }
        if verb == "hand_back":
            return self.ledger.hand_back([self.lease], "drain")[0].state
        if verb == "check":
            # Also a dead worker's lease holds until somebody has taken its job back.
            held = any(self.lease.token in held_tokens(self.ledger, worker) for worker in self.lives)
            assert [held] == self.ledger.owns([self.lease])
            return None
        return self.ledger.settle([a_settlement(self.lease, outcomes[verb])])[0].state


def held_tokens(ledger, worker):
    """Return the tokens that the ledger counts as a worker's."""
    return {held.token for held in ledger.held(worker.id)}


def outside(ledger, job_id, verb):
    """Let a sweep or an operator act."""
    if verb in {"stage", "rescue"}:
        getattr(ledger, verb)(10)
    elif verb in {"wake", "cancel"}:
        getattr(ledger, verb)(job_id)
    elif ledger.job(job_id).state is JobState.QUARANTINED:
        ledger.requeue(job_id)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(STEPS)
def test_one_owner_one_ending(ledger, steps):
    """The history has no gap and no illegal move, one final state per generation, one running token."""
    job = a_new_job()
    ledger.enqueue([job])
    players = [Player(ledger, job.id) for _ in range(2)]
    for who, verb in steps:
        before = ledger.job(job.id)
        if verb in OUTSIDE:
            outside(ledger, job.id, verb)
        else:
            players[who].play(verb)
        after = ledger.job(job.id)
        assert before.fence <= after.fence
        if before.state.is_final and before.generation == after.generation:
            assert before == after
        held = [token for player in players for token in held_tokens(ledger, player.worker)]
        assert len(held) <= (after.state is JobState.RUNNING)
    history = ledger.history(job.id)
    assert list(range(1, len(history) + 1)) == [moment.seq for moment in history]
    for earlier, later in itertools.pairwise(history):
        assert can_move(earlier.state, later.state)
    attempts = ledger.attempts(job.id)
    assert len(attempts) == len({attempt.token for attempt in attempts}) == ledger.job(job.id).fence.counter
    open_attempts = [attempt for attempt in attempts if attempt.ended_at is None]
    assert len(open_attempts) == (ledger.job(job.id).state is JobState.RUNNING)
    endings = Counter(attempt.generation for attempt in attempts if attempt.outcome == "completed")
    assert all(1 == count for count in endings.values())
