"""Outcomes as JSON: for what outlives a process, and for what goes from one to another."""

from typing import Any, Final

from pydantic import TypeAdapter

from holdfast.jobs.outcome import Cancel, Completed, Crashed, Outcome, Park, Quarantine, Retry, Snooze

Message = dict[str, Any]

_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Completed, Retry, Snooze, Park, Cancel, Quarantine, Crashed)
}


def outcome_as_json(outcome: Outcome) -> Message:
    """Write an outcome under its name."""
    name = type(outcome).__name__
    return {"kind": name, "fields": _ADAPTERS[name].dump_python(outcome, mode="json")}


def outcome_of_json(message: Message) -> Outcome:
    """Read what `outcome_as_json` wrote. Raises KeyError or ValueError for anything else."""
    outcome: Outcome = _ADAPTERS[message["kind"]].validate_python(message["fields"])
    return outcome
