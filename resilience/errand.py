"""On whose behalf calls are made: what a guard has to know of the job or request around it."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from holdfast.resilience.breaker.ticket import Ticket


@dataclass(slots=True)
class Errand:
    """One attempt of a job, or one request, with all the calls that it makes."""

    deadline: float | None = None
    """In monotonic seconds: no call begins later, and none is given more time. None: there is none."""
    tenant: str = ""
    is_parkable: bool = False
    """A refusal may come at once, whatever it says: whoever runs this comes back when its time has come."""
    tickets: dict[str, Ticket] = field(default_factory=dict[str, Ticket])
    """By upstream: the right to one call each that was taken beforehand."""
    failed: tuple[str, BaseException] | None = None
    """The upstream whose call failed last, and with what."""
    called: set[str] = field(default_factory=set[str])
    """Upstreams that were called already: to be refused now would throw finished calls away."""


CURRENT: Final[ContextVar[Errand | None]] = ContextVar("holdfast_errand", default=None)


def current_errand() -> Errand | None:
    """Return the errand of the code that runs here; None if nobody said."""
    return CURRENT.get()


@contextmanager
def errand(what: Errand) -> Generator[Errand]:
    """Run the block, and whatever it starts, on this errand."""
    token = CURRENT.set(what)
    try:
        yield what
    finally:
        CURRENT.reset(token)
