"""Hears the turns that other processes made, within milliseconds: a thread on a subscription of its own."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from holdfast.jobs.clock import random_fraction
from holdfast.resilience.breaker.message import Reply
from holdfast.resilience.breaker.wire import reply_of_json

LISTEN_SECONDS: Final = 0.2
"""How long a look for a message takes at most: a request to stop waits no longer."""
PING_SECONDS: Final = 2.0
"""How often a silent connection is asked for a word."""
MISSED_SECONDS: Final = 5.0
"""A connection that gave no word for so long is gone, whatever the kernel says."""
LONGEST_REST_SECONDS: Final = 5.0
"""Between two tries to connect."""
Hear = Callable[[str, Reply], object]


class Listener:
    """Subscribes to the channel of turns, for as long as it runs."""

    def __init__(self, connect: Callable[[], Redis], channel: str, monotonic: Callable[[], float]) -> None:
        """Listen on this channel; `connect` makes a client, whose connection is this thread's own."""
        self._connect = connect
        self._channel = channel
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, hear: Hear, on_state: Callable[[bool], object]) -> None:
        """Begin, on a daemon thread; `on_state` is told whether turns are heard from now on."""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop, hear, on_state), name="holdfast-turns", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End within a moment."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, stop: threading.Event, hear: Hear, on_state: Callable[[bool], object]) -> None:
        rest = LISTEN_SECONDS
        while not stop.is_set():
            try:
                with closing(self._connect()) as client, closing(_subscription(client)) as subscription:
                    subscription.subscribe(self._channel)
                    rest = LISTEN_SECONDS
                    self._listen(subscription, stop, hear, on_state)
            except (RedisError, OSError):
                on_state(False)  # noqa: FBT003 -- the one meaning of the callback
                stop.wait(rest * (0.5 + 0.5 * random_fraction()))
                rest = min(rest * 2, LONGEST_REST_SECONDS)

    def _listen(
        self,
        subscription: Any,  # noqa: ANN401 -- redis types it by nothing narrower
        stop: threading.Event,
        hear: Hear,
        on_state: Callable[[bool], object],
    ) -> None:
        heard_at = asked_at = self._monotonic()
        while not stop.is_set():
            message = subscription.get_message(timeout=LISTEN_SECONDS)
            now = self._monotonic()
            if message is None:
                if now - heard_at > MISSED_SECONDS:
                    raise ConnectionError("the subscription is silent")
                if now - asked_at > PING_SECONDS:
                    asked_at = now
                    subscription.ping()
                continue
            heard_at = now
            match message["type"]:
                case "subscribe":
                    on_state(True)  # noqa: FBT003 -- the one meaning of the callback
                case "message":
                    _pass_on(message["data"], hear)
                case _:
                    pass


def _subscription(client: Any) -> Any:  # noqa: ANN401 -- redis types neither
    return client.pubsub()


def _pass_on(data: bytes, hear: Hear) -> None:
    try:
        told = json.loads(data)
        name, reply = str(told["name"]), reply_of_json(json.dumps(told["reply"]))
    except (ValueError, KeyError, TypeError):
        # Anybody may publish; what is no turn is passed over, and the next poll tells what is true.
        return
    hear(name, reply)
