"""What needs real processes: who probes, who is killed, who is frozen, whose store is gone."""

import contextlib
import functools
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker import store as breaker_store
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.store import RedisStore
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.control import Control
from holdfast.resilience.guard.guard import Guard
from holdfast.tests.support.guarded_processes import FORK, POLICY, Processes, guard_of, opened, store_of
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

PROCESSES = 8
ONE_IS_ENOUGH = replace(POLICY, probe_successes=1)
"""A verdict that counts, whoever brings it, is seen at once."""
HELD_FOR_LONG = replace(POLICY, probe_lease_seconds=30.0)
"""However long a busy machine keeps the prober from renewing its lease, nobody succeeds it."""


@pytest.fixture
def processes(redis_url: str) -> Iterator[Processes]:
    """None yet."""
    made = Processes(redis_url)
    yield made
    made.close()


def phase(store: RedisStore, name: str) -> Phase:
    """Read how it stands."""
    circuit = store.read(name)
    assert circuit is not None
    return circuit.phase


class Signals:
    """What the test and its processes tell each other about each upstream, and the calls that were made."""

    def __init__(self, names: list[str]) -> None:
        """Nothing is told yet."""
        self.go = {name: FORK.Event() for name in names}
        self.enough = {name: FORK.Event() for name in names}
        self.over = {name: FORK.Event() for name in names}
        self.ready, self.tried, self.calls = FORK.Queue(), FORK.Queue(), FORK.Queue()

    def hear(self, said: Any, name: str, times: int) -> None:
        """Wait until so many processes have said this name."""
        assert [said.get(timeout=60) for _ in range(times)] == [name] * times


def crowd(url: str, stop: Any, signals: Signals) -> None:
    """Fifty threads that all call at once, again and again, one upstream after the other."""

    def call(guard: Guard) -> None:
        with contextlib.suppress(RejectedError):
            guard.call(functools.partial(counted, guard.name))

    def counted(name: str) -> None:
        signals.calls.put(name)
        signals.over[name].wait(120)

    # Nor may a slow answer pass for a lost store, without which each process would probe for itself.
    breaker_store.PATIENCE_SECONDS = 30.0
    for name, may_go in signals.go.items():
        guard = guard_of(url, name, HELD_FOR_LONG)
        signals.ready.put(name)
        may_go.wait(60)
        threads = [
            threading.Thread(target=again_and_again, args=(call, guard, signals.enough[name]))
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        guard.fleet.stop()
        signals.tried.put(name)


def again_and_again(call: Callable[[Guard], None], guard: Guard, enough: Any) -> None:
    """Call until it is enough."""
    while not enough.is_set():
        call(guard)


@pytest.mark.slow
def test_of_four_hundred_threads_one_probes(processes: Processes):
    """Eight processes of fifty threads wait for the breaker to let one through: one call is made.

    It lasts until the other seven processes have tried in vain, however busy the machine is.
    """
    names = [f"probe-{number}" for number in range(3)]
    signals = Signals(names)
    for name in names:
        opened(processes.url, name)
    for _ in range(PROCESSES):
        processes.start(crowd, signals)
    for name in names:
        signals.hear(signals.ready, name, PROCESSES)
        # Its time is over: whoever comes first may probe.
        until(lambda name=name: _may_be_probed(processes.url, name), what="the end of its time")
        signals.go[name].set()
        assert signals.calls.get(timeout=60) == name
        time.sleep(0.3)  # noqa: TID251 -- the others go on trying meanwhile
        signals.enough[name].set()
        signals.hear(signals.tried, name, PROCESSES - 1)
        assert signals.calls.empty(), "two were let through"
        signals.over[name].set()
        signals.hear(signals.tried, name, 1)


def _may_be_probed(url: str, name: str) -> bool:
    store = store_of(url)
    return store.exchange(name, Message("looker", 0), Terms.of(HELD_FOR_LONG)).closed_for == 0


def prober(url: str, stop: Any, called: Any, name: str, how: str) -> None:
    """Call until one call is let through; that one waits, and then goes well or badly."""
    guard = guard_of(url, name, ONE_IS_ENOUGH)

    def upstream() -> None:
        called.put((os.getpid(), time.monotonic()))
        if how == "hangs":
            stop.wait(60)
        elif how == "slow":
            time.sleep(2.0)  # noqa: TID251 -- longer than the lease, if nobody renews it
        else:
            raise ConnectionError

    while not stop.is_set():
        with contextlib.suppress(RejectedError, ConnectionError):
            guard.call(upstream)
        stop.wait(0.01)


@pytest.mark.slow
def test_a_killed_prober_is_succeeded_after_its_lease(processes: Processes):
    """SIGKILL in the middle of the probe: the next one comes after the lease, and never beside it."""
    store, called = opened(processes.url, "up"), FORK.Queue()
    for _ in range(3):
        processes.start(prober, called, "up", "hangs")
    first, began = called.get(timeout=30)
    time.sleep(1.5)  # noqa: TID251 -- longer than a lease: the living prober renews it
    assert called.empty(), "a second probe beside a living one"
    killed_at = time.monotonic()
    os.kill(first, signal.SIGKILL)
    second, at = called.get(timeout=30)
    assert second != first
    assert 0.5 <= at - killed_at <= 3.0, "a lease was renewed a third of one ago, at the latest"
    assert began < at
    assert Phase.HALF_OPEN is phase(store, "up")


@pytest.mark.slow
def test_a_frozen_prober_that_wakes_has_no_say(processes: Processes):
    """SIGSTOP beyond the lease: another one finds the upstream ill; what the sleeper brings is nothing."""
    store, called = opened(processes.url, "up"), FORK.Queue()
    sleeper = processes.start(prober, called, "up", "slow")
    pid, _ = called.get(timeout=30)
    assert pid == sleeper.pid
    os.kill(pid, signal.SIGSTOP)
    # Its queue may be locked by the sleeper.
    theirs = FORK.Queue()
    other = processes.start(prober, theirs, "up", "fails")
    assert other.pid == theirs.get(timeout=30)[0]
    until(lambda: phase(store, "up") is Phase.OPEN, what="the other's verdict")
    os.kill(pid, signal.SIGCONT)
    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        assert phase(store, "up") in {Phase.OPEN, Phase.HALF_OPEN}, "the sleeper's success counted"
        time.sleep(0.02)  # noqa: TID251 -- it is looked at while the sleeper speaks


def obedient(url: str, stop: Any, heard: Any, name: str) -> None:
    """Call all the time, and tell when calls are refused, and when they pass again."""
    guard, was_refused = guard_of(url, name), None
    while not stop.is_set():
        try:
            guard.call(int)
            is_refused = False
        except RejectedError:
            is_refused = True
        if is_refused != was_refused:
            heard.put((os.getpid(), is_refused, time.monotonic()))
            was_refused = is_refused
        stop.wait(0.002)


@pytest.mark.slow
def test_an_order_reaches_eight_processes_at_once(processes: Processes):
    """Isolated and closed again: all know within a moment, and one that starts in between knows, too."""
    heard = FORK.Queue()
    for _ in range(PROCESSES):
        processes.start(obedient, heard, "up")
    assert {False} == {heard.get(timeout=60)[1] for _ in range(PROCESSES)}
    control = Control(store_of(processes.url), actor="anna")
    for order, is_refused in ((control.isolate, True), (control.close, False)):
        at = time.monotonic()
        order("up", reason="a test")
        told = [heard.get(timeout=20) for _ in range(PROCESSES)]
        assert {is_refused} == {one[1] for one in told}
        assert max(one[2] for one in told) - at < 1.0
    control.isolate("up", reason="a test")
    for _ in range(PROCESSES):
        assert heard.get(timeout=20)[1]
    newcomer = processes.start(obedient, heard, "up")
    last = heard.get(timeout=60)
    while not last[1]:
        last = heard.get(timeout=60)
    assert newcomer.pid == last[0]


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_store_that_is_gone_costs_no_caller_anything(fault: str):
    """Calls are as fast as before; the process's own breaker opens, and counts when the store is back."""
    with RedisServer() as server:
        guard = guard_of(server.url, "up")
        usual = took(guard)
        server.kill() if fault == "killed" else server.pause()
        reporter = guard.fleet.reporter
        guard.call(int)
        until(lambda: took(guard) and reporter.is_store_lost, what="the loss to be noticed")
        assert statistics.median(took(guard)) <= statistics.median(usual) * 3 + 1e-5
        for _ in range(5):
            with contextlib.suppress(ConnectionError, RejectedError):
                guard.call(failing)
        until(lambda: guard.breaker.refusal() is not None, what="the local breaker to open")
        server.start() if fault == "killed" else server.resume()
        store = store_of(server.url)
        until(lambda: not reporter.is_store_lost, what="the store to be found again")
        until(lambda: store.read("up") is not None, what="its circuit there")
        assert phase(store, "up") is not Phase.CLOSED, "the stricter memory counts"
        guard.fleet.stop()


def took(guard: Guard) -> list[float]:
    """Time some calls."""
    taken = []
    for _ in range(300):
        begun = time.perf_counter()
        guard.call(int)
        taken.append(time.perf_counter() - begun)
    return taken


def failing() -> None:
    """An upstream that is down."""
    raise ConnectionError
