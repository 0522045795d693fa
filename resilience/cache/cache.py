"""A cache in two levels: this process's memory, then the Redis that the fleet shares.

    answers = Cache("embeddings", ttl_seconds=600, stale_seconds=3600)
    vector = await answers.aget_or_call([model, text], lambda: embed(model, text))

It needs no setting up: without a Redis it is this process's alone, and it is so
while its Redis is lost. That is told once (CacheStoreLost) and is nobody's error.
"""

import asyncio
import contextvars
import json
import os
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakSet

from holdfast.jobs.codec import Json, canonical
from holdfast.jobs.errors import AttemptTimeout, RejectedError
from holdfast.jobs.upstream_events import CacheRefreshFailed
from holdfast.resilience.breaker.ticket import LONGEST_UPSTREAM, is_upstream
from holdfast.resilience.cache.fetcher import Fetcher, as_text
from holdfast.resilience.cache.flights import Abandoned, Flight, Flights
from holdfast.resilience.cache.lifetimes import DAY_SECONDS, Freshness, Lifetimes
from holdfast.resilience.cache.link import Link
from holdfast.resilience.cache.shelf import Shelf
from holdfast.resilience.cache.steps import Plan, arun, run
from holdfast.resilience.cache.store import CacheStore, cache_key
from holdfast.resilience.fleet import FLEET, Fleet
from holdfast.resilience.guard.frame import time_left

T = TypeVar("T")
MOST_ENTRIES: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024
RECHECK_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 2.0
MOST_BEHIND: Final = 16
"""New answers of one cache that are fetched behind at one time; the others stay stale a little longer."""
_GIVEN: Final = frozenset({Freshness.FRESH, Freshness.STALE})
_FLYING: Final[ContextVar[frozenset[str]]] = ContextVar("holdfast_cache_flying", default=frozenset())
"""The keys whose answers this very code is making: it cannot wait for itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer."""

    value: Json
    age_seconds: float
    """Since it was made, whichever process made it."""


class Cache:
    """Keeps the answers of one function. All methods may be called from any thread and any event loop.

    Values are strict JSON and come back as such, also to the one who made them:
    a tuple as a list, a model as a dict. What raised is not kept, and neither
    are None and what is larger than 1 MiB. Methods with an `a` in front do the
    same on an event loop, without blocking it.
    """

    def __init__(
        self,
        name: str,
        *,
        ttl_seconds: float,
        stale_seconds: float = 0.0,
        stale_if_error_seconds: float = DAY_SECONDS,
        version: int | str = 1,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
        recheck_seconds: float = RECHECK_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        store: CacheStore | None = None,
        fleet: Fleet = FLEET,
    ) -> None:
        """Name the cache as all processes that share it do; another `version` shares nothing with this one.

        An answer is fresh for `ttl_seconds`. For `stale_seconds` more it is given
        at once while one caller in the fleet fetches a new one behind. `lookup`
        finds it until `stale_if_error_seconds` after it was made. This process
        keeps `most_entries` answers and `most_bytes` in memory, and trusts a copy
        for `recheck_seconds` before it asks the fleet again whether it still
        counts. Who has nothing to give waits `patience_seconds` for another
        process that makes the answer. `store` is None for the Redis of the fleet.
        Raises ValueError for a name or for times that make no sense.
        """
        if not is_upstream(name):
            raise ValueError(f"a cache's name must be 1 to {LONGEST_UPSTREAM} printable characters")
        self.name = name
        self.version = version
        self._fleet = fleet
        self._lifetimes = Lifetimes(ttl_seconds, stale_seconds, stale_if_error_seconds)
        self._shelf = Shelf(most_entries=most_entries, most_bytes=most_bytes)
        self._link = Link(name, fleet, store)
        self._flights = Flights(most_behind=MOST_BEHIND)
        self._fetcher = Fetcher(name, self._shelf, self._lifetimes, recheck_seconds, patience_seconds, fleet)
        _CACHES.add(self)

    # Ask, and make what is missing.

    def get_or_call(self, parts: object, function: Callable[[], object], *, tenant: str = "") -> Json:
        """Return the answer to `parts`, or make it by this function, once for all who ask meanwhile.

        `parts` is anything that JSON can hold and that tells one answer from
        another; tenants do not see each other's. What the function raises is
        raised to all who waited, and the next call tries again; if it was only
        stopped (a cancelled job, a signal), who waited makes it by itself.
        Raises InvalidJson for parts and values that are not JSON, and
        AttemptTimeout where the time of this attempt is over before another
        thread has the answer.
        """
        key = self.key(parts, tenant=tenant)
        if key in _FLYING.get():
            return _value(as_text(function()))
        text = self._at_hand(key)
        while text is None:
            flight, is_ours = self._flights.board(key, None)
            text = self._fly(key, flight, function) if is_ours else self._join(key, flight, function)
        self._refresh_if_stale(key, function)
        return _value(text)

    async def aget_or_call(
        self, parts: object, function: Callable[[], Awaitable[object]], *, tenant: str = ""
    ) -> Json:
        """Do the same on an event loop. Who is cancelled stops nobody else; the last one ends the call."""
        key = self.key(parts, tenant=tenant)
        if key in _FLYING.get():
            return _value(as_text(await function()))
        text = self._at_hand(key)
        while text is None:
            flight, is_ours = self._flights.board(key, asyncio.get_running_loop())
            if is_ours:
                self._afly(key, flight, function)
            text = await self._ajoin(key, flight, is_ours=is_ours)
        self._arefresh_if_stale(key, function)
        return _value(text)

    # Ask only.

    def lookup(self, parts: object, *, tenant: str = "", stale_if_error: bool = False) -> Entry | None:
        """Return a kept answer and its age; None if there is none that counts.

        `stale_if_error`: the upstream does not answer, so an old one is better than none.
        """
        key = self.key(parts, tenant=tenant)
        if self._fetcher.present(key, can_ask=self._link.is_worth_asking()) is None:
            self._do(self._fetcher.look(key))
        return self._entry(key, stale_if_error=stale_if_error)

    async def alookup(self, parts: object, *, tenant: str = "", stale_if_error: bool = False) -> Entry | None:
        """Do the same on an event loop."""
        key = self.key(parts, tenant=tenant)
        if self._fetcher.present(key, can_ask=self._link.is_worth_asking()) is None:
            await self._ado(self._fetcher.look(key))
        return self._entry(key, stale_if_error=stale_if_error)

    # Change what is kept.

    def put(self, parts: object, value: object, *, tenant: str = "") -> None:
        """Keep an answer that was made elsewhere. Raises InvalidJson."""
        self._do(self._fetcher.put(self.key(parts, tenant=tenant), as_text(value)))

    async def aput(self, parts: object, value: object, *, tenant: str = "") -> None:
        """Do the same on an event loop."""
        await self._ado(self._fetcher.put(self.key(parts, tenant=tenant), as_text(value)))

    def invalidate(self, parts: object, *, tenant: str = "") -> bool:
        """Forget an answer, here at once and in other processes within `recheck_seconds`.

        An answer that this process is making is not kept; one that another
        process is making is. False: there is a shared store, and it could not be
        told, so do it again.
        """
        key = self.key(parts, tenant=tenant)
        self._flights.void(key)
        return self._do(self._fetcher.remove(key)) or self._link.is_alone

    async def ainvalidate(self, parts: object, *, tenant: str = "") -> bool:
        """Do the same on an event loop."""
        key = self.key(parts, tenant=tenant)
        self._flights.void(key)
        return await self._ado(self._fetcher.remove(key)) or self._link.is_alone

    def invalidate_all(self) -> bool:
        """Forget every answer of this name, in every version and of every tenant, as `invalidate` does."""
        self._forget_own()
        return self._do(self._fetcher.begin_era()) or self._link.is_alone

    async def ainvalidate_all(self) -> bool:
        """Do the same on an event loop."""
        self._forget_own()
        return await self._ado(self._fetcher.begin_era()) or self._link.is_alone

    def key(self, parts: object, *, tenant: str = "") -> str:
        """Return the SHA-256 under which the answer to `parts` is kept. Raises InvalidJson."""
        return cache_key(self.name, self.version, canonical(parts), tenant)

    @property
    def waiting(self) -> int:
        """Return how many callers of this process wait for an answer that is being made."""
        return self._flights.waiting

    def forget(self) -> None:
        """Begin anew in a forked child: threads and loops are not there, and locks may be held."""
        self._shelf.forget()
        self._link.forget()
        self._flights.forget()

    # What is at hand.

    def _at_hand(self, key: str) -> bytes | None:
        present = self._fetcher.present(key, can_ask=self._link.is_worth_asking())
        if present is None or present[1] not in _GIVEN:
            return None
        return present[0].text

    def _entry(self, key: str, *, stale_if_error: bool) -> Entry | None:
        present = self._fetcher.present(key, can_ask=False)
        if present is None:
            return None
        copy, freshness = present
        if freshness in _GIVEN or (stale_if_error and freshness is Freshness.OLD):
            return Entry(_value(copy.text), max(self._fleet.clock.monotonic() - copy.made_at, 0.0))
        return None

    def _forget_own(self) -> None:
        self._flights.void_all()
        self._shelf.clear()

    def _do(self, plan: Plan[T]) -> T:
        return run(plan, self._link, _make_nothing)

    async def _ado(self, plan: Plan[T]) -> T:
        return await arun(plan, self._link, _amake_nothing)

    # A flight on a thread.

    def _fly(self, key: str, flight: Flight, function: Callable[[], object]) -> bytes | None:
        token = _FLYING.set(_FLYING.get() | {key})
        try:
            plan = self._fetcher.fetch(key, flight, is_behind=flight.is_behind)
            text = run(plan, self._link, function)
        except BaseException as error:
            self._flights.fail(key, flight, error)
            raise
        finally:
            _FLYING.reset(token)
        self._flights.land(key, flight, text)
        return text

    def _join(self, key: str, flight: Flight, function: Callable[[], object]) -> bytes | None:
        try:
            if flight.loop is not None and flight.loop is _running_loop():
                # To wait here would stop the loop that is to bring the answer.
                return as_text(function())
            return flight.result.result(timeout=time_left())
        except Abandoned:
            return None
        except TimeoutError as error:
            if flight.result.done():
                raise
            raise AttemptTimeout(detail=f"an answer of the cache {self.name} was still on its way") from error
        finally:
            self._flights.leave(key, flight)

    def _refresh_if_stale(self, key: str, function: Callable[[], object]) -> None:
        flight = self._begin_behind(key, None)
        if flight is None:
            return
        try:
            # A new thread has an empty context: what is fetched behind belongs to no job.
            threading.Thread(target=self._fly_behind, args=(key, flight, function), daemon=True).start()
        except RuntimeError:
            # No thread is to be had; a later caller tries again.
            self._flights.land(key, flight, None)

    def _fly_behind(self, key: str, flight: Flight, function: Callable[[], object]) -> None:
        error: BaseException | None = None
        try:
            self._fly(key, flight, function)
        except Exception as raised:  # noqa: BLE001 -- nobody waits for it; it is told as an event
            error = raised
        self._end_behind(key, error)

    # A flight on an event loop: a task of its own, which nobody's cancellation stops.

    def _afly(self, key: str, flight: Flight, function: Callable[[], Awaitable[object]]) -> None:
        # What is fetched behind belongs to no job.
        context = contextvars.Context() if flight.is_behind else contextvars.copy_context()
        context.run(_FLYING.set, context.run(_FLYING.get) | {key})
        loop = asyncio.get_running_loop()
        flight.task = loop.create_task(self._fly_as_task(key, flight, function), context=context)
        flight.task.add_done_callback(lambda _: self._end_task(key, flight))

    async def _fly_as_task(self, key: str, flight: Flight, function: Callable[[], Awaitable[object]]) -> None:
        is_behind = flight.is_behind
        try:
            plan = self._fetcher.fetch(key, flight, is_behind=is_behind)
            text = await arun(plan, self._link, function)
        except BaseException as error:
            self._flights.fail(key, flight, error)
            if is_behind:
                self._end_behind(key, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._flights.land(key, flight, text)
            if is_behind:
                self._end_behind(key, None)

    def _end_task(self, key: str, flight: Flight) -> None:
        if not flight.result.done():
            # It was cancelled before it began.
            self._flights.fail(key, flight, asyncio.CancelledError())

    async def _ajoin(self, key: str, flight: Flight, *, is_ours: bool) -> bytes | None:
        try:
            return await asyncio.shield(asyncio.wrap_future(flight.result))
        except Abandoned as end:
            if is_ours:
                raise end.why from None
            return None
        finally:
            self._flights.leave(key, flight)

    def _arefresh_if_stale(self, key: str, function: Callable[[], Awaitable[object]]) -> None:
        flight = self._begin_behind(key, asyncio.get_running_loop())
        if flight is not None:
            self._afly(key, flight, function)

    # Both.

    def _begin_behind(self, key: str, loop: asyncio.AbstractEventLoop | None) -> Flight | None:
        present = self._fetcher.present(key, can_ask=False)
        if present is None or present[1] is not Freshness.STALE:
            return None
        if self._fleet.clock.monotonic() < present[0].refresh_at:
            return None
        return self._flights.begin_behind(key, loop)

    def _end_behind(self, key: str, error: BaseException | None) -> None:
        self._fetcher.hold(key)
        if error is not None and not isinstance(error, (RejectedError, asyncio.CancelledError)):
            self._fleet.emit(CacheRefreshFailed(self.name, type(error).__qualname__))


def _value(text: bytes) -> Json:
    value: Json = json.loads(text)
    return value


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _make_nothing() -> None:
    """Stand where a plan makes nothing."""


async def _amake_nothing() -> None:
    """Stand where a plan makes nothing."""


def _forget_all() -> None:
    for cache in list(_CACHES):
        cache.forget()


_CACHES: Final[WeakSet[Any]] = WeakSet()
os.register_at_fork(after_in_child=_forget_all)
