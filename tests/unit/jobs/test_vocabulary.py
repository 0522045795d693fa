"""States, ids, errors, events, failures."""

import inspect
import re

import pytest

from holdfast.jobs import errors
from holdfast.jobs.events import Event, Events
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import is_job_id, new_job_id
from holdfast.jobs.ring_events import RingDropped
from holdfast.jobs.signals import Signal, Snooze
from holdfast.jobs.state import FINAL_STATES, TRANSITIONS, JobState, Move, can_move, check_move


def test_nothing_leaves_completed_or_cancelled():
    """A final state is final; only quarantine has a way back, the requeue."""
    for final in FINAL_STATES:
        ways = {move for move, pairs in TRANSITIONS.items() for source, _ in pairs if source is final}
        assert ways == ({Move.REQUEUE} if final is JobState.QUARANTINED else set())


def test_every_state_can_be_reached_and_ended():
    """No state is a trap: from each one a final state can be reached."""
    for state in JobState:
        seen, todo = {state}, [state]
        while todo:
            here = todo.pop()
            fresh = {other for other in JobState if can_move(here, other)} - seen
            seen |= fresh
            todo += fresh
        assert seen & FINAL_STATES


def test_a_move_outside_of_the_table_is_refused():
    """A program fault is named with both states."""
    with pytest.raises(errors.IllegalTransition, match="completed to running"):
        check_move(Move.CLAIM, JobState.COMPLETED, JobState.RUNNING)


def test_ids_sort_by_time():
    """Ids made one after the other sort in that order, but for those of one quarter of a microsecond."""
    ids = [new_job_id() for _ in range(200)]
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert len(set(ids)) == len(ids)
    assert all(i[14] == "7" for i in ids)


@pytest.mark.parametrize("text", ["", "a b", "a\n", "ü", "x" * 256, None, 7])
def test_an_id_from_outside_is_checked(text):
    """Ids of other producers are printable, without blanks, and bounded."""
    assert not is_job_id(text)


def test_the_tree_in_the_docstring_is_the_tree():
    """Whoever reads the head of errors.py sees every class below its parent."""
    drawn = {}
    parents: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)(\w+)$", line)
        if not found or not found[2][0].isupper():
            continue
        depth = len(found[1])
        while parents and parents[-1][0] >= depth:
            parents.pop()
        drawn[found[2]] = parents[-1][1] if parents else "Exception"
        parents.append((depth, found[2]))
    tree = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.PlatformError)
    }
    assert tree == drawn


def test_every_error_has_a_code_of_its_own():
    """A code names one class; people look it up."""
    codes = [
        cls.code
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.PlatformError)
    ]
    assert sorted(codes) == sorted(set(codes))


def test_an_error_says_what_where_and_what_to_do():
    """The message is the class's own words, the job, the detail and the advice."""
    error = errors.JobNotFound(job_id="j1", detail="asked twice")
    assert str(error).startswith("No job has this id (job j1): asked twice. It may have been pruned")


def test_a_handler_cannot_swallow_its_own_signal():
    """`except Exception` around a Snooze does not catch it."""
    assert not issubclass(Signal, Exception)
    with pytest.raises(TypeError, match="either"):
        Snooze()


def test_a_failure_fits_every_database():
    """NUL and lone surrogates in a message do not reach the ledger, and its size is bounded."""
    failure = Failure.of(ValueError("a\x00b\ud800" + "x" * 5000))
    assert "ValueError" == failure.type
    assert "\x00" not in failure.message + failure.traceback
    assert 2000 == len(failure.message)
    failure.message.encode()


def test_a_reader_that_fails_stops_neither_the_others_nor_the_work():
    """An observer must not end a job."""
    seen: list[Event] = []

    def broken(_: Event) -> None:
        raise RuntimeError("no")

    Events(broken, seen.append).emit(RingDropped(job_id="j", why="test"))
    assert [RingDropped(job_id="j", why="test")] == seen
