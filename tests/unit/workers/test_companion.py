"""The two ends of a worker's companion, without the processes."""

import json
import os
import signal
import socket
import threading
from dataclasses import replace

import pytest

from holdfast.jobs.backlog import limits_of
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import LeaseSure, LeaseUnsure
from holdfast.jobs.ids import new_worker_id
from holdfast.tests.support.builders import life_terms
from holdfast.tests.support.waiting import until
from holdfast.workers.beat import BeatCalls
from holdfast.workers.companion.beat import Companion
from holdfast.workers.companion.introduction import Introduction
from holdfast.workers.companion.link import LEFT, Link
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.program import end_like
from holdfast.workers.companion.seats import Seats
from holdfast.workers.threads import NoThread

TERMS = life_terms()


class Ends:
    """A worker's heartbeat and what its companion would hear."""

    def __init__(self, events):
        self.page, (self.ours, self.theirs) = Page(), socket.socketpair()
        self.companion = Companion(Link(self.page, self.ours), TERMS, Seats(self.page))
        self.told = []
        self.calls = BeatCalls(
            on_dead=lambda: self.told.append("dead"),
            on_unsure=lambda: self.told.append("unsure"),
            on_sure=lambda: self.told.append("sure"),
        )
        self.events = events

    def heartbeat(self):
        """Make a heartbeat for a new worker."""
        clock = SystemClock()
        return self.companion.heartbeat(new_worker_id(), clock=clock, events=self.events, calls=self.calls)


@pytest.fixture
def ends(events):
    """Both ends, closed afterwards."""
    made = Ends(events)
    yield made
    made.ours.close()
    made.theirs.close()


def test_an_introduction_arrives_as_it_was_sent():
    """Everything the companion needs goes over one line, the database's address and its limits included."""
    limited = replace(TERMS.ledger, backlog_limits=limits_of(["default=3/2/1"]))
    sent = Introduction(3, new_worker_id(), replace(TERMS, ledger=limited))
    line = sent.as_line()
    assert line.endswith(b"\n")
    assert 1 == line.count(b"\n")
    assert sent == Introduction.of_line(line)


def test_the_page_is_shared_by_a_fork():
    """What the child writes the parent reads, and the other way round."""
    page = Page()
    page.beat_at = 12.5
    child = os.fork()
    if child == 0:
        page.ticked_at = page.beat_at + 1.0
        os._exit(0)
    os.waitpid(child, 0)
    assert (13.5, 12.5, 0.0, 0) == (page.ticked_at, page.beat_at, page.unsure_since, page.dead)


def test_a_text_on_the_page_is_bounded():
    """An error code of any length leaves its neighbours alone."""
    page = Page()
    page.unsure_error = "ledger_unavailable"
    assert "ledger_unavailable" == page.unsure_error
    page.unsure_error = "x" * 500
    assert ("x" * 64, 0) == (page.unsure_error, page.dead)


def test_outage_and_return_are_told_by_the_worker(ends, seen):
    """The lease becomes unsure while the companion says so, with its reason, and sure again after."""
    ends.page.unsure_error = "ledger_unavailable"
    heart = ends.heartbeat()
    heart.start()
    ends.page.unsure_since = SystemClock().monotonic()
    until(lambda: ends.told[:2] == ["unsure", "unsure"], what="the outage, at each look")
    assert heart.unsure_seconds > 0
    ends.page.unsure_since = 0.0
    until(lambda: "sure" in ends.told, what="the return")
    heart.stop()
    told = [event for event in seen if isinstance(event, (LeaseUnsure, LeaseSure))]
    assert [LeaseUnsure, LeaseSure] == [type(event) for event in told]
    assert "ledger_unavailable" == told[0].error


def test_death_is_told_to_the_worker_that_it_is_about(ends):
    """A worker that comes back under its next number is not dead by what was said of the one before."""
    first = ends.heartbeat()
    first.start()
    ends.page.dead = 1
    until(lambda: ends.told == ["dead"], what="the death")
    second = ends.heartbeat()
    second.start()
    introduced = [json.loads(line)["number"] for line in ends.theirs.recv(65536).splitlines()]
    assert [1, 2] == introduced
    ends.page.unsure_since = 1.0
    until(lambda: "unsure" in ends.told, what="a look of the second")
    assert 1 == ends.told.count("dead")
    second.stop()


def test_a_worker_is_introduced_once_however_often_its_heartbeat_starts(ends, monkeypatch):
    """Without a thread the start fails; the next one finds the companion informed."""

    def refuse(thread):
        del thread
        raise RuntimeError("can't start new thread")

    heart = ends.heartbeat()
    with monkeypatch.context() as shortage:
        shortage.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThread):
            heart.start()
    heart.start()
    heart.stop()
    assert 1 == len(ends.theirs.recv(65536).splitlines())


def test_leaving_is_one_line(ends):
    """The companion learns that all is written, and how the process will end."""
    ends.companion.leave(75)
    assert ends.theirs.recv(100) == LEFT + b"75\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_companion_ends_by_the_signal_that_ended_its_worker(number):
    """Whoever supervises it sees the truth."""
    child = os.fork()
    if child == 0:
        end_like(int(number))
    assert number == os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("code", [0, 1, 70])
def test_a_companion_ends_with_the_exit_code_of_its_worker(code):
    """Also where the code is not zero."""
    child = os.fork()
    if child == 0:
        end_like(code << 8)
    assert code == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
