"""The pool that Celery sees: an event loop for our jobs, threads for plain Celery tasks.

Our tasks never come here as requests: their rings go through
`workers/strategy.py` to the gate. What Celery hands over with `apply_async`
are plain Celery tasks, and they run through its own tracer on a thread, so
that `self.retry()`, canvas and time of acknowledgement stay Celery's.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, Final

from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool, apply_target
from celery.exceptions import ImproperlyConfigured

from holdfast.workers.runtime import Runtime
from holdfast.workers.starting import told_in_one_line
from holdfast.workers.threads import DaemonThreads

_LOOK_SECONDS: Final = 0.1
"""How soon a plain Celery task that is waited for is given up when the worker is asked to hurry."""


class PlainCall:
    """A plain Celery task that waits for, or has, a thread. Celery keeps a weak reference to it."""

    def __init__(self, future: "Future[None]") -> None:
        """Stand for this call."""
        self._future = future

    def terminate(self, signal: object = None) -> None:
        """End the call if it has not begun; a running thread cannot be ended."""
        del signal
        self._future.cancel()


class AsyncioPool(BasePool):
    """Runs the worker's jobs. Celery calls it from its main thread."""

    is_green = False
    task_join_will_block = False
    signal_safe = False

    runtime: Runtime

    def __init__(self, limit: int | None = None, **options: Any) -> None:
        """Take Celery's arguments; `limit` is the number of slots."""
        super().__init__(limit or 1, **options)
        if options.get("threads"):
            raise ImproperlyConfigured(
                "Holdfast needs Celery's hub event loop, which this broker or platform does not give: "
                "acknowledgements from another thread would be unsafe. Use Redis or RabbitMQ, Linux or macOS."
            )
        hostname = options.get("initargs", (None, ""))[1]
        self.runtime = self.app.make_runtime(slots=self.limit, hostname=str(hostname))
        self._plain = DaemonThreads(self.runtime.config.threads, name="holdfast-plain")
        self._calls: set[Future[None]] = set()
        self._is_stopped = False

    @property
    def ring_window(self) -> int:
        """Return how many messages may be held unacknowledged."""
        return self.runtime.config.ring_window

    def on_start(self) -> None:
        """Start the runtime: register, beat, claim. Ends the program if that makes no sense."""
        with told_in_one_line():
            self.runtime.start()

    def register_with_event_loop(self, loop: Any) -> None:
        """Take Celery's hub; called again after each reconnect."""
        self.runtime.hub.attach(loop)

    def on_apply(  # type: ignore[override]  # noqa: PLR0917 -- Celery's real signature; the stub says (*args, **kwargs)
        self,
        target: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        accept_callback: Callable[..., Any] | None = None,
        callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> PlainCall:
        """Run a plain Celery task on a thread."""
        call = self._plain.submit(
            partial(
                self._run_plain,
                target,
                tuple(args),
                dict(kwargs),
                accept_callback,
                callback,
                error_callback,
            )
        )
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return PlainCall(call)

    def _run_plain(  # noqa: PLR0917 -- what Celery wants to be told
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        accepted: Callable[..., Any] | None,
        succeeded: Callable[..., Any] | None,
        failed: Callable[..., Any] | None,
    ) -> None:
        hub = self.runtime.hub
        try:
            apply_target(
                target,
                args,
                kwargs,
                callback=lambda value: hub.post(lambda: _tell(value, succeeded, failed)),
                accept_callback=None
                if accepted is None
                else lambda pid, at: hub.post(lambda: accepted(pid, at)),
            )
        except Exception:  # noqa: BLE001 -- a fault after the body would leak the request and its slot
            if failed is not None:
                info = ExceptionInfo()
                hub.post(lambda: failed(info))

    def _wait_for_plain(self, ends_at: float) -> None:
        # They were acknowledged when they began, so nobody else would run them.
        while self._calls and not self.runtime.drain.is_hurried and (left := ends_at - time.monotonic()) > 0:
            wait(self._calls, timeout=min(left, _LOOK_SECONDS))

    def begin_drain(self) -> None:
        """Claim nothing more. Safe in a signal handler."""
        self.runtime.begin_drain()

    def on_close(self) -> None:
        """Begin to drain: Celery closes the pool before it stops it."""
        self.begin_drain()

    def on_stop(self) -> None:
        """Wait for what runs within the grace, hand our jobs back, and leave. On the main thread."""
        if self._is_stopped:
            return
        self._is_stopped = True
        ends_at = time.monotonic() + self.runtime.config.grace_seconds
        self.begin_drain()
        self.runtime.hub.detach()
        self._plain.close()
        # First, as the process ends soon after the runtime has left; our own jobs end meanwhile.
        self._wait_for_plain(ends_at)
        self.runtime.stop()

    def on_terminate(self) -> None:
        """Do the same as `on_stop`: a cold shutdown differs in nothing that a job could feel."""
        self.on_stop()

    def flush(self) -> None:
        """Forget the rings of a lost connection: they cannot be acknowledged any more."""
        self.runtime.on_connection_lost()

    def terminate_job(self, pid: int, signal: object = None) -> None:
        """Do nothing: threads cannot be killed, and our jobs are cancelled through the ledger."""
        del pid, signal

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),  # type: ignore[misc]  # the stub lacks it
            "slots": self.runtime.gate.slots,
            "free-slots": self.runtime.gate.free,
            "threads": self.runtime.config.threads,
            "ring-window": self.ring_window,
        }


def _tell(value: Any, succeeded: Callable[..., Any] | None, failed: Callable[..., Any] | None) -> None:
    # Celery hands over an ExceptionInfo for what is no Exception, sys.exit() for one, where a result
    # belongs; the request cannot unpack it, and would stay among the active ones for ever.
    told = failed if isinstance(value, ExceptionInfo) else succeeded
    if told is not None:
        told(value)
