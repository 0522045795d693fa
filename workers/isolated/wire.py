"""What a worker and its isolated children say to each other: JSON in frames, records as themselves."""

import asyncio
import json
import struct
from typing import Any, Final

from pydantic import TypeAdapter

from holdfast.jobs.job import Claim
from holdfast.jobs.outcome import Cancel, Completed, Crashed, Outcome, Park, Quarantine, Retry, Snooze

Message = dict[str, Any]

_LENGTH: Final = struct.Struct("!I")
_CLAIM: Final = TypeAdapter(Claim)
_OUTCOMES: Final[dict[str, TypeAdapter[Any]]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Completed, Retry, Snooze, Park, Cancel, Quarantine, Crashed)
}


def frame(message: Message) -> bytes:
    """Write a message as one frame: four bytes of length, then JSON."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(text)) + text


async def read(reader: asyncio.StreamReader) -> Message | None:
    """Read the next message; None when the other end has hung up."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        message: Message = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message


def claim_as_json(claim: Claim) -> Message:
    """Write a claim; it holds the job's arguments, and goes to a child of ours only."""
    message: Message = _CLAIM.dump_python(claim, mode="json")
    return message


def claim_of_json(message: Message) -> Claim:
    """Read what `claim_as_json` wrote."""
    return _CLAIM.validate_python(message)


def outcome_as_json(outcome: Outcome) -> Message:
    """Write an outcome under its name."""
    name = type(outcome).__name__
    return {"kind": name, "fields": _OUTCOMES[name].dump_python(outcome, mode="json")}


def outcome_of_json(message: Message) -> Outcome:
    """Read what `outcome_as_json` wrote."""
    outcome: Outcome = _OUTCOMES[message["kind"]].validate_python(message["fields"])
    return outcome
