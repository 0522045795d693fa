"""What kind of fault an exception is. Foreign exceptions are judged here and nowhere else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import ValidationError
from typing_extensions import TypeIs

from holdfast.jobs.errors import (
    AttemptTimeout,
    BrokerUnavailable,
    ChildFailed,
    InjectedFault,
    InjectedThrottle,
    InvalidArguments,
    InvalidJson,
    InvalidOption,
    InvalidResult,
    LedgerUnavailable,
    PayloadTooLarge,
    PlanChanged,
    PlatformError,
    RejectedError,
    TargetForbidden,
    UnknownTask,
)
from holdfast.jobs.signals import Signal
from holdfast.resilience import foreign
from holdfast.resilience.evidence import Evidence, carried_seconds, evidence_of, names_of


class Fault(StrEnum):
    """What a failure says about another try."""

    TRANSIENT = "transient"
    """The world was not ready: another try may succeed."""
    PUSHBACK = "pushback"
    """The upstream is well and asks for patience: try later, and do not blame the job."""
    PERMANENT = "permanent"
    """The same call fails again: do not try."""
    FATAL = "fatal"
    """No call of anybody can succeed until somebody acts: a bad key, no money left."""
    NEUTRAL = "neutral"
    """Not a fault: somebody stopped the call, or the handler decided. Counts nowhere."""
    UNKNOWN = "unknown"
    """Nobody knows; one more try is fair."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an exception means for the next try."""

    fault: Fault
    retry_after_seconds: float | None = None
    """No call before so many seconds from now, as the upstream asked; at most a day. None if it did not.

    Set for PUSHBACK and TRANSIENT only: for the others no wait helps.
    """
    status: int | None = None
    """The HTTP status, if the exception carries one."""


_NEUTRAL: tuple[type[BaseException], ...] = (
    Signal,
    asyncio.CancelledError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
)
_TRANSIENT: tuple[type[BaseException], ...] = (
    ConnectionError,
    TimeoutError,
    InterruptedError,
    BlockingIOError,
    AttemptTimeout,
    BrokerUnavailable,
    InjectedFault,
    LedgerUnavailable,
    RejectedError,
)
_PUSHBACK: tuple[type[BaseException], ...] = (InjectedThrottle,)
_PERMANENT: tuple[type[BaseException], ...] = (
    ValidationError,
    InvalidArguments,
    InvalidJson,
    InvalidOption,
    InvalidResult,
    PayloadTooLarge,
    PlanChanged,
    # It has had its own attempts.
    ChildFailed,
    TargetForbidden,
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


_BY_CLASS: Final = {
    **dict.fromkeys(foreign.NEUTRAL_CLASSES, Fault.NEUTRAL),
    **dict.fromkeys(foreign.TRANSIENT_CLASSES, Fault.TRANSIENT),
    **dict.fromkeys(foreign.PUSHBACK_CLASSES, Fault.PUSHBACK),
    **dict.fromkeys(foreign.PERMANENT_CLASSES, Fault.PERMANENT),
    **dict.fromkeys(foreign.FATAL_CLASSES, Fault.FATAL),
    **dict.fromkeys(foreign.UNKNOWN_CLASSES, Fault.UNKNOWN),
}
_BY_CODE: Final = {
    **dict.fromkeys(foreign.TRANSIENT_CODES, Fault.TRANSIENT),
    **dict.fromkeys(foreign.PUSHBACK_CODES, Fault.PUSHBACK),
    **dict.fromkeys(foreign.PERMANENT_CODES, Fault.PERMANENT),
    **dict.fromkeys(foreign.FATAL_CODES, Fault.FATAL),
}
_BY_KIND: Final = {
    **dict.fromkeys(foreign.TRANSIENT_KINDS, Fault.TRANSIENT),
    **dict.fromkeys(foreign.PUSHBACK_KINDS, Fault.PUSHBACK),
    **dict.fromkeys(foreign.PERMANENT_KINDS, Fault.PERMANENT),
    **dict.fromkeys(foreign.FATAL_KINDS, Fault.FATAL),
}
_BY_STATE: Final = {
    **dict.fromkeys(foreign.TRANSIENT_STATES, Fault.TRANSIENT),
    **dict.fromkeys(foreign.PERMANENT_STATES, Fault.PERMANENT),
    **dict.fromkeys(foreign.FATAL_STATES, Fault.FATAL),
}
_BY_STATUS: Final = {
    **dict.fromkeys(range(400, 500), Fault.PERMANENT),
    **dict.fromkeys(range(500, 600), Fault.TRANSIENT),
    **dict.fromkeys(foreign.TRANSIENT_STATUSES, Fault.TRANSIENT),
    **dict.fromkeys(foreign.PUSHBACK_STATUSES, Fault.PUSHBACK),
    **dict.fromkeys(foreign.PERMANENT_STATUSES, Fault.PERMANENT),
}
"""Statuses of refusals and failures; the narrower rows stand last and win."""
_WAITS: Final = frozenset({Fault.TRANSIENT, Fault.PUSHBACK})
_FINAL_BY_CLASS: Final = frozenset({Fault.FATAL, Fault.PERMANENT})
_NOT_A_LIMIT: Final = frozenset({foreign.UNAVAILABLE, foreign.OVERLOADED})
_STATE_CLASS: Final = 2
"""Characters of an SQLSTATE that name its class."""
_ANY_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The fault depends on what was said, never on when it ends."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A foreign exception, ready to be judged."""

    classes: tuple[str, ...]
    """Package and qualified name along its lineage, its own first."""
    known: Fault | None
    """What the nearest known class says; None if none is known."""
    evidence: Evidence


def judge(error: BaseException, *, now: datetime) -> Judgement:
    """Say what an exception means for another try, and how long the upstream wants none.

    Builtins and our own errors are judged by their class. Foreign ones are by
    the names of their classes and by what they carry (status, code, SQLSTATE):
    tables in `foreign.py`. `now` turns dates into seconds and must know its
    time zone. Raises nothing, whatever the exception does.
    """
    kind = type(error)
    for kinds, fault in (
        (_NEUTRAL, Fault.NEUTRAL),
        (_PERMANENT, Fault.PERMANENT),
        (_TRANSIENT, Fault.TRANSIENT),
        (_PUSHBACK, Fault.PUSHBACK),
    ):
        if issubclass(kind, kinds):
            return Judgement(fault, carried_seconds(error) if fault in _WAITS else None)
    if issubclass(kind, PlatformError):
        return Judgement(Fault.UNKNOWN)
    classes = names_of(error)
    known = next((_BY_CLASS[name] for name in classes if name in _BY_CLASS), None)
    if known is Fault.NEUTRAL:
        return Judgement(Fault.NEUTRAL)
    # A stranger's cause proves nothing about the meaning that its author gave to it.
    evidence = evidence_of(error, now=now, through_causes=known is not None)
    case = _Case(classes, known, evidence)
    fault = next((answer for ask in _QUESTIONS if (answer := ask(case)) is not None), known or Fault.UNKNOWN)
    return Judgement(fault, _wait(fault, evidence), evidence.status)


def classify(error: BaseException) -> Fault:
    """Judge an exception, and leave out how long to wait."""
    return judge(error, now=_ANY_TIME).fault


def _by_connection(case: _Case) -> Fault | None:
    return Fault.TRANSIENT if case.evidence.connection_lost else None


def _by_sqlstate(case: _Case) -> Fault | None:
    state = case.evidence.sqlstate
    return None if state is None else _BY_STATE.get(state) or _BY_STATE.get(state[:_STATE_CLASS])


def _by_final_class(case: _Case) -> Fault | None:
    """Some classes leave no question, though their status seems to: a spent limit comes as HTTP 429."""
    return case.known if case.known in _FINAL_BY_CLASS else None


def _by_code(case: _Case) -> Fault | None:
    # What a stranger calls `code` is an upstream's code only if an upstream's status stands beside it.
    if case.known is None and not _is_refusal(case.evidence.status):
        return None
    return next((_BY_CODE[code] for code in case.evidence.codes if code in _BY_CODE), None)


def _by_status(case: _Case) -> Fault | None:
    status = case.evidence.status
    if not _is_refusal(status):
        return None
    if status in foreign.FATAL_STATUSES and any(
        name.partition(".")[0] in foreign.PROVIDERS for name in case.classes
    ):
        return Fault.FATAL
    if status == foreign.UNAVAILABLE and case.evidence.said_seconds is not None:
        return Fault.PUSHBACK
    return _BY_STATUS[status]


def _by_kind(case: _Case) -> Fault | None:
    if case.known is None or _is_refusal(case.evidence.status):
        return None
    return next((_BY_KIND[code] for code in case.evidence.codes if code in _BY_KIND), None)


def _is_refusal(status: int | None) -> TypeIs[int]:
    return status in _BY_STATUS


def _wait(fault: Fault, evidence: Evidence) -> float | None:
    if fault is Fault.TRANSIENT:
        return evidence.said_seconds
    if fault is not Fault.PUSHBACK:
        return None
    # An overload and an outage are nobody's limit: when ours is full again says nothing about them.
    return evidence.said_seconds if evidence.status in _NOT_A_LIMIT else evidence.reset_seconds


# The order matters: the first that has an answer decides.
_QUESTIONS: Final[tuple[Callable[[_Case], Fault | None], ...]] = (
    _by_connection,
    _by_sqlstate,
    _by_final_class,
    _by_code,
    _by_status,
    _by_kind,
)
