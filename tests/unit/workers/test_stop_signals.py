"""What a worker does when it is asked to stop once, twice, and a third time."""

import os
import signal
import socket
from types import SimpleNamespace

import pytest
from celery.worker import state

from holdfast.workers import stop_signals
from holdfast.workers.companion.link import Link
from holdfast.workers.companion.page import Page
from holdfast.workers.stop_requests import STOPPING
from holdfast.workers.stop_signals import FORCED, StopSignals


@pytest.fixture
def done(monkeypatch):
    """What was done; handlers and Celery's flag are as before afterwards, and nobody's forks are touched."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    monkeypatch.setattr(state, "should_stop", None)
    monkeypatch.setattr(stop_signals, "forget_in_forks", lambda _: None)
    told = []
    monkeypatch.setattr(os, "_exit", lambda code: told.append(f"exit {code}"))
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def page(monkeypatch):
    """The page that this worker shares with its companion."""
    made, (ours, theirs) = Page(), socket.socketpair()
    monkeypatch.setattr(stop_signals, "link_of_this_process", lambda: Link(made, ours))
    yield made
    ours.close()
    theirs.close()


def a_worker(done):
    """A worker that notes what it is asked to do, once for each signal."""
    drain = SimpleNamespace(hurry=lambda: done.append("hurry"))
    runtime = SimpleNamespace(begin_drain=lambda: done.append("drain"), drain=drain, exit_code=0)
    return SimpleNamespace(pool=SimpleNamespace(runtime=runtime), hostname="worker-1")


def test_without_a_companion_every_signal_counts(done):
    """Whichever of them it is."""
    StopSignals(a_worker(done)).install()
    signal.raise_signal(signal.SIGHUP)
    assert (["drain"], 0) == (done, state.should_stop)
    signal.raise_signal(signal.SIGINT)
    assert ["drain", "drain", "hurry"] == done
    signal.raise_signal(signal.SIGTERM)
    assert f"exit {FORCED}" == done[3]


def test_what_the_companion_heard_too_counts_once(done, page):
    """Both hear each request, the worker twice: only the second request hurries, only the third ends it."""
    StopSignals(a_worker(done)).install()
    expected = {1: [], 2: ["hurry"] * 2, 3: [f"exit {FORCED}", "hurry"] * 2}
    for request, what in expected.items():
        done.clear()
        page.requests = request
        for _ in ("its own", "passed on"):
            signal.raise_signal(signal.SIGTERM)
        assert what == [one for one in done if one != "drain"]
