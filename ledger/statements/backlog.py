"""How many jobs wait in a queue, counted no further than it matters."""

from functools import cache
from typing import Any, Final

from sqlalchemy import Integer, Select, bindparam, func, select

from holdfast.ledger.schema import jobs

QUEUE: Final = "backlog_queue"
LAST: Final = "backlog_last_priority"
MOST: Final = "backlog_most"


@cache
def waiting() -> Select[*tuple[Any, ...]]:
    """Count the jobs of a queue that wait for a worker or an upstream, up to a priority, at most so many."""
    # Available jobs alone have a time to ring, parked ones alone wait for something. By their state a planner
    # without statistics takes another index.
    available, parked = (
        select(func.count())
        .select_from(
            select(jobs.c.id)
            .where(waits, jobs.c.queue == bindparam(QUEUE), jobs.c.priority <= bindparam(LAST))
            .limit(bindparam(MOST, type_=Integer()))
            .subquery()
        )
        .scalar_subquery()
        for waits in (jobs.c.next_ring_at.is_not(None), jobs.c.waiting_for.is_not(None))
    )
    return select(available + parked)


def asked(queue: str, last_priority: int, most: int) -> dict[str, object]:
    """Return the parameters of the count."""
    return {QUEUE: queue, LAST: last_priority, MOST: most}
