"""What is kept of a message that cannot be a job: its body, and everything else as JSON.

Enough to send the same message again: see `workers/replay.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from kombu.utils.json import dumps, loads

LARGEST_MESSAGE_BYTES: Final = 2 * 1024 * 1024
_COMPRESSION: Final = "compression"
_OF_DELIVERY: Final = frozenset({"redelivered", "x-delivery-count", "x-death"})
"""Headers that brokers add: the same message has others when it is delivered again."""
_PROPERTIES: Final = (
    "correlation_id", "reply_to", "priority", "delivery_mode", "expiration", "message_id", "timestamp",
    "type", "app_id",
)  # fmt: skip


def said_of(error: BaseException) -> str:
    """Say what is wrong with a message without quoting its bytes, which may be private."""
    if isinstance(error, UnicodeError):
        # Its repr shows all that it could not read, its text one byte and the place.
        return f"{type(error).__name__}: {error}"
    parts = (_part(argument) for argument in error.args)
    return f"{type(error).__name__}: {', '.join(parts)}"


def _part(argument: object) -> str:
    if isinstance(argument, BaseException):
        return said_of(argument)
    return f"{len(argument)} bytes" if isinstance(argument, bytes) else str(argument)


@dataclass(frozen=True, slots=True)
class Kept:
    """A message's bytes, and its envelope as JSON; None if the bytes were no message."""

    raw: bytes
    envelope: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """All of a message but its body."""

    content_type: str | None
    content_encoding: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]


def kept_of(message: Any) -> Kept:
    """Take what is worth keeping off a message of kombu's. Never raises."""
    return Kept(raw_of(message), _envelope_of(message))


def raw_of(message: Any) -> bytes:
    """Return the bytes of a message's body, as far as there are any."""
    body = message.body
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, memoryview):
        return body.tobytes()
    return str(body).encode("utf-8", "replace")


def check_size(message: Any, largest_bytes: int) -> None:
    """Raise ValueError before a body is decoded that is larger than anybody may send."""
    size = len(raw_of(message))
    if size > largest_bytes:
        raise ValueError(f"{size} bytes, at most {largest_bytes}")


def envelope_from(text: str) -> Envelope | None:
    """Read an envelope as `kept_of` wrote it; None if it is none."""
    try:
        parts = loads(text)
        return Envelope(
            parts["content_type"],
            parts["content_encoding"],
            dict(parts["headers"]),
            dict(parts["properties"]),
        )
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return None


def _envelope_of(message: Any) -> str:
    try:
        return _written(message)
    except Exception:  # noqa: BLE001 -- headers hold whatever a stranger wrote; the message is kept all the same
        return ""


def _written(message: Any) -> str:
    headers: dict[str, Any] = {
        name: value for name, value in (message.headers or {}).items() if name not in _OF_DELIVERY
    }
    if not getattr(message, "errors", None):
        # kombu has decompressed the body, which is kept in clear.
        headers.pop(_COMPRESSION, None)
    given = cast("Mapping[str, Any]", message.properties or {})
    return dumps(
        {
            "content_type": getattr(message, "content_type", None),
            "content_encoding": getattr(message, "content_encoding", None),
            "headers": headers,
            "properties": {name: given[name] for name in _PROPERTIES if given.get(name) is not None},
        },
        sort_keys=True,
    )
