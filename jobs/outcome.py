"""What an attempt came to: one of seven values. Nothing else ends an attempt."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from holdfast.jobs.failure import Failure
from holdfast.jobs.state import QuarantineReason

UPSTREAM: Final = "upstream:"
"""What a job waits for that waits for an upstream begins so; the upstream's name follows."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; `result` is strict JSON text, ready to store."""

    result: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another one is due in `delay_seconds`. Spends the attempt."""

    delay_seconds: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: start again in `delay_seconds` or at `until`. Gives the attempt back."""

    delay_seconds: float = 0.0
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Park:
    """Wait for something that is not a time. Gives the attempt back.

    `wake_seq` is the job's number read before the decision: if somebody woke
    the job since then, it becomes available and does not park (B14).
    """

    waiting_for: str
    """`upstream:` and a name is what the releaser looks after; everything else is for `Client.wake`."""
    reason: str = ""
    wake_seq: int = 0
    earliest_seconds: float = 0.0
    """Nobody lets it go on before so much time has passed; a job whose deadline comes first ends now."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The job ends because somebody asked for it."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The job is put aside until an operator looks at it."""

    reason: QuarantineReason
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process that ran the attempt died with it. Gives the attempt back.

    The job is quarantined as poison when it was alone at such a death for the second time.
    """

    failure: Failure
    """How the process died, for people; a death is not the handler's failure."""
    cohort: int | None = None
    """Run on in an isolated process with at most so many jobs, this one counted. None: the death proves
    nothing, and the job runs where it did before."""
    is_alone: bool = False
    """Nothing else ran in the process that died, so the job was its death."""


Outcome = Completed | Retry | Snooze | Park | Cancel | Quarantine | Crashed
