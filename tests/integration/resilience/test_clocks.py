"""Wall clocks that are wrong, and that jump: how long an upstream is left alone does not change."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from holdfast.resilience.breaker.message import Message
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import RedisStore, store_client
from holdfast.resilience.breaker.terms import Terms
from holdfast.tests.support.clocks import ShiftedClock, compiler

HOUR_SECONDS = 3600
SPREAD_SECONDS = 0.05
POLICY = BreakerPolicy(open_seconds=3.0, longest_open_seconds=3.0)
PROGRAM = """
import sys, time
from holdfast.jobs.errors import RejectedError
from holdfast.resilience.breaker.circuit import Phase
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.guard.guard import Guard
from holdfast.resilience.sharing import share

fleet = Fleet()
share(sys.argv[1], namespace="test", fleet=fleet)
policy = BreakerPolicy(open_seconds=3.0, longest_open_seconds=3.0)
guard = Guard("up", breaker=policy, retry=None, fleet=fleet)

def say(what, number):
    print(what, number, time.time() - time.monotonic(), flush=True)

guard.call(int)
while not (fleet.warm_up() and fleet.reporter.is_told):
    time.sleep(0.01)
say("ready", 0)
while guard.breaker.view.phase is not Phase.OPEN:
    time.sleep(0.005)
say("closed until", guard.breaker.view.closed_until)
sys.stdin.readline()
fleet.reporter.ask_all()
time.sleep(0.3)
say("still until", guard.breaker.view.closed_until)
while True:
    try:
        guard.call(int)
    except RejectedError:
        time.sleep(0.002)
    else:
        break
say("passed", time.monotonic())
"""

pytestmark = [
    pytest.mark.outage,
    pytest.mark.slow,
    pytest.mark.skipif(compiler() is None, reason="no C compiler, which the shifted clock needs"),
]


class Caller:
    """A process with a wall clock of its own."""

    def __init__(self, url: str, folder: Path, shift: int) -> None:
        folder.mkdir()
        self.clock = ShiftedClock(folder)
        self.clock.set(shift)
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url],
            env=os.environ | self.clock.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def hear(self, what: str) -> tuple[float, float]:
        """Return the number that it says next, and how far its wall clock is ahead of the monotonic one."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith(what), said
        number, offset = said.removeprefix(what).split()
        return float(number), float(offset)

    def go_on(self) -> None:
        """Let it look again."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def callers(redis_url: str, tmp_path: Path) -> Generator[list[Caller]]:
    """One whose clock is right, one an hour ahead, one an hour behind."""
    with contextlib.ExitStack() as stack:
        made = [Caller(redis_url, tmp_path / f"{shift}", shift) for shift in (0, HOUR_SECONDS, -HOUR_SECONDS)]
        for one in made:
            stack.callback(one.close)
        yield made


def test_a_wrong_clock_changes_no_open_time(callers: list[Caller], redis_url: str):
    """All wait until the same instant, also those whose clock jumps by hours meanwhile; then calls pass."""
    offsets = [one.hear("ready")[1] for one in callers]
    assert max(offsets) - min(offsets) > HOUR_SECONDS, "no clock was shifted"
    store = RedisStore(store_client(redis_url), namespace="test")
    for who in ("one that is gone", "another"):  # a single one would not speak for the fleet
        store.exchange("up", Message(who, 0, failed=10), Terms.of(POLICY))
    before = [one.hear("closed until")[0] for one in callers]
    assert max(before) - min(before) < SPREAD_SECONDS
    callers[1].clock.set(-HOUR_SECONDS)
    callers[2].clock.set(HOUR_SECONDS)
    for one in callers:
        one.go_on()
    after, offsets = zip(*(one.hear("still until") for one in callers), strict=True)
    assert max(offsets) - min(offsets) > HOUR_SECONDS
    assert max(*after, *before) - min(*after, *before) < SPREAD_SECONDS
    passed = [one.hear("passed")[0] for one in callers]
    assert min(passed) > min(before) - SPREAD_SECONDS
    assert min(passed) < max(before) + 1.0
