"""The states of a job and the only ways between them.

The same table stands three times: here, as CHECK constraints in the ledger,
and as the chart in `docs/ARCHITECTURE.md`. A test compares the three.
"""

from enum import StrEnum
from typing import Final

from holdfast.jobs.errors import IllegalTransition


class JobState(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"
    """Not before `run_at`: a delay, a retry's wait, a snooze."""
    AVAILABLE = "available"
    """Should be running now; a ring is out or due."""
    RUNNING = "running"
    """Leased by one worker."""
    PARKED = "parked"
    """Waits for something that is not a time: an upstream, a limit, an event, its children."""
    COMPLETED = "completed"
    """Final: the handler's result is written."""
    CANCELLED = "cancelled"
    """Final: somebody asked for it."""
    QUARANTINED = "quarantined"
    """Final until an operator requeues it; the row says why."""

    @property
    def is_final(self) -> bool:
        """Tell whether nothing but an operator's requeue can leave this state."""
        return self in FINAL_STATES


class QuarantineReason(StrEnum):
    """Why a job or a message was put aside. Stable: stored, shown, documented."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    PERMANENT = "permanent"
    POISON = "poison"
    LOST_REPEATEDLY = "lost_repeatedly"
    DEADLINE = "deadline"
    INVALID_PAYLOAD = "invalid_payload"
    INVALID_RESULT = "invalid_result"
    UNKNOWN_TASK = "unknown_task"
    UNDECODABLE = "undecodable"
    ID_REUSED = "id_reused"


class Move(StrEnum):
    """The verbs that change a job's state."""

    STAGE = "stage"
    CLAIM = "claim"
    COMPLETE = "complete"
    RETRY = "retry"
    SNOOZE = "snooze"
    PARK = "park"
    WAKE = "wake"
    RELEASE = "release"
    HAND_BACK = "hand_back"
    RESCUE = "rescue"
    CANCEL = "cancel"
    QUARANTINE = "quarantine"
    REQUEUE = "requeue"


FINAL_STATES: Final = frozenset({JobState.COMPLETED, JobState.CANCELLED, JobState.QUARANTINED})

INITIAL_STATES: Final = frozenset({JobState.SCHEDULED, JobState.AVAILABLE, JobState.PARKED})

_S = JobState
TRANSITIONS: Final[dict[Move, frozenset[tuple[JobState, JobState]]]] = {
    Move.STAGE: frozenset({(_S.SCHEDULED, _S.AVAILABLE)}),
    Move.CLAIM: frozenset({(_S.AVAILABLE, _S.RUNNING)}),
    Move.COMPLETE: frozenset({(_S.RUNNING, _S.COMPLETED)}),
    Move.RETRY: frozenset({(_S.RUNNING, _S.SCHEDULED)}),
    Move.SNOOZE: frozenset({(_S.RUNNING, _S.SCHEDULED)}),
    Move.PARK: frozenset({(_S.RUNNING, _S.PARKED)}),
    # A job that was woken between its decision to park and the write does not park at all (B14).
    Move.WAKE: frozenset({(_S.PARKED, _S.AVAILABLE), (_S.RUNNING, _S.AVAILABLE)}),
    # Its upstream takes calls again, or the one probe that may find that out.
    Move.RELEASE: frozenset({(_S.PARKED, _S.AVAILABLE)}),
    Move.HAND_BACK: frozenset({(_S.RUNNING, _S.AVAILABLE)}),
    Move.RESCUE: frozenset({(_S.RUNNING, _S.AVAILABLE)}),
    Move.CANCEL: frozenset(
        {
            (_S.SCHEDULED, _S.CANCELLED),
            (_S.AVAILABLE, _S.CANCELLED),
            (_S.PARKED, _S.CANCELLED),
            (_S.RUNNING, _S.CANCELLED),
        }
    ),
    Move.QUARANTINE: frozenset(
        {
            (_S.SCHEDULED, _S.QUARANTINED),
            (_S.AVAILABLE, _S.QUARANTINED),
            (_S.PARKED, _S.QUARANTINED),
            (_S.RUNNING, _S.QUARANTINED),
        }
    ),
    Move.REQUEUE: frozenset({(_S.QUARANTINED, _S.AVAILABLE)}),
}


def sources(move: Move) -> frozenset[JobState]:
    """Return the states a verb may start from."""
    return frozenset(source for source, _ in TRANSITIONS[move])


def can_move(source: JobState, target: JobState) -> bool:
    """Tell whether any verb leads from one state to the other."""
    return any((source, target) in pairs for pairs in TRANSITIONS.values())


def check_move(move: Move, source: JobState, target: JobState) -> None:
    """Refuse a change of state that is not in the table.

    Raises IllegalTransition: a fault in the program, do not try again.
    """
    if (source, target) not in TRANSITIONS[move]:
        raise IllegalTransition(detail=f"{move} cannot lead from {source} to {target}")
