"""The store that breakers share is refused, silent, slow or forgetful: no caller waits, all is remembered."""

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Generator

import pytest

from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share
from holdfast.tests.support.proxy import Proxy
from holdfast.tests.support.servers import RedisServer
from holdfast.tests.support.waiting import until

POLICY = BreakerPolicy(streak=5, open_seconds=30.0, longest_open_seconds=30.0)
FAULTS: dict[str, Callable[[Proxy], None]] = {
    "refused": Proxy.refuse,
    "silent": Proxy.silence,
    "slow": lambda proxy: proxy.delay(5.0),
}
LONGEST_CALL_SECONDS = 0.2
"""Less than one question to a silent store takes; the machine may be busy."""


class Line:
    """A Redis behind a proxy, and processes that share it, as far as their guards go."""

    def __init__(self, server: RedisServer, proxy: Proxy) -> None:
        self.proxy = proxy
        self.url = f"redis://127.0.0.1:{proxy.port}/0"
        self.store = RedisStore(store_client(server.url), namespace="test")
        self.fleets: list[Fleet] = []

    def guard(self) -> Guard:
        """Return that of one more process."""
        fleet = Fleet()
        self.fleets.append(fleet)
        share(self.url, namespace="test", fleet=fleet)
        guard = Guard("up", breaker=POLICY, retry=None, fleet=fleet)
        until(fleet.warm_up, what="a first word of the store")
        return guard

    @property
    def phase(self) -> Phase | None:
        """What the store says."""
        circuit = self.store.read("up")
        return None if circuit is None else circuit.phase


@pytest.fixture
def line() -> Generator[Line]:
    """A line that is well."""
    with RedisServer() as server, Proxy(server.port) as proxy:
        made = Line(server, proxy)
        yield made
        for fleet in made.fleets:
            fleet.stop()


def call(guard: Guard, function: Callable[[], object]) -> None:
    """Call, whatever comes of it."""
    with contextlib.suppress(ConnectionError, RejectedError):
        guard.call(function)


def failing() -> None:
    """Be an upstream that is down."""
    raise ConnectionError


def took(guard: Guard, seconds: float, function: Callable[[], object] = int) -> list[float]:
    """Call a few hundred times a second; return how long each call took."""
    ends, taken, pause = time.monotonic() + seconds, list[float](), threading.Event()
    while time.monotonic() < ends:
        begun = time.perf_counter()
        call(guard, function)
        taken.append(time.perf_counter() - begun)
        pause.wait(0.002)
    return taken


@pytest.mark.parametrize("fault", FAULTS)
def test_no_caller_waits_for_a_store_that_is_away(line: Line, fault: str):
    """Not one of many calls, before and after the loss is noticed, whether they go well or fail.

    The process's own breaker opens meanwhile; afterwards the store knows what it knew.
    """
    guard = line.guard()
    other = Guard("another", retry=None, fleet=guard.fleet)
    usual = statistics.median(took(other, 0.3))
    FAULTS[fault](line.proxy)
    # At first nobody knows of the loss, and failures are to be told at once.
    assert max(took(guard, 0.3, failing)) < LONGEST_CALL_SECONDS
    taken = took(other, 1.0)
    assert max(taken) < LONGEST_CALL_SECONDS
    assert statistics.median(taken) <= usual * 3 + 1e-5
    until(lambda: guard.breaker.refusal() is not None, what="its own gate to shut")
    assert guard.fleet.reporter.is_store_lost
    line.proxy.heal()
    until(lambda: line.phase is Phase.OPEN, what="the store to know")


def test_what_one_learned_alone_holds_for_all(line: Line):
    """Of two memories the stricter one counts: the other process saw nothing, and refuses as well."""
    one, other = line.guard(), line.guard()
    line.proxy.refuse()
    for _ in range(5):
        call(one, failing)
    until(lambda: one.breaker.refusal() is not None, what="one of them to refuse")
    assert other.breaker.refusal() is None
    line.proxy.heal()
    until(lambda: other.breaker.refusal() is not None, what="both to refuse")


@pytest.mark.parametrize("loss", ["flushed", "failed over"])
def test_a_store_that_forgot_is_told(line: Line, loss: str):
    """Emptied, or replaced by an empty one: whoever refused still does, and so does a newcomer."""
    guard = line.guard()
    for _ in range(5):
        call(guard, failing)
    until(lambda: guard.breaker.view.phase is Phase.OPEN, what="it to open")
    with RedisServer() as successor:
        if loss == "flushed":
            store_client(line.url).flushall()
        else:
            line.proxy.aim(successor.port)
            line.store = RedisStore(store_client(successor.url), namespace="test")
        until(lambda: line.phase is Phase.OPEN, what="the store to know again")
        assert guard.breaker.refusal() is not None
        assert line.guard().breaker.refusal() is not None
