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
            message=storable_text(str(error))[:LONGEST_MESSAGE],
            traceback=storable_text("".join(traceback.format_exception(error)))[-LONGEST_TRACEBACK:],
        )


def storable_text(text: str) -> str:
    """Replace what no database text can hold: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
