"""How many jobs of a task may run at once, over the whole fleet."""

from dataclasses import dataclass
from typing import Final

from holdfast.jobs import codec
from holdfast.jobs.claim_check import LARGEST_EVER_BYTES
from holdfast.jobs.errors import InvalidJson

LIMIT: Final = "limit:"
"""What a job waits for that waits for its turn under a limit begins so; the limit's key follows."""
TURN: Final = "limit"
"""The ticket of a job whose turn has come: its place is taken, so that nobody else is let go for it."""
TENANT: Final = "tenant"
LONGEST_KEY: Final = 200
_DIGEST_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """At most `most` jobs of a task run at once: of all, of each tenant, or with one value of an argument."""

    most: int
    per: str | None = None
    """`tenant`, or the name of a parameter; None counts all jobs of the task together."""

    def key(self, task: str, tenant: str | None, arguments: str) -> str:
        """Return what is counted together with a job of these arguments.

        An argument stands in it as a digest: the key is shown to whoever sees the job, its arguments are not.
        """
        if self.per is None:
            key = task
        elif self.per == TENANT:
            key = f"{task}:tenant={tenant or ''}"
        else:
            key = f"{task}:{self.per}={codec.digest(_value(arguments, self.per))[:_DIGEST_LENGTH]}"
        return key if len(key) <= LONGEST_KEY else codec.digest(key)


def _value(arguments: str, name: str) -> str:
    try:
        values = codec.decode(arguments, largest_bytes=LARGEST_EVER_BYTES)
        value = values.get(name) if isinstance(values, dict) else None
        return codec.encode(value, largest_bytes=LARGEST_EVER_BYTES)
    except InvalidJson:
        # Written by hand; it will be quarantined when it runs.
        return arguments
