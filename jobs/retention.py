"""How long jobs are kept after their end, by task and by how they ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.jobs.durations import seconds_of
from holdfast.jobs.state import FINAL_STATES, JobState

EVERY_TASK: Final = "*"
LEAST_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 3650 * 86400.0
ENDS: Final = (JobState.COMPLETED, JobState.CANCELLED, JobState.QUARANTINED)
"""The final states, in a fixed order."""
_HOW: Final = (
    "write TASK=TIME or TASK:STATE=TIME, as in `mail.send=1h, reports.build:quarantined=90d, *:cancelled=1d`"
)

Times = Mapping[JobState, float]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Jobs that are kept equally long."""

    state: JobState
    seconds: float
    task: str | None = None
    """None: of every task but those in `others`."""
    others: tuple[str, ...] = ()
    steps_over: bool = False
    """There may be jobs among them, in the order of their ends, that are kept longer."""


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long, in seconds after the end."""

    usual: Times
    """By final state, for each of them."""
    by_task: Mapping[str, Times] = field(default_factory=dict[str, Times])
    """For tasks that have their own."""

    @classmethod
    def plain(cls, completed_seconds: float, quarantined_seconds: float) -> "RetentionPolicy":
        """Keep jobs of all tasks equally long, and cancelled ones like completed ones."""
        times = (completed_seconds, completed_seconds, quarantined_seconds)
        return cls(dict(zip(ENDS, times, strict=True)))

    @classmethod
    def of(
        cls, entries: Sequence[str], *, completed_seconds: float, quarantined_seconds: float
    ) -> "RetentionPolicy":
        """Read `TASK=TIME` and `TASK:STATE=TIME`; the most particular one holds, the rest is kept as usual.

        Raises ValueError that says what is wrong with which.
        """
        given = rules_of(entries)
        usual = dict(cls.plain(completed_seconds, quarantined_seconds).usual)
        own: dict[str, dict[JobState, float]] = {}
        # What is said of all states first, so that what is said of one comes over it.
        for (task, state), seconds in sorted(given.items(), key=lambda rule: rule[0][1] is not None):
            times = usual if task == EVERY_TASK else own.setdefault(task, {})
            times.update(dict.fromkeys(ENDS if state is None else (state,), seconds))
        return cls(usual, own)

    def sweeps(self) -> Iterator[Sweep]:
        """Return what to sweep, so that each final job belongs to exactly one."""
        usual = self.usual
        steps_over = bool(self.by_task) or usual[JobState.COMPLETED] != usual[JobState.CANCELLED]
        for state in ENDS:
            own = {task: times[state] for task, times in self.by_task.items() if state in times}
            for task, seconds in own.items():
                yield Sweep(state, seconds, task, steps_over=steps_over)
            yield Sweep(state, usual[state], others=tuple(sorted(own)), steps_over=steps_over)


def rules_of(entries: Sequence[str]) -> dict[tuple[str, JobState | None], float]:
    """Read the entries: how long, by task and state, where None is every state. Raises ValueError."""
    rules: dict[tuple[str, JobState | None], float] = {}
    for entry in entries:
        name, is_given, time = entry.rpartition("=")
        if not is_given or not name.strip():
            raise ValueError(f"{entry!r:.100} says not how long; {_HOW}")
        rule = _named(entry, name.strip())
        if rule in rules:
            raise ValueError(f"{name.strip()!r:.100} is there twice; give it one time")
        rules[rule] = _seconds(entry, time)
    return rules


def _named(entry: str, name: str) -> tuple[str, JobState | None]:
    task, is_given, state = (part.strip() for part in name.rpartition(":"))
    if not is_given:
        return name, None
    if state not in FINAL_STATES or not task:
        raise ValueError(f"{entry!r:.100}: {state!r} is none of {', '.join(ENDS)}; {_HOW}")
    return task, JobState(state)


def _seconds(entry: str, text: str) -> float:
    try:
        seconds = seconds_of(text)
    except ValueError as error:
        raise ValueError(f"{entry!r:.100}: {error}") from error
    if not LEAST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"{entry!r:.100}: jobs are kept from one minute to ten years")
    return seconds
