"""What a handler does with jobs of its own making: starts them, and waits for them without a slot."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from holdfast.jobs import signals
from holdfast.jobs.children import LONGEST_WAIT, ChildEnd, FailurePolicy, Plan, child_id, plan_digest
from holdfast.jobs.clock import Clock
from holdfast.jobs.errors import ChildFailed, InvalidOption
from holdfast.jobs.failure import Failure
from holdfast.jobs.ids import JobId
from holdfast.jobs.job import NewJob, Parentage
from holdfast.jobs.lease import Lease
from holdfast.jobs.state import JobState, QuarantineReason
from holdfast.ledger.children import Children
from holdfast.tasks.arguments import Call
from holdfast.tasks.bound import BoundTask
from holdfast.tasks.job_info import JobInfo
from holdfast.tasks.options import Options
from holdfast.tasks.request import new_job
from holdfast.tasks.result_codec import ResultCodec

T = TypeVar("T")
R = TypeVar("R")

NOT_NEEDED: Final = "its parent needs it no longer"
_PRINCIPAL: Final = "job"


class ChildrenPort(Protocol):
    """How a context reaches the ledger's verbs about children."""

    async def on_children(self, verb: Callable[[Children], T]) -> T:
        """Run verbs on a thread. Waits through an outage of the ledger; raises what they raise."""
        ...

    def on_children_sync(self, verb: Callable[[Children], T]) -> T:
        """Do the same in a handler that has a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Child(Generic[R]):
    """A job that a handler has started. `await ctx.gather(child)` waits for it and returns its result."""

    id: JobId
    group: str
    codec: ResultCodec


@dataclass(frozen=True, slots=True)
class ChildOutcome(Generic[R]):
    """How one child ended, for who collects them all."""

    job_id: JobId
    state: JobState
    result: R | None = None
    """What it returned; None too if it did not complete."""
    reason: QuarantineReason | None = None
    detail: str | None = None
    failure: Failure | None = None

    @property
    def is_completed(self) -> bool:
        """Tell whether there is a result."""
        return self.state is JobState.COMPLETED


class Planner:
    """Writes plans for one attempt: names them in the order of the calls, as each attempt does."""

    def __init__(self, job: JobInfo, lease: Lease, clock: Clock, *, largest_bytes: int) -> None:
        """Plan for this job; children's arguments have at most so many bytes."""
        self._job = job
        self._lease = lease
        self._clock = clock
        self._largest_bytes = largest_bytes
        self._numbers: Counter[str] = Counter()

    def spawn(self, task: BoundTask[..., Any], arguments: str) -> Plan:
        """Plan one child."""
        name = self._name("spawn", None)
        return self._plan(name, FailurePolicy.COLLECT, (name,), self._children(task, [arguments], name))

    def map(
        self, task: BoundTask[..., Any], calls: Iterable[Call], policy: FailurePolicy, name: str | None
    ) -> Plan:
        """Plan a child for each call, and a wait for all of them."""
        full_name = self._name("map", name)
        texts = [task.spec.signature.bind_call(call) for call in calls]
        return self._plan(full_name, policy, (full_name,), self._children(task, texts, full_name))

    def gather(self, children: Sequence[Child[Any]], policy: FailurePolicy) -> Plan:
        """Plan a wait for children that were started before."""
        groups = tuple(child.group for child in children)
        return self._plan(self._name("gather", None), policy, groups, ())

    def _plan(
        self, name: str, policy: FailurePolicy, groups: tuple[str, ...], jobs: tuple[NewJob, ...]
    ) -> Plan:
        planned = [(job.task, job.arguments) for job in jobs] or [("", group) for group in groups]
        return Plan(self._lease, self._job.generation, name, policy, groups, plan_digest(planned), jobs)

    def _name(self, kind: str, given: str | None) -> str:
        if given is None:
            self._numbers[kind] += 1
            return f"{kind}:{self._numbers[kind]}"
        if not (given.isprintable() and 0 < len(given) <= LONGEST_WAIT - len(kind) - 1) or given.isdigit():
            raise InvalidOption(
                job_id=self._job.id,
                detail=f"{given!r:.100} cannot name a wait",
                hint=f"Use up to {LONGEST_WAIT - len(kind) - 1} printable characters, and no bare number.",
            )
        name = f"{kind}:{given}"
        self._numbers[name] += 1
        if self._numbers[name] > 1:
            raise InvalidOption(
                job_id=self._job.id,
                detail=f"this attempt has used the name {given!r} before",
                hint="Give each wait a name of its own, or none.",
            )
        return name

    def _children(self, task: BoundTask[..., Any], texts: Sequence[str], group: str) -> tuple[NewJob, ...]:
        options, spec = self._options(task), task.spec
        jobs: list[NewJob] = []
        for position, text in enumerate(texts):
            # Of its plan, and never another job that counts as the same: the task's rule is not for children.
            made = new_job(
                spec.name,
                spec.version,
                spec.queue,
                text,
                options,
                largest_bytes=self._largest_bytes,
                cohort=spec.cohort,
            )
            named = replace(
                made,
                id=child_id(self._job.id, group, position, self._job.generation),
                principal=_PRINCIPAL,
                parentage=Parentage(JobId(self._job.id), group, position),
            )
            jobs.append(named)
        return tuple(jobs)

    def _options(self, task: BoundTask[..., Any]) -> Options:
        """Return a child's options: what it does not say itself it has from its parent."""
        given = task.given
        for name in ("key", "job_id", "session", "unique"):
            if getattr(given, name) is not None:
                raise InvalidOption(
                    job_id=self._job.id,
                    detail=f"{name} is not for children: a child's id comes from its place in the plan",
                    hint=f"Leave {name} out; an attempt that is repeated finds its children by itself.",
                )
        return replace(
            given,
            tenant=self._job.tenant if given.tenant is None else given.tenant,
            priority=self._job.priority if given.priority is None else given.priority,
            trace=self._job.trace if given.trace is None else given.trace,
            deadline_at=self._deadline(given),
            deadline_seconds=None,
        )

    def _deadline(self, given: Options) -> datetime | None:
        own = given.deadline_at
        if own is None and given.deadline_seconds is not None:
            own = self._clock.now() + timedelta(seconds=given.deadline_seconds)
        limits = [one for one in (own, self._job.deadline_at) if one is not None]
        return min(limits, default=None)


def carry_out(plan: Plan) -> Callable[[Children], list[ChildEnd]]:
    """Return the verbs that write a plan and read how its children ended.

    What they run raises Park while there is something to wait for: the attempt ends, the slot is
    free, and the handler begins again when the wait is over.
    """

    def see(children: Children) -> list[ChildEnd]:
        """Plan, look, and cancel what is not needed any more."""
        if not children.plan(plan):
            raise signals.Park(plan.waiting_for, reason=f"{len(plan.jobs) or len(plan.groups)} children")
        ends = children.ends(plan.parent.job_id, plan.groups)
        expected = len(plan.jobs) or len(plan.groups)
        if len(ends) != expected:
            raise ChildFailed(
                job_id=plan.parent.job_id,
                detail=f"of {expected} children {expected - len(ends)} are not in the ledger any more",
            )
        if plan.policy is not FailurePolicy.COLLECT and any(not end.state.is_final for end in ends):
            children.cancel(plan.parent, plan.groups, NOT_NEEDED)
        return ends

    return see


def answer(plan: Plan, ends: Sequence[ChildEnd], codecs: Mapping[str, ResultCodec]) -> Any:  # noqa: ANN401  typed by the context's methods
    """Turn how the children ended into what the handler asked for; `codecs` are by group.

    Raises ChildFailed.
    """
    match plan.policy:
        case FailurePolicy.COLLECT:
            return [_outcome(end, codecs[end.group]) for end in ends]
        case FailurePolicy.ANY:
            first = min((end for end in ends if end.state is JobState.COMPLETED), key=_ended, default=None)
            if first is None:
                raise _failed(ends, f"none of {len(ends)} completed; the first to fail: ")
            return codecs[first.group].load(first.result or "null")
        case FailurePolicy.ALL:
            if any(end.state is not JobState.COMPLETED for end in ends):
                raise _failed(ends, "")
            return [codecs[end.group].load(end.result or "null") for end in ends]


def _outcome(end: ChildEnd, codec: ResultCodec) -> ChildOutcome[Any]:
    result = codec.load(end.result or "null") if end.state is JobState.COMPLETED else None
    return ChildOutcome(end.job_id, end.state, result, end.reason, end.detail, end.failure)


def _failed(ends: Sequence[ChildEnd], said: str) -> ChildFailed:
    ended = [end for end in ends if end.state in (JobState.QUARANTINED, JobState.CANCELLED)]
    # Who was cancelled may have been so because of the other.
    first = min(ended, key=lambda end: (end.state is JobState.CANCELLED, *_ended(end)))
    why = f", {first.failure.type}: {first.failure.message}" if first.failure is not None else ""
    told = first.reason or first.detail or ""
    return ChildFailed(
        job_id=first.job_id, detail=f"{said}{first.task} is {first.state}{f' ({told})' if told else ''}{why}"
    )


def _ended(end: ChildEnd) -> tuple[datetime, str, int]:
    # The same answer each time the handler asks, also if more have ended since.
    if end.finished_at is None:
        raise ValueError(f"{end.job_id} is {end.state} and has no end")
    return (end.finished_at, end.group, end.position)
