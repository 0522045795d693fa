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
    from holdfast.producer import connect
    from holdfast.resilience.retry import RetryPolicy
    from holdfast.tasks.client import Client
    from holdfast.tasks.context import TaskContext
    from holdfast.tasks.handle import Handle
    from holdfast.tasks.task import Task, task

__version__ = "0.1.0"
__all__ = [
    "Cancel",
    "Client",
    "Handle",
    "Park",
    "Quarantine",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "Task",
    "TaskContext",
    "connect",
    "task",
]

_HOMES = {
    "Cancel": "holdfast.jobs.signals",
    "Client": "holdfast.tasks.client",
    "Handle": "holdfast.tasks.handle",
    "Park": "holdfast.jobs.signals",
    "Quarantine": "holdfast.jobs.signals",
    "Retry": "holdfast.jobs.signals",
    "RetryPolicy": "holdfast.resilience.retry",
    "Snooze": "holdfast.jobs.signals",
    "Task": "holdfast.tasks.task",
    "TaskContext": "holdfast.tasks.context",
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
