"""What went wrong in an attempt, as data."""

import traceback
from dataclasses import dataclass
from typing import Self

LONGEST_MESSAGE = 2_000
LONGEST_TRACEBACK = 16_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, bounded and fit for the ledger. Holds no live objects."""

    type: str
    """The class's full name, for example `httpx.ReadTimeout`."""
    message: str
    """At most 2,000 characters."""
    traceback: str = ""
    """At most 16,000 characters; the end is kept, as that is where the fault is."""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe an exception with its traceback."""
        kind = type(error)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        return cls(
            type=name,
            message=storable_text(_said_by(error))[:LONGEST_MESSAGE],
            traceback=storable_text(_trace_of(error))[-LONGEST_TRACEBACK:],
        )


def _said_by(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as fault:  # noqa: BLE001 -- an exception whose own text fails must still be told of
        return f"(its text cannot be read: {type(fault).__qualname__})"


def _trace_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 -- as above
        return "".join(traceback.format_tb(error.__traceback__))


def storable_text(text: str) -> str:
    """Replace what no database text can hold: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
