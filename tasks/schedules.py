"""Schedules in code: what stands in `@task(schedule=...)`, checked at import."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from holdfast.jobs.errors import InvalidArguments, InvalidOption, InvalidSchedule
from holdfast.jobs.job import DEFAULT_PRIORITY
from holdfast.jobs.schedules.definition import Definition
from holdfast.jobs.schedules.missed import Missed
from holdfast.jobs.schedules.rule import HOW
from holdfast.ledger.records import OfferRow
from holdfast.tasks.by_name import bind_by_schema
from holdfast.tasks.options import Options

if TYPE_CHECKING:
    from holdfast.tasks.spec import TaskSpec

_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When jobs of a task begin by themselves, and with which arguments.

    `rule` is five fields of cron (`"30 2 * * MON-FRI"`), a name (`"@hourly"`), an interval of whole
    seconds (`"every 1h30m"`, or a timedelta). docs/schedules.md says what happens where clocks are put
    forward or back. Raises InvalidSchedule or InvalidOption at construction; the arguments are checked
    with the task's types when the task is made.
    """

    rule: str | timedelta
    _: KW_ONLY
    name: str | None = None
    """Of the schedule, in the whole ledger; None: the task's name."""
    arguments: Mapping[str, object] | Sequence[object] = field(default_factory=dict[str, object])
    zone: str = "UTC"
    """The IANA name of the zone whose clocks cron reads; intervals are of real time."""
    missed: Literal["skip", "one", "all"] = "one"
    """What becomes of ticks that passed while nobody was there to fire them: they are left out,
    only the last one fires, or all of them do."""
    queue: str | None = None
    """Another queue than the task's own."""
    priority: int | None = None
    """0 is first, 9 is last; None means 5."""
    tenant: str | None = None
    deadline_seconds: float | None = None
    """Of each job, from its tick: no attempt begins later, and none lasts longer."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, whatever the task."""
        if self.missed not in {policy.value for policy in Missed}:
            raise InvalidSchedule(detail=f"missed is {self.missed!r:.50}, and must be skip, one or all")
        # The same rules as for any job.
        Options(
            queue=self.queue,
            priority=self.priority,
            tenant=self.tenant,
            deadline_seconds=self.deadline_seconds,
        )
        self._definition(self.name or "x", task="x").check()

    def of_task(self, spec: "TaskSpec") -> Definition:
        """Join it with its task. Raises InvalidSchedule, with what does not fit."""
        name = self.name or spec.name
        try:
            arguments = spec.signature.bind_call(self.arguments)
        except InvalidArguments as error:
            raise InvalidSchedule(detail=f"{name}: {error.detail}", hint=error.advice) from error
        definition = self._definition(
            name,
            task=spec.name,
            arguments=arguments,
            version=spec.version,
            queue=self.queue or spec.queue,
            cohort=spec.cohort,
        )
        definition.check()
        return definition

    def of_offer(self, name: str, offer: OfferRow) -> Definition:
        """Join it with a task that only live workers know: names and outermost JSON types are checked.

        Raises InvalidArguments or InvalidSchedule.
        """
        given = self.arguments if isinstance(self.arguments, Mapping) else {}
        definition = self._definition(
            name,
            task=offer.task,
            arguments=bind_by_schema(offer, given),
            version=offer.version,
            queue=self.queue or offer.queue,
            cohort=offer.cohort,
        )
        definition.check()
        return definition

    def _definition(
        self,
        name: str,
        *,
        task: str,
        arguments: str = "{}",
        version: str = "1",
        queue: str = "default",
        cohort: int | None = None,
    ) -> Definition:
        return Definition(
            name=name,
            rule=self.rule if isinstance(self.rule, str) else _in_text(self.rule),
            task=task,
            arguments=arguments,
            zone=self.zone,
            missed=Missed(self.missed),
            version=version,
            queue=queue,
            priority=DEFAULT_PRIORITY if self.priority is None else self.priority,
            tenant=self.tenant,
            deadline_seconds=self.deadline_seconds,
            cohort=cohort,
        )


ScheduleOption = Schedule | str | timedelta | Iterable[Schedule]
"""One schedule, one rule with nothing else to say, or several schedules with names of their own."""


def schedules_of(spec: "TaskSpec", wanted: ScheduleOption | None) -> tuple[Definition, ...]:
    """Read the schedules of a task. Raises InvalidSchedule."""
    if wanted is None:
        return ()
    if isinstance(wanted, (str, timedelta)):
        wanted = Schedule(wanted)
    several = [wanted] if isinstance(wanted, Schedule) else list(wanted)
    for one in several:
        if not isinstance(one, Schedule):  # pyright: ignore[reportUnnecessaryIsInstance]  # users have no checker
            raise InvalidOption(detail=f"{spec.name}: {one!r:.100} in a list of schedules is no Schedule")
    found = tuple(one.of_task(spec) for one in several)
    if len({one.name for one in found}) < len(found):
        raise InvalidSchedule(
            detail=f"{spec.name} has several schedules of one name",
            hint='Name each: Schedule(..., name="...").',
        )
    return found


def _in_text(interval: timedelta) -> str:
    if not isinstance(interval, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        raise InvalidSchedule(detail=f"{interval!r:.100} is no rule of a schedule", hint=HOW)
    if interval % _SECOND:
        raise InvalidSchedule(detail=f"{interval} is no whole number of seconds")
    return f"every {interval // _SECOND}s"
