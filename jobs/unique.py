"""Unique jobs: of what counts as the same, one at a time. Policy, key, and the decision about a conflict."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, get_args

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidOption, NotUnique
from holdfast.jobs.ids import JobId
from holdfast.jobs.state import FINAL_STATES, JobState

OnConflict = Literal["return", "reject", "replace", "debounce", "cancel_running", "drop"]
"""What is done with a request whose key another job holds."""

Conflict = Literal["returned", "replaced", "moved", "superseded", "waits", "dropped"]
"""What was done with such a request; see `Enqueued.conflict`."""

UNTIL_ENDED: Final = frozenset(JobState) - FINAL_STATES
"""The key is held while the job is not over: it waits, runs, is parked, waits for its next attempt."""
UNTIL_STARTED: Final = frozenset({JobState.SCHEDULED, JobState.AVAILABLE})
"""The key is free as soon as the first attempt begins: a request that comes meanwhile makes the next job."""
LONGEST_DEBOUNCE_SECONDS: Final = 3600.0
_LONGEST_SECONDS: Final = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Of the jobs of a task that count as the same, only one may be there at a time.

    The key is held from the enqueue until the job leaves `states`, or `seconds` have passed. Once let go it
    is not taken again, also if a retry brings the job back into these states; only an operator's requeue
    takes it again, and is refused if it cannot. Raises InvalidOption at construction for what makes no sense.
    """

    by: Literal["arguments"] | tuple[str, ...] = "arguments"
    """Which arguments count: all that the caller gave, or those of these names; `()`: one job of the task."""
    per_tenant: bool = True
    """Jobs of different tenants are never the same."""
    states: frozenset[JobState] = UNTIL_ENDED
    """In which states of its job the key is held; `scheduled` and `available` are among them, as jobs begin
    there."""
    seconds: float | None = None
    """The key is held so long at most, from the enqueue; None: as long as the states say. Final states need
    it: `states=frozenset(JobState), seconds=3600` is one job an hour, however it ends."""
    on_conflict: OnConflict = "return"
    """`return`: the handle of the job that is there. `reject`: NotUnique, nothing of the request is written.
    `replace`: the job that waits takes these arguments. `debounce`: as `replace`, and it waits anew.
    `cancel_running`: the newest wins; the older one is cancelled, and a running one is asked to end, and
    waited for. `drop`: as `return`, for who does not care."""
    if_started: Literal["return", "reject"] = "return"
    """What `replace` and `debounce` do when the first attempt has begun, and the job cannot be changed."""
    longest_seconds: float = LONGEST_DEBOUNCE_SECONDS
    """`debounce` moves a job no further than so long after its enqueue, so that it runs at last."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.on_conflict not in get_args(OnConflict):
            raise InvalidOption(detail=f"unique: on_conflict is {self.on_conflict!r:.100}")
        if isinstance(self.by, str) and self.by != "arguments":
            raise InvalidOption(
                detail="unique: by is a text", hint="Write a tuple of names, as in by=('document_id',)."
            )
        if not frozenset(JobState) >= self.states >= UNTIL_STARTED:
            raise InvalidOption(
                detail="unique: states must hold `scheduled` and `available`, and only states"
            )
        if self.seconds is not None and not 0 < self.seconds <= _LONGEST_SECONDS:
            raise InvalidOption(detail=f"unique: seconds is {self.seconds}, not more than 0 up to 366 days")
        if not (math.isfinite(self.longest_seconds) and 0 < self.longest_seconds <= _LONGEST_SECONDS):
            raise InvalidOption(detail="unique: longest_seconds must be more than 0, up to 366 days")
        if self.states & {JobState.COMPLETED, JobState.CANCELLED} and self.seconds is None:
            raise InvalidOption(
                detail="unique: a job stays completed or cancelled for ever",
                hint="Say for how many `seconds`.",
            )
        if self.on_conflict == "cancel_running" and (self.states != UNTIL_ENDED or self.seconds is not None):
            raise InvalidOption(
                detail="unique: cancel_running holds the key until the job has ended",
                hint="Leave out `states` and `seconds`.",
            )

    def as_json(self) -> dict[str, object]:
        """Return the rule in JSON's own values."""
        by = self.by if isinstance(self.by, str) else list(self.by)
        return {**asdict(self), "by": by, "states": sorted(self.states)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Read what `as_json` returned; raises InvalidOption, TypeError or ValueError for anything else."""
        by = said["by"] if isinstance(said["by"], str) else tuple(said["by"])
        fields: dict[str, Any] = {**said, "by": by, "states": frozenset(map(JobState, said["states"]))}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A policy, and the digest of what counts as the same."""

    digest: str
    policy: Unique


@dataclass(frozen=True, slots=True)
class Holder:
    """The job that holds a key when another one asks for it."""

    job_id: JobId
    state: JobState
    was_claimed: bool
    """An attempt has begun at some time."""


def key_of(task: str, tenant: str | None, arguments: str, policy: Unique) -> UniqueKey:
    """Make the key of a request; `arguments` is its checked JSON text.

    A default that the caller did not give is not in the text, and not in the key.
    """
    given = codec.decode(arguments, largest_bytes=len(arguments) * 4 + 1)
    assert isinstance(given, Mapping)  # noqa: S101 -- NewJob.arguments is one object
    chosen = given if policy.by == "arguments" else {name: given[name] for name in policy.by if name in given}
    scope = [task, [tenant] if policy.per_tenant else None, chosen]
    return UniqueKey(codec.digest(codec.canonical(scope)), policy)


def resolve(policy: Unique, holder: Holder) -> Conflict:
    """Decide what becomes of a request whose key this job holds.

    Raises NotUnique, which names the job; it may succeed when that job has ended.
    """
    can_change = not holder.was_claimed and holder.state in UNTIL_ENDED
    match policy.on_conflict:
        case "drop":
            return "dropped"
        case "replace" if can_change:
            return "replaced"
        case "debounce" if can_change:
            # What is due is not put off any more.
            return "moved" if holder.state is JobState.SCHEDULED else "replaced"
        case "cancel_running" if holder.state in UNTIL_ENDED:
            return "waits" if holder.state is JobState.RUNNING else "superseded"
        case "replace" | "debounce" if policy.if_started == "return":
            return "returned"
        case "return" | "cancel_running":
            return "returned"
        case _:
            raise NotUnique(job_id=holder.job_id, detail=f"it is {holder.state}")
