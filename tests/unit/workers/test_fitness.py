"""The verdict on a worker's own fitness, and who carries it out."""

import errno

import pytest

from holdfast.workers.fitness import (
    MEMORY_SECONDS,
    PATIENCE_SECONDS,
    REST_SECONDS,
    Fitness,
    FitnessLimits,
    Reading,
    Verdict,
    is_want,
)
from holdfast.workers.threads import NoThread

FIT, HOLD, LEAVE = Verdict.FIT, Verdict.HOLD, Verdict.LEAVE
LIMITS = FitnessLimits(least_free_files=16, memory_mb=500.0, suspended_seconds=600.0)


def a_reading(*, free_files=1000, memory_mb=100.0, starved=0, is_suspended=False) -> Reading:
    """A healthy process but for what is named."""
    return Reading(free_files, memory_mb, starved, is_suspended)


@pytest.mark.parametrize("short", [{"free_files": 15}, {"free_files": 0}, {"memory_mb": 501.0}])
def test_what_is_short_holds_and_what_stays_short_leaves(short):
    """Nothing is claimed from the first look on; it leaves after its patience, unless it got better."""
    fitness = Fitness(LIMITS)
    assert [FIT, HOLD, HOLD, FIT, HOLD, HOLD, LEAVE] == [
        fitness.judge(a_reading(), 0.0),
        fitness.judge(a_reading(**short), 1.0),
        fitness.judge(a_reading(**short), PATIENCE_SECONDS),
        fitness.judge(a_reading(), PATIENCE_SECONDS + 1),
        fitness.judge(a_reading(**short), PATIENCE_SECONDS + 2),
        fitness.judge(a_reading(**short), 2 * PATIENCE_SECONDS + 1),
        fitness.judge(a_reading(**short), 2 * PATIENCE_SECONDS + 2),
    ]
    assert fitness.why


def test_without_a_limit_no_memory_is_too_much():
    """The setting is off by default."""
    fitness = Fitness(FitnessLimits(16, 0, 600.0))
    assert FIT is fitness.judge(a_reading(memory_mb=1e6), 0.0)


def test_who_starved_rests_and_who_starves_again_and_again_leaves():
    """What is short for a moment cannot be measured; three times within a minute it is no accident."""
    fitness = Fitness(LIMITS)
    verdicts = [fitness.judge(a_reading(starved=1), 0.0), fitness.judge(a_reading(starved=1), REST_SECONDS)]
    verdicts += [fitness.judge(a_reading(starved=2), 10.0), fitness.judge(a_reading(starved=3), 20.0)]
    assert [HOLD, FIT, HOLD, LEAVE] == verdicts
    patient = Fitness(LIMITS)
    apart = [patient.judge(a_reading(starved=n), n * (MEMORY_SECONDS + 1)) for n in range(5)]
    assert [FIT, HOLD, HOLD, HOLD, HOLD] == apart


def test_without_the_ledger_it_leaves_after_its_limit():
    """An outage that ends before is forgotten; until then the gate is closed by the outage itself."""
    fitness = Fitness(LIMITS)
    cut_off = a_reading(is_suspended=True)
    assert [FIT, FIT, FIT, FIT, LEAVE] == [
        fitness.judge(cut_off, 0.0),
        fitness.judge(cut_off, 599.0),
        fitness.judge(a_reading(), 600.0),
        fitness.judge(cut_off, 601.0),
        fitness.judge(cut_off, 1201.0),
    ]
    assert "out of reach" in fitness.why


def wrapped(error: BaseException) -> BaseException:
    """The same error as a client library raises it."""
    outer = RuntimeError("cannot connect")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "too many open files"), True),
        (OSError(errno.ENFILE, "too many open files in system"), True),
        (NoThread(errno.EAGAIN, "no thread"), True),
        (wrapped(OSError(errno.EMFILE, "")), True),
        (BlockingIOError(errno.EAGAIN, "not now"), False),
        (MemoryError(), False),
        (FileNotFoundError(errno.ENOENT, ""), False),
    ],
)
def test_a_want_is_told_from_a_failure(error, expected):
    """Descriptors and threads belong to the process; what a job does with memory is its own affair."""
    assert expected is is_want(error)
