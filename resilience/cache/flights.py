"""One flight per key: of many callers in a process who want the same, one fetches it and all get it."""

import asyncio
import contextlib
import threading
from asyncio import AbstractEventLoop
from concurrent.futures import Future
from typing import Any

from holdfast.jobs.errors import DeadlinePassed
from holdfast.resilience.faults import Fault, classify


class Abandoned(Exception):
    """Whoever flew was stopped; nobody else is meant, so who waited flies by themselves."""

    def __init__(self, why: BaseException) -> None:
        """Keep what stopped it."""
        super().__init__(repr(why))
        self.why = why


class Flight:
    """An answer on its way."""

    def __init__(self, loop: AbstractEventLoop | None, *, is_behind: bool = False) -> None:
        """Fly on this event loop; None: on a thread. `is_behind`: who asked has an older answer already."""
        self.loop = loop
        self.is_behind = is_behind
        self.task: asyncio.Task[Any] | None = None
        self.waiting = 0
        self.is_void = False
        """Somebody invalidated the key meanwhile: who waits gets the answer, and nobody later."""
        self.result: Future[bytes | None] = Future()
        """The answer as JSON; None: there is none, and who waited flies by themselves."""

    @property
    def is_dead(self) -> bool:
        """Tell whether nobody can end it: its event loop is closed."""
        return self.loop is not None and self.loop.is_closed()


class Flights:
    """The flights of one cache. All methods may be called from any thread."""

    def __init__(self, *, most_behind: int) -> None:
        """Begin with none; so many may be behind at one time."""
        self._most_behind = most_behind
        self._behind = 0
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Return how many wait for an answer; one behind counts as one."""
        with self._lock:
            return sum(flight.waiting for flight in self._flights.values())

    def board(self, key: str, loop: AbstractEventLoop | None) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether the caller is the one who flies it."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and not flight.is_dead:
                flight.waiting += 1
                return flight, False
            flight = self._flights[key] = Flight(loop)
            flight.waiting = 1
            return flight, True

    def begin_behind(self, key: str, loop: AbstractEventLoop | None) -> Flight | None:
        """Return a new flight behind, unless there is one of this key already, or too many are."""
        with self._lock:
            flight = self._flights.get(key)
            is_there = flight is not None and not flight.is_dead
            if is_there or self._behind >= self._most_behind:
                return None
            flight = self._flights[key] = Flight(loop, is_behind=True)
            flight.waiting = 1  # whoever began it wants it to end
            self._behind += 1
            return flight

    def leave(self, key: str, flight: Flight) -> None:
        """Wait no more. The last one who leaves ends a flight on an event loop: nobody wants its answer."""
        with self._lock:
            flight.waiting -= 1
            if flight.waiting > 0 or flight.loop is None or flight.result.done():
                return
            self._drop(key, flight)
        if flight.task is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                flight.loop.call_soon_threadsafe(flight.task.cancel)

    def land(self, key: str, flight: Flight, text: bytes | None) -> None:
        """End with an answer."""
        self._end(key, flight)
        if not flight.result.done():
            flight.result.set_result(text)

    def fail(self, key: str, flight: Flight, error: BaseException) -> None:
        """End with an error: all who wait get the same, unless it is the flier's own end."""
        self._end(key, flight)
        if not flight.result.done():
            flight.result.set_exception(Abandoned(error) if _is_own(error) else error)

    def void(self, key: str) -> None:
        """Say that the answer on its way is not to be kept, nor given to who comes from now on."""
        with self._lock:
            flight = self._flights.pop(key, None)
            if flight is not None:
                flight.is_void = True

    def void_all(self) -> None:
        """Say the same of all."""
        with self._lock:
            for flight in self._flights.values():
                flight.is_void = True
            self._flights.clear()

    def forget(self) -> None:
        """Begin anew in a forked child: who flew is not there."""
        self._lock = threading.Lock()
        self._flights = {}
        self._behind = 0

    def _end(self, key: str, flight: Flight) -> None:
        with self._lock:
            self._drop(key, flight)
            if flight.is_behind:
                self._behind -= 1

    def _drop(self, key: str, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def _is_own(error: BaseException) -> bool:
    """Tell whether an error says something about the flier alone: it was stopped, or its time was over."""
    return isinstance(error, DeadlinePassed) or classify(error) is Fault.NEUTRAL
