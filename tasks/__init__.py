"""Tasks: what people write and call."""

from holdfast.tasks.ambient import current_client, use
from holdfast.tasks.client import Client
from holdfast.tasks.context import TaskContext
from holdfast.tasks.doorbell import Doorbell
from holdfast.tasks.handle import Handle
from holdfast.tasks.options import Options
from holdfast.tasks.registry import Registry, registry
from holdfast.tasks.schedules import Schedule
from holdfast.tasks.spec import TaskSpec
from holdfast.tasks.task import Task, task

__all__ = [
    "Client",
    "Doorbell",
    "Handle",
    "Options",
    "Registry",
    "Schedule",
    "Task",
    "TaskContext",
    "TaskSpec",
    "current_client",
    "registry",
    "task",
    "use",
]
