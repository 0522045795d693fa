"""What a worker and its isolated children say to each other: JSON in frames, records as themselves."""

import asyncio
import json
import struct
from typing import Any, Final

from pydantic import TypeAdapter

from holdfast.jobs.job import Claim

Message = dict[str, Any]

_LENGTH: Final = struct.Struct("!I")
_CLAIM: Final = TypeAdapter(Claim)


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
