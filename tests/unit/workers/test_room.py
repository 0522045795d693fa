"""Whether a worker has room, and whom its rings call for."""

from holdfast.jobs.ids import JobId
from holdfast.tests.support.bench import Rings
from holdfast.workers.room import Room

A, B = JobId("a"), JobId("b")


def rings():
    """Make two of them."""
    return [Rings().ticket(job_id) for job_id in (A, B)]


def test_with_room_for_all_a_ring_calls_for_its_job():
    """By name, under the ring's own token."""
    room, tickets = Room(bool), rings()
    room.tell(2)
    assert [A, B] == [request.job_id for request in room.requests(tickets)]
    assert [ticket.token for ticket in tickets] == [request.token for request in room.requests(tickets)]


def test_in_a_crowd_a_ring_calls_for_anybody():
    """As soon as it is full, and after a slot has become free."""
    room = Room(bool)
    room.tell(0)
    room.tell(1)
    assert [None, None] == [request.job_id for request in room.requests(rings())]


def test_a_crowd_ends_when_it_was_not_full_between_two_looks():
    """A look just after it was full is not enough."""
    room = Room(bool)
    room.tell(0)
    room.tell(1)
    room.look()
    assert room.is_crowded
    room.look()
    assert not room.is_crowded


def test_while_it_is_full_the_crowd_stays():
    """However often somebody looks."""
    room = Room(bool)
    room.tell(0)
    for _ in range(3):
        room.look()
    assert room.is_crowded


def test_rings_that_nobody_came_for_call_again():
    """By name: nobody else waits."""
    room, tickets = Room(bool), rings()
    room.tell(0)
    requests = room.requests(tickets)
    assert tickets == room.unanswered(requests, tickets, [])
    assert [A, B] == [request.job_id for request in room.requests(tickets)]


def test_named_rings_call_once():
    """Who was called by name and did not come is not to be had."""
    room, tickets = Room(bool), rings()
    assert not room.unanswered(room.requests(tickets), tickets, [])


def test_it_tells_each_change_once():
    """That there is no room, and that there is some again."""
    told = []
    room = Room(told.append)
    for free in (2, 0, 0, 1, 2):
        room.tell(free)
    assert [False, True] == told
