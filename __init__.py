"""Holdfast: durable, resilient async jobs on Celery.

Celery delivers, the ledger decides: no accepted job is lost, none ends twice,
and none hammers a sick upstream.

The names below are imported when they are first used. `import holdfast` costs
less than 5 ms that way, and must: `holdfast probe` starts through it, within
the 50 ms that a probe may take.
"""

from importlib import import_module

TYPE_CHECKING = False  # both type checkers know the name; the module `typing` alone would cost half the time
if TYPE_CHECKING:
    from holdfast.jobs.signals import Cancel, Park, Quarantine, Retry, Snooze
    from holdfast.jobs.unique import Unique
    from holdfast.producer import connect
    from holdfast.resilience.breaker.policy import BreakerPolicy
    from holdfast.resilience.guard.call_retry import CallRetry
    from holdfast.resilience.guard.guard import Guard
    from holdfast.resilience.retry import RetryPolicy
    from holdfast.tasks.client import Client
    from holdfast.tasks.context import TaskContext
    from holdfast.tasks.handle import Handle
    from holdfast.tasks.schedules import Schedule
    from holdfast.tasks.task import Task, task

__version__ = "0.1.0"
__all__ = [
    "BreakerPolicy",
    "CallRetry",
    "Cancel",
    "Client",
    "Guard",
    "Handle",
    "Park",
    "Quarantine",
    "Retry",
    "RetryPolicy",
    "Schedule",
    "Snooze",
    "Task",
    "TaskContext",
    "Unique",
    "connect",
    "task",
]

_HOMES = {
    "BreakerPolicy": "holdfast.resilience.breaker.policy",
    "CallRetry": "holdfast.resilience.guard.call_retry",
    "Cancel": "holdfast.jobs.signals",
    "Client": "holdfast.tasks.client",
    "Guard": "holdfast.resilience.guard.guard",
    "Handle": "holdfast.tasks.handle",
    "Park": "holdfast.jobs.signals",
    "Quarantine": "holdfast.jobs.signals",
    "Retry": "holdfast.jobs.signals",
    "RetryPolicy": "holdfast.resilience.retry",
    "Schedule": "holdfast.tasks.schedules",
    "Snooze": "holdfast.jobs.signals",
    "Task": "holdfast.tasks.task",
    "TaskContext": "holdfast.tasks.context",
    "Unique": "holdfast.jobs.unique",
    "connect": "holdfast.producer",
    "task": "holdfast.tasks.task",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
