"""From checked calls to the rows that are to be written: plain functions of values."""

from collections.abc import Collection, Sequence

from holdfast.jobs.errors import InvalidOption, PayloadTooLarge
from holdfast.jobs.ids import JobId, new_job_id
from holdfast.jobs.job import DEFAULT_PRIORITY, DEFAULT_TOTAL_AGE_SECONDS, NewJob
from holdfast.jobs.tags import tags_of
from holdfast.jobs.unique import Unique, key_of
from holdfast.ledger.records import OfferRow
from holdfast.tasks import by_name
from holdfast.tasks.options import Options
from holdfast.tasks.spec import TaskSpec


def of_task(
    spec: TaskSpec, texts: Sequence[str], options: Options, *, largest_bytes: int, is_batch: bool
) -> list[NewJob]:
    """Make the jobs of a task whose code is here. `texts` are arguments as JSON text that has been checked.

    `is_batch`: the options' key names the whole batch, and each job has one of its own. Raises
    PayloadTooLarge for more than `largest_bytes` of UTF-8, InvalidOption.
    """
    _check_names(spec.name, options, spec.signature.names)
    return [
        new_job(
            spec.name,
            spec.version,
            spec.queue,
            text,
            options,
            largest_bytes=largest_bytes,
            cohort=spec.cohort,
            unique=spec.unique,
            number=number if is_batch else None,
        )
        for number, text in enumerate(texts)
    ]


def of_offer(
    offer: OfferRow, texts: Sequence[str], options: Options, *, largest_bytes: int, is_batch: bool
) -> list[NewJob]:
    """Make the jobs of a task that is known by what live workers say of it; else the same."""
    _check_names(offer.task, options, by_name.names_of(offer))
    unique = by_name.rule_of(offer) if options.unique is None else None
    return [
        new_job(
            offer.task,
            offer.version,
            offer.queue,
            text,
            options,
            largest_bytes=largest_bytes,
            cohort=offer.cohort,
            unique=unique,
            number=number if is_batch else None,
        )
        for number, text in enumerate(texts)
    ]


def new_job(
    task: str,
    version: str,
    queue: str,
    arguments: str,
    options: Options,
    *,
    largest_bytes: int,
    cohort: int | None = None,
    unique: Unique | None = None,
    number: int | None = None,
) -> NewJob:
    """Put one call and its options together.

    `unique` is the task's own rule; the options' wins. `number`: which call of a batch it is, whose key names
    the batch. Raises PayloadTooLarge.
    """
    size = len(arguments.encode())
    if size > largest_bytes:
        raise PayloadTooLarge(detail=f"the arguments of {task} have {size} bytes, at most {largest_bytes}")
    rule = unique if options.unique is None else options.unique or None
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
        # No caller's key holds a tab, so no other request has the key of a batch's n-th call.
        key=options.key if options.key is None or number is None else f"{options.key}\t{number}",
        key_seconds=DEFAULT_TOTAL_AGE_SECONDS if options.key_seconds is None else options.key_seconds,
        unique=None if rule is None else key_of(task, options.tenant, arguments, rule),
        soft_timeout_seconds=options.soft_timeout_seconds,
        hard_timeout_seconds=options.hard_timeout_seconds,
        trace=options.trace,
        cohort=cohort,
        tags=tags_of(options.tags),
    )


def _check_names(task: str, options: Options, names: Collection[str]) -> None:
    if not options.unique or options.unique.by == "arguments":
        return
    if missing := [name for name in options.unique.by if name not in names]:
        raise InvalidOption(detail=f"{task}: unique by {', '.join(missing)}, which is no parameter of it")
