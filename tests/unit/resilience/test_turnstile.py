"""Who may go where nothing is known against an upstream: a few, then more; fewer if they come back."""

import pytest

from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.store import MemoryStore
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.turnstile import FORGOTTEN_SECONDS, MOST_AT_ONCE, FleetTurnstile
from holdfast.tests.support.bench import FakeClock


class Gate:
    """A turnstile, its clock, and those who wait."""

    def __init__(self, *, is_shared: bool) -> None:
        self.clock = FakeClock()
        fleet = Fleet(clock=self.clock)
        fleet.share(MemoryStore(self.clock) if is_shared else None)
        self.turnstile = FleetTurnstile(fleet)
        self.gone: list[float] = []

    def pass_time(self, seconds: float, waiting: int, *, come_back: bool) -> int:
        """Ask every tenth of a second; return how many went."""
        begun = len(self.gone)
        for _ in range(round(seconds * 10)):
            tickets = self.turnstile.ask("search", waiting).tickets
            assert {None} >= set(tickets)
            waiting -= 0 if come_back else len(tickets)
            self.gone += [self.clock.monotonic()] * len(tickets)
            self.clock.advance(0.1)
        return len(self.gone) - begun


@pytest.fixture
def closed() -> Gate:
    """The breaker is closed, for all that share it."""
    return Gate(is_shared=True)


def test_a_closed_breaker_lets_go_faster_and_faster(closed):
    """Ten a second at first, half as many more each second."""
    assert 10 <= closed.pass_time(1, 100_000, come_back=False) <= 12
    assert 90 <= closed.pass_time(5, 90_000, come_back=False) <= 220
    assert closed.pass_time(20, 80_000, come_back=False) > 5_000
    assert max(closed.gone.count(at) for at in set(closed.gone)) <= MOST_AT_ONCE


def test_who_comes_back_is_let_go_ever_more_rarely(closed):
    """Each try costs a claim: a job that parks for ever tries twice a minute."""
    assert closed.pass_time(2, 1, come_back=True) <= 12
    assert 1 <= closed.pass_time(60, 1, come_back=True) <= 3


def test_another_time_is_another_reason(closed):
    """What was slow an hour ago is not slow now."""
    closed.pass_time(5, 1, come_back=True)
    closed.clock.advance(FORGOTTEN_SECONDS + 1)
    assert closed.pass_time(1, 100, come_back=False) >= 10


def test_without_a_store_one_goes_and_the_others_see():
    """This process does not know what the others know: one in five seconds, then more if none comes back."""
    gate = Gate(is_shared=False)
    assert 1 == gate.pass_time(1, 100, come_back=False)
    assert gate.pass_time(60, 99, come_back=False) > 20
    again = Gate(is_shared=False)
    assert again.pass_time(60, 100, come_back=True) <= 4


def test_without_a_store_what_was_heard_last_holds_for_its_time():
    """An open breaker stays open where its store is lost; then one goes, and finds out."""
    gate = Gate(is_shared=False)
    breaker = gate.turnstile._fleet.breaker("search")  # noqa: SLF001 -- the same one
    breaker.learn(
        MemoryStore(gate.clock).exchange("search", Message("a", 0, failed=20), Terms.of(breaker.policy)),
        gate.clock.monotonic(),
    )
    assert 0 == gate.pass_time(3.9, 100, come_back=False)
    assert 1 <= gate.pass_time(3, 100, come_back=False) <= 2


def test_nobody_waits_and_nobody_goes(closed):
    """And nothing is taken."""
    assert () == closed.turnstile.ask("search", 0).tickets
    assert Phase.CLOSED is closed.turnstile._fleet.breaker("search").view.phase  # noqa: SLF001 -- the same one
