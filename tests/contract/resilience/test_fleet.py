"""Processes that share a store in a real Redis: what one learns, all know; what an operator says, all do."""

import multiprocessing
import os
import threading
from collections.abc import Iterator

import pytest

from holdfast.jobs.clock import SystemClock
from holdfast.jobs.errors import BreakerOpen
from holdfast.jobs.events import Events
from holdfast.jobs.upstream_events import UpstreamTurned
from holdfast.resilience.breaker.circuit import Override, Phase
from holdfast.resilience.breaker.listener import Listener
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import RedisStore, StoreLost, store_client
from holdfast.resilience.breaker.ticket import Ticket
from holdfast.resilience.control import Control
from holdfast.resilience.errand import Errand, errand
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.turnstile import SOON_SECONDS, FleetTurnstile
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

POLICY = BreakerPolicy(streak=5, open_seconds=0.3, longest_open_seconds=0.3)


class Member:
    """One process of a fleet, as far as its upstreams go."""

    def __init__(self, url: str, *, policy: BreakerPolicy = POLICY) -> None:
        self.seen: list[object] = []
        self.fleet = Fleet(events=Events(self.seen.append))
        self.store = RedisStore(store_client(url), namespace="test")
        listener = Listener(lambda: store_client(url), self.store.channel, SystemClock().monotonic)
        self.fleet.share(self.store, listener)
        self.guard = Guard("search", breaker=policy, retry=None, fleet=self.fleet)
        self.guard.call(int)
        until(lambda: self.fleet.reporter.is_told, what="the subscription")

    def fail(self, times: int) -> None:
        """Make calls that fail, as far as they are made."""
        for _ in range(times):
            with pytest.raises((ConnectionError, BreakerOpen)):
                self.guard.call(_broken)

    @property
    def phase(self) -> Phase:
        """What it believes."""
        return self.guard.breaker.view.phase

    def is_refused(self) -> bool:
        """Try a call."""
        try:
            self.guard.call(int)
        except BreakerOpen:
            return True
        return False


def _broken() -> None:
    raise ConnectionError


@pytest.fixture
def members(redis_url: str) -> Iterator[list[Member]]:
    """Two of them."""
    made = [Member(redis_url), Member(redis_url)]
    yield made
    for member in made:
        member.fleet.stop()


def opened(members: list[Member]) -> None:
    """Let both see failures, until both know."""

    def know() -> bool:
        for member in members:
            member.fail(1)
        return all(member.phase is Phase.OPEN for member in members)

    until(know, what="both to know")


def test_what_one_opens_all_know(members):
    """The one that reported the last failure turned it; the other heard of it, and both refuse."""
    opened(members)

    def turns() -> list[UpstreamTurned]:
        return [event for member in members for event in member.seen if isinstance(event, UpstreamTurned)]

    # It is told just after it is known.
    until(turns, what="the turn to be told")
    assert [("search", "opened", "open", "streak")] == [
        (turn.upstream, turn.turn, turn.phase, turn.reason) for turn in turns()
    ]
    assert all(member.is_refused() for member in members)


def test_an_order_reaches_all_and_outlives_them(members, redis_url):
    """Isolated by an operator: all refuse, one that starts later, too; closed again, all call."""
    control = Control(members[0].store, actor="anna")
    control.isolate("search", reason="incident 42")
    until(lambda: all(member.is_refused() for member in members), what="all to refuse")
    newcomer = Member(redis_url)
    until(newcomer.is_refused, what="a newcomer to refuse")
    newcomer.fleet.stop()
    shown = control.show("search")
    assert (Override.ISOLATED, "incident 42", "anna") == (
        shown.now.override, shown.circuit.override_reason, shown.circuit.override_actor,
    )  # fmt: skip
    control.close("search", reason="over")
    until(lambda: not any(member.is_refused() for member in members), what="all to call")
    assert ["search"] == control.names()
    assert control.show("never heard of") is None
    with pytest.raises(ValueError, match="cannot hold for -1 seconds"):
        control.shadow("search", reason="x", for_seconds=-1)


def test_an_order_outlives_a_restart_of_the_store():
    """With all that heard it gone, too: a server with a disk still knows, and whoever starts then refuses."""
    with RedisServer(appendonly=True) as server:
        member = Member(server.url)
        Control(member.store, actor="anna").isolate("search", reason="incident 42")
        until(member.is_refused, what="it to refuse")
        member.fleet.stop()
        server.kill()
        server.start()
        fleet = Fleet()
        fleet.share(RedisStore(store_client(server.url), namespace="test"))
        guard = Guard("search", breaker=POLICY, retry=None, fleet=fleet)
        until(fleet.warm_up, what="a first word of the store")
        with pytest.raises(BreakerOpen, match="incident 42"):
            guard.call(int)
        fleet.stop()


def test_an_order_may_have_an_end(members):
    """Nobody has to remember to lift it."""
    Control(members[0].store, actor="anna").isolate("search", reason="a moment", for_seconds=0.2)
    until(members[1].is_refused, what="it to refuse")
    until(lambda: not members[1].is_refused(), what="it to call again")


def test_of_waiting_jobs_one_is_the_probe_and_then_a_ramp(members):
    """Nobody goes while it is open; then one job with the probe, and after two successes more and more."""
    opened(members)
    turnstile = FleetTurnstile(members[0].fleet)
    first = turnstile.ask("search", 50)
    assert () == first.tickets
    assert 0 < first.next_in_seconds <= 0.3
    for _ in range(2):
        release = until(lambda: turnstile.ask("search", 50).tickets, what="the probe")
        assert 1 == len(release)
        assert () == turnstile.ask("search", 50).tickets, "one at a time in the whole fleet"
        # It may be any process that runs the job.
        with errand(Errand(is_parkable=True, tickets={"search": Ticket.of(release[0])})):
            members[1].guard.call(int)
    release = until(lambda: turnstile.ask("search", 50), what="the ramp")
    until(lambda: members[1].phase is Phase.RAMP, what="the ramp to be known")
    tickets = release.tickets or until(lambda: turnstile.ask("search", 50).tickets, what="a permit")
    assert 1 <= len(tickets) < 5, "a ramp begins slowly"
    with errand(Errand(is_parkable=True, tickets={"search": Ticket.of(tickets[0])})):
        members[1].guard.call(int)
    assert SOON_SECONDS == turnstile.ask("search", 50).next_in_seconds


def test_a_probe_that_came_too_late_is_none(members):
    """A job that waited for a slot beyond the probe's lease parks again: somebody else may have it."""
    members[0].fleet.stop()
    opened(members)
    turnstile = FleetTurnstile(members[0].fleet)
    tickets = until(lambda: turnstile.ask("search", 1).tickets, what="the probe")
    turnstile.give_back("search", tickets)
    others = until(lambda: turnstile.ask("search", 1).tickets, what="another one to have it")
    with (
        errand(Errand(is_parkable=True, tickets={"search": Ticket.of(tickets[0])})),
        pytest.raises(BreakerOpen),
    ):
        members[1].guard.call(int)
    assert others != tickets


def test_a_server_that_restarts_is_heard_again(tmp_path):
    """Without it each judges for itself; afterwards what one opens the other knows."""
    with RedisServer() as server:
        members = [Member(server.url), Member(server.url)]
        server.kill()
        until(lambda: not members[0].fleet.reporter.is_told, what="the loss to be noticed")
        assert not any(member.is_refused() for member in members)
        server.start()
        reporters = [member.fleet.reporter for member in members]
        until(lambda: all(one.is_told and not one.is_store_lost for one in reporters), what="both to be back")
        opened(members)
        for member in members:
            member.fleet.stop()


def test_a_lost_store_is_told_by_name(tmp_path):
    """Operators hear that nothing was ordered; readers, too."""
    store = RedisStore(store_client("redis://127.0.0.1:1/0"), namespace="test")
    control = Control(store, actor="anna")
    for act in (control.names, lambda: control.show("x"), lambda: control.isolate("x", reason="y")):
        with pytest.raises(StoreLost):
            act()


def test_a_forked_child_reports_for_itself(members, redis_url):
    """Its parent's thread is not there and its locks may be held: it begins anew at its first call."""
    member = members[0]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        before = [thread.name for thread in threading.enumerate() if thread.name.startswith("holdfast")]
        member.fail(3)
        until(lambda: member.phase is Phase.OPEN, timeout_seconds=20, what="the child to know")
        theirs.send((before, member.fleet.reporter.who))
        os._exit(0)

    process = context.Process(target=child, daemon=True)
    process.start()
    members[1].fail(3)
    before, who = ours.recv()
    process.join(20)
    assert [] == before
    assert who != member.fleet.reporter.who
    until(lambda: member.phase is Phase.OPEN, what="the parent to know")


def test_of_very_many_keys_the_idle_ones_make_room():
    """Bounded memory; one that has something to tell stays."""
    fleet = Fleet(most_keyed=100)
    guard = Guard("tenant", retry=None, fleet=fleet)
    busy = guard.for_key("busy").breaker
    assert busy.admit().began > 0
    for number in range(1000):
        guard.for_key(number).call(int)
        fleet.reporter.report_all()
    assert fleet.known("tenant[busy]") is busy
    assert fleet.known("tenant[1]") is None
    assert 100 == sum(fleet.known(f"tenant[{key}]") is not None for key in ["busy", *range(1000)])
    fleet.stop()
