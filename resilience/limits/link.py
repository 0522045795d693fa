"""The way of a process to the Redis that its fleet shares, as limits use it.

Callers ask on their own threads (it takes a tenth of a millisecond), and wait
for a lost store once: a quarter of a second. From then on each process judges
alone, by its share, until a thread in the background has found the store again.
Coroutines share a few threads. A store that answers, but too slowly for so many
(a tenth of a second for each of a hundred), is as good as lost after a second.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from holdfast.jobs.upstream_events import LimitStoreFound, LimitStoreLost
from holdfast.resilience.breaker.store import SharedRedis, StoreLost, store_client
from holdfast.resilience.fleet import Fleet
from holdfast.resilience.limits.forks import forget_at_fork
from holdfast.resilience.limits.hands import HANDS

S = TypeVar("S")
T = TypeVar("T")

ASK_AGAIN_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 1.0
"""A coroutine waits no longer, whatever waits before it: a thousand at once need 0.3 s of a healthy store."""
TOO_SLOW: Final = f"no answer within {LONGEST_WAIT_SECONDS:g} s, as too many wait for one"


@dataclass(frozen=True, slots=True)
class _Bound:
    """What belongs to one Redis; replaced as a whole, so that no thread mixes two."""

    shared: SharedRedis
    client: Any  # whose answers redis does not type
    stores: dict[object, Any] = field(default_factory=dict[object, Any])


class Link:
    """One for each fleet object of a process. All methods may be called from any thread."""

    def __init__(self, fleet: Fleet) -> None:
        """Connect when somebody asks, to where the fleet then says."""
        self.fleet = fleet
        self._bound: _Bound | None = None
        self._ask_again_at: float | None = None
        self._lock = threading.Lock()
        forget_at_fork(self)

    @classmethod
    def of(cls, fleet: Fleet) -> "Link":
        """Return the one of this fleet."""
        # Without a lock, which a fork could leave held: two links for one fleet do no harm.
        link = _LINKS.get(id(fleet))
        if link is None:
            link = _LINKS[id(fleet)] = cls(fleet)
        return link

    @property
    def is_shared(self) -> bool:
        """Whether there is a Redis that others use, too, though it may be lost now."""
        return self.fleet.shared is not None

    def store(self, kind: Callable[..., S]) -> S | None:
        """Return the shared store of a kind; None: there is none, or it is lost. Does not block."""
        shared = self.fleet.shared
        if shared is None:
            return None
        bound = self._bound
        if bound is None or bound.shared != shared:
            bound = self._turn_to(shared)
        if self._ask_again_at is not None:
            self._look_again(bound)
            return None
        store = bound.stores.get(kind)
        if store is None:
            store = bound.stores[kind] = kind(bound.client, namespace=shared.namespace)
        return store

    def ask(self, kind: Callable[..., S], question: Callable[[S], T], alone: Callable[[], T]) -> T:
        """Ask the shared store, or judge alone. Blocks for a quarter of a second at most."""
        store = self.store(kind)
        if store is not None:
            try:
                return question(store)
            except StoreLost as error:
                self.lose(error)
        return alone()

    async def aask(
        self,
        kind: Callable[..., S],
        question: Callable[[S], T],
        alone: Callable[[], T],
        undo: Callable[[T], object],
    ) -> T:
        """Do the same on an event loop, for a second at most.

        `undo` gets an answer that came when nobody waited any more. What a lost
        store was asked then stays with it: for each thread one call that it counts twice.
        """
        if self.store(kind) is None:
            return alone()
        asked = HANDS.run(lambda: self.ask(kind, question, alone))
        if asked is None:
            return alone()
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                return await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            _take_back(asked, undo)
            raise
        except TimeoutError:
            if asked.done() and not asked.cancelled():
                # The loop was busy for so long, not the store.
                return asked.result()
            _take_back(asked, undo)
            self.lose(StoreLost(TOO_SLOW))
            return alone()

    def tell(self, kind: Callable[..., S], word: Callable[[S], object]) -> None:
        """Tell the shared store something in the background; a store that is lost never hears of it."""
        if self.store(kind) is not None:
            HANDS.run(lambda: self.ask(kind, word, lambda: None))

    def lose(self, error: StoreLost) -> None:
        """Judge alone from now on, until the store is found again."""
        with self._lock:
            is_news = self._ask_again_at is None
            if is_news:
                self._ask_again_at = self.fleet.clock.monotonic() + ASK_AGAIN_SECONDS
        if is_news:
            self.fleet.emit(LimitStoreLost(error=str(error)))

    def forget(self) -> None:
        """Begin anew in a forked child: locks may be held, and connections are the parent's."""
        self._lock = threading.Lock()
        self._bound, self._ask_again_at = None, None

    def _turn_to(self, shared: SharedRedis) -> _Bound:
        with self._lock:
            if self._bound is None or self._bound.shared != shared:
                self._bound, self._ask_again_at = _Bound(shared, store_client(shared.url)), None
            return self._bound

    def _look_again(self, bound: _Bound) -> None:
        with self._lock:
            now = self.fleet.clock.monotonic()
            if self._ask_again_at is None or now < self._ask_again_at:
                return
            self._ask_again_at = now + ASK_AGAIN_SECONDS
        HANDS.run(lambda: self._look(bound))

    def _look(self, bound: _Bound) -> None:
        try:
            bound.client.ping()
        except RedisError:
            return
        with self._lock:
            self._ask_again_at = None
        self.fleet.emit(LimitStoreFound())


def _take_back(asked: Future[T], undo: Callable[[T], object]) -> None:
    if not asked.cancel():
        asked.add_done_callback(lambda done: _undo(done, undo))


def _undo(done: Future[T], undo: Callable[[T], object]) -> None:
    if not done.cancelled() and done.exception() is None:
        undo(done.result())


_LINKS: Final[WeakValueDictionary[int, Link]] = WeakValueDictionary()
