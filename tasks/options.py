"""What a caller may say about one request, beside its arguments."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from holdfast.jobs.errors import InvalidOption
from holdfast.jobs.ids import is_job_id
from holdfast.jobs.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from holdfast.jobs.queues import QUEUE_RULE, is_queue
from holdfast.jobs.tags import tags_of
from holdfast.jobs.unique import Unique
from holdfast.tasks.outbox import CallerTransaction

LONGEST_DELAY_SECONDS: Final = 366 * 24 * 3600.0
LONGEST_KEY: Final = 1_000
LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """When, where and how a job is to run. Times are judged by the database's clock.

    Raises InvalidOption at construction for values that make no sense.
    """

    key: str | None = None
    """The caller's name for this request, up to 1,000 characters: with the same task and key
    a second request gets the first job. With `enqueue_many` it names the whole batch: when that is
    repeated, its n-th call gets the n-th job."""
    key_seconds: float | None = None
    """How long the key answers with its job, also after its end; None means 7 days, and 366 is the most."""
    unique: Unique | Literal[False] | None = None
    """Another rule about jobs that count as the same than the task's own; False: none."""
    delay_seconds: float = 0.0
    """Not before this much time has passed; up to 366 days."""
    run_at: datetime | None = None
    """Not before this instant; wins over `delay_seconds`."""
    deadline_seconds: float | None = None
    """The job has to have ended so many seconds from now, all waits and attempts included: no attempt begins
    later, one that can be stopped is, and a wait that would end later is not begun. The job is then
    quarantined(deadline)."""
    deadline_at: datetime | None = None
    """The same as an instant; wins over `deadline_seconds`."""
    priority: int | None = None
    """0 is first, 9 is last; None means 5."""
    queue: str | None = None
    """Another queue than the task's own."""
    tenant: str | None = None
    """On whose behalf; for fairness and limits."""
    tags: Sequence[str] = ()
    """Words to find the job by, up to 16 of up to 64 characters: nothing private in them."""
    session: CallerTransaction | None = None
    """Write inside this transaction; the job commits or vanishes with it."""
    soft_timeout_seconds: float | None = None
    """The soft limit of this job, in place of its task's."""
    hard_timeout_seconds: float | None = None
    """The hard limit of this job, in place of its task's."""
    job_id: str | None = None
    """An id of the caller's making: 1 to 255 printable characters. None makes a time-ordered UUID."""
    trace: str | None = None
    """The W3C trace parent of the caller."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense, before anything is written."""
        self._check_times()
        self._check_texts()
        if self.priority is not None and not HIGHEST_PRIORITY <= self.priority <= LOWEST_PRIORITY:
            raise InvalidOption(detail=f"priority is {self.priority}, and must be from 0 (first) to 9 (last)")
        if self.job_id is not None and not is_job_id(self.job_id):
            raise InvalidOption(
                detail="the job id must be 1 to 255 printable ASCII characters without spaces"
            )

    def _check_times(self) -> None:
        for name in ("run_at", "deadline_at"):
            instant = getattr(self, name)
            if instant is not None and (not isinstance(instant, datetime) or instant.tzinfo is None):
                raise InvalidOption(
                    detail=f"{name} needs a datetime with a time zone, as in datetime.now(UTC)"
                )
        if not 0 <= self.delay_seconds <= LONGEST_DELAY_SECONDS:
            raise InvalidOption(
                detail=f"delay_seconds is {self.delay_seconds}, and must be from 0 to 366 days"
            )
        if self.key_seconds is not None and not 0 < self.key_seconds <= LONGEST_DELAY_SECONDS:
            raise InvalidOption(detail=f"key_seconds is {self.key_seconds}, not more than 0 up to 366 days")
        for name in ("deadline_seconds", "soft_timeout_seconds", "hard_timeout_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise InvalidOption(detail=f"{name} is {seconds}, and must be more than 0")

    def _check_texts(self) -> None:
        for name, longest in (("key", LONGEST_KEY), ("tenant", LONGEST_NAME)):
            text = getattr(self, name)
            if text is not None and not (
                isinstance(text, str) and 0 < len(text) <= longest and text.isprintable()
            ):
                raise InvalidOption(detail=f"{name} must be 1 to {longest} printable characters")
        try:
            tags_of(self.tags)
        except ValueError as error:
            raise InvalidOption(detail=str(error)) from error
        if self.queue is not None and not is_queue(self.queue):
            raise InvalidOption(detail=f"{self.queue!r:.100} is no queue name: {QUEUE_RULE}")


NO_OPTIONS: Final = Options()
