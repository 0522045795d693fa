"""The options by which commands say which jobs they mean, the same for all of them."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from holdfast.cli.instants import instant_of
from holdfast.jobs.clock import SystemClock
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.jobs.tags import TAG_RULE, is_tag
from holdfast.ledger.job_filter import JobFilter

Texts = list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What was given on the command line."""

    state: Annotated[
        list[JobState] | None, typer.Option("--state", "-s", help="Only in this state; may be repeated.")
    ] = None
    task: Annotated[Texts, typer.Option("--task", "-t", help="Only of this task; may be repeated.")] = None
    queue: Annotated[Texts, typer.Option("--queue", "-q", help="Only on this queue; may be repeated.")] = None
    tenant: Annotated[Texts, typer.Option("--tenant", help="Only of this tenant; may be repeated.")] = None
    tag: Annotated[Texts, typer.Option("--tag", help="Only with this tag; repeated: with all of them.")] = (
        None
    )
    parent: Annotated[
        Texts, typer.Option("--parent", metavar="JOB_ID", help="Only children of this job; may be repeated.")
    ] = None
    reason: Annotated[
        list[QuarantineReason] | None,
        typer.Option("--reason", help="Only quarantined for this reason; may be repeated."),
    ] = None
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Enqueued then or later: 2h, 7d, 2026-11-23."),
    ] = None
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Enqueued then or earlier.")
    ] = None
    ended_since: Annotated[
        str | None, typer.Option("--ended-since", metavar="TIME", help="Ended then or later.")
    ] = None
    ended_until: Annotated[
        str | None, typer.Option("--ended-until", metavar="TIME", help="Ended then or earlier.")
    ] = None
    text: Annotated[
        str, typer.Option("--text", help="This stands in the detail, or in the failure with its traceback.")
    ] = ""

    def as_filter(self) -> JobFilter:
        """Read the times, and give it all to the ledger. Raises BadParameter."""
        now = SystemClock().now()
        for tag in self.tag or ():
            if not is_tag(tag):
                raise typer.BadParameter(f"{tag!r} is no tag: {TAG_RULE}")
        return JobFilter(
            states=tuple(self.state or ()),
            tasks=tuple(self.task or ()),
            queues=tuple(self.queue or ()),
            tenants=tuple(self.tenant or ()),
            tags=tuple(self.tag or ()),
            parents=tuple(JobId(job_id) for job_id in self.parent or ()),
            reasons=tuple(self.reason or ()),
            created_since=_instant(self.since, now),
            created_until=_instant(self.until, now),
            finished_since=_instant(self.ended_since, now),
            finished_until=_instant(self.ended_until, now),
            text=self.text,
        )


def takes_a_filter(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options: its first parameter gets them as one JobOptions.

    `without` names those that mean nothing for the command.
    """
    hints = get_type_hints(JobOptions, include_extras=True)
    given = [
        inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
        )
        for one in fields(JobOptions)
        if one.name not in without
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**values: Any) -> None:  # noqa: ANN401 -- whatever the command takes
            options = {one.name: values.pop(one.name) for one in given}
            command(JobOptions(**options), **values)

        signature = inspect.signature(command, eval_str=True)
        _, *own = (one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in signature.parameters.values())
        parameters = [*given, *own]
        # What typer reads; by name, as a function is not known to have one.
        setattr(with_options, "__signature__", signature.replace(parameters=parameters))  # noqa: B010 -- see above
        with_options.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_options

    return decorate


def _instant(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        return instant_of(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
