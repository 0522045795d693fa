"""A companion's watch over its worker, with a real child and a clock of the test."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from holdfast.jobs.ids import new_worker_id
from holdfast.tests.support.builders import life_terms
from holdfast.workers.companion import warden
from holdfast.workers.companion.introduction import Introduction
from holdfast.workers.companion.link import Link
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.warden import LEAVE_SECONDS, Warden


class Keeper:
    """Beats for nobody."""

    def serve(self, introduction):
        """Hear of a worker."""

    def rest(self):
        """Beat no more."""

    def look(self):
        """Begin nothing."""


class Hurrying:
    """A clock on which every look comes long after the one before."""

    def __init__(self):
        self._now = 0.0

    def monotonic(self):
        """Tell the time, and let much of it pass."""
        self._now += LEAVE_SECONDS + 1
        return self._now


@pytest.mark.parametrize("code", [0, 75])
def test_a_worker_that_had_to_be_helped_out_of_the_door_ends_as_it_said(code, events, monkeypatch):
    """All was written; that it wants to be started elsewhere is what its supervisor hears."""
    monkeypatch.setattr(warden, "configure_logging", lambda **_: None)
    page, (ours, theirs) = Page(), socket.socketpair()
    lingers = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    theirs.sendall(Introduction(1, new_worker_id(), life_terms()).as_line())
    Link(page, theirs).leave(code)
    watch = Warden(lingers.pid, page, ours, keeper=Keeper(), events=events, clock=Hurrying())
    before = signal.getsignal(signal.SIGCHLD)
    try:
        status = watch.run()
    finally:
        lingers.kill()
        signal.signal(signal.SIGCHLD, before)
        signal.set_wakeup_fd(-1)
        lingers.returncode = 0
        ours.close()
        theirs.close()
    assert code == os.waitstatus_to_exitcode(status)


def test_a_request_to_stop_is_on_the_page_before_it_arrives(events):
    """And so is every one that interrupts another: their count is what tells a double from a second one."""
    page, (ours, theirs) = Page(), socket.socketpair()
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    watch = Warden(child.pid, page, ours, keeper=Keeper(), events=events, clock=Hurrying())
    assert 0 == page.requests
    watch.ask_to_stop(signal.SIGTERM)
    assert (1, -signal.SIGTERM) == (page.requests, child.wait(10))
    watch.ask_to_stop(signal.SIGINT)
    watch.pass_on(signal.SIGUSR2)
    assert 2 == page.requests
    ours.close()
    theirs.close()
