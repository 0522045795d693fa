"""The way to the thread that owns Celery's connection: acknowledgements, events, state."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

_log: Final = logging.getLogger(__name__)


class KombuHub(Protocol):
    """What we need of kombu's event loop: `call_soon` is thread-safe and wakes it."""

    def call_soon(self, callback: Callable[[], object]) -> object:
        """Run this in the next turn of the loop."""
        ...


class HubLink:
    """Hands work to Celery's hub; without a hub (start, stop) it runs in place."""

    def __init__(self) -> None:
        """Start unattached."""
        self._hub: KombuHub | None = None
        self._work: deque[Callable[[], object]] = deque()
        self._is_due = False
        self._dispatcher: Callable[[], Any] = _no_dispatcher

    def attach(self, hub: KombuHub) -> None:
        """Use this hub from now on; called again after each reconnect.

        A hub that broke off in the middle of its callbacks has forgotten the
        others, ours perhaps among them: so what waits is asked for anew.
        """
        self._hub = hub
        self._is_due = False
        self.wake()

    def detach(self) -> None:
        """Stop using the hub: it turns no more while Celery stops the pool."""
        self._hub = None
        self._drain()

    def use_dispatcher(self, dispatcher: Callable[[], Any]) -> None:
        """Say how to find the consumer's event dispatcher, which changes at each reconnect."""
        self._dispatcher = dispatcher

    def post(self, work: Callable[[], object]) -> None:
        """Run this on the hub's thread soon. What is posted together wakes the hub once."""
        self._work.append(work)
        hub = self._hub
        if hub is None:
            self._drain()
        elif not self._is_due:
            self._is_due = True
            hub.call_soon(self._drain)

    def wake(self) -> None:
        """Let the hub look again whether it may consume; or it would sleep on for up to a second."""
        if self._hub is not None:
            self.post(_nothing)

    def send_event(self, kind: str, **fields: object) -> None:
        """Send a worker event if somebody wants events; on the hub's thread."""
        dispatcher = self._dispatcher()
        if dispatcher is None or not dispatcher.enabled:
            return
        try:
            dispatcher.send(kind, **fields)
        except Exception as error:  # noqa: BLE001 -- an event that could not be sent is no reason to stop
            _log.debug("a worker event was not sent: %r", error)

    def _drain(self) -> None:
        self._is_due = False
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            try:
                work()
            except Exception:  # noqa: BLE001 -- the next acknowledgement must not suffer for this one
                _log.exception("a callback on the hub failed")


def _nothing() -> None:
    """Do nothing."""


def _no_dispatcher() -> None:
    return None
