"""What Celery's world sees of our jobs: signals, worker events, `inspect active`.

Our tasks do not run through Celery's tracer, so this adapter says what the
tracer would have said, truthfully and without arguments or results (G8).
Signals are sent on the event loop in the job's own asyncio task, since
OpenTelemetry attaches a context in prerun and detaches it in postrun; worker
events and the state tables belong to the hub's thread and are handed over.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

from billiard.einfo import ExceptionInfo
from celery import Celery, Task, signals
from celery.app.task import Context
from celery.worker import state as worker_state

from holdfast.jobs.failure import Failure
from holdfast.jobs.job import Settled
from holdfast.jobs.outcome import Cancel, Completed, Crashed, Outcome, Park, Quarantine, Retry, Snooze
from holdfast.workers.attempt import RunningAttempt

_requests: ContextVar[tuple[Context, ...]] = ContextVar("holdfast_requests", default=())


class RequestStack:
    """Celery's stack of requests, one for each context instead of each thread: a coroutine has its own."""

    def push(self, request: Context) -> None:
        """Enter a request."""
        _requests.set((*_requests.get(), request))

    def pop(self) -> Context | None:
        """Leave the innermost request."""
        stack = _requests.get()
        if not stack:
            return None
        _requests.set(stack[:-1])
        return stack[-1]

    @property
    def top(self) -> Context | None:
        """Return the innermost request."""
        stack = _requests.get()
        return stack[-1] if stack else None

    @property
    def stack(self) -> list[Context]:
        """Return all requests, the outermost first."""
        return list(_requests.get())

    def __len__(self) -> int:
        """Return how deep the stack is."""
        return len(_requests.get())


class Hub(Protocol):
    """How work gets to the thread that owns Celery's state."""

    def post(self, work: Callable[[], object]) -> None:
        """Run this on the hub's thread soon."""
        ...

    def send_event(self, kind: str, **fields: object) -> None:
        """Send a worker event, if there is a connection and somebody wants events. On the hub's thread."""
        ...


class JobRequest:
    """A running job in the shape that `inspect active` and remote control look for."""

    def __init__(self, attempt: RunningAttempt, hostname: str, cancel: Callable[[str], object]) -> None:
        """Show this attempt; `cancel` asks the ledger to cancel a job."""
        self.id = str(attempt.lease.job_id)
        self.name = attempt.claim.job.task
        self.task_name = self.name
        self.hostname = hostname
        self.time_start = time.time()  # noqa: TID251 -- shown to people by Celery, decides nothing
        self.acknowledged = True
        self._cancel = cancel

    def info(self, safe: bool = False) -> dict[str, object]:  # noqa: FBT001, FBT002 -- Celery's signature
        """Return what `inspect active` prints; no arguments."""
        del safe
        return {
            "id": self.id,
            "name": self.name,
            "args": [],
            "kwargs": {},
            "type": self.name,
            "hostname": self.hostname,
            "time_start": self.time_start,
            "acknowledged": True,
            "delivery_info": {},
            "worker_pid": None,
        }

    def terminate(self, pool: object, signal: object = None) -> None:
        """Cancel the job through the ledger: what `revoke --terminate` and Flower's button ask for."""
        del pool, signal
        self._cancel(self.id)

    def cancel(self, pool: object, signal: object = None, *, emit_retry: bool = True) -> None:
        """Do nothing: a shutdown hands jobs back by itself, a user's cancel comes through the ledger."""
        del pool, signal, emit_retry


class CeleryView:
    """Implements the executor's Watcher for Celery's eyes."""

    def __init__(self, app: Celery, hub: Hub, *, hostname: str, cancel: Callable[[str], object]) -> None:
        """Speak for this app and worker."""
        self._app = app
        self._hub = hub
        self._hostname = hostname
        self._cancel = cancel
        self._shown: dict[str, JobRequest] = {}

    def started(self, attempt: RunningAttempt) -> None:
        """Send prerun, task-received and task-started."""
        job_id, name = str(attempt.lease.job_id), attempt.claim.job.task
        task = self._task(name)
        if task is not None:
            task.request_stack.push(self._context(attempt))
            signals.task_prerun.send(sender=task, task_id=job_id, task=task, args=[], kwargs={})
        self._hub.post(lambda: self._show(attempt, job_id, name))

    def ended(
        self, attempt: RunningAttempt, result: Outcome | None, settled: Settled | None, seconds: float
    ) -> None:
        """Send the outcome's signal, postrun, and the outcome's event."""
        job_id, name = str(attempt.lease.job_id), attempt.claim.job.task
        task = self._task(name)
        if task is not None:
            self._signal(task, job_id, result, settled)
            state = settled.state.value if settled is not None and settled.state is not None else "IGNORED"
            signals.task_postrun.send(
                sender=task, task_id=job_id, task=task, args=[], kwargs={}, retval=None, state=state
            )
            task.request_stack.pop()
        self._hub.post(lambda: self._hide(job_id, result, settled, seconds))

    def _task(self, name: str) -> Any:
        task: Task[..., object] | None = self._app.tasks.get(name)
        return task

    def _context(self, attempt: RunningAttempt) -> Context:
        job = attempt.claim.job
        headers = {"traceparent": job.trace} if job.trace else {}
        return Context(
            id=str(job.id),
            task=job.task,
            hostname=self._hostname,
            headers=headers,
            traceparent=job.trace,
            retries=attempt.lease.attempt - 1,
            delivery_info={"routing_key": job.queue},
            args=[],
            kwargs={},
            called_directly=False,
        )

    def _signal(self, task: Any, job_id: str, result: Outcome | None, settled: Settled | None) -> None:
        if settled is None or result is None:
            return
        match result:
            case Completed():
                signals.task_success.send(sender=task, result=None)
            case Retry(failure=failure) | Crashed(failure=failure):
                signals.task_retry.send(
                    sender=task, request=task.request, reason=failure.message, einfo=_einfo(failure)
                )
            case Snooze() | Park():
                signals.task_retry.send(sender=task, request=task.request, reason=result.reason, einfo=None)
            case Quarantine(failure=failure):
                error = failure or Failure(type=result.reason.value, message="")
                einfo = _einfo(error)
                signals.task_failure.send(
                    sender=task,
                    task_id=job_id,
                    exception=einfo.exception,
                    args=[],
                    kwargs={},
                    traceback=einfo.tb,
                    einfo=einfo,
                )
            case Cancel():
                signals.task_revoked.send(
                    sender=task, request=task.request, terminated=True, signum=None, expired=False
                )

    def _show(self, attempt: RunningAttempt, job_id: str, name: str) -> None:
        request = JobRequest(attempt, self._hostname, self._cancel)
        self._shown[job_id] = request
        worker_state.requests[job_id] = request
        worker_state.active_requests.add(request)
        worker_state.total_count[name] += 1
        worker_state.all_total_count[0] += 1
        self._hub.send_event(
            "task-received",
            uuid=job_id,
            name=name,
            args="()",
            kwargs="{}",
            root_id=job_id,
            parent_id=None,
            retries=attempt.lease.attempt - 1,
            eta=None,
            expires=None,
        )
        self._hub.send_event("task-started", uuid=job_id)

    def _hide(self, job_id: str, result: Outcome | None, settled: Settled | None, seconds: float) -> None:
        request = self._shown.pop(job_id, None)
        worker_state.requests.pop(job_id, None)
        if request is not None:
            worker_state.active_requests.discard(request)
        kind, fields = _event(result, settled, seconds)
        self._hub.send_event(kind, uuid=job_id, **fields)


def _event(result: Outcome | None, settled: Settled | None, seconds: float) -> tuple[str, dict[str, object]]:
    if settled is None:
        # Another worker has the job, and tells its end.
        return "task-retried", {"exception": "LeaseLost()", "traceback": ""}
    match result:
        case Completed():
            return "task-succeeded", {"result": "", "runtime": seconds}
        case Quarantine(reason=reason, failure=failure):
            kind = failure.type if failure is not None else reason.value
            return "task-failed", {"exception": f"{kind}()", "traceback": ""}
        case Cancel():
            return "task-revoked", {"terminated": True, "signum": None, "expired": False}
        case Retry(failure=failure) | Crashed(failure=failure):
            return "task-retried", {"exception": f"{failure.type}()", "traceback": ""}
        case Snooze():
            return "task-retried", {"exception": "Snooze()", "traceback": ""}
        case Park():
            return "task-retried", {"exception": "Park()", "traceback": ""}
        case None:
            return "task-retried", {"exception": "HandedBack()", "traceback": ""}


class _Seen(Exception):
    """A handler's failure, told to instrumentation: its type and its message."""


def _einfo(failure: Failure) -> Any:
    # OpenTelemetry writes an exception event only for a real ExceptionInfo.
    try:
        raise _Seen(f"{failure.type}: {failure.message}")  # noqa: TRY301 -- raised to get a traceback
    except _Seen as error:
        info: tuple[type[BaseException], BaseException, TracebackType | None] = (
            type(error),
            error,
            error.__traceback__,
        )
        return ExceptionInfo(info)
