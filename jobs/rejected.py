"""Refusals: the call, or the job, was not begun, and may be later."""

from holdfast.jobs.platform_error import PlatformError


class RejectedError(PlatformError):
    """The call was not made."""

    code = "rejected"
    refused_by: str = ""
    """The guard that did not make the call, if one did not: guards around it do not wait for it again."""

    def __init__(
        self,
        *,
        upstream: str = "",
        retry_after_seconds: float | None = None,
        detail: str = "",
        hint: str = "",
    ) -> None:
        """Say whose call was not made, and when it may be tried again, if that is known.

        With an `upstream`, jobs wait for that: its releaser knows better than a time when it is back.
        Without one, the time is all there is.
        """
        self.upstream = upstream
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail=detail, hint=hint)


class BreakerOpen(RejectedError):
    """The upstream's breaker is open."""

    code = "breaker_open"


class RateLimited(RejectedError):
    """The rate limit is spent."""

    code = "rate_limited"


class BulkheadFull(RejectedError):
    """No permit is free."""

    code = "bulkhead_full"


class BudgetExhausted(RejectedError):
    """The budget is spent."""

    code = "budget_exhausted"


class DeadlinePassed(RejectedError):
    """The deadline has passed."""

    code = "deadline_passed"


class QueueFull(RejectedError):
    """The queue is full."""

    code = "queue_full"

    def __init__(
        self, *, queue: str, job_class: str, limit: int, free: int, asked: int, retry_after_seconds: float
    ) -> None:
        """Refuse `asked` new jobs of a class, of which `free` would fit; nothing of them was written."""
        self.queue, self.job_class, self.limit, self.asked = queue, job_class, limit, asked
        self.free = max(free, 0)
        self.waiting = limit - self.free
        said = f"{self.waiting} of at most {limit} jobs wait in {queue}, so it takes no {job_class} ones"
        fits = f"; {self.free} would fit, {asked} were asked for" if self.free else ""
        again = f"again in {retry_after_seconds:.1f} s" if asked <= limit else f"at most {limit} at a time"
        super().__init__(
            retry_after_seconds=retry_after_seconds,
            detail=said + fits,
            hint=f"Nothing was written; enqueue {again}.",
        )
