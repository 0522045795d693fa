"""The errand of an attempt: on whose behalf its handler calls upstreams, until when, with which tickets."""

import asyncio
from functools import partial
from time import monotonic
from typing import Final

from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import RejectedError
from holdfast.jobs.events import Events, ServiceFailed
from holdfast.resilience.breaker.verdict import Ending
from holdfast.resilience.errand import Errand
from holdfast.resilience.verdicts import verdict_of
from holdfast.tasks.spec import TaskSpec
from holdfast.workers.attempt import RunningAttempt
from holdfast.workers.limits import Limits, seconds_to_deadline
from holdfast.workers.threads import DaemonThreads
from holdfast.workers.upstreams import Upstreams

GIVE_BACK_SECONDS: Final = 0.5
"""The end of an attempt waits no longer for a store; a ticket that stays away expires by itself."""
_LONGEST_ERROR: Final = 500
_ONCE: Final = 1
_DEEPEST_CAUSE: Final = 8


class Errands:
    """Sends handlers on their errands, and brings back what they did not use. On the event loop."""

    def __init__(
        self, upstreams: Upstreams, *, threads: DaemonThreads, events: Events, clock: Clock, limits: Limits
    ) -> None:
        """Ask these upstreams; tickets are given back on one of the threads."""
        self._upstreams = upstreams
        self._threads = threads
        self._events = events
        self._clock = clock
        self._limits = limits

    def refusal(self, attempt: RunningAttempt, spec: TaskSpec) -> RejectedError | None:
        """Return why the handler is not to be started now: one of its upstreams takes no calls."""
        for upstream in spec.upstreams:
            try:
                refused = self._upstreams.refusal(upstream, attempt.errand.tickets.get(upstream))
            except Exception as error:  # noqa: BLE001 -- what only protects a job must not be what stops it
                self._fail(error)
                continue
            if refused is not None:
                return refused
        return None

    def outage(self, attempt: RunningAttempt, error: BaseException) -> RejectedError | None:
        """Return the refusal that a handler's error amounts to: its upstream failed, and takes no calls now.

        So a probe that fails, or one of the calls that opened the breaker, costs its job no attempt.
        """
        failed = attempt.errand.failed
        if failed is None or not attempt.errand.is_parkable or not _comes_from(error, failed[1]):
            return None
        if verdict_of(failed[1], self._clock).ending not in {Ending.FAILED, Ending.PUSHED}:
            return None
        try:
            return self._upstreams.refusal(failed[0], None)
        except Exception as fault:  # noqa: BLE001 -- as above
            self._fail(fault)
            return None

    def begin(self, attempt: RunningAttempt, spec: TaskSpec) -> Errand:
        """Say until when calls may take, and whether a refusal may come at once; the handler starts now.

        A task that may be started once only cannot come back later: its calls wait as long as they can.
        """
        errand, job = attempt.errand, attempt.claim.job
        hard = self._limits.hard(job, spec)
        ends = self._clock.monotonic() + min(self._limits.soft(job, spec) or hard, hard)
        if (left := seconds_to_deadline(job)) is not None:
            ends = min(ends, attempt.started_at + left)
        # Guards go by the machine's clock, also where a test moves the worker's.
        errand.deadline = monotonic() + (ends - self._clock.monotonic())
        errand.is_parkable = spec.retry.max_attempts > _ONCE
        return errand

    async def give_back(self, attempt: RunningAttempt) -> None:
        """Give back the tickets that no call has used; may be called twice."""
        tickets = tuple(attempt.errand.tickets.values())
        attempt.errand.tickets.clear()
        if not tickets:
            return
        calls = [self._threads.submit(partial(self._upstreams.unused, ticket)) for ticket in tickets]
        done, _ = await asyncio.wait({asyncio.wrap_future(call) for call in calls}, timeout=GIVE_BACK_SECONDS)
        for one in done:
            if not one.cancelled() and (error := one.exception()) is not None:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._events.emit(ServiceFailed(service="upstreams", error=repr(error)[:_LONGEST_ERROR]))


def _comes_from(error: BaseException, failure: BaseException) -> bool:
    """Tell whether an error is a failure, or was raised while that was handled."""
    link: BaseException | None = error
    for _ in range(_DEEPEST_CAUSE):
        if link is failure:
            return True
        if link is None:
            return False
        link = link.__cause__ or link.__context__
    return False
