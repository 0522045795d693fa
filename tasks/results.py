"""Celery's result backend as a view of the ledger: `AsyncResult(job_id).get()` works.

Celery makes backends from a string, so the composition root says with
`use_ledger` where the truth is.
"""

import builtins
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as ResultWaitTimeout
from typing_extensions import override

from holdfast.jobs import codec
from holdfast.jobs.claim_check import followed
from holdfast.jobs.errors import LedgerFailure, ResultExpired, SettingsError, UnsupportedOption
from holdfast.jobs.ids import JobId, is_job_id
from holdfast.jobs.job import Job
from holdfast.jobs.state import JobState
from holdfast.ledger import Ledger
from holdfast.tasks.payload import LARGEST_EVER_BYTES
from holdfast.tasks.registry import registry
from holdfast.tasks.waiting import pauses, why_quarantined

Meta = dict[str, Any]
Source = Ledger | Callable[[], Ledger] | None

_STATES: Final = {
    JobState.SCHEDULED: states.PENDING,
    JobState.AVAILABLE: states.PENDING,
    JobState.PARKED: states.PENDING,
    JobState.RUNNING: states.STARTED,
    JobState.COMPLETED: states.SUCCESS,
    JobState.QUARANTINED: states.FAILURE,
    JobState.CANCELLED: states.REVOKED,
}


class _Slot:
    """Where the process's ledger is, or how to get it when it is first needed."""

    def __init__(self) -> None:
        self.source: Source = None

    def ledger(self) -> Ledger:
        if self.source is None:
            raise SettingsError(
                detail="the result backend has no ledger",
                hint="Use the application of `holdfast.connect()` or of `holdfast.workers.app`.",
            )
        if not isinstance(self.source, Ledger):
            self.source = self.source()
        return self.source


_slot: Final = _Slot()


def use_ledger(source: Source) -> Source:
    """Let every LedgerBackend of this process read this ledger, and return what was used before.

    A function is called when the ledger is first needed.
    """
    before, _slot.source = _slot.source, source
    return before


class LedgerBackend(BaseBackend):
    """Reads results from the ledger; writes only those of plain Celery tasks loaded beside ours."""

    @override
    def as_uri(self, include_password: bool = False) -> str:
        """Name the backend without any address."""
        return "ledger://"

    @override
    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """Store a plain Celery task's result; for a job of ours do nothing, its settle is the only truth."""
        del kwargs
        if _is_ours(task_id, getattr(request, "task", None)):
            return result
        encoded = self.encode_result(result, state)
        text = cast("str", self.encode(encoded))
        _slot.ledger().foreign.store(task_id, state, text, None if traceback is None else str(traceback))
        return encoded

    def _get_task_meta_for(self, task_id: str) -> Meta:
        return self._metas([task_id])[task_id]

    @override
    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> Meta:
        """Wait for one result: asks after 20 ms, then ever more rarely, up to `interval` seconds apart."""
        for _, meta in self.get_many({task_id}, timeout=timeout, interval=interval, on_interval=on_interval):
            return meta
        raise AssertionError("unreachable: get_many gives each id or raises")

    def get_many(  # noqa: PLR0917 -- its parent's signature
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,  # noqa: FBT001, FBT002 -- its parent's signature
        on_message: Callable[[Meta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        max_iterations: int | None = None,
    ) -> Iterator[tuple[str, Meta]]:
        """Give (id, meta) of each as it ends, with one question for all; raises Celery's TimeoutError."""
        self._ensure_not_eager()  # type: ignore[attr-defined]  # not in the stubs
        del no_ack
        waiting = dict.fromkeys(str(task_id) for task_id in task_ids)
        ends_at = None if timeout is None else time.monotonic() + timeout
        for asked, pause in enumerate(pauses(longest_seconds=interval or 0.5), start=1):
            for task_id, meta in self._metas(waiting).items():
                if meta["status"] in states.READY_STATES:
                    del waiting[task_id]
                    if on_message is not None:
                        on_message(meta)
                    yield task_id, meta
            if not waiting or asked == max_iterations:
                return
            if on_interval is not None:
                on_interval()
            _pause(pause, ends_at)

    @override
    def ensure_chords_allowed(self) -> None:
        """Refuse chords: nothing here counts their parts."""
        raise UnsupportedOption(
            detail="chord", hint="Use `await task.enqueue_many([...])` and wait for the handles."
        )

    def _forget(self, task_id: str) -> None:
        """Leave the row: jobs are pruned by age."""

    def _save_group(self, group_id: str, result: object) -> None:  # noqa: ARG002 -- its parent's signature
        raise UnsupportedOption(detail="GroupResult.save()", hint="Keep the job ids instead.")

    def _restore_group(self, group_id: str) -> None:
        """Know no group, since none is saved."""

    def _delete_group(self, group_id: str) -> None:
        """Know no group, since none is saved."""

    def _metas(self, task_ids: Iterable[str]) -> dict[str, Meta]:
        ids = list(task_ids)
        found = _slot.ledger().find([JobId(task_id) for task_id in ids if is_job_id(task_id)])
        metas: dict[str, Meta] = {}
        for task_id in ids:
            job = found.get(JobId(task_id))
            metas[task_id] = _meta_of(job) if job is not None else self._foreign_meta(task_id)
        return metas

    def _foreign_meta(self, task_id: str) -> Meta:
        """Answer for an id that is no job's: a plain Celery task's result, a pruned job, or nothing known."""
        if not is_job_id(task_id):
            return _meta(task_id, states.PENDING)
        ledger = _slot.ledger()
        stored = ledger.foreign.read(task_id)
        if stored is not None:
            value = self.decode(stored.result_json.encode()) if stored.result_json else None
            if stored.state in states.EXCEPTION_STATES:
                value = _rebuilt(value)
            return _meta(task_id, stored.state, value, stored.traceback)
        if ledger.tombstone(JobId(task_id)):
            return _meta(task_id, states.FAILURE, ResultExpired(job_id=task_id))
        return _meta(task_id, states.PENDING)


def _is_ours(task_id: str, task: str | None) -> bool:
    if task in registry or not is_job_id(task_id):
        return True
    # A task of ours that this process does not know, or a call of Celery's that does not name the task.
    return bool(_slot.ledger().find([JobId(task_id)]))


def _meta_of(job: Job) -> Meta:
    meta = _meta(job.id, _STATES[job.state])
    if job.state is JobState.COMPLETED:
        meta["result"] = (
            codec.decode(followed(job.result, what="the result"), largest_bytes=LARGEST_EVER_BYTES)
            if job.result is not None
            else None
        )
    elif job.state is JobState.CANCELLED:
        meta["result"] = TaskRevokedError(job.detail or "cancelled")
    elif job.state is JobState.QUARANTINED:
        meta["result"] = _failure_of(job)
        meta["traceback"] = job.failure.traceback or None if job.failure else None
    meta["date_done"] = job.finished_at.isoformat() if job.finished_at else None
    return meta


def _meta(task_id: str, state: str, result: object = None, traceback: str | None = None) -> Meta:
    return {
        "task_id": task_id,
        "status": state,
        "result": result,
        "traceback": traceback,
        "children": [],
        "date_done": None,
    }


def _failure_of(job: Job) -> Exception:
    if job.failure is None:
        return LedgerFailure(job_id=job.id, detail=why_quarantined(job))
    return _exception(job.failure.type, job.failure.message)


def _rebuilt(value: object) -> Exception:
    """Make an exception of what Celery stored of one: its type's name, module and arguments."""
    if isinstance(value, Exception):
        return value
    if not isinstance(value, Mapping):
        return LedgerFailure(detail=str(value))
    stored = cast("Mapping[str, object]", value)
    module, name = str(stored.get("exc_module") or "builtins"), str(stored.get("exc_type"))
    message = stored.get("exc_message")
    parts = cast("list[object]", message) if isinstance(message, (list, tuple)) else [message]
    text = ", ".join(str(part) for part in parts)
    return _exception(name if module == "builtins" else f"{module}.{name}", text)


def _exception(type_name: str, message: str) -> Exception:
    """Rebuild a builtin exception; a row must never say which module is imported."""
    kind = getattr(builtins, type_name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:  # some take more than a message, as UnicodeDecodeError does
            pass
    return LedgerFailure(detail=f"{type_name}: {message}")


def _pause(seconds: float, ends_at: float | None) -> None:
    left = seconds if ends_at is None else min(seconds, ends_at - time.monotonic())
    if left <= 0:
        raise ResultWaitTimeout("The operation timed out.")
    threading.Event().wait(left)
