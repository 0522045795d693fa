"""How many calls of a fleet run at the same time: permits are lent, so that the dead give theirs back."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from holdfast.jobs.errors import BulkheadFull
from holdfast.jobs.upstream_events import PermitLost
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream
from holdfast.resilience.fleet import FLEET, Fleet
from holdfast.resilience.limits.forks import forget_at_fork
from holdfast.resilience.limits.link import Link
from holdfast.resilience.limits.permit_store import MemoryPermits, RedisPermits
from holdfast.resilience.limits.renewer import RENEWER
from holdfast.resilience.limits.turnover import Turnover

LEASE_SECONDS: Final = 15.0
LEAST_LEASE_SECONDS: Final = 0.03
MOST_LEASE_SECONDS: Final = 300.0
_RENEWALS: Final = 3
"""In the time of one lease: two may fail."""
_MILLI: Final = 1000


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was decided, and until when it holds."""

    token: str
    wait: int
    until: float | None
    """In monotonic seconds; None: it ends with the process only, as nobody else knows of it."""


class FleetPermit:
    """One permit. Whoever holds it for long should look at `is_lost` before it does what cannot be undone."""

    def __init__(self, bulkhead: "FleetBulkhead", token: str, until: float | None, began_at: float) -> None:
        """Hold it; `FleetBulkhead.acquire` makes these."""
        self._bulkhead = bulkhead
        self.token = token
        self.until = until
        """When the lease ends unless it is renewed, in monotonic seconds; None: never."""
        self.began_at = began_at
        self.was_lost = False
        """The store lent its place to another call, when this process was silent for too long."""

    @property
    def is_lost(self) -> bool:
        """Whether another call may run in its place; true at once in a process that was frozen."""
        return self.was_lost or self._bulkhead.is_over(self.until)

    def release(self, *, is_well: bool | None = None) -> None:  # noqa: ARG002 -- as permits of a process do
        """Give it back. A second time, in a forked child, or when it is lost, that frees nobody's place."""
        self._bulkhead.leave(self)


class FleetBulkhead:
    """So many places in the whole fleet. All methods may be called from any thread and any event loop.

    Without a shared Redis all places are this process's; while the shared one
    is lost, its part of them. After a flush of the store, up to twice as many
    calls run until the holders have renewed: a third of a lease.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        lease_seconds: float = LEASE_SECONDS,
        processes: Callable[[], int] | None = None,
        fleet: Fleet = FLEET,
    ) -> None:
        """Let so many calls under this name run at once; a dead holder's permit is back after the lease.

        `processes` says how many call, as last known (0: one); if it is left out, a
        worker counts the live workers, and any other program takes one. Raises
        ValueError for a size below 1, and a lease below 30 ms or beyond five minutes.
        """
        if not is_upstream(name):
            raise ValueError(f"the name must be 1 to {LONGEST_UPSTREAM} printable characters")
        if size < 1:
            raise ValueError("a bulkhead needs at least one place")
        if not LEAST_LEASE_SECONDS <= lease_seconds <= MOST_LEASE_SECONDS:
            raise ValueError(f"a lease must be {LEAST_LEASE_SECONDS} to {MOST_LEASE_SECONDS} s")
        self.name = name
        self.size = size
        self._lease = lease_seconds
        self._processes = processes or fleet.callers
        self._fleet = fleet
        self._link = Link.of(fleet)
        self._alone = MemoryPermits(fleet.clock)
        self._held: dict[str, FleetPermit] = {}
        self._due_at = 0.0
        self._turnover = Turnover()
        self._lock = threading.Lock()
        forget_at_fork(self)

    @property
    def in_use(self) -> int:
        """How many permits this process holds."""
        return len(self._held)

    def acquire(self) -> FleetPermit:
        """Take a permit, or raise BulkheadFull with the seconds after which one may be free.

        May block for a quarter of a second, once.
        """
        token = token_hex(8)
        return self._permit(
            self._link.ask(RedisPermits, self._asking(token), lambda: self._judge_alone(token))
        )

    async def aacquire(self) -> FleetPermit:
        """Do the same on an event loop, without blocking it. Cancelled, it holds nothing."""
        token = token_hex(8)
        answer = await self._link.aask(
            RedisPermits,
            self._asking(token),
            lambda: self._judge_alone(token),
            lambda got: self._free(got.token),
        )
        return self._permit(answer)

    def leave(self, permit: FleetPermit) -> None:
        """Give a permit back: see `FleetPermit.release`."""
        with self._lock:
            if self._held.pop(permit.token, None) is None:
                return
            self._turnover.note(self._now() - permit.began_at)
        self._free(permit.token)

    def is_over(self, until: float | None) -> bool:
        """Tell whether that instant is past."""
        return until is not None and self._now() >= until

    def renew(self) -> float | None:
        """Renew what is held, if that is due; return in how many seconds to come again. Raises nothing."""
        now = self._now()
        held = list(self._held.values())
        if not held:
            return None
        if now < self._due_at:
            return self._due_at - now
        self._due_at = now + self._lease / _RENEWALS
        tokens = [permit.token for permit in held]
        nothing: list[bool] = []
        kept = self._link.ask(RedisPermits, lambda store: self._renewed(store, tokens), lambda: nothing)
        for permit, is_kept in zip(held, kept, strict=False):
            self._note(permit, now + self._lease, is_kept=is_kept)
        return self._lease / _RENEWALS

    def forget(self) -> None:
        """Begin anew in a forked child: the permits are the parent's."""
        self._lock = threading.Lock()
        self._held = {}
        self._alone.forget()

    def _asking(self, token: str) -> Callable[[RedisPermits], _Answer]:
        def ask(store: RedisPermits) -> _Answer:
            until = self._now() + self._lease
            return _Answer(token, store.take(self.name, token, most=self.size, lease=self._milli), until)

        return ask

    def _judge_alone(self, token: str) -> _Answer:
        """Decide by this process's share; what it got from the store before counts."""
        share = max(self.size // max(self._processes(), 1), 1) if self._link.is_shared else self.size
        with self._lock:
            self._alone.renew(self.name, list(self._held), most=self.size, lease=self._milli)
            wait = self._alone.take(self.name, token, most=share, lease=self._milli)
        return _Answer(token, wait, None)

    def _permit(self, answer: _Answer) -> FleetPermit:
        if answer.wait > 0:
            with self._lock:
                wait = self._turnover.wait(self.size)
            raise BulkheadFull(retry_after_seconds=wait, detail=f"of {self.name}")
        permit = FleetPermit(self, answer.token, answer.until, self._now())
        with self._lock:
            if not self._held:
                self._due_at = self._now() + self._lease / _RENEWALS
            self._held[answer.token] = permit
        if self._link.is_shared:
            RENEWER.watch(self)
        return permit

    def _renewed(self, store: RedisPermits, tokens: Sequence[str]) -> list[bool]:
        kept = store.renew(self.name, tokens, most=self.size, lease=self._milli)
        for token in tokens:
            if token not in self._held:
                # Given back in the meantime, and perhaps lent again by what we just sent.
                store.free(self.name, token)
        return kept

    def _note(self, permit: FleetPermit, until: float, *, is_kept: bool) -> None:
        if is_kept:
            permit.until, permit.was_lost = until, False
        elif not permit.was_lost and permit.token in self._held:
            permit.was_lost = True
            self._fleet.emit(PermitLost(bulkhead=self.name))

    def _free(self, token: str) -> None:
        self._alone.free(self.name, token)
        self._link.tell(RedisPermits, lambda store: store.free(self.name, token))

    @property
    def _milli(self) -> int:
        return round(self._lease * _MILLI)

    def _now(self) -> float:
        return self._fleet.clock.monotonic()
