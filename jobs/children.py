"""A job's children: jobs that it starts, and waits for without keeping a slot.

What a parent plans is written once and known by its names, so that a parent
which starts again from its beginning finds its children instead of new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from holdfast.jobs import codec
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob
from holdfast.jobs.lease import Lease
from holdfast.jobs.state import JobState, QuarantineReason

CHILDREN: Final = "children:"
"""What a parent waits for that waits for its children begins so; the name of the wait follows."""
LONGEST_WAIT: Final = 200
"""Characters of the name of a wait or a group."""
_ID_LENGTH: Final = 32


class FailurePolicy(StrEnum):
    """What a wait makes of children that end without a result."""

    ALL = "all"
    """Each must complete: the first that does not ends the wait, and the others are cancelled."""
    ANY = "any"
    """One result is enough: the first ends the wait, and the others are cancelled."""
    COLLECT = "collect"
    """All are waited for, and each tells how it ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a parent wants to have started, or waits for. Repeating it changes nothing."""

    parent: Lease
    generation: int
    """The parent's: in a new one, what ended without a result is started once more."""
    name: str
    policy: FailurePolicy
    groups: tuple[str, ...]
    """The groups of children that are waited for."""
    digest: str
    """Of what is planned: the same name with another plan is refused."""
    jobs: tuple[NewJob, ...] = ()

    @property
    def waiting_for(self) -> str:
        """What the parent's row says while it is parked."""
        return CHILDREN + self.name


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """A child as its parent finds it after the wait."""

    job_id: JobId
    group: str
    position: int
    task: str
    state: JobState
    """Not final if the wait was over before."""
    reason: QuarantineReason | None = None
    detail: str | None = None
    result: str | None = None
    failure: Failure | None = None
    finished_at: datetime | None = None


def child_id(parent_id: str, group: str, position: int, generation: int) -> JobId:
    """Return the id of the child at a place: the same each time its parent plans it (B15)."""
    return JobId(codec.digest(f"{parent_id}\0{group}\0{position}\0{generation}")[:_ID_LENGTH])


def plan_digest(calls: Sequence[tuple[str, str]]) -> str:
    """Return the digest of what is planned: each child's task and arguments, in their order."""
    return codec.digest("\0".join(f"{task}\0{arguments}" for task, arguments in calls))
