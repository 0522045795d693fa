"""Outcomes as JSON: for what outlives a process, and for what goes from one to another.

A number stays the number that it was: a repeated settlement is known by the
digest of what it asks for, and 5 and 5.0 have different ones.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from holdfast.jobs.failure import Failure
from holdfast.jobs.outcome import Cancel, Completed, Crashed, Outcome, Park, Quarantine, Retry, Snooze
from holdfast.jobs.state import QuarantineReason

Message = dict[str, Any]


def outcome_as_json(outcome: Outcome) -> Message:
    """Write an outcome under its name. Raises TypeError for what no JSON can hold, when it is encoded."""
    fields = asdict(outcome)
    if isinstance(outcome, Snooze) and outcome.until is not None:
        fields["until"] = outcome.until.isoformat()
    return {"kind": type(outcome).__name__, "fields": fields}


def outcome_of_json(message: Message) -> Outcome:
    """Read what `outcome_as_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    kind, fields = message["kind"], dict(message["fields"])
    if fields.get("failure") is not None:
        fields["failure"] = Failure(**fields["failure"])
    match kind:
        case "Completed":
            return Completed(**fields)
        case "Retry":
            return Retry(**fields)
        case "Snooze":
            until = fields.pop("until")
            return Snooze(**fields, until=None if until is None else datetime.fromisoformat(until))
        case "Park":
            return Park(**fields)
        case "Cancel":
            return Cancel(**fields)
        case "Crashed":
            return Crashed(**fields)
        case "Quarantine":
            return Quarantine(QuarantineReason(fields["reason"]), fields["failure"])
        case _:
            raise ValueError(f"no outcome is called {kind}")
