"""What a schedule is: a name, a rule, and the job that each of its ticks becomes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from holdfast.jobs.ids import JobId
from holdfast.jobs.job import DEFAULT_PRIORITY, DEFAULT_QUEUE
from holdfast.jobs.schedules.errors import InvalidSchedule
from holdfast.jobs.schedules.missed import Missed
from holdfast.jobs.schedules.rule import Rule, rule_of

LONGEST_NAME: Final = 200
"""Characters: the tick's instant has to fit into the job's id, too."""
LONGEST_DEADLINE_SECONDS: Final = 366 * 24 * 3600.0
_SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}")


class Source(StrEnum):
    """Who says what a schedule is."""

    CODE = "code"
    """The task's module, by `@task(schedule=...)`."""
    COMMAND = "command"
    """An operator; no release of the code changes it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A schedule as it was asked for, checked and ready to be written."""

    name: str
    rule: str
    task: str
    arguments: str = "{}"
    """Strict JSON text of one object: parameter name to value."""
    zone: str = "UTC"
    missed: Missed = Missed.ONE
    version: str = "1"
    """Of the task."""
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    tenant: str | None = None
    deadline_seconds: float | None = None
    """Of each job, from its tick."""
    cohort: int | None = None
    """1: its jobs run in processes of their own."""

    def check(self) -> None:
        """Raise InvalidSchedule for a name, rule or deadline that no schedule can have."""
        if not _NAME.fullmatch(self.name):
            raise InvalidSchedule(
                detail=f"{self.name!r:.250} is no name of a schedule",
                hint=f"Use 1 to {LONGEST_NAME} letters, digits and _ . : / -, as in `reports.nightly`.",
            )
        self.rule_from(_SOME_TIME)
        deadline = self.deadline_seconds
        if deadline is not None and not 0 < deadline <= LONGEST_DEADLINE_SECONDS:
            raise InvalidSchedule(
                detail=f"{self.name}: deadline_seconds is {deadline}, and must be more than 0, up to 366 days"
            )

    def rule_from(self, anchor: datetime) -> Rule:
        """Read the rule. Raises InvalidSchedule."""
        return rule_of(self.rule, self.zone, anchor)


def job_of_tick(name: str, tick: datetime) -> JobId:
    """Return the id of the job of a tick: the same for whoever fires it, and no other tick's."""
    return JobId(f"{name}@{tick.astimezone(UTC).replace(tzinfo=None).isoformat()}Z")
