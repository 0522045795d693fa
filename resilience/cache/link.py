"""The way to the shared store: found at the first call, and left alone for a second when it is lost."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from holdfast.jobs.upstream_events import CacheStoreFound, CacheStoreLost
from holdfast.resilience.breaker.store import SharedRedis, StoreLost, store_client
from holdfast.resilience.cache.store import CacheStore, RedisCacheStore
from holdfast.resilience.fleet import Fleet

T = TypeVar("T")
AWAY_SECONDS: Final = 1.0
"""After a failure nobody asks for so long, and then one caller alone, whom a frozen store costs 250 ms."""


class Link:
    """Asks the shared store, and is silent where it does not answer. Any thread may use it."""

    def __init__(self, cache: str, fleet: Fleet, store: CacheStore | None) -> None:
        """Ask this store; None: the one in the Redis that the fleet shares, if it shares one by then."""
        self._cache = cache
        self._fleet = fleet
        self._given = store
        self._shared: SharedRedis | None = None
        self._of_fleet: CacheStore | None = None
        self._away_until = 0.0
        self._is_lost = False
        self._lock = threading.Lock()

    @property
    def is_alone(self) -> bool:
        """Tell whether there is no store to ask at all."""
        return self._store() is None

    def is_worth_asking(self) -> bool:
        """Tell whether there is a store that may answer. Does not block."""
        return self._store() is not None and self._fleet.clock.monotonic() >= self._away_until

    def ask(self, question: Callable[[CacheStore], T], otherwise: T) -> T:
        """Ask, or return `otherwise` if there is no store or it does not answer. Blocks for 250 ms."""
        store = self._store()
        if store is None or not self._may_ask():
            return otherwise
        try:
            answer = question(store)
        except StoreLost as error:
            self._lose(str(error))
            return otherwise
        self._find()
        return answer

    def tell(self, action: Callable[[CacheStore], None]) -> bool:
        """Tell it something; False: it did not hear."""

        def question(store: CacheStore) -> bool:
            action(store)
            return True

        return self.ask(question, otherwise=False)

    def forget(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()
        self._shared, self._of_fleet = None, None

    def _store(self) -> CacheStore | None:
        if self._given is not None:
            return self._given
        shared = self._fleet.shared
        if shared != self._shared:
            with self._lock:
                self._of_fleet = (
                    None
                    if shared is None
                    else RedisCacheStore(store_client(shared.url), namespace=shared.namespace)
                )
                self._shared = shared
                self._away_until, self._is_lost = 0.0, False
        return self._of_fleet

    def _may_ask(self) -> bool:
        if not self._is_lost:
            return True
        with self._lock:
            now = self._fleet.clock.monotonic()
            if now < self._away_until:
                return False
            self._away_until = now + AWAY_SECONDS
            return True

    def _lose(self, why: str) -> None:
        with self._lock:
            was_lost, self._is_lost = self._is_lost, True
            self._away_until = self._fleet.clock.monotonic() + AWAY_SECONDS
        if not was_lost:
            self._fleet.emit(CacheStoreLost(self._cache, error=why))

    def _find(self) -> None:
        if not self._is_lost:
            return
        with self._lock:
            was_lost, self._is_lost = self._is_lost, False
            self._away_until = 0.0
        if was_lost:
            self._fleet.emit(CacheStoreFound(self._cache))
