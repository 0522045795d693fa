"""Which installation this is, and what it runs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from holdfast.jobs.queues import QUEUE_RULE, is_queue
from holdfast.settings.groups.values import TextList
from holdfast.settings.names import DEFAULT_NAMESPACE, is_namespace


def _namespace(value: str) -> str:
    if not is_namespace(value):
        raise ValueError(
            "must be 1 to 32 of a-z, 0-9 and _, begin with a letter, and be no name of PostgreSQL's own"
        )
    return value


def _queues(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not is_queue(name):
            raise ValueError(f"{name!r} is no queue name: {QUEUE_RULE}")
    if len(set(value)) != len(value):
        raise ValueError("names a queue twice")
    return value


class PlatformFields(BaseModel):
    """Platform."""

    env: Literal["development", "production"] = Field(
        default="development", description="In production every warning about the settings refuses the start."
    )
    namespace: Annotated[str, AfterValidator(_namespace)] = Field(
        default=DEFAULT_NAMESPACE,
        description="Prefix of every queue, exchange and Redis key, and the PostgreSQL schema; "
        "two namespaces on the same servers never see each other.",
    )
    data_dir: Path = Field(
        default=Path(".holdfast"),
        description="Folder of the embedded database and broker, made with mode 0700; "
        "a relative path counts from the working directory, so that each project has its own.",
    )
    task_modules: TextList = Field(
        default=(),
        description="Modules that define tasks, imported at start; "
        "more come by entry point `holdfast.tasks`.",
    )
    release: int = Field(
        default=0,
        ge=0,
        le=10**15,
        description="Number of the release of your code, higher with each deploy: the schedules that it "
        "declares take the place of those of lower releases, and never of higher ones.",
    )
    queues: Annotated[TextList, AfterValidator(_queues)] = Field(
        default=("default",),
        min_length=1,
        max_length=64,
        description="Queues that this worker reads; the first is the default.",
    )
    intake_queue: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="Broker queue for producers that know only Celery; unset: `celery` in the default "
        "namespace, else `<namespace>.celery`.",
    )
    adoption: bool | None = Field(
        default=None,
        description="Whether jobs sent by plain Celery producers are accepted for every task; "
        "unset: yes in development, in production only for tasks with `adopt=True`.",
    )
    env_file: Path = Field(
        default=Path(".env"),
        description="File of settings, read after the environment; itself set in the environment only.",
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="Folder with one file per setting, named like its variable; unset: /run/secrets if it "
        "exists; itself set in the environment only.",
    )
