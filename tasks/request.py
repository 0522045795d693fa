"""From a checked call to the row that is to be written: plain functions of values."""

from holdfast.jobs.errors import PayloadTooLarge
from holdfast.jobs.ids import JobId, new_job_id
from holdfast.jobs.job import DEFAULT_PRIORITY, NewJob
from holdfast.tasks.options import Options


def new_job(
    task: str,
    version: str,
    queue: str,
    arguments: str,
    options: Options,
    *,
    largest_bytes: int,
    cohort: int | None = None,
) -> NewJob:
    """Put a call and its options together. `arguments` is JSON text that has been checked.

    Raises PayloadTooLarge for more than `largest_bytes` of UTF-8.
    """
    size = len(arguments.encode())
    if size > largest_bytes:
        raise PayloadTooLarge(detail=f"the arguments of {task} have {size} bytes, at most {largest_bytes}")
    return NewJob(
        id=JobId(options.job_id) if options.job_id is not None else new_job_id(),
        task=task,
        version=version,
        arguments=arguments,
        queue=options.queue or queue,
        priority=DEFAULT_PRIORITY if options.priority is None else options.priority,
        tenant=options.tenant,
        delay_seconds=options.delay_seconds,
        run_at=options.run_at,
        deadline_at=options.deadline_at,
        deadline_seconds=options.deadline_seconds,
        key=options.key,
        soft_timeout_seconds=options.soft_timeout_seconds,
        hard_timeout_seconds=options.hard_timeout_seconds,
        trace=options.trace,
        cohort=cohort,
    )
