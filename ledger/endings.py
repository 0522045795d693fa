"""Outcomes as rows: what a settlement asks the database to do."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from holdfast.jobs import codec
from holdfast.jobs.failure import LONGEST_MESSAGE, LONGEST_TRACEBACK, Failure, storable_text
from holdfast.jobs.ids import JobId, LeaseToken
from holdfast.jobs.job import Settlement
from holdfast.jobs.lease import Lease
from holdfast.jobs.outcome import Cancel, Completed, Crashed, Outcome, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import JobState, Move, QuarantineReason
from holdfast.ledger.batch import is_storable
from holdfast.ledger.schema_rules import LONGEST_DETAIL, LONGEST_NAME
from holdfast.ledger.types import bounded_seconds, instant_text

LOST: Final = "lost"
OVERRAN: Final = "overran"
CRASHED: Final = "crashed"
LONGEST_LATE: Final = 16_000

# The word in the attempt's row for what was asked, when the job's state does not say otherwise.
_WORDS: Final = {"hand_back": "handed_back", OVERRAN: LOST}
_FINAL_WORDS: Final = {
    JobState.COMPLETED: "complete",
    JobState.CANCELLED: "cancel",
    JobState.QUARANTINED: "quarantine",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one running attempt, asked for by a worker or by the rescuer."""

    job_id: JobId
    token: LeaseToken
    kind: str
    """`complete`, `retry`, `snooze`, `park`, `cancel`, `quarantine`, `hand_back`, `lost`, `overran`,
    `crashed`."""
    row: dict[str, Any]

    @property
    def key(self) -> tuple[JobId, LeaseToken]:
        """Return what names the attempt."""
        return self.job_id, self.token

    @property
    def asked(self) -> str | None:
        """Return the digest of what was asked for; a repetition has the same."""
        asked: str | None = self.row["asked"]
        return asked

    @property
    def size(self) -> int:
        """Return roughly how many characters it takes."""
        return 300 + len(self.row["result"] or "") + len(self.row["failure"] or "")

    def move(self, state: JobState) -> str:
        """Return the name of the verb for the history, given what became of the job."""
        if state in _FINAL_WORDS:
            return _FINAL_WORDS[state]
        if self.kind in {LOST, OVERRAN, CRASHED}:
            return Move.RESCUE.value
        if self.kind == Move.PARK.value and state is JobState.AVAILABLE:
            return Move.WAKE.value
        return self.kind

    def outcome(self, state: JobState) -> str:
        """Return the word for the attempt's row, given what became of the job."""
        if self.kind in {LOST, OVERRAN}:
            return LOST
        if state is JobState.COMPLETED:
            return "completed"
        return _FINAL_WORDS.get(state) or _WORDS.get(self.kind, self.kind)


def of_settlement(settlement: Settlement) -> Ending:
    """Translate a handler's outcome; what no database can hold becomes quarantined(invalid_result)."""
    lease, outcome = settlement.lease, settlement.outcome
    asked = codec.digest(_kind(outcome))
    try:
        asked = _digest(outcome)
        if isinstance(outcome, Completed) and not is_storable(outcome.result):
            return invalid_result(lease, asked, "the result holds a NUL character or a lone surrogate")
        return ending(lease.job_id, lease.token, asked=asked, **_fields(outcome))
    except Exception as error:  # noqa: BLE001 -- this outcome's fault, whatever it holds, and not the batch's (B13)
        return invalid_result(lease, asked, f"the outcome cannot be stored: {_said(error)}")


def invalid_result(lease: Lease, asked: str, said: str) -> Ending:
    """Quarantine a job whose result the database refused."""
    failure = Failure(type="holdfast.jobs.errors.InvalidResult", message=storable_text(said)[:LONGEST_DETAIL])
    return ending(
        lease.job_id,
        lease.token,
        asked=asked,
        kind=Move.QUARANTINE.value,
        reason=QuarantineReason.INVALID_RESULT.value,
        detail=failure.message,
        failure=failure_text(failure),
    )


def ending(
    job_id: JobId,
    token: LeaseToken,
    *,
    kind: str,
    asked: str | None = None,
    detail: str | None = None,
    **fields: Any,  # noqa: ANN401  the columns of the batch, checked by the statement's own fields
) -> Ending:
    """Make an ending; texts for people are cleaned and cut here."""
    row: dict[str, Any] = {
        "id": job_id,
        "token": token,
        "kind": kind,
        "asked": asked,
        "detail": None if not detail else storable_text(detail)[:LONGEST_DETAIL],
        "result": None,
        "failure": None,
        "reason": None,
        "delay": 0.0,
        "until": None,
        "seen": None,
        "cohort": None,
        "alone": 0,
        "waiting_for": None,
        **fields,
    }
    return Ending(job_id, token, kind, row)


def late_text(outcome: Outcome) -> str:
    """Describe a refused outcome within bounds, as JSON text."""
    try:
        fields = {
            key: storable_text(str(value))[: LONGEST_LATE // 4]
            for key, value in asdict(outcome).items()
            if value is not None and value != ""
        }
    except Exception as error:  # noqa: BLE001 -- as in `of_settlement`
        fields = {"error": _said(error)}
    return json.dumps({"outcome": _kind(outcome), **fields}, ensure_ascii=False)[:LONGEST_LATE]


def failure_text(failure: Failure | None) -> str | None:
    """Write a failure as strict JSON text."""
    if failure is None:
        return None
    return codec.encode(
        {
            "type": storable_text(failure.type)[:LONGEST_NAME],
            "message": storable_text(failure.message)[:LONGEST_MESSAGE],
            "traceback": storable_text(failure.traceback)[-LONGEST_TRACEBACK:],
        }
    )


def _fields(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Completed(result):
            return {"kind": "complete", "result": result}
        case Retry(delay_seconds, failure):
            return {
                "kind": "retry",
                "delay": bounded_seconds(float(delay_seconds)),
                "failure": failure_text(failure),
            }
        case Snooze(delay_seconds, until, reason):
            instant = None if until is None else instant_text(until)
            return {
                "kind": "snooze",
                "delay": bounded_seconds(float(delay_seconds)),
                "until": instant,
                "detail": reason,
            }
        case Park(waiting_for, reason, wake_seq, earliest_seconds):
            return {
                "kind": "park",
                "seen": wake_seq,
                "detail": f"{waiting_for}: {reason}" if reason else waiting_for,
                "waiting_for": storable_text(waiting_for)[:LONGEST_NAME],
                "delay": bounded_seconds(float(earliest_seconds)),
            }
        case Cancel(reason):
            return {"kind": "cancel", "detail": reason}
        case Crashed(failure, cohort, is_alone):
            return {
                "kind": LOST if cohort is None else CRASHED,
                "cohort": cohort,
                "alone": int(is_alone),
                "failure": failure_text(failure),
                "detail": failure.message,
            }
        case Quarantine(reason, failure):
            return {
                "kind": "quarantine",
                "reason": reason.value,
                "failure": failure_text(failure),
                "detail": None if failure is None else failure.message,
            }


def _said(error: Exception) -> str:
    try:
        return storable_text(str(error))
    except Exception:  # noqa: BLE001 -- the text of the error may be what fails
        return type(error).__name__


def _kind(outcome: Outcome) -> str:
    return type(outcome).__name__.lower()


def _digest(outcome: Outcome) -> str:
    return codec.digest(json.dumps([_kind(outcome), asdict(outcome)], default=str, ensure_ascii=True))
