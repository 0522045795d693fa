"""Whose fault was it: what a dead process left behind becomes suspicion of as few jobs as can be."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.jobs.ids import LeaseToken, new_job_id, new_worker_id
from holdfast.jobs.job import LeftBehind
from holdfast.workers.companion.attribution import Scene, accused, cohort_limit
from holdfast.workers.companion.page import Seat
from holdfast.workers.companion.scene import Death, death_of

LOOP, POOL, STRANGE = 11, 22, 33
WORKER = new_worker_id()
TRACE = """Fatal Python error: Segmentation fault

Current thread 0x000000000000000b (most recent call first):
  File "shop/orders.py", line 12 in parse
  File "shop/orders.py", line 40 in order

Thread 0x0000000000000016 (most recent call first):
  File "shop/other.py", line 1 in other
"""


def left(token: str, seconds: float = 60.0, said: str = "") -> LeftBehind:
    """A job that ran for some time."""
    return LeftBehind(new_job_id(), LeaseToken(token), seconds, said)


def a_death(thread: int | None = None, *, is_proof: bool = True, is_stuck: bool = False) -> Death:
    """The end of a worker."""
    return Death("SIGSEGV", 155.2, is_proof=is_proof, is_stuck=is_stuck, crashed_thread=thread)


def suspects(death: Death, *, on_loop: int = 0) -> set[str]:
    """Who is accused, of two jobs on the loop and two on threads."""
    ran = [left("a"), left("b"), left("t"), left("u")]
    seats = [
        Seat(1, LeaseToken("a"), 0),
        Seat(2, LeaseToken("b"), 0),
        Seat(3, LeaseToken("t"), POOL),
        Seat(4, LeaseToken("u"), POOL + 1),
    ]
    return {one.lease.token for one in accused(WORKER, ran, death, Scene(seats, on_loop, LOOP))}


def test_the_thread_that_crashed_names_the_job():
    """The job on the loop if the loop's thread died, the thread's own job if a thread did."""
    assert {"b"} == suspects(a_death(LOOP), on_loop=2)
    assert {"t"} == suspects(a_death(POOL), on_loop=2)


def test_a_crash_between_jobs_is_nobody_elses_than_the_loops():
    """A callback crashed: jobs on threads have nothing to do with it."""
    assert {"a", "b"} == suspects(a_death(LOOP))


def test_a_death_that_names_no_thread():
    """What was executing is suspected: the job on the loop and those in threads."""
    assert {"a", "t", "u"} == suspects(a_death(), on_loop=1)
    assert {"a", "t", "u"} == suspects(a_death(STRANGE), on_loop=1)


def test_a_worker_that_was_stuck():
    """The job that held the loop is the only suspect; without one, those on threads."""
    assert {"b"} == suspects(a_death(is_stuck=True), on_loop=2)
    assert {"t", "u"} == suspects(a_death(is_stuck=True))


def test_who_had_just_begun():
    """Without any mark the last five seconds are asked first, and without those everyone."""
    ran = [left("old"), left("new", 4.9)]
    assert ["new"] == [one.lease.token for one in accused(WORKER, ran, a_death(), Scene())]
    assert 2 == len(accused(WORKER, [left("old"), left("older")], a_death(), Scene()))


def test_a_death_from_outside_accuses_nobody():
    """However clear the page is."""
    assert set() == suspects(a_death(LOOP, is_proof=False), on_loop=2)


def test_one_suspect_is_not_yet_alone():
    """In a worker there were others: only a death in a process of its own counts towards poison."""
    (one,) = accused(WORKER, [left("a", 3.21, "page 7")], a_death(), Scene())
    assert (1, False) == (one.outcome.cohort, one.outcome.is_alone)
    assert (
        "its process died of SIGSEGV with 155 MB at its peak, 3.2 s after it began; it had said: page 7"
        == one.outcome.failure.message
    )


@given(st.integers(min_value=1, max_value=20_000))
def test_cohorts_shrink_fast(suspects: int):
    """At most two cohorts with others in them, so at most four deaths until a job is poison."""
    deaths, limit = 0, suspects
    while (limit := cohort_limit(limit)) > 1:
        deaths += 1
    assert deaths <= 2
    assert 1 == cohort_limit(1)


@pytest.mark.parametrize(
    ("status", "how", "is_proof"),
    [
        (signal.SIGSEGV, "SIGSEGV", True),
        (signal.SIGABRT, "SIGABRT", True),
        (signal.SIGBUS, "SIGBUS", True),
        (signal.SIGILL, "SIGILL", True),
        (signal.SIGKILL, "SIGKILL", False),
        (signal.SIGTERM, "SIGTERM", False),
        (signal.SIGQUIT, "SIGQUIT", False),
        (3 << 8, "exit code 3", True),
    ],
)
def test_what_proves_something(status: int, how: str, is_proof: bool):  # noqa: FBT001 -- a column of the table
    """Signals that code brings upon itself, and an exit that no interpreter made; never what is sent."""
    death = death_of(int(status), 100.0)
    assert (how, is_proof) == (death.how, death.is_proof)


def test_an_exit_in_good_order_proves_nothing():
    """The interpreter was ending: Celery gave up, or somebody asked."""
    assert not death_of(1 << 8, 100.0, is_leaving=True).is_proof


def test_out_of_memory_is_told_apart():
    """SIGKILL while the kernel's count was raised; a stuck worker that we killed is none."""
    death = death_of(signal.SIGKILL, 900.0, is_out_of_memory=True)
    assert death.is_proof
    assert "its process was killed out of memory (SIGKILL) with 900 MB at its peak" == death.words
    stuck = death_of(signal.SIGKILL, 900.0, is_out_of_memory=True, is_stuck=True)
    assert not stuck.is_out_of_memory
    assert stuck.is_proof


def test_the_last_words_of_an_interpreter():
    """The thread that crashed, and where it was; of the other threads nothing."""
    death = death_of(signal.SIGSEGV, 100.0, trace=TRACE)
    assert 11 == death.crashed_thread
    assert "in parse (orders.py:12)" in death.words
    assert "other" not in death.trace
    assert death_of(signal.SIGSEGV, 100.0, trace="Fatal Python error: Aborted\n").crashed_thread is None
