"""A companion's beats, where the system gives it no thread."""

import threading
from dataclasses import replace

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.events import ServiceFailed
from holdfast.jobs.ids import new_worker_id
from holdfast.tests.support.bench import registered
from holdfast.tests.support.builders import life_terms
from holdfast.tests.support.waiting import until
from holdfast.workers.companion import keeper as keeper_module
from holdfast.workers.companion.introduction import Introduction
from holdfast.workers.companion.keeper import Keeper
from holdfast.workers.companion.page import Page
from holdfast.workers.companion.scene import Death

BEAT = 0.005
_start = threading.Thread.start


class Shortage:
    """Refuses threads as the system does, while it lasts."""

    def __init__(self, monkeypatch):
        self.lasts = True
        self.refused = 0

        def refuse(thread):
            if self.lasts:
                self.refused += 1
                raise RuntimeError("can't start new thread")
            _start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.fixture
def keeper(ledger, events, monkeypatch):
    """One that keeps its books in the test's ledger."""
    monkeypatch.setattr(keeper_module, "Ledger", lambda _: ledger)
    made = Keeper(Page(), events, SystemClock())
    yield made
    made.rest()


def introduction(worker_id):
    """Introduce a worker that beats fast."""
    return Introduction(1, worker_id, replace(life_terms(), beat_seconds=BEAT))


def failures(seen):
    """Return what was told of."""
    return [event for event in seen if isinstance(event, ServiceFailed)]


def test_it_beats_as_soon_as_there_is_a_thread(keeper, ledger, seen, monkeypatch):
    """Meanwhile its worker hears of missed beats, and the log of each try."""
    shortage, page = Shortage(monkeypatch), keeper._page  # noqa: SLF001 -- its worker's view of it
    keeper.serve(introduction(registered(ledger)))
    since = page.unsure_since
    assert (True, "NoThread") == (since > 0, page.unsure_error)
    until(lambda: keeper.look() or shortage.refused >= 3, what="further tries")
    assert since == page.unsure_since
    assert shortage.refused == len(failures(seen))
    shortage.lasts = False
    until(lambda: keeper.look() or ledger.workers()[0].beat_seq >= 2, what="beats")
    until(lambda: page.unsure_since == 0.0, what="the all-clear")
    told = len(failures(seen))
    keeper.look()
    assert told == len(failures(seen)) == shortage.refused


def test_it_tries_no_more_for_a_worker_that_has_left(keeper, ledger, monkeypatch):
    """Rest is rest."""
    shortage = Shortage(monkeypatch)
    keeper.serve(introduction(registered(ledger)))
    keeper.rest()
    refused = shortage.refused
    for _ in range(3):
        keeper.look()
    assert refused == shortage.refused


def test_without_a_thread_a_row_is_closed_by_the_missing_beats(keeper, ledger, seen, monkeypatch):
    """The companion goes on to end as its worker did."""
    Shortage(monkeypatch)
    death = Death("SIGSEGV", peak_mb=1.0, is_proof=True)
    assert 0 == keeper.close_row(introduction(new_worker_id()), death)
    assert 1 == len(failures(seen))
