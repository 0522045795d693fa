"""One kind of job, as its callers see it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, ParamSpec, TypeVar

from holdfast.jobs.unique import Unique
from holdfast.tasks import celery_options
from holdfast.tasks.bound import BoundTask
from holdfast.tasks.client import Client
from holdfast.tasks.handle import Handle
from holdfast.tasks.naming import place
from holdfast.tasks.options import Options
from holdfast.tasks.outbox import CallerTransaction
from holdfast.tasks.spec import TaskSpec

P = ParamSpec("P")
R = TypeVar("R")


class Task(BoundTask[P, R]):
    """One kind of job. Made by `@task`.

    `await t.enqueue(...)` asks for a job; `t(...)` calls the handler here and
    now, as a test does.
    """

    def __init__(self, spec: TaskSpec) -> None:
        """Wrap a handler's spec; `@task` is the usual way."""
        super().__init__(spec)
        self.place: Final = place(spec.handler)
        self.__doc__ = spec.handler.__doc__
        self.__name__ = spec.handler.__name__
        self.__qualname__ = spec.handler.__qualname__
        self.__module__ = spec.handler.__module__
        self.__wrapped__ = spec.handler

    @property
    def name(self) -> str:
        """The name by which workers, the ledger and Celery know the task."""
        return self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- with or without the context, and awaitable or not, as the handler is
        """Call the handler directly, context included: no job, no ledger, no checks."""
        return self.spec.handler(*args, **kwargs)

    def options(  # noqa: PLR0913 -- each is one option of the caller's, by its name
        self,
        *,
        key: str | None = None,
        key_seconds: float | None = None,
        unique: Unique | Literal[False] | None = None,
        delay_seconds: float = 0.0,
        run_at: datetime | None = None,
        deadline_seconds: float | None = None,
        deadline_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        tenant: str | None = None,
        tags: Sequence[str] = (),
        session: CallerTransaction | None = None,
        soft_timeout_seconds: float | None = None,
        hard_timeout_seconds: float | None = None,
        client: Client | None = None,
    ) -> BoundTask[P, R]:
        """Say when, where and how; `Options` documents each. Enqueue with what this returns.

        Raises InvalidOption at once.
        """
        options = Options(
            key=key,
            key_seconds=key_seconds,
            unique=unique,
            delay_seconds=delay_seconds,
            run_at=run_at,
            deadline_seconds=deadline_seconds,
            deadline_at=deadline_at,
            priority=priority,
            queue=queue,
            tenant=tenant,
            tags=tags,
            session=session,
            soft_timeout_seconds=soft_timeout_seconds,
            hard_timeout_seconds=hard_timeout_seconds,
        )
        return BoundTask(self.spec, options, client)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Celery's name for `enqueue_sync`."""
        return self.enqueue_sync(*args, **kwargs)

    def apply_async(
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        **celery: object,
    ) -> Handle[R]:
        """Enqueue with Celery's option names; docs/celery-options.md says what becomes of each.

        Raises UnsupportedOption naming our way, or InvalidArguments.
        """
        options = celery_options.translate(celery)
        text = self.spec.signature.bind(*(args or ()), **(kwargs or {}))
        return self.connected.submit_sync(self.spec, [text], options)[0]

    def __repr__(self) -> str:
        return f"<Task {self.name} version {self.spec.version}>"
