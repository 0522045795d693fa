"""An operator's hand on the breaker of an upstream, for the whole fleet."""

from dataclasses import dataclass
from typing import Final, Protocol

from holdfast.jobs.clock import random_fraction
from holdfast.resilience.breaker.circuit import Circuit
from holdfast.resilience.breaker.message import Message, Order, Reply
from holdfast.resilience.breaker.policy import BreakerPolicy
from holdfast.resilience.breaker.store import BreakerStore
from holdfast.resilience.breaker.terms import Terms
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream

_TERMS: Final = Terms.of(BreakerPolicy())
_MILLI: Final = 1000


class ReadableStore(BreakerStore, Protocol):
    """A store that can be looked at."""

    def names(self) -> list[str]:
        """Name the upstreams that have a circuit. Raises StoreLost."""
        ...

    def read(self, name: str) -> Circuit | None:
        """Read a circuit. Raises StoreLost."""
        ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream's circuit, and what is true of it now."""

    name: str
    circuit: Circuit
    now: Reply


class Control:
    """Reads and orders. Every order reaches all processes within milliseconds, and outlives their restarts.

    Every method raises StoreLost if the store cannot be reached: nothing was ordered, try again.
    """

    def __init__(self, store: ReadableStore, *, actor: str) -> None:
        """Order in somebody's name."""
        self._store = store
        self._actor = actor

    def names(self) -> list[str]:
        """Name the upstreams of which something was heard in the last hour."""
        return self._store.names()

    def show(self, name: str) -> Upstream | None:
        """Return what is known of an upstream; None if nothing is."""
        if self._store.read(name) is None:
            return None
        reply = self._exchange(name, Message(self._actor, 0))
        circuit = self._store.read(name)
        return None if circuit is None else Upstream(name, circuit, reply)

    def isolate(self, name: str, *, reason: str, for_seconds: float | None = None) -> Reply:
        """Let no call pass, until it is closed or released, or for so long."""
        return self.order(name, Order.ISOLATE, reason=reason, for_seconds=for_seconds)

    def disable(self, name: str, *, reason: str, for_seconds: float | None = None) -> Reply:
        """Let all calls pass and count none."""
        return self.order(name, Order.DISABLE, reason=reason, for_seconds=for_seconds)

    def shadow(self, name: str, *, reason: str, for_seconds: float | None = None) -> Reply:
        """Let all calls pass, count them, and only say what would have been refused."""
        return self.order(name, Order.SHADOW, reason=reason, for_seconds=for_seconds)

    def release(self, name: str, *, reason: str) -> Reply:
        """Lift the override: the breaker decides for itself again, from where it stands."""
        return self.order(name, Order.RELEASE, reason=reason)

    def close(self, name: str, *, reason: str) -> Reply:
        """Lift the override, and close the breaker: calls pass from now on."""
        return self.order(name, Order.CLOSE, reason=reason)

    def order(self, name: str, order: Order, *, reason: str, for_seconds: float | None = None) -> Reply:
        """Order one of them by its name. Raises ValueError for a time, or a name, that cannot be."""
        if not is_upstream(name):
            raise ValueError(f"an upstream's name must be 1 to {LONGEST_UPSTREAM} printable characters")
        if for_seconds is not None and for_seconds <= 0:
            raise ValueError(
                f"an order cannot hold for {for_seconds:g} seconds; leave the time out, or give more"
            )
        message = Message(
            self._actor,
            0,
            order=order,
            order_for=0 if for_seconds is None else max(round(for_seconds * _MILLI), 1),
            order_reason=reason,
            order_actor=self._actor,
            chance=int(random_fraction() * _MILLI),
        )
        return self._exchange(name, message)

    def _exchange(self, name: str, message: Message) -> Reply:
        return self._store.exchange(name, message, _TERMS)
