"""Jobs by what is said of them: pages, counts, and the next ones that a bulk verb may touch."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, literal, null, or_, select, true, tuple_

from holdfast.jobs.state import JobState
from holdfast.ledger.batch import is_named
from holdfast.ledger.job_filter import JobFilter, Place
from holdfast.ledger.schema import jobs
from holdfast.ledger.schema_tags import job_tags
from holdfast.ledger.statements.quarantine import was_refused
from holdfast.ledger.statements.shape import in_state, is_still
from holdfast.ledger.types import Now, Unordered

Condition = ColumnElement[bool]
FEW: Final = frozenset({JobState.SCHEDULED, JobState.RUNNING, JobState.PARKED})
"""States that few jobs are in, and that have an index of their own."""
_FIELDS: Final = ("type", "message", "traceback")


def matches(which: JobFilter, *, is_in: Callable[..., Condition] = in_state) -> Condition:
    """Tell whether a row of `jobs` fits; `is_in` asks for its state as the rest of the statement does."""
    conditions = [*_words(which), *_tags(which)]
    if which.states:
        conditions.append(is_in(*which.states))
    conditions += _between(jobs.c.created_at, which.created_since, which.created_until)
    if ended := _between(jobs.c.finished_at, which.finished_since, which.finished_until):
        # An arm for each of the two indexes over what has ended.
        conditions.append(
            or_(
                and_(is_in(JobState.COMPLETED, JobState.CANCELLED), *ended),
                and_(is_in(JobState.QUARANTINED), *ended),
            )
        )
    if which.text:
        conditions.append(_contains(which.text))
    return and_(true(), *conditions)


def page(which: JobFilter, after: Place | None, limit: int) -> Select[*tuple[Any, ...]]:
    """Read jobs without their payloads, newest first, beginning after a place in the list of all."""
    created_at: ColumnElement[datetime] = jobs.c.created_at
    if which.states and FEW.issuperset(which.states):
        created_at = Unordered(created_at)
    statement = (
        select(*without_payloads())
        .where(matches(which))
        .order_by(created_at.desc(), jobs.c.id.desc())
        .limit(limit)
    )
    if after is None:
        return statement
    place = tuple_(created_at, jobs.c.id)
    return statement.where(place < tuple_(literal(after.created_at, jobs.c.created_at.type), after.job_id))


def without_payloads() -> list[ColumnElement[Any]]:
    """Return the columns of a job with nothing in place of its arguments and its result."""
    payloads: dict[str, ColumnElement[Any]] = {
        "arguments": literal("").label("arguments"),
        "result": null().label("result"),
    }
    return [payloads.get(column.name, column) for column in jobs.c]


@cache
def now() -> Select[*tuple[Any, ...]]:
    """Read the database's clock."""
    return select(Now().label("at"))


def count(which: JobFilter, among: Sequence[JobState]) -> Select[*tuple[Any, ...]]:
    """Count the jobs in some of the states (none given: in any), by state."""
    statement = select(jobs.c.state, func.count().label("how_many")).where(matches(which))
    if among:
        statement = statement.where(in_state(*among))
    return statement.group_by(jobs.c.state)


def ids(which: JobFilter, among: Sequence[JobState], after: str, limit: int) -> Select[*tuple[Any, ...]]:
    """Read the next ids in their order, locking nothing: what they find is compared again."""
    return (
        select(jobs.c.id)
        .where(matches(which), in_state(*among), jobs.c.id > after)
        .order_by(jobs.c.id)
        .limit(limit)
    )


def lock(which: JobFilter, among: Sequence[JobState]) -> Select[*tuple[Any, ...]]:
    """Lock those of a batch that fit still, in the order of their ids (B13)."""
    return (
        select(
            jobs.c.id,
            jobs.c.state,
            jobs.c.child_group,
            jobs.c.unique_while,
            was_refused(jobs.c.id).label("is_refused"),
        )
        .where(is_named(jobs.c.id), matches(which, is_in=is_still), is_still(*among))
        .order_by(jobs.c.id)
        .with_for_update(of=jobs, key_share=True)
    )


def _words(which: JobFilter) -> list[Condition]:
    wanted: tuple[tuple[ColumnElement[Any], Sequence[str]], ...] = (
        (jobs.c.id, which.ids),
        (jobs.c.task, which.tasks),
        (jobs.c.queue, which.queues),
        (jobs.c.tenant, which.tenants),
        (jobs.c.parent_id, which.parents),
        (jobs.c.reason, [reason.value for reason in which.reasons]),
    )
    return [column.in_(values) for column, values in wanted if values]


def _tags(which: JobFilter) -> list[Condition]:
    return [jobs.c.id.in_(select(job_tags.c.job_id).where(job_tags.c.tag == tag)) for tag in which.tags]


def _between(
    column: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> list[Condition]:
    bounds: list[Condition] = []
    if since is not None:
        bounds.append(column >= since)
    if until is not None:
        bounds.append(column <= until)
    return bounds


def _contains(text: str) -> Condition:
    # The failure is JSON: its own words are not the job's, and what is looked for stands there escaped.
    said: ColumnElement[Any] = jobs.c.failure
    for name in _FIELDS:
        said = func.replace(said, f'"{name}":', "")
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return or_(jobs.c.detail.icontains(text, autoescape=True), said.icontains(escaped, autoescape=True))
