"""The shape of a background service and the thread that runs several of them."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import LedgerUnavailable
from holdfast.jobs.events import Events, ServiceFailed

_LONGEST_ERROR = 500
_LONGEST_WAIT = 0.25


class Service(Protocol):
    """A bounded piece of work, done again and again."""

    @property
    def name(self) -> str:
        """What it is called in events."""
        ...

    @property
    def pause_seconds(self) -> float:
        """How long it rests when there is nothing left to do."""
        ...

    def run_once(self) -> bool:
        """Do a piece of work; True says that there is more at once."""
        ...


class ServiceThread:
    """Runs services on one thread, each at its own pace, while `leads` says so.

    A service that fails is reported and tried again after its pause; the
    others go on. `start` and `stop` may come in any order and twice.
    """

    def __init__(
        self,
        name: str,
        services: Sequence[Service],
        *,
        leads: Callable[[], bool],
        events: Events,
        clock: Clock,
    ) -> None:
        """Prepare; `leads` is asked before each round and may raise LedgerUnavailable."""
        self._services = tuple(services)
        self._leads = leads
        self._events = events
        self._clock = clock
        self._due = dict.fromkeys((service.name for service in self._services), 0.0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._was_started = False

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if not self._was_started and not self._stop.is_set():
            self._was_started = True
            self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End after the piece of work that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            is_leader = self._is_leader()
            if is_leader:
                self._round()
            self._stop.wait(self._rest(is_leader=is_leader))

    def _is_leader(self) -> bool:
        try:
            return self._leads()
        except LedgerUnavailable:
            return False
        except Exception as error:  # noqa: BLE001 -- a question that fails must not end the services for good
            self._fail(self._thread.name, error)
            return False

    def _round(self) -> None:
        for service in self._services:
            if self._stop.is_set():
                return
            now = self._clock.monotonic()
            if now >= self._due[service.name]:
                self._due[service.name] = now if self._run_service(service) else now + service.pause_seconds

    def _run_service(self, service: Service) -> bool:
        try:
            return service.run_once()
        except LedgerUnavailable:
            # The heartbeat tells of it; one voice is enough.
            return False
        except Exception as error:  # noqa: BLE001 -- one broken service must not stop the rescue of jobs
            self._fail(service.name, error)
            return False

    def _fail(self, name: str, error: Exception) -> None:
        self._events.emit(ServiceFailed(service=name, error=repr(error)[:_LONGEST_ERROR]))

    def _rest(self, *, is_leader: bool) -> float:
        if not is_leader or not self._due:
            return _LONGEST_WAIT
        return min(max(min(self._due.values()) - self._clock.monotonic(), 0.0), _LONGEST_WAIT)
