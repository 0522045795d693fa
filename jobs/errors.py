"""The error tree of the platform.

The docstring of a class is its message; `code` is stable and stands in
`docs/errors.md`; `hint` says what the reader can do about it.

    PlatformError
    ├─ SettingsError
    ├─ JobError
    │  ├─ JobNotFound
    │  ├─ UnknownTask
    │  ├─ DuplicateJob
    │  ├─ NotUnique
    │  ├─ InvalidTask
    │  ├─ InvalidArguments
    │  ├─ InvalidOption
    │  ├─ InvalidResult
    │  ├─ InvalidJson
    │  ├─ PayloadTooLarge
    │  ├─ PayloadLost
    │  ├─ IllegalTransition
    │  ├─ UnsupportedOption
    │  ├─ LeaseLost
    │  ├─ PlanChanged
    │  ├─ ResultTimeout
    │  └─ JobFailed
    │     ├─ JobQuarantined
    │     ├─ JobCancelled
    │     ├─ ChildFailed
    │     ├─ LedgerFailure
    │     └─ ResultExpired
    ├─ LedgerError
    │  ├─ LedgerUnavailable
    │  ├─ SchemaMismatch
    │  ├─ KeyBusy
    │  └─ MessageNotFound
    ├─ ScheduleError
    │  ├─ InvalidSchedule
    │  ├─ ScheduleNotFound
    │  └─ ScheduleExists
    ├─ BrokerUnavailable
    ├─ ClientClosed
    ├─ MessageNotReplayable
    ├─ WorkerNameTaken
    ├─ RejectedError
    │  ├─ BreakerOpen
    │  ├─ RateLimited
    │  ├─ BulkheadFull
    │  ├─ BudgetExhausted
    │  ├─ DeadlinePassed
    │  └─ QueueFull
    ├─ AttemptTimeout
    ├─ InjectedFault
    ├─ InjectedThrottle
    ├─ TargetForbidden
    ├─ ProcessDied
    └─ AccessError
       ├─ Unauthenticated
       └─ Forbidden
"""

from holdfast.jobs.platform_error import PlatformError as PlatformError  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import BreakerOpen as BreakerOpen  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import BudgetExhausted as BudgetExhausted  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import BulkheadFull as BulkheadFull  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import DeadlinePassed as DeadlinePassed  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import QueueFull as QueueFull  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import RateLimited as RateLimited  # noqa: PLC0414 -- looked for here
from holdfast.jobs.rejected import RejectedError as RejectedError  # noqa: PLC0414 -- looked for here
from holdfast.jobs.schedules.errors import InvalidSchedule as InvalidSchedule  # noqa: PLC0414 -- looked for here
from holdfast.jobs.schedules.errors import ScheduleError as ScheduleError  # noqa: PLC0414 -- looked for here
from holdfast.jobs.schedules.errors import ScheduleExists as ScheduleExists  # noqa: PLC0414 -- looked for here
from holdfast.jobs.schedules.errors import ScheduleNotFound as ScheduleNotFound  # noqa: PLC0414 -- looked for here


class SettingsError(PlatformError):
    """The settings cannot be used."""

    code = "settings_invalid"
    hint = "Run `holdfast doctor` to see each value and where it came from."


class JobError(PlatformError):
    """Something is wrong with a job."""

    code = "job_error"


class JobNotFound(JobError):
    """No job has this id."""

    code = "job_not_found"
    hint = "It may have been pruned after its retention, or belong to another ledger."


class UnknownTask(JobError):
    """No task of this name is known here."""

    code = "unknown_task"
    hint = "`holdfast tasks` lists the tasks; name your modules in HOLDFAST_TASK_MODULES."


class DuplicateJob(JobError):
    """A job with this key exists already."""

    code = "duplicate_job"


class NotUnique(JobError):
    """A job that counts as the same holds the unique key."""

    code = "not_unique"
    hint = "Nothing was written; try again when that job has ended, or cancel it."


class InvalidTask(JobError):
    """The handler cannot become a task."""

    code = "invalid_task"


class InvalidArguments(JobError):
    """The arguments do not fit the task's types."""

    code = "invalid_arguments"
    hint = "Nothing was written; mend the arguments and enqueue again."


class InvalidOption(JobError):
    """The request's options make no sense."""

    code = "invalid_option"
    hint = "Nothing was written; mend the option and enqueue again."


class InvalidResult(JobError):
    """The handler's result cannot be stored."""

    code = "invalid_result"


class InvalidJson(JobError):
    """The value is not strict JSON."""

    code = "invalid_json"


class PayloadTooLarge(JobError):
    """The payload is larger than the limit."""

    code = "payload_too_large"
    hint = "Store the data elsewhere and pass a reference."


class PayloadLost(JobError):
    """Large arguments or a large result are not where the job's row says, or not what was written."""

    code = "payload_lost"
    hint = "Look into the ledger's table `payloads`; `holdfast doctor` says how many jobs are concerned."


class IllegalTransition(JobError):
    """The job cannot change its state in this way."""

    code = "illegal_transition"


class UnsupportedOption(JobError):
    """This Celery option has no meaning here."""

    code = "unsupported_option"


class LeaseLost(JobError):
    """The lease is not ours any more: stop, write nothing."""

    code = "lease_lost"


class PlanChanged(JobError):
    """The handler plans other children than it did before under the same name."""

    code = "plan_changed"
    hint = "Plan the same children each time: from the arguments and from results, not from clocks or chance."


class ResultTimeout(JobError):
    """The job has not ended within the time that the caller would wait."""

    code = "result_timeout"
    hint = "The job goes on; ask again with the same id."


class JobFailed(JobError):
    """The job ended without a result."""

    code = "job_failed"


class JobQuarantined(JobFailed):
    """The job was quarantined."""

    code = "job_quarantined"


class JobCancelled(JobFailed):
    """The job was cancelled."""

    code = "job_cancelled"


class ChildFailed(JobFailed):
    """A child ended without a result."""

    code = "child_failed"
    hint = "Look at the child; requeue this job to start what failed below it once more."


class LedgerFailure(JobFailed):
    """What a handler raised, as `AsyncResult.get()` shows it: the type's name and the message."""

    code = "ledger_failure"

    def __init__(self, *, job_id: str | None = None, detail: str = "", hint: str = "") -> None:
        """Show `detail` alone, which is `Type: message`."""
        super().__init__(job_id=job_id, detail=detail, hint=hint)
        self.args = (detail,)


class ResultExpired(JobFailed):
    """The job ended long ago, and its row was pruned."""

    code = "result_expired"


class LedgerError(PlatformError):
    """The ledger could not do its work."""

    code = "ledger_error"


class LedgerUnavailable(LedgerError):
    """The ledger's database cannot be reached."""

    code = "ledger_unavailable"
    hint = "Try again; whether an interrupted write was committed is decided by its key or token."


class SchemaMismatch(LedgerError):
    """The database's tables do not fit this version."""

    code = "schema_mismatch"
    hint = "Run `holdfast migrate`."


class KeyBusy(LedgerError):
    """Another transaction that is still open is taking the same key."""

    code = "key_busy"
    hint = "Try again when it has ended."


class MessageNotFound(LedgerError):
    """No quarantined message has this id."""

    code = "message_not_found"
    hint = "`holdfast quarantine list` shows them; it may have been dropped, or pruned after its retention."


class BrokerUnavailable(PlatformError):
    """The broker cannot be reached."""

    code = "broker_unavailable"
    hint = "Jobs are safe in the ledger and ring when it is back."


class ClientClosed(PlatformError):
    """The client was closed and cannot be used any more."""

    code = "client_closed"
    hint = "Work inside the block of `holdfast.connect()`, or open another one."


class MessageNotReplayable(PlatformError):
    """The quarantined message cannot be sent again."""

    code = "message_not_replayable"


class WorkerNameTaken(PlatformError):
    """Another worker of this name is alive."""

    code = "worker_name_taken"
    hint = "Stop that one first, or give this one a name of its own (`-n`; without it the name is random)."


class AttemptTimeout(PlatformError):
    """The attempt ran longer than it may."""

    code = "attempt_timeout"


class InjectedFault(PlatformError):
    """The call failed on purpose."""

    code = "injected_fault"
    hint = "HOLDFAST_CHAOS is set; the upstream was not called."

    def __init__(self, upstream: str, *, status_code: int | None = None) -> None:
        """Fail a call to an upstream, as one with this HTTP status would."""
        self.upstream = upstream
        self.status_code = status_code
        super().__init__(detail=upstream if status_code is None else f"{upstream}, HTTP {status_code}")


class InjectedThrottle(PlatformError):
    """The call was pushed back on purpose."""

    code = "injected_throttle"
    hint = "HOLDFAST_CHAOS is set; the upstream was not called."

    def __init__(self, upstream: str, retry_after_seconds: float) -> None:
        """Ask for no call for so long, as the upstream would."""
        self.upstream = upstream
        self.retry_after_seconds = retry_after_seconds
        super().__init__(detail=f"{upstream} asks for {retry_after_seconds:g} s")


class TargetForbidden(PlatformError):
    """This address may not be called."""

    code = "target_forbidden"
    hint = "A network of yours may be named in HOLDFAST_WEBHOOK_ALLOWED_NETWORKS; metadata services never."


class ProcessDied(PlatformError):
    """The process that ran the attempt died."""

    code = "process_died"
    hint = "See `holdfast jobs show ID`: it says how, and with how much memory."


class AccessError(PlatformError):
    """Access is refused."""

    code = "access_error"


class Unauthenticated(AccessError):
    """The caller is not known."""

    code = "unauthenticated"


class Forbidden(AccessError):
    """The caller may not do this."""

    code = "forbidden"
