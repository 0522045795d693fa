"""A message of a plain Celery producer, read as a job: mapped, or refused with the reason.

Pure: takes the message's parts, returns a value. What each Celery option
becomes stands in `docs/celery-options.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard, cast

from holdfast.jobs import codec
from holdfast.jobs.errors import JobError
from holdfast.jobs.failure import storable_text
from holdfast.jobs.ids import JobId, is_job_id
from holdfast.jobs.job import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY, NewJob
from holdfast.jobs.state import QuarantineReason
from holdfast.tasks.registry import Registry

PRINCIPAL: Final = "broker"
_LONGEST_NAME: Final = 255
_EMBEDS: Final = ("callbacks", "errbacks", "chain", "chord")
_PAIR: Final = 2
_FIRST_YEAR: Final = 1972
_LAST_YEAR: Final = 8800
"""Within what the ledger can hold, and Celery can wait for, in every time zone."""
_LONGEST_LIMIT_SECONDS: Final = 1e9
"""JSON knows larger numbers, and infinity by accident; a century is no limit any more."""


@dataclass(frozen=True, slots=True)
class Adoptable:
    """The message is a job."""

    job: NewJob
    digest: str
    """SHA-256 of task, arguments and options: the same message again has the same."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The message may not run; `job` is None if not even its id can be trusted."""

    reason: QuarantineReason
    detail: str
    job: NewJob | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """The parts of a Celery message of protocol 2 that say something."""

    headers: Mapping[str, Any]
    payload: object
    """The decoded body: arguments, keywords, embeds."""
    priority: int | None = None


def read(
    message: ForeignMessage, registry: Registry, *, adopts: bool, largest_bytes: int = codec.LARGEST_BYTES
) -> Adoptable | Refused:
    """Decide about one message.

    `adopts` is for tasks that do not say it themselves; arguments of more than
    `largest_bytes` of UTF-8 are refused.
    """
    task, job_id = message.headers.get("task"), message.headers.get("id")
    if not _is_name(task) or not is_job_id(job_id):
        return Refused(QuarantineReason.UNDECODABLE, "the task or id header is missing or malformed")
    digest = _digest(message)
    blank = NewJob(id=JobId(str(job_id)), task=task, arguments="{}", principal=PRINCIPAL)
    known = registry.get(task)
    if known is None:
        return Refused(QuarantineReason.UNKNOWN_TASK, f"no task {task!r} is known here", blank, digest)
    spec = known.spec
    if not (adopts if spec.adopt is None else spec.adopt):
        detail = (
            "the task takes no jobs from plain Celery producers: set adopt=True on it, or HOLDFAST_ADOPTION"
        )
        return Refused(QuarantineReason.PERMANENT, detail, blank, digest)
    try:
        args, kwargs = _arguments(message.payload)
        options = _options(message)
        arguments = spec.signature.bind(*args, **kwargs)
        _check_size(arguments, largest_bytes)
    except (NotMapped, JobError) as error:
        return Refused(QuarantineReason.INVALID_PAYLOAD, str(error), blank, digest)
    job = NewJob(
        id=blank.id,
        task=task,
        arguments=arguments,
        version=spec.version,
        queue=spec.queue,
        principal=PRINCIPAL,
        cohort=spec.cohort,
        **options,
    )
    return Adoptable(job, digest)


def _is_name(task: object) -> TypeGuard[str]:
    # One that no row can hold could not be refused under its id.
    return isinstance(task, str) and 0 < len(task) <= _LONGEST_NAME and task == storable_text(task)


def _check_size(arguments: str, largest_bytes: int) -> None:
    size = len(arguments.encode())
    if size > largest_bytes:
        raise NotMapped(f"the arguments have {size} bytes, at most {largest_bytes}")


class NotMapped(ValueError):
    """An option that cannot be kept."""


def _digest(message: ForeignMessage) -> str:
    options = {name: message.headers.get(name) for name in ("task", "eta", "expires", "timelimit", "group")}
    try:
        return codec.digest(codec.canonical([options, message.payload]))
    except JobError:
        return codec.digest(repr((options, message.payload)))


def _arguments(payload: object) -> tuple[Sequence[Any], dict[str, Any]]:
    if not isinstance(payload, list) or len(cast("list[object]", payload)) != 3:  # noqa: PLR2004 -- protocol 2
        raise NotMapped("the body is no list of arguments, keywords and embeds")
    args, kwargs, embed = payload
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise NotMapped("the arguments are no list, or the keywords no object")
    if embed is not None and not isinstance(embed, dict):
        raise NotMapped("the embeds are no object")
    for name in _EMBEDS:
        if cast("dict[str, object]", embed or {}).get(name):
            raise NotMapped(f"unsupported:{name}: Celery's canvas over our tasks is not supported")
    return args, cast("dict[str, Any]", kwargs)


def _options(message: ForeignMessage) -> dict[str, Any]:
    headers = message.headers
    if headers.get("group"):
        raise NotMapped("unsupported:group: enqueue the jobs one by one, or with enqueue_many")
    if headers.get("stamps") or headers.get("stamped_headers"):
        raise NotMapped("unsupported:stamps: a stamp has no meaning here")
    hard, soft = limits(headers.get("timelimit"))
    priority = message.priority if message.priority is not None else DEFAULT_PRIORITY
    if not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        raise NotMapped(f"priority {priority} is not from {HIGHEST_PRIORITY} to {LOWEST_PRIORITY}")
    return {
        "run_at": instant("eta", headers.get("eta")),
        "deadline_at": instant("expires", headers.get("expires")),
        "hard_timeout_seconds": hard,
        "soft_timeout_seconds": soft,
        "priority": DEFAULT_PRIORITY if message.priority in (None, 0) else priority,
        "trace": _trace(headers.get("traceparent")),
    }


def instant(name: str, value: object) -> datetime | None:
    """Read `eta` or `expires`; without a zone it is UTC. Raises NotMapped."""
    if value is None:
        return None
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise NotMapped(f"{name} is {str(value)[:80]!r}, which is no ISO 8601 instant") from error
    if not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        raise NotMapped(f"{name} is {str(value)[:80]!r}, beyond the calendar")
    return read.astimezone(UTC) if read.tzinfo is not None else read.replace(tzinfo=UTC)


def limits(value: object) -> tuple[float | None, float | None]:
    """Read `timelimit`: the hard limit and the soft one, in seconds. Raises NotMapped."""
    if value is None:
        return None, None
    if not isinstance(value, list) or len(cast("list[object]", value)) != _PAIR:
        raise NotMapped("timelimit is no pair")
    pair: list[object] = value
    for limit in pair:
        if limit is not None and (
            isinstance(limit, bool)
            or not isinstance(limit, (int, float))
            or not 0 < limit <= _LONGEST_LIMIT_SECONDS
        ):
            raise NotMapped(f"timelimit holds what is no number of seconds up to {_LONGEST_LIMIT_SECONDS:g}")
    hard, soft = (None if limit is None else float(cast("float", limit)) for limit in pair)
    return hard, soft


def _trace(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else None
