"""What kind of fault an exception is. Foreign exceptions are judged here and nowhere else."""

from enum import StrEnum

from pydantic import ValidationError

from holdfast.jobs.errors import (
    AttemptTimeout,
    BrokerUnavailable,
    InvalidArguments,
    InvalidJson,
    InvalidResult,
    LedgerUnavailable,
    PayloadTooLarge,
    RejectedError,
    UnknownTask,
)


class Fault(StrEnum):
    """What a failure says about another try."""

    TRANSIENT = "transient"
    """The world was not ready: another try may succeed."""
    PERMANENT = "permanent"
    """The same call fails again: do not try."""
    UNKNOWN = "unknown"
    """Nobody knows; one more try is fair."""


_TRANSIENT: tuple[type[BaseException], ...] = (
    ConnectionError,
    TimeoutError,
    InterruptedError,
    BlockingIOError,
    AttemptTimeout,
    BrokerUnavailable,
    LedgerUnavailable,
    RejectedError,
)
_PERMANENT: tuple[type[BaseException], ...] = (
    ValidationError,
    InvalidArguments,
    InvalidJson,
    InvalidResult,
    PayloadTooLarge,
    UnknownTask,
    TypeError,
    LookupError,
    AttributeError,
    NameError,
    SyntaxError,
    ImportError,
    AssertionError,
    ArithmeticError,
    UnicodeError,
    NotImplementedError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)


def classify(error: BaseException) -> Fault:
    """Judge an exception by its class.

    Foreign clients' errors count by the builtins that they derive from.
    """
    if isinstance(error, _PERMANENT):
        return Fault.PERMANENT
    if isinstance(error, _TRANSIENT):
        return Fault.TRANSIENT
    return Fault.UNKNOWN
